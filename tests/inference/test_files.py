"""Files in, PNG files out."""

import os

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import least_config, others_slow, run_cli, tiny_config
from tests.conftest import write_image as write_picture
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import OUTPUT_FORMATS, SOURCES
from tfpix2pix.data.images import enlarged, read_image, resized, suffix_for, write_image
from tfpix2pix.data.ranges import full_range
from tfpix2pix.data.scale import Scale
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.inputs import inputs_of_files, inputs_of_split
from tfpix2pix.inference.items import Input, Variants, Writer
from tfpix2pix.inference.reader import Reader, notes_on


@pytest.fixture(scope="module")
def translator(smoke_run):
    return p2p.load(smoke_run.path)


def picture(path, height=40, width=30, channels=1):
    rng = np.random.default_rng([*path.name.encode()])  # another name, another picture
    return write_picture(path, rng.integers(0, 256, (height, width, channels), np.uint8))


def test_files_and_folders(translator, tmp_path):
    one = picture(tmp_path / "one.png")
    for name in ("a.png", "b.bmp"):
        picture(tmp_path / "folder" / name, 20, 50)
    written = translate_files(translator, [one, tmp_path / "folder"], out=tmp_path / "out")
    assert [path.name for path in written] == ["one.png", "a.png", "b.png"]
    np.testing.assert_array_equal(read_image(written[0]), translator(read_image(one)))
    assert read_image(written[1]).shape == (20, 50, 3)


def test_the_inputs_of_paired_data(translator, tmp_path, smoke_run):
    written = translate_files(translator, out=tmp_path / "out", split="train")
    assert {path.stem for path in written} >= {"astronaut", "chelsea"}


def test_noise_by_seed(translator, tmp_path):
    one = picture(tmp_path / "one.png")
    images = []
    for index, seed in enumerate((1, 1, 2)):
        path = translate_files(translator, [one], out=tmp_path / str(index), noise="on", seed=seed)[0]
        images.append(read_image(path))
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_several_variants_of_each_image(translator, tmp_path):
    one, two = picture(tmp_path / "one.png"), picture(tmp_path / "two.png")
    written = translate_files(translator, [one, two], out=tmp_path / "out", samples=3, seed=5)
    assert [path.name for path in written] == [f"{name}-{i}.png" for name in ("one", "two") for i in (1, 2, 3)]
    variants = [read_image(path) for path in written[:3]]
    assert len({variant.tobytes() for variant in variants}) == 3
    np.testing.assert_array_equal(variants, translator.samples(read_image(one), 3, seed=5))


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (lambda d: [d / "missing.png"], {}, "Received .*missing.png, which does not exist"),
        (lambda d: [(d / "empty").mkdir() or d / "empty"], {}, "must hold images. Received .*empty"),
        (lambda d: [], {}, "An image must be given. Received none"),
        (lambda d: [picture(d / "x" / "a.png"), picture(d / "y" / "a.png")], {}, "must have different names"),
        (lambda d: [], {"split": "vall"}, "`split` must be one of: train, val, test. Received 'vall'. Did you mean"),
        (lambda d: [], {"split": "val", "data": "nowhere"}, "must be left out for the sample photographs"),
        (lambda d: [], {"split": "test"}, "must hold pairs. Received 'test', empty in"),
    ],
)
def test_what_cannot_be_translated(translator, tmp_path, prepare, options, message):
    inputs = prepare(tmp_path)
    with pytest.raises(UserError, match=message):
        translate_files(translator, inputs, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_existing_file_stays_unless_told(translator, tmp_path):
    one = picture(tmp_path / "one.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.png").write_text("mine")
    with pytest.raises(UserError, match="which exists. Add `overwrite`"):
        translate_files(translator, [one], out=tmp_path / "out")
    assert (tmp_path / "out" / "one.png").read_text() == "mine"
    translate_files(translator, [one], out=tmp_path / "out", overwrite=True)
    assert read_image(tmp_path / "out" / "one.png").shape == (40, 30, 3)


def test_an_input_is_never_replaced(translator, tmp_path):
    one = picture(tmp_path / "one.png")
    before = one.read_bytes()
    with pytest.raises(UserError, match="must not replace an input"):
        translate_files(translator, [one], out=tmp_path, overwrite=True)
    assert one.read_bytes() == before


def test_a_bad_file_among_good_ones(translator, tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no image")
    picture(tmp_path / "in" / "c.png")
    with pytest.raises(UserError, match="b.png, which is not in a supported format.* The other 2 of 3 were translated"):
        translate_files(translator, [tmp_path / "in"], out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_all_files_that_failed_are_named(translator, tmp_path):
    for name in "bcd":
        (tmp_path / f"{name}.png").write_text("no image")
    picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"b\.png, .* 2 more could not be translated: c, d\. The other 1 of 4 were"):
        translate_files(translator, [tmp_path], out=tmp_path / "out")


class Copying:
    """A translator that returns what it is given. It has noise, without use of it."""

    card = ModelCard.of(tiny_config(data={"input_channels": 3}, generator={"noise": "gaussian"}), 0, noise_size=4)

    def noise(self, count, seed):
        return np.full((count, 4), seed, np.float32)

    def translate_many(self, images, noise=None, where=(), *, tile_px=None, overlap_px=None):
        return list(images)


ODD = (
    b"caf\xe9", b"x" * 251, b"[a] b*?", b"a\nb", b"-dash", b"a'\"", b"a b", b"a#2", b"100%d", "😀".encode(), b"dot.",
    b"back\\slash", b"\x1b[31m",
)  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"in_flight": 2}, {"tile_px": 16, "in_flight": 1}])
def test_files_of_every_name_are_translated(tmp_path, options):
    names = [os.fsdecode(name) for name in ODD]
    for name in names:
        write_image(tmp_path / "in" / f"{name}.png", np.full((4, 4, 3), len(name), np.uint8))
    written = translate_files(Copying(), [tmp_path / "in"], out=tmp_path / os.fsdecode(b"out \xe9"), **options)
    assert len({path.name for path in written}) == len(names)
    for path, name in zip(written, sorted(f"{name}.png" for name in names), strict=True):
        assert path.name == name or len(os.fsencode(name)) > 200 or "\n" in name or "\x1b" in name
        assert (read_image(path) == len(name) - 4).all()


@pytest.mark.parametrize("options", [{}, {"in_flight": 2}, {"samples": 2}, {"samples": 2, "in_flight": 1}])
def test_a_translation_that_cannot_be_written_stops_no_other(tmp_path, options):
    endings = ["-1", "-2"] if "samples" in options else [""]
    for name in "abcd":
        write_image(tmp_path / "in" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    for name in "ac":
        (tmp_path / "out" / f"{name}{endings[0]}.png" / "full").mkdir(parents=True)
    with pytest.raises(RunError) as error:
        translate_files(Copying(), [tmp_path / "in"], out=tmp_path / "out", overwrite=True, **options)
    assert str(error.value).startswith(f"{tmp_path / 'out' / f'a{endings[0]}.png'} must be written whole.")
    assert str(error.value).endswith(
        f"1 more could not be translated: c. The other 2 of 4 were translated into {tmp_path / 'out'}."
    )
    files = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert files == {f"{name}{ending}.png" for name in "abcd" for ending in endings} - {
        f"{name}{endings[0]}.png" for name in "ac"
    }


def test_the_user_alone_limits_the_pixels_of_an_input(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    write_image(tmp_path / "a.png", np.zeros((40, 50, 3), np.uint8))
    write_image(tmp_path / "b.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(
        UserError, match=r"at most `max_megapixels` megapixels, 0\.001 here.*a\.png.*Set `max_meg"
    ) as error:
        translate_files(Copying(), [tmp_path / "a.png", tmp_path / "b.png"], out=tmp_path / "out", max_megapixels=0.001)
    assert "The other 1 of 2" in str(error.value)
    assert len(translate_files(Copying(), [tmp_path / "a.png"], out=tmp_path / "out", max_megapixels=0.002)) == 1
    with pytest.raises(UserError, match="`max_megapixels` must be more than 0"):
        translate_files(Copying(), [tmp_path / "a.png"], out=tmp_path / "out", max_megapixels=0)


def test_inputs_are_enlarged_first(translator, tmp_path):
    small = picture(tmp_path / "small.png", 10, 12)
    written = translate_files(translator, [small], out=tmp_path / "out", enlarge=4)
    np.testing.assert_array_equal(read_image(written[0]), translator(enlarged(read_image(small), 4)))
    assert read_image(written[0]).shape == (40, 48, 3)


DEEP = {  # data: dtype, channels, suffix, range; and how a translation is written
    "16-bit gray TIFF": (np.uint16, 1, ".tif", None, ".png"),
    "12 bits in 16": (np.uint16, 1, ".tif", (0, 4095), ".png"),
    "16-bit RGB PNG": (np.uint16, 3, ".png", None, ".png"),
    "5-channel NPY": (np.uint8, 5, ".npy", None, ".tif"),
    "float NPY": (np.float32, 2, ".npy", (-40, 60), ".tif"),
}


@pytest.mark.parametrize("name", others_slow(DEEP, "12 bits in 16", "16-bit RGB PNG", "5-channel NPY"))
def test_depth_channels_and_range_of_the_targets_are_kept(name, tmp_path, quiet, rng):
    """From two folders of files over a short training to files: 16 bits in, 16 bits out."""
    dtype, channels, suffix, value_range, written_as = DEEP[name]
    low, high = full_range(dtype, value_range)
    for side in ("input", "target"):
        for index in range(3):
            path = tmp_path / "data" / side / f"{index}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = (low + rng.random((40, 36, channels)) * (high - low)).astype(dtype)
            np.save(path, image) if suffix == ".npy" else write_image(path, image)
    data = {"source": "folders", "dir": str(tmp_path / "data"), "input_range": value_range, "target_range": value_range}
    data |= {"input_channels": channels, "target_channels": channels}
    deep = {"levels": 5}  # of which the first step gives many values
    run = p2p.train(
        tiny_config(data=data, generator=deep, training={"steps": 1}), run_dir=tmp_path / "run", console=quiet
    )
    assert run.card.target_dtype == np.dtype(dtype).name
    written = translate_files(p2p.load(run.path), [tmp_path / "data" / "input"], out=tmp_path / "out")
    assert [path.name for path in written] == [f"{index}{written_as}" for index in range(3)]
    out = read_image(written[0])
    assert (out.shape, out.dtype) == ((40, 36, channels), dtype)
    assert low <= out.min() < out.max() <= high
    if dtype == np.uint16:
        assert len(np.unique(out)) > 256  # not eight bits in sixteen


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_images_are_written_in_the_format_that_is_asked_for(translator, tmp_path, format):
    one = picture(tmp_path / "one.png")
    for samples, names in ((None, ["one"]), (2, ["one-1", "one-2"])):
        out = tmp_path / f"out{samples}"
        written = translate_files(translator, [one], out=out, samples=samples, format=format)
        assert [path.name for path in written] == [f"{name}{OUTPUT_FORMATS[format]}" for name in names]
        assert read_image(written[0]).dtype == np.uint8
    np.testing.assert_array_equal(
        read_image(translate_files(translator, [one], out=tmp_path / "again", format=format)[0]),
        translator(read_image(one)),
    )


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.float32), (5, np.uint8)])
def test_a_format_that_cannot_hold_the_images_is_refused(channels, dtype):
    with pytest.raises(UserError, match="PNG must hold 8 or 16 bits in at most 4 channels. Received `format` png for"):
        suffix_for(channels, dtype, "png")
    assert suffix_for(channels, dtype, "npy") == ".npy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "jpg"), "--format must be one of: png, tiff, npy. Received "),
        (
            ("--between", "0,1", "--gif", "--format", "png"),
            "--format must go with single images. Received it with --gif",
        ),
    ],
)
def test_another_format_is_refused(smoke_run, tmp_path, options, message):
    one = picture(tmp_path / "one.png")
    code, _, errors = run_cli("translate", smoke_run.path, one, "--out", tmp_path / "out", *options)
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert message in errors


def test_inputs_outside_the_range_are_refused(tmp_path, translator):
    np.save(tmp_path / "a.npy", np.full((8, 8, 1), 3.0))
    with pytest.raises(UserError, match="within `data.input_range`, 0 to 1 here. Received 3 to 3 in a"):
        translate_files(translator, [tmp_path / "a.npy"], out=tmp_path / "out")


def test_what_is_translated_otherwise_than_one_might_think_is_said(translator, tmp_path):
    """Sizes that a static export reflects or cuts, and transparency; an opaque alpha goes without a word."""
    card = translator.card
    assert notes_on(np.zeros((32, 32, 1), np.uint8), card) == []
    fixed = card.model_copy(update={"fixed_size_px": 32})
    assert notes_on(np.zeros((32, 32, 1), np.uint8), fixed) == []
    assert "fixed 32x32 px" in notes_on(np.zeros((32, 31, 1), np.uint8), fixed)[0]
    assert notes_on(np.full((8, 8, 4), 255, np.uint8), card) == []
    assert "transparent parts" in notes_on(np.zeros((8, 8, 4), np.uint8), card)[0]
    files = [picture(tmp_path / "a.png", channels=4), picture(tmp_path / "b.png")]
    with pytest.warns(UserWarning, match="1 of 2 images have transparent parts"):
        translate_files(translator, files, out=tmp_path / "out")


def test_photographs_of_a_stated_range_are_written_in_eight_bits(tmp_path, quiet, rng):
    """Operators work on 8 bits, so the pairs, and with them the translations, have the range of 8 bits."""
    for index in range(2):
        (tmp_path / "photos" / "train").mkdir(parents=True, exist_ok=True)
        write_image(
            tmp_path / "photos" / "train" / f"{index}.tif", rng.integers(0, 4096, (40, 40, 3)).astype(np.uint16)
        )
    data = {"source": "photographs", "operator": "blur", "dir": str(tmp_path / "photos"), "target_range": (0, 4095)}
    run = p2p.train(least_config(data=data, training={"steps": 1}), run_dir=tmp_path / "run", console=quiet)
    translator = p2p.load(run.path)
    written = translate_files(translator, out=tmp_path / "out", split="train")
    image = SOURCES["photographs"](run.card.config.data, "train", 0).read(0)[0]
    np.testing.assert_array_equal(read_image(written[0]), translator(image))


def test_whole_pairs_given_as_inputs_are_remarked_on():
    """The folder of the pairs themselves is what one would name first."""

    def notes(image, **data):
        return notes_on(image, ModelCard.of(tiny_config(data=data), 0))

    pair, half = np.zeros((32, 64, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)
    assert any("`split`" in note for note in notes(pair))
    assert any("`split`" in note for note in notes(pair.swapaxes(0, 1), input_side="top"))
    assert not notes(half)
    assert not notes(pair, source="folders")


def held(image, name="a"):
    """An input that is in memory."""
    return Input(name, lambda: image, ())


class Adding:
    """A translator that adds the noise, and keeps what it is called with."""

    def __init__(self):
        self.calls = []

    def translate_many(self, images, noise=None, where=(), *, tile_px=None, overlap_px=None):
        self.calls.append((len(images), list(where), tile_px, overlap_px))
        if any(image.size > 4 for image in images):
            raise MemoryError
        return [image + (0 if noise is None else noise[0, 0]) for image in images]


def test_the_reader_enlarges_and_counts_notes(translator):
    reader = Reader(translator.card, enlarge=2)
    clear, opaque = np.zeros((4, 6, 4), np.uint8), np.full((4, 6, 4), 255, np.uint8)
    assert [reader(held(image)).shape for image in (clear, opaque, clear)] == [(8, 12, 4)] * 3
    ((note, count),) = reader.notes.items()
    assert (note.split(",")[0], count) == ("have transparent parts", 2)
    with pytest.raises(UserError, match="Received 3 to 3 in a"):
        reader(held(np.full((8, 8, 1), 3.0)))


@pytest.mark.parametrize("stage", ["read", "of_one", "of_batch"])
def test_an_image_beyond_memory_is_named_with_the_way_out(translator, stage):
    def full():
        raise MemoryError

    variants, image = Variants(Adding(), [None]), np.zeros((8, 8, 1))
    stages = {
        "read": lambda: Reader(translator.card)(Input("a", full, ())),
        "of_one": lambda: list(variants.of_one(held(image), image)),
        "of_batch": lambda: variants.of_batch([held(image), held(image, "b")], [image, image]),
    }
    with pytest.raises(UserError, match="fit in memory. Received a, which did not. .* 512, and `format` to tiff"):
        stages[stage]()


def test_there_is_a_variant_for_every_noise_vector():
    adding, images = Adding(), [np.zeros(2), np.ones(2)]
    variants = Variants(adding, [None, np.full((1, 3), 0.5)], tile_px=32, overlap_px=4)
    np.testing.assert_array_equal(
        variants.of_batch([held(images[0]), held(images[1], "b")], images), [[[0, 0], [0.5, 0.5]], [[1, 1], [1.5, 1.5]]]
    )
    assert adding.calls == [(2, ["a", "b"], 32, 4)] * 2
    one = variants.of_one(held(images[0]), images[0])
    assert len(adding.calls) == 2  # nothing is translated before it is taken
    np.testing.assert_array_equal(list(one), [[0, 0], [0.5, 0.5]])


def test_the_writer_names_files_after_inputs_and_checks_them_first(translator, tmp_path):
    writer = Writer.of(translator.card, tmp_path / "out", samples=2)
    one = held(np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in writer.paths(one)] == ["a-1.png", "a-2.png"]
    writer.check([one, held(None, "b")], within=None, overwrite=False)
    assert writer(one, iter([one.read(), one.read() + 9])) == writer.paths(one)
    assert [read_image(path).max() for path in writer.paths(one)] == [0, 9]
    with pytest.raises(UserError, match="must not overwrite a file. Received .*a-1.png"):
        writer.check([one], within=None, overwrite=False)
    with pytest.raises(UserError, match="different names. Received several for .*a-1.png"):
        writer.check([one, one], within=None, overwrite=True)


def card_of(**data):
    return ModelCard.of(tiny_config(data=data), 0)


@pytest.mark.parametrize(
    ("fit", "size", "shape", "stretch"),
    [
        ("resize", "own", (60, 120), 2.0), ("resize", "training", (32, 32), 2.0), ("resize", "16", (16, 16), 2.0),
        ("resize", "training", (16, 32), 1.0), ("resize", "16", (8, 16), 1.0),
        ("resize_crop", "training", (32, 64), 1.0), ("pad", "training", (16, 32), 1.0), ("pad", 64, (32, 64), 1.0),
        ("crop", "training", (60, 120), 1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("labels", [False, True])
def test_a_scale_is_that_of_training(fit, size, shape, stretch, labels, rng):
    """Twin: TensorFlow's resizing, by which the training images are brought to their size. A stretch of 2 is that of
    training images of the image's own shape."""
    image = rng.integers(0, 4 if labels else 256, (60, 120, 3 - 2 * labels), np.uint8)
    card = card_of(fit=fit, jitter_ratio=1.0, **({"input_classes": 4, "input_channels": 1} if labels else {}))
    scaled = Scale.of(card.config.data, size, stretch).resized(image)
    assert scaled.shape[:2] == shape and scaled.dtype == np.uint8
    if shape == (60, 120):
        np.testing.assert_array_equal(scaled, image)
    else:
        method = "nearest" if labels else "bilinear"
        expected = np.rint(tf.image.resize(image, shape, method, antialias=True))
        assert np.abs(scaled - expected).max() <= (0 if labels else 1)


@pytest.mark.parametrize("size", ["big", "0", -3, "1.5", 8193, "9" * 20, "9" * 5000])
def test_a_wrong_size_is_refused(size):
    with pytest.raises(
        UserError, match=f"`size` must be own, training or a number of pixels up to 8192. Received {size!r}"
    ):
        Scale.of(card_of().config.data, size)
    assert Scale.of(card_of().config.data, "8192").size == (8192, 8192)


@pytest.mark.parametrize(
    ("fit", "shape", "noted"),
    [
        ("resize", (32, 32), False), ("resize", (48, 48), False), ("resize", (100, 100), True),
        ("resize", (16, 16), True), ("resize", (10, 100), False), ("resize_crop", (32, 400), False),
        ("pad", (32, 400), True), ("crop", (400, 400), False),
    ],
)  # fmt: skip
def test_images_of_another_scale_than_in_training_are_counted(fit, shape, noted):
    notes = notes_on(np.zeros((*shape, 3), np.uint8), card_of(fit=fit, jitter_ratio=1.0, source="folders"))
    assert any("of another scale than the training images, 32 px" in note for note in notes) == noted


class Unchanged:
    """Translates an image to itself."""

    card = card_of(fit="resize")

    def translate_many(self, images, vector, names, **tiles):
        return images


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "3000000"), "--size must be own, training or a number of pixels up to 8192. Received '3000000'."),
        (("--resize-back",), "--resize-back must go with --size. Received it alone. Add --size training"),
    ],
)
def test_a_scale_is_checked_before_the_model_is_opened(tmp_path, options, message):
    code, out, err = run_cli("translate", tmp_path / "nowhere", "a.png", "--out", tmp_path / "out", *options)
    assert (code, out) == (2, "") and message in err


def test_a_translation_that_has_the_size_of_its_file_cannot_be_resized_back(tmp_path):
    with pytest.raises(UserError, match="`resize_back` must go with `size`. Received it alone. Add `size` training"):
        translate_files(Unchanged(), [tmp_path / "a.png"], out=tmp_path / "out", resize_back=True)


def test_translations_into_the_data_of_the_model_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr(Unchanged, "card", card_of(dir=str(tmp_path)))
    write_picture(tmp_path / "a.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.warns(UserWarning, match="out is in the model's data folder, where later runs read the translations"):
        assert len(translate_files(Unchanged(), [tmp_path], out=tmp_path / "out")) == 1


def test_translations_come_back_at_the_size_of_their_files(tmp_path):
    one = picture(tmp_path / "one.png", 64, 96, 3)
    small, back = (
        read_image(translate_files(Unchanged(), [one], out=tmp_path / name, size="training", resize_back=back)[0])
        for name, back in (("small", False), ("back", True))
    )
    assert (small.shape, back.shape) == ((21, 32, 3), (64, 96, 3))
    np.testing.assert_array_equal(back, resized(small, (96, 64)))


class TestFolders:
    """`translate` finds the images of a folder and names their translations. No network is needed for that."""

    @pytest.fixture
    def card(self):
        return ModelCard.of(tiny_config(data={"input_channels": 1}), 0)

    def test_sub_folders_are_kept_and_earlier_translations_are_left_out(self, card, tmp_path, recwarn):
        for name in ("a.png", "inner/a.png", "inner/b.JPE", ".hidden/c.png", "._a.png", "out/a.png"):
            picture(tmp_path / "photos" / name)
        items = list(inputs_of_files([tmp_path / "photos"], card, tmp_path / "photos" / "out"))
        assert [item.name for item in items] == ["a", "inner/a", "inner/b"]
        writer = Writer.of(card, tmp_path / "photos" / "out")
        assert writer.paths(items[1]) == [tmp_path / "photos" / "out" / "inner" / "a.png"]
        assert items[2].read().shape == (40, 30, 1)
        assert [str(warning.message) for warning in recwarn] == []

    def test_what_is_not_translated_is_counted(self, card, tmp_path):
        for name in ("a.png", "val/b.png"):
            picture(tmp_path / name)
        for name in ("c.heic", "d.heic", "notes.txt"):
            (tmp_path / name).touch()
        with pytest.warns(UserWarning, match=r"files that are not translated: 2 \.heic, 1 image in val/\.$"):
            assert len(list(inputs_of_files([tmp_path], card))) == 1

    def test_a_folder_of_splits_alone_names_the_way_to_translate_pairs(self, card, tmp_path):
        picture(tmp_path / "val" / "b.png")
        with pytest.raises(UserError, match="without any. For the inputs of pairs add `split` val and `data` "):
            list(inputs_of_files([tmp_path], card))

    def test_the_inputs_of_held_out_pairs_are_read_where_there_are_no_others(self, tmp_path):
        picture(tmp_path / "val" / "inner" / "b.png", 40, 80, 3)
        (item,) = inputs_of_split(ModelCard.of(tiny_config(), 0), tmp_path, "val")
        assert item.name == "inner/b" and item.read().shape == (40, 40, 3)
