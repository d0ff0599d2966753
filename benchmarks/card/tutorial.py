"""The peer in TensorFlow: the networks and the step of the TensorFlow tutorial on pix2pix, in Keras 3.

One forward pass, two tapes, Keras's Adam. Its last convolutions of D have no padding of their own, as there.
"""

from __future__ import annotations

from collections.abc import Callable


def make_step(size_px: int, width: float = 1.0) -> Callable:
    """Returns a compiled step: (input, target), float32 NHWC on [-1, 1] -> G's loss. `width` scales all filters."""
    import keras
    import tensorflow as tf

    g, d = _generator(size_px, width), _discriminator(size_px, width)
    g_optimizer, d_optimizer = (keras.optimizers.Adam(2e-4, 0.5) for _ in range(2))
    g_optimizer.build(g.trainable_variables)
    d_optimizer.build(d.trainable_variables)

    def entropy(label: float, logits: tf.Tensor) -> tf.Tensor:
        labels = tf.fill(tf.shape(logits), label)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            fake = g(x, training=True)
            real_logits, fake_logits = d([x, y], training=True), d([x, fake], training=True)
            g_loss = entropy(1.0, fake_logits) + 100 * tf.reduce_mean(tf.abs(y - fake))
            d_loss = entropy(1.0, real_logits) + entropy(0.0, fake_logits)
        g_gradients = tape.gradient(g_loss, g.trainable_variables)
        d_gradients = tape.gradient(d_loss, d.trainable_variables)
        g_optimizer.apply_gradients(zip(g_gradients, g.trainable_variables, strict=True))
        d_optimizer.apply_gradients(zip(d_gradients, d.trainable_variables, strict=True))
        return g_loss

    return step


def _convolution(kind: str, filters: float, strides: int = 2, **options):
    import keras

    initial = keras.initializers.RandomNormal(0.0, 0.02)
    options = {"padding": "same", "use_bias": False, **options}
    return getattr(keras.layers, kind)(max(1, round(filters)), 4, strides, kernel_initializer=initial, **options)


def _generator(size_px: int, width: float):
    import keras
    from keras import layers

    x = inputs = layers.Input((size_px, size_px, 3))
    skips, depth = [], size_px.bit_length() - 1
    for level in range(depth):
        x = _convolution("Conv2D", width * min(64 * 2**level, 512))(x)
        x = layers.BatchNormalization()(x) if level else x
        x = layers.LeakyReLU(0.3)(x)
        skips.append(x)
    for level in range(depth - 1):
        x = _convolution("Conv2DTranspose", width * min(64 * 2 ** (depth - 2 - level), 512))(x)
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(0.5)(x) if level < 3 else x
        x = layers.Concatenate()([layers.ReLU()(x), skips[-2 - level]])
    return keras.Model(inputs, _convolution("Conv2DTranspose", 3, use_bias=True, activation="tanh")(x))


def _discriminator(size_px: int, width: float):
    import keras
    from keras import layers

    a, b = (layers.Input((size_px, size_px, 3)) for _ in range(2))
    x = layers.LeakyReLU(0.3)(_convolution("Conv2D", width * 64)(layers.Concatenate()([a, b])))
    for filters in (128, 256):
        x = layers.LeakyReLU(0.3)(layers.BatchNormalization()(_convolution("Conv2D", width * filters)(x)))
    x = _convolution("Conv2D", width * 512, 1, padding="valid")(layers.ZeroPadding2D(1)(x))
    x = layers.ZeroPadding2D(1)(layers.LeakyReLU(0.3)(layers.BatchNormalization()(x)))
    return keras.Model([a, b], _convolution("Conv2D", 1, 1, padding="valid", use_bias=True)(x))
