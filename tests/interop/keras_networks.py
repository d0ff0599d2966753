"""Generators as users of Keras write them, by whichever Keras `tf` has: the tutorial's, and with norms of a package.

Imports nothing at all, so that an older environment can run it.
"""

SLOPE = 0.2


def tutorial_generator(tf, filters=64, size_px=256, channels=3):
    """The generator of the TensorFlow tutorial, whose blocks are Sequential models."""
    layers, init = tf.keras.layers, tf.random_normal_initializer(0.0, 0.02)

    def down(width, norm=True):
        block = tf.keras.Sequential()
        block.add(layers.Conv2D(width, 4, strides=2, padding="same", kernel_initializer=init, use_bias=False))
        if norm:
            block.add(layers.BatchNormalization())
        block.add(layers.LeakyReLU())
        return block

    def up(width, dropout=False):
        block = tf.keras.Sequential()
        block.add(layers.Conv2DTranspose(width, 4, strides=2, padding="same", kernel_initializer=init, use_bias=False))
        block.add(layers.BatchNormalization())
        if dropout:
            block.add(layers.Dropout(0.5))
        block.add(layers.ReLU())
        return block

    inputs = layers.Input(shape=[size_px, size_px, channels])
    widths = [filters * min(2**level, 8) for level in range(8)]
    x, skips = inputs, []
    for level, width in enumerate(widths):
        x = down(width, level > 0)(x)
        skips.append(x)
    for level in range(6, -1, -1):
        x = up(widths[level], level > 3)(x)
        x = layers.Concatenate()([x, skips[level]])
    last = layers.Conv2DTranspose(channels, 4, strides=2, padding="same", kernel_initializer=init, activation="tanh")
    return tf.keras.Model(inputs=inputs, outputs=last(x))


def tutorial_discriminator(tf, filters=64, size_px=256, channels=3):
    layers, init = tf.keras.layers, tf.random_normal_initializer(0.0, 0.02)
    image = layers.Input(shape=[size_px, size_px, channels], name="input_image")
    target = layers.Input(shape=[size_px, size_px, channels], name="target_image")
    x = layers.concatenate([image, target])
    for level in range(3):
        block = tf.keras.Sequential()
        width = filters * 2**level
        block.add(layers.Conv2D(width, 4, strides=2, padding="same", kernel_initializer=init, use_bias=False))
        if level:
            block.add(layers.BatchNormalization())
        block.add(layers.LeakyReLU())
        x = block(x)
    x = layers.ZeroPadding2D()(x)
    x = layers.Conv2D(8 * filters, 4, strides=1, kernel_initializer=init, use_bias=False)(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(1, 4, strides=1, kernel_initializer=init)(layers.ZeroPadding2D()(x))
    return tf.keras.Model(inputs=[image, target], outputs=x)


def plain_unet(tf, norm, filters=8, levels=5, channels=3, before=False, wrap=lambda layer: layer, training=None,
               dropout=True):  # fmt: skip
    """A U-Net of single layers. `norm()` makes a norm; `training` is what norms and dropout are called with."""
    layers = tf.keras.layers
    flag = {} if training is None else {"training": training}
    size_px, widths = 2**levels, [filters * min(2**level, 8) for level in range(levels)]
    inputs = layers.Input((size_px, size_px, channels))
    x, skips = inputs, []
    for level, width in enumerate(widths):
        if level and not before:
            skips.append(x)
            x = layers.LeakyReLU(SLOPE)(x)
        x = wrap(layers.Conv2D(width, 4, 2, "same"))(x)
        if 0 < level < levels - 1:
            x = norm()(x, **flag)
        if before:
            x = layers.LeakyReLU(SLOPE)(x)
            if level < levels - 1:
                skips.append(x)
    for level in range(levels - 1, 0, -1):
        if not before:
            x = layers.Activation("relu")(x)
        x = wrap(layers.Conv2DTranspose(widths[level - 1], 4, 2, "same"))(x)
        x = norm()(x, **flag)
        if dropout and level > levels - 3:
            x = layers.Dropout(0.5)(x, **flag)
        if before:
            x = layers.Activation("relu")(x)
        x = layers.Concatenate()([x, skips.pop()])
    if not before:
        x = layers.Activation("relu")(x)
    x = layers.Conv2DTranspose(channels, 4, 2, "same", activation="tanh")(x)
    return tf.keras.Model(inputs, x)


def randomize(model, seed=0):
    """Weights as after some training."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape, name = tuple(variable.shape), variable.name
        if len(shape) == 4:
            transposed = 4.0 if "transpose" in getattr(variable, "path", name) else 1.0
            values = rng.normal(0, 1, shape) * (transposed / np.prod(shape[:3])) ** 0.5
        elif "variance" in name:
            values = rng.uniform(0.5, 1.5, shape)
        elif "gamma" in name:
            values = rng.normal(1, 0.2, shape)
        elif len(shape) == 1:
            values = rng.normal(0, 0.2, shape)
        else:
            continue
        variable.assign(values.astype("float32"))
    return model
