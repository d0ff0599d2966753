"""Files of the Keras that is installed: .keras and .h5, TensorFlow.js models, checkpoints of the tutorial by Keras 3,
and of TensorFlow 1 with its first names."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.export.flat import spread
from tests.interop.keras_networks import plain_unet, randomize, tutorial_discriminator, tutorial_generator
from tests.interop.test_tensorflow import judged
from tests.interop.tfjs_writer import write_layers_model
from tfpix2pix.errors import UserError
from tfpix2pix.inference.parity import photographs
from tfpix2pix.runs.import_weights import TOLERANCE, import_weights


def difference(translator, original, size_px=16) -> float:
    pairs = [(translator(image, noise="off"), np.asarray(original(image))) for image in photographs(size_px, 3)]
    assert min(float(expected.std()) for _, expected in pairs) > 0.05
    return max(float(np.abs(ours - expected).max()) for ours, expected in pairs)


def batch_model(**options):
    return randomize(plain_unet(tf, keras.layers.BatchNormalization, levels=4, **options))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("before", [False, True])
def test_a_keras_file_translates_as_keras_does(suffix, before, tmp_path):
    model = batch_model(before=before)
    model.save(tmp_path / f"mine{suffix}")
    report = import_weights(tmp_path / f"mine{suffix}", out=tmp_path / "run")
    assert report.max_abs_error < TOLERANCE
    assert (report.statistics, report.noise) == ("moving", "off")  # as the model is called
    assert difference(p2p.load(tmp_path / "run"), model) < TOLERANCE


def test_statistics_may_be_chosen(tmp_path):
    model = batch_model(dropout=False)
    model.save(tmp_path / "mine.keras")
    report = import_weights(tmp_path / "mine.keras", out=tmp_path / "run", statistics="image")
    assert report.max_abs_error is None and "moving" in report.runtime
    assert difference(p2p.load(tmp_path / "run"), lambda image: model(image, training=True)) < TOLERANCE


def layers_model(folder, dtype=None, **options):
    """(model.json, a Keras model that has the weights which are in it)."""
    model = batch_model(training=True, dropout=False, **options)
    arrays = {f"{layer.name}/{v.name}": np.asarray(v) for layer in model.layers for v in layer.weights}
    return write_layers_model(folder, json.loads(model.to_json()), arrays, dtype), model


@pytest.mark.parametrize(("dtype", "most"), [(None, TOLERANCE), ("float16", 0.01), ("uint16", 0.01), ("uint8", 0.5)])
def test_tensorflow_js_models(dtype, most, tmp_path):
    file, model = layers_model(tmp_path / "web", dtype)
    report = import_weights(file, out=tmp_path / "run")
    assert report.max_abs_error < TOLERANCE  # to what the quantised weights say
    assert report.statistics == "image"
    assert difference(p2p.load(tmp_path / "run"), model) < most


@pytest.mark.slow
def test_a_tensorflow_js_model_is_exported(tmp_path):
    file, model = layers_model(tmp_path / "web")
    import_weights(file, out=tmp_path / "run")
    for kind in ("saved_model", "tflite"):
        report = p2p.export_run(tmp_path / "run", kind, tmp_path / "exports")
        assert difference(p2p.load(report.path), model) < TOLERANCE


def test_a_tensorflow_js_model_of_drawings_is_imported_and_exported(tmp_path):
    """On white paper the original's float32 is off by more than the tolerance, and the import still accepts it."""
    norm = lambda: keras.layers.BatchNormalization(epsilon=1e-5)  # noqa: E731
    model = spread(plain_unet(tf, norm, filters=4, levels=8, training=True, dropout=False))
    arrays = {f"{layer.name}/{v.name}": np.asarray(v) for layer in model.layers for v in layer.weights}
    report = import_weights(
        write_layers_model(tmp_path / "web", json.loads(model.to_json()), arrays), out=tmp_path / "run"
    )
    assert report.max_abs_error < TOLERANCE < report.original_max_abs_error
    assert (report.max_error_levels, report.statistics) == (pytest.approx(report.max_abs_error * 127.5), "image")
    assert p2p.export_run(tmp_path / "run", "tflite", tmp_path / "exports").max_abs_error < TOLERANCE


def test_quantised_weights_are_what_the_manifest_says(tmp_path):
    file, _ = layers_model(tmp_path / "web", "uint8")
    described = json.loads(file.read_text())
    entry = described["weightsManifest"][0]["weights"][0]
    shards = [(file.parent / path).read_bytes() for path in described["weightsManifest"][0]["paths"]]
    first = np.frombuffer(b"".join(shards), np.uint8, int(np.prod(entry["shape"])))
    from tfpix2pix.interop.tfjs import read

    expected = first.reshape(entry["shape"]) * entry["quantization"]["scale"] + entry["quantization"]["min"]
    assert np.allclose(read(file, None).generator[0].kernel, expected, atol=1e-7)


def test_tensorflow_js_files_that_are_not_whole(tmp_path):
    file, _ = layers_model(tmp_path / "web")
    shard = file.parent / json.loads(file.read_text())["weightsManifest"][0]["paths"][-1]
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"in which conv2d.*/bias ends at byte"):
        import_weights(file, out=tmp_path / "run")
    shard.unlink()
    with pytest.raises(UserError, match="must lie beside its weight shards"):
        import_weights(file, out=tmp_path / "run")
    described = json.loads(file.read_text())
    file.write_text(json.dumps({**described, "modelTopology": {"node": []}}))
    with pytest.raises(UserError, match="it is a graph model"):
        import_weights(file, out=tmp_path / "run")
    file.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        import_weights(file, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["absolute", "above", "link"])
def test_shards_of_weights_elsewhere_are_not_read(place, tmp_path):
    file, _ = layers_model(tmp_path / "web")
    described = json.loads(file.read_text())
    name = described["weightsManifest"][0]["paths"][0]
    elsewhere = (file.parent / name).rename(tmp_path / "secret")
    if place == "link":
        (file.parent / name).symlink_to(elsewhere)
    else:
        described["weightsManifest"][0]["paths"][0] = "../secret" if place == "above" else str(elsewhere)
        file.write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"must lie in its folder\. Received .*model\.json, which names '"):
        import_weights(file, out=tmp_path / "run")


@pytest.mark.parametrize("variable", ["kernel", "moving_variance"])
def test_weights_that_are_not_finite_are_named(variable, tmp_path):
    model = batch_model()
    broken = next(v for v in model.weights[5:] if v.name == variable)
    broken.assign(np.full(broken.shape, np.nan))
    model.save(tmp_path / "mine.h5")
    with pytest.raises(UserError, match="holds NaN or infinity, where a tensor of finite numbers was expected"):
        import_weights(tmp_path / "mine.h5", out=tmp_path / "run")


def test_a_manifest_without_a_tensor_names_it(tmp_path):
    file, _ = layers_model(tmp_path / "web")
    described = json.loads(file.read_text())
    gone = described["weightsManifest"][0]["weights"].pop()
    file.write_text(json.dumps(described))
    with pytest.raises(UserError, match=rf"{gone['name']} is missing, where a tensor of shape \(3,\) was expected"):
        import_weights(file, out=tmp_path / "run")


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """(folder of a checkpoint, generator, discriminator) of the tutorial by the Keras that is installed."""
    generator, discriminator = randomize(tutorial_generator(tf, 4)), randomize(tutorial_discriminator(tf, 4), 1)
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
    for model, optimizer in zip((generator, discriminator), optimizers, strict=True):
        optimizer.build(model.trainable_variables)
    folder = tmp_path_factory.mktemp("training_checkpoints")
    tf.train.Checkpoint(
        generator_optimizer=optimizers[0], discriminator_optimizer=optimizers[1], generator=generator,
        discriminator=discriminator,
    ).save(str(folder / "ckpt"))  # fmt: skip
    for block in generator.layers:
        for layer in getattr(block, "layers", ()):
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    return folder, generator, discriminator


def test_a_checkpoint_of_the_tutorial(tutorial, tmp_path):
    folder, generator, discriminator = tutorial
    image = photographs(256, 3)[0]
    expected = np.asarray(discriminator([image, -image], training=True))
    report = import_weights(folder, out=tmp_path / "run")
    assert (report.kind, report.receptive_field_px) == ("tutorial", 70)
    assert difference(p2p.load(tmp_path / "run"), lambda image: generator(image, training=True), 256) < TOLERANCE
    assert np.abs(judged(tmp_path / "run", image) - expected).max() < 1e-3


def tf1_first_names(folder, levels=4, filters=4, without=""):
    """The generator of pix2pix-tensorflow of 2017 in operations, saved by TensorFlow 1's saver; its output."""
    v1, rng = tf.compat.v1, np.random.default_rng(0)
    widths = [filters * min(2**level, 8) for level in range(levels)]
    image = photographs(2**levels, 3)[0]
    with tf.Graph().as_default(), v1.Session() as session:

        def variable(name, shape, mean=0.0, spread=0.2):
            return v1.get_variable(name, initializer=tf.constant(rng.normal(mean, spread, shape), tf.float32))

        def kernel(out, taken):
            return variable("conv/filter", (4, 4, taken, out), spread=(16 * taken) ** -0.5)

        def norm(x):
            channels = x.shape[-1]
            offset, scale = variable("batchnorm/offset", (channels,)), variable("batchnorm/scale", (channels,), 1.0)
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-5)

        encoded, x = [], tf.constant(image)
        with v1.variable_scope("generator"):
            for level, width in enumerate(widths, 1):
                with v1.variable_scope(f"encoder_{level}"):
                    x = tf.nn.leaky_relu(x, 0.2) if level > 1 else x
                    x = tf.nn.conv2d(x, kernel(width, x.shape[-1]), 2, "SAME")
                    x = norm(x) if level > 1 else x
                    encoded.append(x)
            for level in range(levels, 0, -1):
                with v1.variable_scope(f"decoder_{level}"):
                    x = tf.concat([x, encoded[level - 1]], 3) if level < levels else x
                    side, out = 2 * x.shape[1], widths[level - 2] if level > 1 else 3
                    weights = variable("deconv/filter", (4, 4, out, x.shape[-1]), spread=(4 * x.shape[-1]) ** -0.5)
                    x = tf.nn.conv2d_transpose(tf.nn.relu(x), weights, (1, side, side, out), 2)
                    x = norm(x) if level > 1 else tf.tanh(x)
        session.run(v1.global_variables_initializer())
        kept = [v for v in v1.global_variables() if not without or without not in v.name]
        v1.train.Saver(kept).save(session, str(folder / "model"), global_step=7)
        return image, session.run(x)


def test_the_first_names_of_pix2pix_tensorflow(tmp_path):
    image, expected = tf1_first_names(tmp_path / "export")
    report = import_weights(tmp_path / "export", out=tmp_path / "run")
    assert report.kind == "tf1"
    assert report.notes == ("the checkpoint does not hold a discriminator",)
    assert np.abs(p2p.load(tmp_path / "run")(image, noise="off") - expected).max() < TOLERANCE


def test_a_checkpoint_without_a_tensor_names_it(tmp_path):
    tf1_first_names(tmp_path / "export", without="decoder_2/deconv")
    with pytest.raises(UserError, match=r"generator/decoder_2/conv2d_transpose/kernel is missing"):
        import_weights(tmp_path / "export", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def strange(kind):
    """Keras models that are no pix2pix generator."""
    layers = keras.layers
    inputs = layers.Input((32, 32, 3))
    x = layers.Conv2D(8, 4, 2, "same", name="first")(inputs)
    if kind == "strides":
        x = layers.Conv2D(8, 4, 1, "same", name="second")(x)
    elif kind == "width":
        x = layers.Conv2DTranspose(3, 4, 2, "same")(layers.Conv2D(9, 4, 2, "same", name="second")(x))
    elif kind == "pooling":
        x = layers.MaxPooling2D(name="second")(x)
    elif kind == "dense":
        x = layers.Conv2D(16, 4, 2, "same")(x)
        x = layers.Conv2DTranspose(8, 3, 2, "same", name="second")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("strides", r"layer second has strides \(1, 1\) and same padding, where 2 and same was expected"),
        ("width", r"second/kernel has shape \(4, 4, 8, 9\), where a kernel of shape \(4, 4, 8, 16\) was expected"),
        ("pooling", "layer second is a MaxPooling2D, where a layer of a pix2pix generator was expected"),
        ("dense", r"second/kernel has shape \(3, 3, 8, 16\), where a transposed kernel of shape \(4, 4, 8, 16\)"),
    ],
)
def test_models_of_another_topology_are_named(kind, message, tmp_path):
    strange(kind).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=message):
        import_weights(tmp_path / "other.keras", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_code_in_a_keras_file_is_not_run(tmp_path):
    inputs = keras.layers.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(UserError, match="must be whole, of Keras's own layers"):
        import_weights(tmp_path / "lambda.keras", out=tmp_path / "run")
