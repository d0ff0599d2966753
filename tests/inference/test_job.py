"""Jobs of several workers: the bytes of one process, and a job that was stopped goes on, each file written once."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import make_splits, tiny_config, write_image
from tests.data.test_parts import scene, write_scene
from tests.data.test_scalars import HEIGHT, WIND, WINDS
from tests.data.test_targets import PARTS
from tfpix2pix.config.card import ModelCard
from tfpix2pix.engines import ENGINES, EngineRow
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference import batching, job, large
from tfpix2pix.inference.batching import ImageTranslator
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.job import Origin

GROUP = 8  # of the tests, as below
COUNT = 2 * GROUP + 5  # three groups


@pytest.fixture(scope="module", autouse=True)
def _small_groups():
    with pytest.MonkeyPatch.context() as patch:
        for module in (batching, job):
            patch.setattr(module, "GROUP", GROUP)
        yield


class Workers:
    """An engine for tests: this process answers the parts from another folder, the last first, by workers in turns."""

    def __init__(self, monkeypatch, workers=1, most=None):
        self.parts, self.monkeypatch, self.workers, self.most = [], monkeypatch, workers, most

    def __call__(self, open_job, parts, options, folder):
        with self.monkeypatch.context() as patch:
            patch.chdir("/")
            opened = [open_job() for _ in range(self.workers)]
            answers = {}
            for number, part in enumerate(list(reversed(parts))[: self.most]):
                self.parts.append(part)
                answers[part] = opened[number % self.workers](part)
        if len(answers) < len(parts):
            raise RunError("The workers were stopped.")
        return [answers[part] for part in parts]


@pytest.fixture
def by_workers(monkeypatch):
    """Translates by workers, and returns the engine."""

    def translate(translator, inputs, out, *, workers=1, most=None, **more):
        translate.last = engine = Workers(monkeypatch, workers, most)
        monkeypatch.setitem(ENGINES, "workers", EngineRow(check=lambda options: None, run=engine))
        engine.written = translate_files(translator, inputs, out=out, engine="workers", **more)
        return engine

    return translate


@pytest.fixture(scope="module")
def translator(tiny_run):
    """A translator that workers have loaded already."""
    loaded = p2p.load(tiny_run.path)
    loaded.origin = replace(loaded.origin, load=lambda: loaded)
    return loaded


def pictures(folder, count, first=0):
    """Pictures of two sizes, so that batches begin and end in all places."""
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        height = 24 if number % 7 == 3 else 32
        write_image(folder / f"{number:03}.png", rng.integers(0, 256, (height, 32, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def here(translator, images, tmp_path_factory):
    """The bytes of one process."""
    out = tmp_path_factory.mktemp("here") / "out"
    translate_files(translator, [images], out=out)
    return content(out)


def content(folder):
    """The bytes of the files that a user sees, by name."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and job.FOLDER not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).glob("*.*") if path.is_file()}


def test_workers_write_the_bytes_of_one_process(tiny_run, images, here, tmp_path, by_workers):
    engine = by_workers(p2p.load(tiny_run.path), [images], tmp_path / "out", workers=2)
    assert engine.parts == [2, 1, 0]
    assert [path.name for path in engine.written] == sorted(here)
    assert len(here) == COUNT and content(tmp_path / "out") == here


def test_a_stopped_job_goes_on(translator, images, here, tmp_path, by_workers):
    out = tmp_path / "out"
    with pytest.raises(RunError, match="were stopped"):
        by_workers(translator, [images], out, most=2)
    done = times(out)
    assert len(done) == COUNT - GROUP
    for name in ("001.png", "017.png"):  # the group that is left had begun
        (out / name).write_bytes(here[name])
        done |= {name: (out / name).stat().st_mtime_ns}
    (out / ".008.png.1.tfpix2pix-tmp").write_text("half")
    with pytest.warns(UserWarning, match=rf"{len(done)} of {COUNT} images were translated before by the same job"):
        engine = by_workers(translator, [images], out)
    assert engine.parts == [0]
    assert {name: time for name, time in times(out).items() if name in done} == done
    assert content(out) == here
    assert [path.name for path in engine.written] == sorted(here)


def test_a_part_that_is_answered_twice_changes_nothing(translator, images, here, tmp_path, by_workers):
    """A runner that loses sight of a worker gives its part to another."""
    out = tmp_path / "out"
    by_workers(translator, [images], out)
    before = times(out)
    answer = job.open_job(translator.origin.load, out)
    assert [answer(part)["failed"] for part in (0, 1, 2)] == [[], [], []]
    assert times(out) == before and content(out) == here


def test_a_finished_job_is_not_done_again(translator, images, tmp_path, by_workers):
    out = tmp_path / "out"
    by_workers(translator, [images / "000.png", images / "001.png"], out)
    before = times(out)
    with pytest.warns(UserWarning, match="2 of 2 images were translated before"):
        engine = by_workers(translator, [images / "000.png", images / "001.png"], out)
    assert engine.parts == [] and times(out) == before
    engine = by_workers(translator, [images / "000.png", images / "001.png"], out, overwrite=True)
    assert engine.parts == [0] and all(times(out)[name] > before[name] for name in before)


@pytest.mark.parametrize("change", ["options", "image", "more images", "model", "another process"])
def test_files_of_another_job_are_never_taken_for_finished(tiny_run, translator, tmp_path, by_workers, change):
    folder, out = pictures(tmp_path / "in", 2), tmp_path / "out"
    by_workers(translator, [folder], out)
    before, options = content(out), {}
    if change == "options":
        options = {"enlarge": 2}
    elif change == "image":
        pictures(folder, 1, first=1)
    elif change == "more images":
        pictures(folder, 1, first=2)
    elif change == "model":
        shutil.copytree(tiny_run.path, tmp_path / "run")
        (tmp_path / "run" / "checkpoints" / "another").touch()
        translator = p2p.load(tmp_path / "run")
    else:
        translate_files(translator, [folder], out=out, overwrite=True, size=64)
        before = content(out)
    with pytest.raises(UserError, match=r"must not overwrite a file\. Received .*000\.png, which exists\. Add `overw"):
        by_workers(translator, [folder], out, **options)
    assert content(out) == before


def test_files_that_a_job_replaces_are_not_taken_for_its_own(translator, images, here, tmp_path, by_workers):
    out = tmp_path / "out"
    for number in range(COUNT):
        write_image(out / f"{number:03}.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(RunError):
        by_workers(translator, [images], out, most=1, overwrite=True)
    engine = by_workers(translator, [images], out)
    assert engine.parts == [1, 0]
    assert content(out) == here


def test_images_that_fail_are_named_and_tried_again(translator, tmp_path, by_workers):
    folder, out = pictures(tmp_path / "in", GROUP + 3), tmp_path / "out"
    good = (folder / "009.png").read_bytes()
    for name in ("002.png", "009.png"):
        (folder / name).write_text("no image")
    message = rf"002\.png, which is not in a supported .* 1 more could not be translated: 009\. The other {GROUP + 1}"
    for _ in range(2):
        with pytest.raises(UserError, match=message):
            by_workers(translator, [folder], out)
        assert by_workers.last.parts == [1, 0]
    assert len(content(out)) == GROUP + 1
    (folder / "009.png").write_bytes(good)
    with pytest.raises(UserError, match="must not overwrite"):  # other inputs: another job
        by_workers(translator, [folder], out)


def test_notes_of_all_workers_are_counted(translator, tmp_path, by_workers):
    rng = np.random.default_rng(0)
    for number in range(GROUP + 2):
        write_image(tmp_path / "in" / f"{number:03}.png", rng.integers(0, 256, (96, 128, 3), np.uint8))
    with pytest.warns(UserWarning, match=rf"^{GROUP + 2} of {GROUP + 2} images are of another scale"):
        by_workers(translator, [tmp_path / "in"], tmp_path / "out")


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 2, "seed": 3, "size": 48, "resize_back": True}, {"between": (1, 2), "frames": 2, "gif": True},
        {"uncertainty": True, "samples": 2, "tile_px": 16}, {"enlarge": 2, "format": "npy", "noise": "on"},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_reaches_the_workers(translator, images, tmp_path, by_workers, options):
    inputs = [images / f"{number:03}.png" for number in range(3)]
    translate_files(translator, inputs, out=tmp_path / "here", **options)
    by_workers(translator, inputs, tmp_path / "there", **options)
    assert content(tmp_path / "there") == content(tmp_path / "here") != {}


def test_inputs_of_pairs(translator, tmp_path, monkeypatch, by_workers):
    make_splits(tmp_path / "pairs", train=1, val=3)
    translate_files(translator, out=tmp_path / "here", data=tmp_path / "pairs", split="val")
    monkeypatch.chdir(tmp_path)
    by_workers(translator, (), Path("there"), data="pairs", split="val")
    assert content(tmp_path / "there") == content(tmp_path / "here") and len(content(tmp_path / "here")) == 3


def test_pairs_that_change_are_not_mixed_up(translator, tmp_path, by_workers):
    val = make_splits(tmp_path / "pairs", train=1, val=3) / "val"
    load = translator.origin.load

    def load_later():
        if (val / "0.png").exists():
            (val / "0.png").rename(val / "9.png")
        return load()

    other = copy.copy(translator)
    other.origin = replace(translator.origin, load=load_later)
    with pytest.raises(UserError, match="pairs of a split must stay the same while they are translated"):
        by_workers(other, (), tmp_path / "out", data=tmp_path / "pairs", split="val")
    assert content(tmp_path / "out") == {}


@pytest.mark.parametrize("case", ["model gone", "model changed", "folder not shared"])
def test_workers_that_cannot_work_say_why(tiny_run, images, tmp_path, monkeypatch, by_workers, case):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    translator = p2p.load(tmp_path / "run")
    inputs, out = [images / "000.png"], tmp_path / "out"
    if case == "model gone":
        shutil.rmtree(tmp_path / "run" / "checkpoints")
        message = "checkpoint"
    elif case == "model changed":
        translator.card = translator.card.model_copy(update={"step": 7})
        message = "The model must stay the same while workers translate"
    else:
        open_job = job.open_job
        monkeypatch.setattr(job, "open_job", lambda load, out: open_job(load, tmp_path / "elsewhere"))
        message = r"Every worker must reach the folder of the translations\. Received .*elsewhere, which a worker does"
    with pytest.raises(UserError, match=message):
        by_workers(translator, inputs, out)


def test_a_translator_that_was_not_loaded_is_refused(translator, images, tmp_path, by_workers):
    other = type(translator)(translator.engine)
    with pytest.raises(UserError, match="`engine` .* must go with a model that workers can load"):
        by_workers(other, [images / "000.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_engines_are_known_by_name(translator, images, tmp_path):
    with pytest.raises(UserError, match="`engine` must be one of: local, beam. Received 'bean'. Did you mean 'beam'"):
        translate_files(translator, [images], out=tmp_path / "out", engine="bean")
    with pytest.raises(UserError, match="`engine_options` must go with an `engine` that takes some. Received 'runner="):
        translate_files(translator, [images], out=tmp_path / "out", engine_options=["runner=DirectRunner"])
    assert not (tmp_path / "out").exists()


def test_an_input_in_the_folder_of_the_job_is_not_listed(translator, images, tmp_path, by_workers):
    """The job's own folder is hidden, so a later run does not take it for data."""
    by_workers(translator, [images / "000.png"], tmp_path / "out")
    engine = by_workers(translator, [tmp_path / "out"], tmp_path / "second")
    assert [path.name for path in engine.written] == ["000.png"]
    assert Image.open(engine.written[0]).size == (32, 32)


class Repeating(ImageTranslator):
    """Repeats the channels of inputs in those of targets. Workers have loaded it already."""

    def __init__(self, target_dtype="uint8", **data):
        card = ModelCard.of(tiny_config(data={"source": "folders", "fit": "crop", "jitter_ratio": 1, **data}), 0)
        self.card = card.model_copy(update={"target_dtype": target_dtype})
        self.origin = Origin(lambda: self, lambda: [])

    def translate_many(self, images, noise=None, where=(), *, tile_px=None, overlap_px=None):
        channels, dtype = self.card.config.data.target_channels, self.card.target_dtype
        scales = [255 if image.dtype == np.float32 else 1 for image in images]
        return [
            (np.resize(image[..., :1], (*image.shape[:2], 1)) * scale + np.arange(channels)).astype(dtype)
            for image, scale in zip(images, scales, strict=True)
        ]


class SecondChannel(Repeating):
    """Gives the second channel of inputs, which is a scalar."""

    def translate_many(self, images, noise=None, where=(), **tiles):
        return super().translate_many([image[..., 1:] for image in images], noise, where, **tiles)


@pytest.fixture
def windy(tmp_path):
    """A model of a height and a wind, and the two parts of its inputs: a folder and a table."""
    for seed in (0, 1, 2):
        write_scene(tmp_path / "in", f"{seed}", {"height": scene(seed, 32)["height"]})
    rows = [f"{seed},{wind}" for seed, wind in WINDS.items()]
    (tmp_path / "scalars.csv").write_text("\n".join(["name,wind", *rows]))
    parts = {"height": tmp_path / "in" / "height", "wind": tmp_path / "scalars.csv"}
    return SecondChannel(inputs=[HEIGHT, WIND]), parts


@pytest.mark.parametrize("wind", [None, 12.5])
def test_scalars_reach_the_workers(windy, tmp_path, by_workers, wind):
    translator, parts = windy
    parts = parts if wind is None else {**parts, "wind": wind}
    by_workers(translator, parts, tmp_path / "there")
    translate_files(translator, parts, out=tmp_path / "here")
    assert content(tmp_path / "there") == content(tmp_path / "here") != {}
    for seed in range(3):
        value = int((WINDS[seed] if wind is None else wind) / 25 * 255)
        with Image.open(tmp_path / "there" / f"{seed}.png") as image:
            assert (np.asarray(image)[..., 0] == value).all()


def test_other_scalars_are_another_job(windy, tmp_path, by_workers):
    translator, parts = windy
    by_workers(translator, parts, tmp_path / "out")
    parts["wind"].write_text("name,wind\n0,0\n1,1\n2,3\n")
    with pytest.raises(UserError, match="must not overwrite a file"):
        by_workers(translator, parts, tmp_path / "out")


def test_workers_write_targets_in_several_files(tmp_path, by_workers):
    translator, folder, out = Repeating("float32", targets=PARTS), pictures(tmp_path / "in", 3), tmp_path / "out"
    engine = by_workers(translator, [folder], out)
    translate_files(translator, [folder], out=tmp_path / "here")
    assert content(out) == content(tmp_path / "here")
    names = [f"{part}/00{number}{suffix}" for number in range(3)
             for part, suffix in (("speed", ".tif"), ("photo", ".png"), ("height", ".png"))]  # fmt: skip
    assert [path.relative_to(out).as_posix() for path in engine.written] == names
    (out / "photo" / "001.png").unlink()
    before = times(out / "speed")
    by_workers(translator, [folder], out)
    assert content(out) == content(tmp_path / "here")
    assert {name for name, time in times(out / "speed").items() if time == before[name]} == {"000.tif", "002.tif"}


def test_workers_read_large_images_by_region(tmp_path, by_workers, monkeypatch):
    class ByRegion(Repeating):
        def translate_bands(self, image, noise=None, where="", **tiles):
            assert not isinstance(image, np.ndarray)
            for top in range(0, image.shape[0], 37):
                yield 255 - image[top : top + 37, :]

    monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0)
    pixels = np.random.default_rng(0).integers(1, 256, (150, 130, 3), np.uint8)
    pixels[20:40, 100:] = 0
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(32, 48), photometric="rgb")
    translator = ByRegion(weight={"nodata": 0})
    (written,) = by_workers(translator, [tmp_path / "a.tif"], tmp_path / "out", tile_px=64, format="tiff").written
    np.testing.assert_array_equal(tifffile.imread(written), np.where(pixels == 0, 0, 255 - pixels))


@pytest.mark.parametrize("case", ["volume", "damaged"])
def test_volumes_are_refused(tmp_path, by_workers, case):
    if case == "volume":
        pytest.importorskip("nibabel", reason="it needs tfpix2pix[medical]")
        from tests.volume_files import write_nifti

        path = write_nifti(tmp_path / "a.nii.gz", np.zeros((16, 16, 4), np.int16))
    else:
        path = tmp_path / "a.nii"
        path.write_text("no volume")
    translator = Repeating("float32", input_channels=1, target_channels=1, input_range=[0, 1], target_range=[0, 1])
    with pytest.raises(UserError, match=r"`engine` beam must go with images\. Received the volume .*a\.nii"):
        by_workers(translator, [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
