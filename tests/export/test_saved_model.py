"""What a SavedModel can be asked, by TensorFlow in Python and in C: files as `translate` treats them, no trouble."""

import csv
import io
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import tfpix2pix as p2p
from tests.conftest import others_slow
from tests.export.helpers import made_saved_model
from tfpix2pix.data.formats import decode, encode
from tfpix2pix.data.images import read_image
from tfpix2pix.inference.seams import WholeTiler
from tfpix2pix.inference.translator import Translator
from tfpix2pix.models import GENERATORS

ODD_SIZES = [(32, 32), (1, 1), (45, 20), (33, 100)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(folder, loaded, Keras translator) of a tiny model, RGB to RGB."""
    folder = tmp_path_factory.mktemp("saved") / "tiny" / "1"
    return folder, *made_saved_model(folder)


def png(array: np.ndarray) -> bytes:
    return encode(array, ".png")


def jpeg(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


def ask(model, signature: str, **inputs):
    (output,) = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()}).values()
    return output.numpy()


def pixels(*size_and_channels: int, low: int = 0, end: int = 256, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(size_and_channels).integers(low, end, size_and_channels, dtype)


def test_every_signature_is_there(small):
    both = {"translate_float", "translate_uint8", "translate_bytes"}
    assert set(small[1].signatures) == {"serving_default", "model_card", *both, "sample", "sample_bytes"}


def test_files_of_any_size_in_one_request(small):
    _, model, translator = small
    images = [pixels(*size, 3) for size in ODD_SIZES]
    answers = ask(model, "translate_bytes", image_bytes=[png(image) for image in images])
    for image, answer in zip(images, answers, strict=True):
        difference = decode(answer).astype(int) - translator.translate(image)
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.001  # where a value lies between two levels


def test_tiles_are_parts_of_the_whole_image_by_the_weights_in_the_folder(small):
    folder, _, translator = small
    image, engine = pixels(70, 40, 3), translator.engine
    whole = Translator(engine, lambda: WholeTiler(engine.generator, translator.card.config.data.encoding))
    tiled = p2p.load(folder)(image, tile_px=48)
    assert np.abs(tiled.astype(int) - whole(image, tile_px=48)).max() <= 1
    assert (tiled != translator(image, tile_px=48)).any()  # whose tiles are images of their own


def test_an_empty_batch_is_an_empty_answer(small):
    assert ask(small[1], "translate_bytes", image_bytes=tf.zeros((0,), tf.string)).shape == (0,)


def test_a_jpeg_file_is_decoded_as_pillow_does(small, tmp_path):
    _, model, translator = small
    smooth = np.asarray(Image.fromarray(pixels(8, 8, 3)).resize((70, 50), Image.Resampling.BICUBIC))
    (tmp_path / "a.jpg").write_bytes(jpeg(smooth))
    expected = translator.translate(read_image(tmp_path / "a.jpg"))
    answer = decode(ask(model, "translate_bytes", image_bytes=[jpeg(smooth)])[0])
    assert np.abs(answer.astype(int) - expected).mean() < 0.5  # two builds of libjpeg


@pytest.mark.parametrize(
    ("data", "image", "card"),
    [
        ({"input_channels": 1}, pixels(40, 33, 1), {}),
        ({"input_channels": 1, "target_channels": 1}, pixels(40, 33, 1, end=65536, dtype=np.uint16),
         {"target_dtype": "uint16"}),
        pytest.param(
            {}, pixels(40, 33, 3, end=65536, dtype=np.uint16), {"target_dtype": "uint16"}, marks=pytest.mark.slow
        ),
        ({"input_range": (0, 4095), "target_range": (0, 4095)}, pixels(40, 33, 3, end=4096, dtype=np.uint16),
         {"target_dtype": "uint16"}),
        ({"input_range": (16, 235)}, pixels(40, 33, 3, low=16, end=236), {}),
        ({"input_channels": 4, "target_channels": 4}, pixels(40, 33, 4), {}),
        pytest.param({"input_channels": 4}, pixels(40, 33, 3), {}, marks=pytest.mark.slow),
        ({}, pixels(40, 33, 4), {}),
        pytest.param({}, pixels(40, 33, 1), {}, marks=pytest.mark.slow),
        ({"input_classes": 5}, pixels(40, 33, 1, end=5), {}),
        ({"target_classes": 4}, pixels(40, 33, 3), {}),
        ({"input_channels": 1, "color_space": "lab"}, pixels(40, 33, 1), {}),
    ],
    ids=["gray", "16-bit", "16-bit-colour", "range-of-12-bits", "range-in-8-bits", "rgba", "rgb-to-rgba", "no-alpha",
         "gray-to-rgb", "class-indices", "to-classes", "lab"],
)  # fmt: skip
def test_a_file_is_treated_as_translate_treats_it(tmp_path, data, image, card):
    model, translator = made_saved_model(tmp_path / "1", data=data, card=card)
    answer = decode(ask(model, "translate_bytes", image_bytes=[png(image)])[0])
    expected = translator.translate(image)
    assert (answer.shape, answer.dtype) == (expected.shape, expected.dtype)
    different = np.abs(answer.astype(int) - expected) > (0 if answer.dtype == np.uint8 else 4)
    assert np.mean(different) < 0.002


def test_a_label_map_may_be_drawn_in_colours(tmp_path, rng):
    colors = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
    model, _ = made_saved_model(tmp_path / "1", data={"input_classes": 3, "class_colors": colors})
    indices = rng.integers(0, 3, (40, 33, 1), np.uint8)
    drawn = np.array(colors, np.uint8)[indices[..., 0]]
    noisy = np.clip(drawn.astype(int) + rng.integers(-20, 21, drawn.shape), 0, 255).astype(np.uint8)
    answers = ask(model, "translate_bytes", image_bytes=[png(indices), png(drawn), png(noisy)])
    assert answers[0] == answers[1] == answers[2]
    with pytest.raises(tf.errors.InvalidArgumentError, match="class indices 0 to 2"):
        ask(model, "translate_bytes", image_bytes=[png(indices + 1)])


def test_a_palette_png_whose_indices_count_is_refused(tmp_path):
    """TensorFlow decodes it to colours: a wrong translation without a word."""
    model, _ = made_saved_model(tmp_path / "1", data={"input_classes": 3})
    file = encode(np.zeros((8, 8, 1), np.uint8), ".png", [10, 20, 30] * 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received a palette PNG, whose indices a server cannot"):
        ask(model, "translate_bytes", image_bytes=[file])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received colours, and the model has no `data.class_col"):
        ask(model, "translate_bytes", image_bytes=[png(np.zeros((8, 8, 3), np.uint8))])


def test_classes_travel_as_tables(tmp_path):
    names = ["sky, high", "tree", "road"]
    data = {"target_classes": 3, "class_names": names, "class_colors": ["#0080ff", "#00ff00", "#808080"]}
    made_saved_model(tmp_path / "1", data=data)
    with (tmp_path / "1" / "assets" / "target_classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == names
    assert rows[0] == {"index": "0", "label": "sky, high", "red": "0", "green": "128", "blue": "255"}
    assert not (tmp_path / "1" / "assets" / "input_classes.csv").exists()


@pytest.mark.parametrize(
    ("data", "card"),
    [({"input_channels": 6}, {}), ({"target_channels": 5}, {}), ({}, {"target_dtype": "float32"})],
)
def test_what_no_png_holds_has_no_signatures_of_files(tmp_path, data, card):
    model, _ = made_saved_model(tmp_path / "1", data=data, card=card)
    assert not {"translate_bytes", "sample_bytes"} & set(model.signatures)
    assert {"translate_float", "sample", "model_card"} <= set(model.signatures)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8, 6), (1, 8, 8, 2), (8, 8, 3), (8, 8), (1, 1, 8, 8, 3), (1, 0, 8, 3), (0, 8, 8, 3)]
)
def test_a_tensor_of_another_shape_is_an_error(small, shape):
    """The runtime does not look: a convolution took 6 channels for two groups, and 3 dimensions ended the process."""
    for signature, dtype in (("translate_float", np.float32), ("translate_uint8", np.uint8)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be of shape \(N, H, W, 3\)"):
            ask(small[1], signature, image=np.zeros(shape, dtype))


def test_noise_of_another_length_is_an_error(small):
    _, model, translator = small
    noise = np.zeros((1, translator.card.noise_size + 1), np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Noise must be of shape"):
        ask(model, "sample", image=np.zeros((1, 8, 8, 3), np.float32), noise=noise)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Noise must be of shape"):
        ask(model, "sample_bytes", image_bytes=[png(pixels(8, 8, 3))], noise=noise)


@pytest.mark.parametrize("content", [b"hello", b"", bytes(40)])
def test_what_is_no_picture_is_told_so(small, content):
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be a PNG or JPEG file"):
        ask(small[1], "translate_bytes", image_bytes=[content])


def test_noise_is_an_input_of_files_too(small):
    _, model, translator = small
    image, noise = pixels(40, 50, 3), translator.noise(2, seed=5)
    answers = ask(model, "sample_bytes", image_bytes=[png(image)] * 2, noise=noise)
    for answer, vector in zip(answers, noise, strict=True):
        expected = translator.translate(image, vector[np.newaxis])
        assert np.abs(decode(answer).astype(int) - expected).max() <= 1
    assert answers[0] != answers[1]


def test_the_default_signature_may_take_pixels(tmp_path):
    model, translator = made_saved_model(tmp_path / "1", card={"image_dtype": "uint8"})
    image = pixels(2, 40, 33, 3)
    answer = ask(model, "serving_default", image=image)
    assert answer.dtype == np.uint8
    assert np.abs(answer.astype(int) - translator(image)).max() <= 1
    assert ask(model, "translate_float", image=image / np.float32(127.5) - 1).dtype == np.float32


def test_the_card_can_be_asked_for(small):
    (text,) = ask(small[1], "model_card", query_bytes=[b""])
    assert p2p.ModelCard.from_json(text, "a server") == small[2].card


def test_an_image_does_not_depend_on_its_neighbours_nor_on_what_came_before(small, rng):
    _, model, _ = small
    images = (
        rng.uniform(-1, 1, (8, 48, 40, 3)).astype(np.float32)
        * np.linspace(0.1, 1, 8, dtype=np.float32)[:, None, None, None]
    )
    alone = [ask(model, "translate_float", image=image[np.newaxis])[0] for image in images]
    together = ask(model, "translate_float", image=images)
    np.testing.assert_allclose(together, alone, atol=2e-6)  # products of more rows are summed in other blocks
    others = np.concatenate([images[:1], rng.uniform(-1, 1, (7, 48, 40, 3)).astype(np.float32)])
    np.testing.assert_array_equal(ask(model, "translate_float", image=others)[0], together[0])
    variables = model.signatures["translate_float"].variables
    before = [variable.numpy() for variable in variables]
    assert before
    for index in range(1000):
        size = (1 + index % 40, 1 + index % 29)
        ask(model, "translate_float", image=rng.uniform(-1, 1, (1 + index % 2, *size, 3)).astype(np.float32))
    for image, first in zip(images, alone, strict=True):
        np.testing.assert_array_equal(ask(model, "translate_float", image=image[np.newaxis])[0], first)
    for old, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(old, variable)


@pytest.mark.parametrize("quantize", others_slow(("float16", "bfloat16"), "bfloat16"))
def test_weights_of_16_bits(smoke_run, smoke_exports, tmp_path, quantize):
    whole = smoke_exports("saved_model")
    report = p2p.export_run(smoke_run.path, "saved_model", tmp_path, quantize=quantize)
    assert report.psnr_db >= 50
    variables = lambda path: sum(f.stat().st_size for f in (Path(path) / "variables").glob("*.data*"))  # noqa: E731
    assert variables(report.path) < 0.51 * variables(whole.path)
    assert p2p.load(report.path).card.quantization == quantize


def test_warm_up_requests_are_tf_servings_own_and_run(small):
    from tensorflow_serving.apis import prediction_log_pb2

    folder, model, _ = small
    signatures = set()
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "pix2pix"
        signatures.add(request.model_spec.signature_name)
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        inputs = {name: value.astype(bytes) if value.dtype == object else value for name, value in inputs.items()}
        spec = model.signatures[request.model_spec.signature_name].structured_input_signature[1]
        assert inputs.keys() == spec.keys()
        (answer,) = model.signatures[request.model_spec.signature_name](
            **{name: tf.constant(request.inputs[name].string_val or inputs[name]) for name in inputs}
        ).values()
        assert len(answer) == 1
    assert signatures == set(model.signatures)


def bomb(side: int, *, whole: bool) -> bytes:
    """A PNG of `side`² black pixels in a few kilobytes; without `whole`, only its claim."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = zlib.compress(bytes((side + 1) * side if whole else 10), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_requests(count, small, rng):
    """An error each; good ones between them are answered as ever; memory does not grow."""
    _, model, translator = small
    good = pixels(20, 24, 3)
    expected = ask(model, "translate_bytes", image_bytes=[png(good)])[0]
    whole = jpeg(pixels(64, 64, 3))
    hostile = [
        [b""], [b"\x89PNG"], [b"\xff\xd8\xff"], [b"GIF89a" + bytes(50)], [bytes(1000)], [rng.bytes(300)],
        [whole[: len(whole) // 2]], [whole[:20]], [png(good)[:-40]], [png(good)[:30]],
        [bomb(60_000, whole=False)], [bomb(5000, whole=True)], [bomb(0, whole=False)],
        [png(good), b"not an image"], [[png(good)]], png(good), [1.0, 2.0], np.zeros((1, 4, 4, 3), np.uint8),
        [bomb(2**31 - 1, whole=False)], [b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x00\x00\x00"],
    ]  # fmt: skip
    process, refused, in_use = psutil.Process(), 0, 0
    for index in range(count):
        try:
            ask(model, "translate_bytes", image_bytes=hostile[index % len(hostile)])
        except (tf.errors.InvalidArgumentError, TypeError, ValueError):
            refused += 1
        if index % 50 == 0:
            assert ask(model, "translate_bytes", image_bytes=[png(good)])[0] == expected
        if index == count // 10:
            in_use = process.memory_info().rss
    assert refused == count
    assert process.memory_info().rss - in_use < 64e6
    for size in ((1, 1), (5000, 3), (3, 5000)):
        image = pixels(*size, 3)
        answer = decode(ask(model, "translate_bytes", image_bytes=[png(image)])[0])
        assert np.abs(answer.astype(int) - translator.translate(image)).max() <= 1


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Path:
    """The C program, built against the installed TensorFlow."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is at hand (cc)")
    root, program = Path(tf.__file__).parent, tmp_path_factory.mktemp("c") / "run_saved_model"
    libraries = [
        str(path) for name in ("libtensorflow_cc", "libtensorflow_framework") for path in root.glob(f"{name}.so*")
    ]
    source = Path(__file__).with_name("run_saved_model.c")
    command = [compiler, "-Wall", "-Werror", "-I", str(root / "include"), str(source), *libraries, f"-Wl,-rpath,{root}"]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


def in_c(runner: Path, folder: Path, signature: str, content: bytes, *mode: object) -> subprocess.CompletedProcess:
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    tensors = graph.signature_def[signature]
    (given,), (output,) = tensors.inputs.values(), tensors.outputs.values()
    command = [runner, folder, given.name, output.name, *map(str, mode)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, input=content, capture_output=True, env=environment, timeout=120)


@pytest.mark.parametrize("kind", others_slow(GENERATORS, "unet"))
def test_the_runtime_in_c_agrees(runner, tmp_path, kind, rng):
    _, translator = made_saved_model(tmp_path / "1", generator={"kind": kind, "base_filters": 8})
    image = rng.uniform(-1, 1, (1, 50, 37, 3)).astype(np.float32)
    done = in_c(runner, tmp_path / "1", "serving_default", image.tobytes(), "float", *image.shape)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.frombuffer(done.stdout, np.float32).reshape(image.shape), translator(image), atol=1e-4
    )


def test_files_in_c(runner, small):
    folder, model, _ = small
    content = png(pixels(40, 33, 3))
    done = in_c(runner, folder, "translate_bytes", content, "bytes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ask(model, "translate_bytes", image_bytes=[content])[0]
    done = in_c(runner, folder, "translate_bytes", bomb(60_000, whole=False), "bytes")
    assert done.returncode == 3
    assert b"at most 16 megapixels" in done.stderr
