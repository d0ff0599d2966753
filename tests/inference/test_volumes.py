"""Volumes in, NIfTI files out: every slice is translated as an image of its own, and the affine stays."""

import shutil

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli
from tests.volume_files import RAS, nibabel, write_nifti, write_series
from tfpix2pix.data.images import read_image
from tfpix2pix.data.opening import open_source
from tfpix2pix.data.volumes import SliceReader, open_volume, slices_of
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference import volumes
from tfpix2pix.inference.files import translate_files
from tfpix2pix.runs.directory import RunDirectory

OBLIQUE = np.array([[0.0, -1.9, 0.2, 30], [2, 0.1, 0, -20], [0, 0.3, -3, 50], [0, 0, 0, 1]])  # axes P→A, L, I
SHAPE = (16, 20, 4)


def volume(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1001, shape).astype(np.int16)


def make_pairs(folder, count: int = 3, ending: str = ".nii.gz"):
    for index in range(count):
        write_nifti(folder / "input" / f"p{index}{ending}", volume(index), OBLIQUE)
        write_nifti(folder / "target" / f"p{index}{ending}", (1000 - volume(index)).astype(np.float32) / 4, OBLIQUE)


DATA = {
    "source": "folders", "image_size_px": 16, "jitter_ratio": 1.0, "input_channels": 1, "target_channels": 1,
    "input_range": [0, 1000], "target_range": [0, 250], "held_out_fraction": 0.3, "group": "*#",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(shared_folder, quiet):
    """A run on three volumes whose slices have a neighbour on either side."""

    def make(folder) -> None:
        make_pairs(folder / "pairs")
        data = {**DATA, "dir": str(folder / "pairs"), "neighbour_slices": 1, "input_channels": 3}
        p2p.train(least_config(data=data), run_dir=folder / "run", console=quiet)

    return RunDirectory(shared_folder("volumes", make) / "run")


@pytest.fixture(scope="module")
def translator(run):
    return p2p.load(run.path)


@pytest.fixture
def t1(tmp_path):
    return write_nifti(tmp_path / "in" / "t1.nii.gz", volume(9), OBLIQUE)


def test_a_run_trains_on_slices_and_evaluates_them(run, tmp_path):
    card = run.card()
    assert card.config.data.input_channels == 3
    assert card.target_dtype == "float32"
    assert "p0#z000" in (run.path / "data.json").read_text()
    code, _, err = run_cli("evaluate", run.path, "--out", tmp_path / "e", "--split", "train")
    assert code == 0, err
    rows = (tmp_path / "e" / "per_image.csv").read_text().splitlines()[1:]
    volumes_of = [row.split(",")[0].partition("#") for row in rows]
    groups = (tmp_path / "e" / "per_group.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in groups] == sorted({f"{name}#" for name, _, _ in volumes_of})
    assert {label for _, _, label in volumes_of} == {f"z00{index}" for index in range(4)}


def test_every_slice_is_translated_as_an_image_of_its_own(translator, t1, tmp_path):
    (written,) = translate_files(translator, [t1], out=tmp_path / "out")
    assert written == tmp_path / "out" / "t1.nii.gz"
    result, given = nibabel.load(written), nibabel.load(t1)
    assert result.shape == SHAPE
    np.testing.assert_array_equal(result.affine, given.affine)
    assert result.get_data_dtype() == np.float32
    assert result.header.get_xyzt_units() == given.header.get_xyzt_units()
    np.testing.assert_array_equal(result.header.get_zooms(), given.header.get_zooms())
    assert 0 <= result.get_fdata().min() < result.get_fdata().max() <= 250
    translated = open_volume(written, 256)
    read = SliceReader(1, 2)
    pairs = zip(
        slices_of(open_volume(t1, 256), "axial", 1), slices_of(translated, "axial"), strict=True
    )  # fmt: skip
    for index, (slice_, output) in enumerate(pairs):
        np.save(tmp_path / f"s{index}.npy", read(slice_))
        (alone,) = translate_files(translator, [tmp_path / f"s{index}.npy"], out=tmp_path / f"o{index}", format="npy")
        np.testing.assert_allclose(read(output), np.load(alone), atol=1e-3)


def test_slices_are_images_by_format(translator, t1, tmp_path):
    written = translate_files(translator, [t1], out=tmp_path / "out", format="tiff")
    assert [path.name for path in written] == [f"t1#z00{index}.tif" for index in range(4)]
    (whole,) = translate_files(translator, [t1], out=tmp_path / "whole")
    slice_ = slices_of(open_volume(whole, 256), "axial")[2]
    np.testing.assert_allclose(read_image(written[2]), SliceReader(1)(slice_), atol=1e-3)


def test_folders_hold_volumes_and_endings_stay(translator, tmp_path):
    write_nifti(tmp_path / "in" / "a.nii", volume(1), RAS)
    write_nifti(tmp_path / "in" / "b" / "c.nii.gz", volume(2, (20, 17, 3)), OBLIQUE)
    written = translate_files(translator, [tmp_path / "in"], out=tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["a.nii", "b/c.nii.gz"]
    assert nibabel.load(written[1]).shape == (20, 17, 3)


def test_a_dicom_series_becomes_nifti(translator, tmp_path):
    pixels = np.random.default_rng(0).integers(512, 1012, (3, 20, 18))
    write_series(tmp_path / "patient.1", pixels)
    (written,) = translate_files(translator, [tmp_path / "patient.1"], out=tmp_path / "out")
    assert written.name == "patient.1.nii.gz"
    result, series = nibabel.load(written), open_volume(tmp_path / "patient.1", 256)
    assert result.shape == series.shape == (18, 20, 3)
    np.testing.assert_allclose(result.affine, series.affine, atol=1e-5)
    assert result.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(result.header.get_zooms(), (0.75, 1.5, 2.5))


def test_the_volumes_of_a_split(translator, run, tmp_path):
    written = translate_files(translator, out=tmp_path / "out", split="train")
    assert all(path.name.endswith(".nii.gz") and nibabel.load(path).shape == SHAPE for path in written)
    held_out = translate_files(translator, out=tmp_path / "val", split="val")
    assert {path.name for path in written} | {path.name for path in held_out} == {f"p{i}.nii.gz" for i in range(3)}


def test_tiles_are_of_slices(translator, t1, tmp_path):
    (written,) = translate_files(translator, [t1], out=tmp_path / "out", tile_px=16, overlap_px=8)
    assert nibabel.load(written).shape == SHAPE


def test_translations_are_resized_back(translator, t1, tmp_path):
    (written,) = translate_files(translator, [t1], out=tmp_path / "out", size="training", resize_back=True)
    assert nibabel.load(written).shape == SHAPE


def test_two_files_of_one_name_and_a_file_that_exists(translator, t1, tmp_path):
    other = write_nifti(tmp_path / "other" / "t1.nii.gz", volume(3), OBLIQUE)
    with pytest.raises(UserError, match=r"different names\. Received several for .*t1\.nii\.gz"):
        translate_files(translator, [t1, other], out=tmp_path / "out")
    with pytest.raises(UserError, match="must not replace an input"):
        translate_files(translator, [t1], out=t1.parent, overwrite=True)
    translate_files(translator, [t1], out=tmp_path / "out")
    with pytest.raises(UserError, match=r"must not overwrite a file\. Received .*t1\.nii\.gz"):
        translate_files(translator, [t1], out=tmp_path / "out")


@pytest.mark.filterwarnings("ignore:.*another scale")
@pytest.mark.parametrize(
    ("options", "words"),
    [({"enlarge": 2}, "without `size` or `enlarge`"), ({"size": 32}, "without `size` or `enlarge`")],
)
def test_options_that_do_not_go_with_volumes(translator, t1, tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        translate_files(translator, [t1], out=tmp_path / "out", **options)
    assert len(translate_files(translator, [t1], out=tmp_path / "out", format="npy", **options)) == SHAPE[2]


def test_uncertainty_is_written_as_images(t1, tmp_path):
    with pytest.raises(UserError, match=r"without `uncertainty`.*Add `format` tiff"):
        volumes.check_options(uncertainty=True, resizes=False)


def test_a_volume_that_cannot_be_read_stops_no_other(translator, t1, tmp_path):
    bad = write_nifti(tmp_path / "in" / "bad.nii.gz", volume(1), OBLIQUE)
    bad.write_bytes(bad.read_bytes()[:-200])
    loud = write_nifti(tmp_path / "in" / "loud.nii", np.where(np.arange(4) == 2, 5000, volume(1)), OBLIQUE)
    with pytest.raises(UserError) as caught:
        translate_files(translator, [t1.parent], out=tmp_path / "out")
    assert "ends too soon" in str(caught.value)
    assert "with all of its slices: bad, loud could not be." in str(caught.value)
    assert "The other 4 of 12 were translated" in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["t1.nii.gz"]
    assert loud.exists()


def test_images_are_refused_by_a_model_of_neighbours(translator, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((16, 16, 1), np.float32))
    with pytest.raises(UserError, match=r"must be given volumes, or images of 3 channels\. Received 1 in .*a\.npy"):
        translate_files(translator, [tmp_path / "a.npy"], out=tmp_path / "out")


def test_nothing_half_written_is_left(translator, t1, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel.Nifti1Image, "to_stream", full)
    with pytest.raises(RunError, match="No space left"):
        translate_files(translator, [t1], out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_line(run, t1, tmp_path):
    code, out, err = run_cli("translate", run.path, t1, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "1 translated" in out
    assert nibabel.load(tmp_path / "out" / "t1.nii.gz").shape == SHAPE


class TestLabelMaps:
    def test_parts_and_classes(self, tmp_path, quiet, rng):
        """Two volumes in, a label map out, whose variants by noise are volumes too."""
        for index in range(2):
            for name, values in (("t1", 1001), ("seg", 3), ("out", 4)):
                voxels = rng.integers(0, values, SHAPE).astype(np.int16)
                write_nifti(tmp_path / "pairs" / name / f"p{index}.nii", voxels, OBLIQUE)
        parts = [{"name": "t1", "range": [0, 1000]}, {"name": "seg", "kind": "labels", "classes": 3}]
        data = {**DATA, "dir": str(tmp_path / "pairs"), "inputs": parts, "neighbour_slices": 1, "target_classes": 4}
        for key in ("input_channels", "input_range", "target_range"):
            del data[key]
        data["target_folder"] = "out"
        config = least_config(data=data, generator={"levels": 3})
        p2p.train(config, run_dir=tmp_path / "run", console=quiet)
        translator = p2p.load(tmp_path / "run")
        inputs = {name: tmp_path / "pairs" / name / "p0.nii" for name in ("t1", "seg")}
        written = translate_files(translator, inputs, out=tmp_path / "o", samples=2, seed=1)
        assert [path.name for path in written] == ["p0-1.nii", "p0-2.nii"]
        for path in written:
            assert nibabel.load(path).get_data_dtype() == np.uint8
            assert set(np.unique(nibabel.load(path).dataobj)) <= {0, 1, 2, 3}
        shutil.copy(inputs["seg"], tmp_path / "moved.nii")
        moved = nibabel.load(tmp_path / "moved.nii")
        nibabel.save(nibabel.Nifti1Image(np.asarray(moved.dataobj), RAS), tmp_path / "moved.nii")
        with pytest.raises(UserError, match=r"whose affines differ by \d+ mm"):
            translate_files(translator, {**inputs, "seg": tmp_path / "moved.nii"}, out=tmp_path / "x")


def test_volumes_go_with_scalars_and_targets_in_several_files(tmp_path, quiet):
    """A slice has the scalars of its volume, and each part of a target becomes a volume in a folder of its name."""
    for index in range(3):
        write_nifti(tmp_path / "pairs" / "t1" / f"p{index}.nii.gz", volume(index), OBLIQUE)
        for part in ("ct", "pet"):
            voxels = volume(index + 10).astype(np.float32) / 4
            write_nifti(tmp_path / "pairs" / part / f"p{index}.nii.gz", voxels, OBLIQUE)
    (tmp_path / "pairs" / "scalars.csv").write_text("name,kv\np0,80\np1,110\np2,140\n")
    part = {"channels": 1, "range": [0, 250], "depth": "float32"}
    data = {
        "source": "folders", "dir": str(tmp_path / "pairs"), "image_size_px": 16, "held_out_fraction": 0.3,
        "inputs": [
            {"name": "t1", "channels": 1, "range": [0, 1000]}, {"name": "kv", "kind": "scalar", "range": [80, 140]},
        ],
        "targets": [{"name": "ct", **part}, {"name": "pet", **part}],
    }  # fmt: skip
    run = p2p.train(least_config(data=data), run_dir=tmp_path / "run", console=quiet)
    source = open_source(run.directory.config().data, "train", 0)
    for index, name in enumerate(source.names):
        kv = {"p0": 80, "p1": 110, "p2": 140}[name.split("#")[0]]
        assert source.scalars(index) == (kv,)
        channel = source.whole(index)[0][..., 1]
        assert channel == pytest.approx((kv - 80) / 60)
    inputs = {"t1": tmp_path / "pairs" / "t1" / "p1.nii.gz", "kv": 110}
    written = translate_files(p2p.load(run.path), inputs, out=tmp_path / "out")
    assert written == [tmp_path / "out" / part / "p1.nii.gz" for part in ("ct", "pet")]
    for path in written:
        image = nibabel.load(path)
        assert image.shape == SHAPE
        np.testing.assert_allclose(image.affine, OBLIQUE, atol=1e-5)
