"""Run where the real tensorflow-addons is (`requirements-addons.txt`): writes models and what they make of photographs.

    python addons_originals.py OUT

OUT holds `photographs-<size>.npy`; what is written: files by kind, and `<name>.npy` of outputs in their own test mode.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

sys.path.insert(0, str(Path(__file__).parent))
from keras_networks import plain_unet, randomize, tutorial_discriminator, tutorial_generator

OUT = Path(sys.argv[1])


def photographs(size_px):
    return np.load(OUT / f"photographs-{size_px}.npy")


def addons():
    for name, options in {
        "after": {},
        "before": {"before": True},
        "spectral": {"wrap": tfa.layers.SpectralNormalization},
    }.items():
        model = randomize(plain_unet(tf, tfa.layers.InstanceNormalization, **options))
        model.compile("adam", "mae")
        x = photographs(32)
        model.fit(x, -x, epochs=2, verbose=0)  # an optimiser's state, and normalised kernels
        model.save(OUT / f"{name}.h5")
        model.save(OUT / name)
        np.save(OUT / f"{name}.npy", model(x, training=False).numpy())


def tutorial():
    generator, discriminator = randomize(tutorial_generator(tf, 4)), randomize(tutorial_discriminator(tf, 4), 1)
    optimizers = [tf.keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
    for model, optimizer in zip((generator, discriminator), optimizers, strict=False):
        optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        generator=generator,
        discriminator=discriminator,
    )
    checkpoint.save(str(OUT / "tutorial" / "ckpt"))
    x = photographs(256)[:1]
    dropout_off = [
        layer
        for block in generator.layers
        if hasattr(block, "layers")
        for layer in block.layers
        if isinstance(layer, tf.keras.layers.Dropout)
    ]
    for layer in dropout_off:
        layer.rate = 0.0
    np.save(OUT / "tutorial.npy", generator(x, training=True).numpy())
    np.save(OUT / "tutorial-d.npy", discriminator([x, -x], training=True).numpy())


def batch_topology():
    """A model whose batch norms are called as in training, as TensorFlow.js's pages have them."""
    model = randomize(plain_unet(tf, tf.keras.layers.BatchNormalization, training=True, dropout=False))
    (OUT / "topology.json").write_text(model.to_json())
    np.savez(OUT / "topology.npz", **{weight.name.split(":")[0]: weight.numpy() for weight in model.weights})
    np.save(OUT / "topology.npy", np.concatenate([model(x[None]).numpy() for x in photographs(32)]))


def tf1():
    """The generator of pix2pix-tensorflow by the layers that it uses, saved as it saves."""
    v1 = tf.compat.v1
    rng = np.random.default_rng(0)
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, (1, 256, 256, 3))

        def norm(x):
            return v1.layers.batch_normalization(x, axis=3, epsilon=1e-5, momentum=0.1, training=True)

        widths = [4 * min(2**level, 8) for level in range(8)]
        with v1.variable_scope("generator"):
            encoded = []
            for level, width in enumerate(widths, 1):
                with v1.variable_scope(f"encoder_{level}"):
                    x = given if level == 1 else tf.nn.leaky_relu(encoded[-1], 0.2)
                    x = v1.layers.conv2d(x, width, 4, (2, 2), "same")
                    encoded.append(x if level == 1 else norm(x))
            x = encoded[-1]
            for level in range(8, 0, -1):
                with v1.variable_scope(f"decoder_{level}"):
                    x = x if level == 8 else tf.concat([x, encoded[level - 1]], 3)
                    x = v1.layers.conv2d_transpose(
                        tf.nn.relu(x), widths[level - 2] if level > 1 else 3, 4, (2, 2), "same"
                    )
                    x = norm(x) if level > 1 else tf.tanh(x)
        with v1.variable_scope("discriminator"):
            pair = tf.concat([given, -given], 3)
            y, width = pair, 4
            for layer in range(1, 6):
                with v1.variable_scope(f"layer_{layer}"):
                    stride, out = (2, 4 * min(2 ** (layer - 1), 8)) if layer < 4 else (1, 32 if layer == 4 else 1)
                    y = tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])
                    y = v1.layers.conv2d(y, out, 4, (stride, stride), "valid")
                    if 1 < layer < 5:
                        y = norm(y)
                    if layer < 5:
                        y = tf.nn.leaky_relu(y, 0.2)
        session.run(v1.global_variables_initializer())
        for variable in v1.trainable_variables():
            shape = variable.shape.as_list()
            scale = np.prod(shape[:3]) ** -0.5 if len(shape) == 4 else 0.2
            session.run(variable.assign(rng.normal(float("gamma" in variable.name), scale, shape)))
        # As while training: optimisers' slots beside the weights.
        optimizer = v1.train.AdamOptimizer(0.0)
        step = optimizer.minimize(tf.reduce_mean(x) + tf.reduce_mean(y))
        session.run(
            [v for v in v1.global_variables() if "Adam" in v.name or "power" in v.name]
            and v1.variables_initializer([v for v in v1.global_variables() if "Adam" in v.name or "power" in v.name])
        )
        image = photographs(256)[:1]
        session.run(step, {given: image})
        v1.train.Saver().save(session, str(OUT / "tf1" / "model"), global_step=200)
        np.save(OUT / "tf1.npy", session.run(x, {given: image}))
        np.save(OUT / "tf1-d.npy", session.run(y, {given: image}))


for make in (addons, tutorial, batch_topology, tf1):
    make()
print(json.dumps({"tensorflow": tf.__version__, "addons": tfa.__version__}))
