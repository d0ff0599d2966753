"""`export/on_device/translate.py`: alone with LiteRT, NumPy and Pillow, faithful to `load`, calm about broken files."""

import ast
import importlib.util
import io
import itertools
import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfpix2pix as p2p
from tests.export.helpers import SEEDS, vector_of

SCRIPT = Path(__file__).parents[2] / "export" / "on_device" / "translate.py"
ALONE = "import sys, runpy; sys.modules.update(tensorflow=None, tfpix2pix=None, keras=None); sys.argv = sys.argv[1:]; "
ALONE += "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); "  # as Python does for a script
sys.path.insert(0, str(SCRIPT.parent))  # where Python looks for `translator` when the command is run
SPEC = importlib.util.spec_from_file_location("on_device", SCRIPT)
SPEC.loader.exec_module(on_device := importlib.util.module_from_spec(SPEC))
noise_of = importlib.import_module("noise").noise_of
SIZES = [(1, 1), (20, 50), (32, 32), (90, 40), (5000, 3)]
GRAY = np.random.default_rng(0).integers(0, 256, (24, 40, 1), np.uint8)


@pytest.fixture(scope="module")
def model(smoke_run, tmp_path_factory):
    return p2p.export_run(smoke_run.path, "tflite", tmp_path_factory.mktemp("model"), noise="on").path


@pytest.fixture(scope="module")
def in_pixels(smoke_run, tmp_path_factory):
    options = {"noise": "on", "image_dtype": "uint8"}
    return p2p.export_run(smoke_run.path, "tflite", tmp_path_factory.mktemp("model"), **options).path


def run(model, *arguments, stdin=b""):
    """The command where neither TensorFlow nor this package can be imported: (exit code, stdout, its own stderr)."""
    code, command = ALONE + "runpy.run_path(sys.argv[0], run_name='__main__')", map(str, (SCRIPT, model, *arguments))
    done = subprocess.run([sys.executable, "-c", code, *command], input=stdin, capture_output=True, timeout=60)
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith(("INFO:", "W0000", "WARNING:"))]
    return done.returncode, done.stdout.decode(), lines


def model_file(path, function, dtype, **data):
    """A .tflite file of 8 px from a function of its image, with the least card."""
    module = tf.Module()
    module.run = tf.function(lambda image: {"image": function(image)}, autograph=False)
    concrete = module.run.get_concrete_function(tf.TensorSpec((1, 8, 8, 1), dtype, name="image"))
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    data = {"input_channels": 1, "target_channels": 1, "input_classes": None, "target_classes": None, **data}
    card = {"config": {"data": data}, "fixed_size_px": 8, "noise_size": 0, "noise": "off", "image_dtype": dtype.name}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model_card.json", json.dumps(card))
    return path


def encoded(image, format="JPEG", **options):
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer := io.BytesIO(), format, **options)
    return buffer.getvalue()


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.parametrize("name", ["translate.py", "translator.py", "noise.py", "scale.py"])
def test_it_is_short_and_imports_no_more_than_three_packages(name):
    code = SCRIPT.with_name(name).read_text()
    assert len(code.splitlines()) < 100
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in nodes}
    assert names - set(sys.stdlib_module_names) <= {"numpy", "PIL", "ai_edge_litert", "translator", "noise", "scale"}


@pytest.mark.parametrize("name", ["model", "in_pixels"])
@pytest.mark.parametrize("size", SIZES)
def test_it_agrees_with_load_at_any_size(request, name, size):
    model = request.getfixturevalue(name)
    x = np.random.default_rng(1).integers(0, 256, (*size, 1), np.uint8)
    out = on_device.Translator(model)(x)
    assert (out.shape, out.dtype) == ((*size, 3), np.uint8)
    assert np.abs(out.astype(int) - p2p.load(model)(x)).max() <= 1


def test_noise_by_seed(model):
    translator = on_device.Translator(model)
    off, one, again, other = (translator(GRAY, seed) for seed in (None, 1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and (one != off).any()
    assert np.abs(one.astype(int) - p2p.load(model)(GRAY, noise="on", seed=1)).max() <= 1


@pytest.mark.parametrize("length", [1, 3, 4, 4098])
def test_a_seed_gives_bit_for_bit_the_vector_of_translate(length):
    for seed in SEEDS:
        vector = noise_of(seed, length)
        assert (vector.dtype, vector.shape) == (np.float32, (1, length))
        np.testing.assert_array_equal(vector[0], vector_of(seed, length))


def test_a_seed_that_translate_refuses_is_refused(model):
    with pytest.raises(ValueError, match=r"must be -1 for none, or from 0 to 2147483647\. Received 2147483648\. "):
        on_device.Translator(model)(GRAY, 2**31)


def test_label_maps_are_never_blended(tmp_path):
    path = model_file(
        tmp_path / "m.tflite", lambda x: x * 0 + tf.reduce_max(x), tf.float32, input_classes=3, target_classes=3
    )
    x = np.zeros((8, 15, 1), np.uint8)
    x[:, -1] = 2  # the second tile is all 2, the first all 0
    assert set(np.unique(on_device.Translator(path)(x))) == {0, 2}
    picture = Image.fromarray(x[..., 0])
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "x.png")
    assert run(path, tmp_path / "x.png", "--out", tmp_path / "out", "--size", "training")[0] == 0
    assert set(np.unique(pixels(tmp_path / "out" / "x.png"))) == {2}


@pytest.mark.parametrize(
    ("values", "colors", "picture", "expected"),
    [
        ([0, 255], None, Image.fromarray(np.array([[0, 255]], np.uint8)), [[0, 1]]),
        ([0, 255], None, Image.fromarray(np.array([[0, 1]], np.uint8)), [[0, 1]]),
        ([0, 255], None, Image.fromarray(np.array([[False, True]])), [[0, 1]]),
        ("indices", None, Image.fromarray(np.array([[False, True]])), [[0, 1]]),
        ("indices", [[0, 0, 0], [255, 0, 0]], Image.fromarray(np.array([[0, 1]], np.uint8)), [[0, 1]]),
        ("indices", [[0, 0, 0], [255, 0, 0]], Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P"), None),
        (None, None, Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P"), [[0, 1]]),
        ("colors", [[0, 0, 0], [255] * 3], Image.fromarray(np.array([[0, 255]], np.uint8)), None),
    ],
)
def test_a_label_map_is_read_as_the_run_has_read_it_or_refused(values, colors, picture, expected):
    data = {"input_classes": 2, "class_colors": colors, "input_class_values": values}
    if expected is None:
        with pytest.raises(ValueError, match="must become class indices first"):
            on_device.label_map(picture, "PNG", data)
    else:
        assert np.asarray(on_device.label_map(picture, "PNG", data)).tolist() == expected


def test_tensors_of_pixels(tmp_path):
    path = model_file(tmp_path / "m.tflite", lambda x: tf.cast(255 - tf.cast(x, tf.int32), tf.uint8), tf.uint8)
    np.testing.assert_array_equal(on_device.Translator(path)(GRAY), 255 - GRAY)


@pytest.mark.parametrize(
    ("size", "fit", "options", "small"),
    [
        ((40, 24), "resize", (), (8, 5)), ((40, 24), "crop", (), None), ((40, 24), "resize", ("--size", "own"), None),
        ((40, 24), "crop", ("--size", "training"), (8, 5)), ((8, 8), "resize", (), None), ((7, 8), "resize", (), None),
        ((4, 4), "resize", (), (8, 8)), ((24, 40), "pad", (), (5, 8)),
    ],
)  # fmt: skip
def test_images_of_another_scale_than_the_trainings_are_scaled_as_translate_does(size, fit, options, small, tmp_path):
    """Twin: Pillow's resizing around the translator, which goes over tiles."""
    path = model_file(tmp_path / "m.tflite", lambda x: -x, tf.float32, fit=fit)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, size[::-1], np.uint8))
    picture.save(tmp_path / "x.png")
    assert run(path, tmp_path / "x.png", "--out", tmp_path / "out", *options)[0] == 0
    seen = picture.resize(small, Image.Resampling.BICUBIC) if small else picture
    result = Image.fromarray(on_device.Translator(path)(np.asarray(seen)[..., np.newaxis])[..., 0])
    expected = result.resize(size, Image.Resampling.BICUBIC) if small else result
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "x.png"), np.asarray(expected))


def test_files_folders_and_what_is_broken(model, tmp_path):
    """What is whole is translated, what is not has a line of its own, whatever it is that is wrong with it."""
    whole, out = tmp_path / "in", tmp_path / "out"
    whole.mkdir()
    Image.fromarray(GRAY[..., 0]).save(whole / "gray.png")
    Image.fromarray(GRAY[..., 0].astype(np.uint16) * 257).save(whole / "deep.png")
    for mode in ("1", "P", "LA", "RGBA", "CMYK"):
        Image.fromarray(GRAY[..., 0]).convert(mode).save(whole / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    (turned := Image.Exif())[0x0112] = 6
    (whole / "turned.jpg").write_bytes(encoded(GRAY, exif=turned))
    broken = {
        "below.tif": encoded(np.full((8, 8, 1), -1, np.int32), "TIFF"),
        "empty.png": b"",
        "text.png": b"no image",
        "short.jpg": encoded(GRAY)[:-200],
        "bomb.png": b"P5 10000 10000 255\n",  # twice as many pixels would be Pillow's own error
        "worse.png": b"P5 99999 99999 255\n",
    }
    for name, content in broken.items():
        (whole / name).write_bytes(content)
    code, shown, errors = run(model, whole, tmp_path / "absent.png", "--out", out)
    assert code == 1 and "Images: 8, " in shown and "images/s" in shown
    assert [name for name in (*sorted(broken), "absent.png") for line in errors if f"{name}:" in line] == [
        *sorted(broken), "absent.png",
    ]  # fmt: skip
    assert len(errors) == len(broken) + 1 and all(line.startswith("An image must be whole") for line in errors)
    assert sorted(path.stem for path in out.iterdir()) == ["1", "CMYK", "LA", "P", "RGBA", "deep", "gray", "turned"]
    translate = on_device.Translator(model)
    for name in ("gray", "deep", "LA", "P"):
        np.testing.assert_array_equal(pixels(out / f"{name}.png"), translate(GRAY))
    upright = np.asarray(Image.open(io.BytesIO(encoded(GRAY))).transpose(Image.Transpose.ROTATE_270))[..., np.newaxis]
    np.testing.assert_array_equal(pixels(out / "turned.png"), translate(upright))


def test_a_stream_of_frames(model, tmp_path):
    """Padding between frames, a thumbnail within one and a broken one lose none of the others."""
    (thumbnail := Image.Exif())[0x9286] = b"\xff\xd8 a thumbnail \xff\xd9"
    frames = [encoded(GRAY), encoded(255 - GRAY, exif=thumbnail), b"\xff\xd8 junk \xff\xd9", encoded(GRAY)]
    code, _, errors = run(model, "-", "--out", tmp_path, "--size", "training", "--noise", 3, stdin=b"\0\0".join(frames))
    assert (code, len(errors)) == (1, 1) and "frame-000003" in errors[0]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"frame-00000{n}.png" for n in (1, 2, 4)]
    one, two, four = (pixels(tmp_path / f"frame-00000{n}.png") for n in (1, 2, 4))
    assert one.shape == (24, 40, 3) and (one == four).all() and (one != two).any()
    pieces = iter([frames[1][i : i + 7] for i in range(0, len(frames[1]), 7)])
    stream = type("Stream", (), {"read1": lambda self, size: next(pieces, b"")})()
    assert [frame.getvalue() for frame in on_device.frames(stream)] == [frames[1]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda model, folder: (folder / "absent.tflite", folder / "x.png"), "A model must be"),
        (lambda model, folder: (folder / "bare.tflite", folder / "x.png"), "A model must be"),
        (lambda model, folder: (model, folder / "x.png", "--noise", 1), "A model must have a noise input"),
        (lambda model, folder: (model, folder / "x.png"), "--out must be empty"),
        (lambda model, folder: (model, folder, "--overwrite"), "Each file must have its own name"),
        (
            lambda model, folder: (model, folder / "x.png", folder / "in" / "X.jpg", "--overwrite"),
            "Each file must have its own name",
        ),
        (lambda model, folder: (model, "-", "--overwrite"), "An image must be given. Received none"),
    ],
)
def test_what_cannot_be_done_at_all_is_one_sentence(tmp_path, change, sentence):
    model = model_file(tmp_path / "m.tflite", lambda x: -x, tf.float32)
    content = model.read_bytes()
    (tmp_path / "bare.tflite").write_bytes(content[: content.rindex(b"PK\x03\x04")])
    (tmp_path / "x.png").write_bytes(before := encoded(GRAY, "PNG"))
    code, shown, errors = run(*change(model, tmp_path), "--out", tmp_path)
    assert (code, shown, len(errors)) == (2, "", 1) and errors[0].startswith(sentence)
    assert (tmp_path / "x.png").read_bytes() == before


def test_10000_odd_calls_leave_no_trace(model):
    translator = on_device.Translator(model)
    sizes = [np.full((*size, 1), 200, np.uint8) for size in [(1, 1), (33, 7), (64, 3)]]
    good = [GRAY, *sizes]
    expected = [translator(x) for x in good]
    bad = [
        None, "x", 3, [[1]], object(), np.uint8(3), np.zeros(0, np.uint8), np.zeros((0, 5, 1), np.uint8),
        GRAY[..., 0], GRAY[None], np.repeat(GRAY, 3, -1), GRAY / 255, np.full((8, 8, 1), np.nan), GRAY.astype(np.int16),
        GRAY.astype(object), np.zeros((5000, 3), np.uint8),
    ]  # fmt: skip
    turns, before = itertools.cycle(bad), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(10_000):
        if number % 4:
            with pytest.raises(ValueError, match="An image must be uint8"):
                translator(next(turns))
        else:
            which = number // 4 % len(good)
            np.testing.assert_array_equal(translator(good[which]), expected[which])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # of 1024 bytes
