"""Volumes are read slice by slice: NIfTI and DICOM, upright, with their affines."""

import gzip
import itertools
import shutil
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.volume_files import RAS, nibabel, pydicom, write_nifti, write_series
from tfpix2pix.data.doctor.examination import examine
from tfpix2pix.data.fingerprints import fingerprints
from tfpix2pix.data.images import list_images, stem_of
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.opening import decided, open_source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.slices import place_reader, sliced
from tfpix2pix.data.volumes import Cut, SliceReader, check_one_geometry, open_volume, slices_of
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError

MOST = 256
CODES = {"sagittal": "LR", "coronal": "PA", "axial": "IS"}
ORIENTATIONS = [  # of the array's axes
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)
]


def config(folder, **data):
    given = {
        "source": "folders",
        "dir": str(folder),
        "image_size_px": 8,
        "input_channels": 1,
        "target_channels": 1,
        "input_range": [-2000, 70000],
        "target_range": [-2000, 70000],
    }
    return DataConfig.model_validate({**given, **data})  # fmt: skip


def affine_of(codes: str) -> np.ndarray:
    """The affine of an array with axes of these orientations, turned by a few degrees."""
    affine = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(codes), (5, 6, 7))
    angle = 0.2
    turned = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.linalg.inv(affine)
    affine[:3, :3] = turned @ affine[:3, :3] @ np.diag([1.0, 2.0, 0.5])
    return affine


@pytest.fixture
def voxels(rng):
    return rng.integers(0, 4000, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def patients(tmp_path, rng):
    """Two folders with four volumes each."""
    for name in ("p1", "p2", "p3", "p4"):
        image = rng.integers(0, 4000, (9, 10, 5)).astype(np.int16)
        write_nifti(tmp_path / "data" / "input" / f"{name}.nii.gz", image)
        write_nifti(tmp_path / "data" / "target" / f"{name}.nii", (4000 - image).astype(np.float32))
    return tmp_path / "data"


class TestSlices:
    @pytest.mark.parametrize("codes", ORIENTATIONS)
    @pytest.mark.parametrize("slice_axis", CODES)
    def test_are_upright_whatever_the_order_of_the_array(self, tmp_path, voxels, codes, slice_axis):
        """The twin turns the whole volume by nibabel, and then takes slices of it."""
        affine = affine_of(codes)
        path = write_nifti(tmp_path / "v.nii", voxels, affine)
        image = nibabel.load(path)
        assert "".join(nibabel.aff2axcodes(image.affine)) == codes
        canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)
        volume = open_volume(path, MOST)
        slices = slices_of(volume, slice_axis)
        axis = "RAS".index(CODES[slice_axis][1])
        assert len(slices) == canonical.shape[axis]
        for slice_ in slices:
            along = codes[slice_.cut.axis]
            place = slice_.index if along in "RAS" else slice_.count - 1 - slice_.index
            plane = canonical.take(place, axis)  # the lower axis of the patient first, both growing
            np.testing.assert_array_equal(SliceReader(1)(slice_)[..., 0], plane.T[::-1, ::-1])

    @pytest.mark.parametrize("codes", ORIENTATIONS[::7])
    def test_a_plane_of_an_image_is_the_plane_that_it_was(self, codes, rng):
        for slice_axis in CODES:
            cut = Cut.of(affine_of(codes), slice_axis)
            plane = rng.random((4, 6))
            np.testing.assert_array_equal(cut.plane(cut.image(plane)), plane)

    def test_are_named_by_their_index_in_the_array(self, tmp_path, voxels):
        volume = open_volume(write_nifti(tmp_path / "v.nii", voxels), MOST)
        assert [slice_.label for slice_ in slices_of(volume, "axial")][-1] == "#z006"
        assert slices_of(volume, "coronal")[0].label == "#y000"
        assert slices_of(volume, "sagittal")[4].label == "#x004"
        long = open_volume(write_nifti(tmp_path / "l.nii", np.zeros((2, 2, 1001), np.uint8)), MOST)
        assert slices_of(long, "axial")[7].label == "#z0007"

    def test_have_their_neighbours_as_channels_and_repeat_the_last(self, tmp_path, voxels):
        volume = open_volume(write_nifti(tmp_path / "v.nii.gz", voxels), MOST)
        read, alone, near = SliceReader(1), slices_of(volume, "axial"), slices_of(volume, "axial", 2)
        planes = [read(slice_)[..., 0] for slice_ in alone]
        for index, slice_ in enumerate(near):
            image = read(slice_)
            assert image.shape == (6, 5, 5)
            for channel, offset in enumerate((-2, -1, 0, 1, 2)):
                np.testing.assert_array_equal(image[..., channel], planes[min(max(index + offset, 0), 6)])


class TestNifti:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
    def test_values_are_those_of_nibabel(self, tmp_path, rng, ending, dtype):
        voxels = (rng.random((4, 5, 6)) * 200).astype(dtype)
        path = write_nifti(tmp_path / f"v{ending}", voxels)
        expected = nibabel.load(path).get_fdata(dtype=np.float32)
        volume = open_volume(path, MOST)
        for slice_ in slices_of(volume, "axial"):
            image = SliceReader(1)(slice_)
            assert image.dtype == np.float32
            np.testing.assert_array_equal(image[..., 0], expected[:, :, slice_.index].T[::-1, ::-1])

    def test_slope_and_intercept_are_applied(self, tmp_path, voxels):
        path = write_nifti(tmp_path / "v.nii", voxels, slope=0.5)
        expected = nibabel.load(path).get_fdata()
        np.testing.assert_allclose(expected, voxels * 0.5 - 7)
        image = SliceReader(1)(slices_of(open_volume(path, MOST), "axial")[3])
        np.testing.assert_array_equal(image[..., 0], expected[:, :, 3].T[::-1, ::-1].astype(np.float32))

    def test_an_uncompressed_slice_is_read_without_the_others(self, tmp_path, voxels):
        volume = open_volume(write_nifti(tmp_path / "v.nii", voxels), MOST)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(volume), "whole", lambda self: pytest.fail("it was decoded whole"))
            SliceReader(0)(slices_of(volume, "axial")[0])

    def test_a_compressed_volume_is_decoded_once(self, tmp_path, voxels, monkeypatch):
        volume, calls = open_volume(write_nifti(tmp_path / "v.nii.gz", voxels), MOST), []
        whole = type(volume).whole
        monkeypatch.setattr(type(volume), "whole", lambda self: (calls.append(self.path), whole(self))[1])
        read = SliceReader(0)  # no room: the last volume stays
        for slice_ in slices_of(volume, "axial"):
            read(slice_)
        assert len(calls) == 1

    def test_volumes_of_one_pair_do_not_push_each_other_out(self, tmp_path, voxels, monkeypatch):
        volumes = [open_volume(write_nifti(tmp_path / f"{i}.nii.gz", voxels), MOST) for i in range(3)]
        calls, whole = [], type(volumes[0]).whole
        monkeypatch.setattr(type(volumes[0]), "whole", lambda self: (calls.append(self.path), whole(self))[1])
        read = SliceReader(0, recent=3)
        for row in zip(*(slices_of(volume, "axial") for volume in volumes), strict=True):
            for slice_ in row:
                read(slice_)
        assert len(calls) == 3

    def test_the_other_byte_order_and_nifti_2_are_read(self, tmp_path, voxels):
        image = nibabel.Nifti1Image(voxels, RAS, header=nibabel.Nifti1Header(endianness=">"))
        nibabel.save(image, tmp_path / "big.nii")
        nibabel.save(nibabel.Nifti2Image(voxels, RAS), tmp_path / "two.nii.gz")
        for name in ("big.nii", "two.nii.gz"):
            image = SliceReader(1)(slices_of(open_volume(tmp_path / name, MOST), "axial")[2])
            np.testing.assert_array_equal(image[..., 0], voxels[:, :, 2].T[::-1, ::-1])

    @pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 6, 1)])
    def test_axes_of_length_one_are_left_out(self, tmp_path, shape):
        volume = open_volume(write_nifti(tmp_path / "v.nii", np.ones(shape, np.uint8)), MOST)
        assert volume.shape == (*shape, 1)[:3]


DIRECTIONS = {  # of the rows and of the columns of DICOM images
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "oblique": (0.8, 0.6, 0, 0, 0, -1),
}


class TestDicom:
    @pytest.mark.parametrize("kind", DIRECTIONS)
    def test_the_affine_is_that_of_the_standard(self, tmp_path, rng, kind):
        """PS3.3 C.7.6.2.1.1: P = X i Δi + Y j Δj + S, per file, pixel by pixel; x and y are then negated."""
        write_series(tmp_path / "s", rng.integers(0, 4096, (4, 6, 5)), directions=DIRECTIONS[kind])
        volume = open_volume(tmp_path / "s", MOST)
        assert volume.shape == (5, 6, 4)
        for k, path in enumerate(volume.files):
            data = pydicom.dcmread(path)
            x, y = np.array(data.ImageOrientationPatient[:3]), np.array(data.ImageOrientationPatient[3:])
            for i, j in ((0, 0), (4, 0), (0, 5), (3, 2)):
                place = np.array(data.ImagePositionPatient, float)
                place = place + x * i * float(data.PixelSpacing[1]) + y * j * float(data.PixelSpacing[0])
                by_affine = volume.affine @ [i, j, k, 1]
                np.testing.assert_allclose(by_affine[:3], place * [-1, -1, 1], atol=1e-9)

    def test_slices_are_in_the_order_of_their_places(self, tmp_path, rng):
        pixels = rng.integers(0, 4096, (6, 4, 5))
        paths = write_series(tmp_path / "s", pixels)
        assert [path.name for path in paths] != sorted(path.name for path in paths)
        assert list(open_volume(tmp_path / "s", MOST).files) == paths

    def test_an_axial_image_is_that_of_the_file_rescaled(self, tmp_path, rng):
        pixels = rng.integers(0, 4096, (3, 4, 5))
        write_series(tmp_path / "s", pixels)
        read = SliceReader(1)
        for index, slice_ in enumerate(slices_of(open_volume(tmp_path / "s", MOST), "axial")):
            np.testing.assert_array_equal(read(slice_)[..., 0], pixels[index] * 2.0 - 1024)

    def test_slices_across_the_files_are_cut_from_all(self, tmp_path, rng):
        pixels = rng.integers(0, 4096, (3, 4, 5))
        write_series(tmp_path / "s", pixels)
        slice_ = slices_of(open_volume(tmp_path / "s", MOST), "coronal")[1]
        expected = (pixels[:, 1] * 2.0 - 1024)[::-1]  # the head is above, the patient's right on the left
        np.testing.assert_array_equal(SliceReader(1)(slice_)[..., 0], expected)

    def test_monochrome1_is_inverted(self, tmp_path):
        pixels = np.arange(12).reshape(1, 3, 4) * 300
        write_series(tmp_path / "u", pixels, PhotometricInterpretation="MONOCHROME1")
        image = SliceReader(1)(slices_of(open_volume(tmp_path / "u", MOST), "axial")[0])
        np.testing.assert_array_equal(image[..., 0], (4095 - pixels[0]) * 2.0 - 1024)

    def test_files_without_endings_are_known_by_their_bytes(self, tmp_path, rng):
        pixels = rng.integers(0, 4096, (2, 4, 5))
        write_series(tmp_path / "in" / "p.1", pixels, names=["IM1", "1.2.840.7"])
        (tmp_path / "in" / "p.1" / "README").write_text("no DICOM")
        (tmp_path / "in" / "p.1" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
        (found,) = list_images(tmp_path / "in", volumes=True)
        assert (found, stem_of(found, tmp_path / "in")) == (tmp_path / "in" / "p.1", "p.1")
        assert open_volume(found, MOST).shape == (5, 4, 2)
        assert list_images(tmp_path / "in") == []

    def test_run_length_encoding_is_read(self, tmp_path, rng):
        pixels = rng.integers(0, 4096, (1, 4, 5))
        (path,) = write_series(tmp_path / "s", pixels)
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.save_as(path)
        image = SliceReader(1)(slices_of(open_volume(tmp_path / "s", MOST), "axial")[0])
        np.testing.assert_array_equal(image[..., 0], pixels[0] * 2.0 - 1024)


class TestPairs:
    def test_of_volumes_are_pairs_of_slices(self, patients):
        source = open_source(config(patients, held_out_fraction=0), "train", 0)
        assert len(source) == 20
        assert list(source.names)[:6] == ["p1#z000", "p1#z001", "p1#z002", "p1#z003", "p1#z004", "p2#z000"]
        image, target = source.read(7)
        assert image.shape == target.shape == (10, 9, 1)
        assert image.dtype == target.dtype == np.float32
        np.testing.assert_array_equal(image + target, 4000)
        assert source.files(7) == (patients / "input" / "p2.nii.gz", patients / "target" / "p2.nii")

    @pytest.mark.parametrize("rule", ["hash", "rank"])
    @pytest.mark.parametrize("group", [None, "*#", "p*#"])
    def test_slices_of_a_volume_stay_in_one_split(self, patients, rule, group):
        data = config(patients, split_rule=rule, held_out_fraction=0.5, group=group)
        sides = [{name[:2] for name in open_source(data, split, 3).names} for split in ("train", "val")]
        assert sides[0] | sides[1] == {"p1", "p2", "p3", "p4"}
        assert not sides[0] & sides[1]
        assert all(sides)

    def test_folds_hold_out_whole_volumes(self, patients):
        held_out = [
            {name[:2] for name in open_source(config(patients, folds=2, fold=fold), "val", 0).names} for fold in (1, 2)
        ]
        assert sorted(map(len, held_out)) == [2, 2]

    def test_a_table_names_volumes_and_their_patients(self, patients):
        rows = [f"input/p{i}.nii.gz,target/p{i}.nii,{'ab'[i > 2]}" for i in (1, 2, 3, 4)]
        (patients / "pairs.csv").write_text(
            "\n".join(["input,target,patient", *rows, "input/p1.nii.gz,target/p1.nii,a"])
        )
        data = config(patients / "pairs.csv", source="table", group="patient", held_out_fraction=0.5)
        train, val = (open_source(data, split, 0) for split in ("train", "val"))
        assert {*train.groups} | {*val.groups} == {"a", "b"}
        assert not {*train.groups} & {*val.groups}
        names = {*train.names, *val.names}
        assert len(names) == 25
        assert "p1#2#z004" in names

    def test_divided_folders_are_read(self, patients, tmp_path):
        for split, names in (("train", ("p1", "p2")), ("val", ("p3",))):
            for side, ending in (("input", ".nii.gz"), ("target", ".nii")):
                for name in names:
                    to = tmp_path / "divided" / split / side / f"{name}{ending}"
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes((patients / side / f"{name}{ending}").read_bytes())
        counts = [len(open_source(config(tmp_path / "divided"), split, 0)) for split in ("train", "val", "test")]
        assert counts == [10, 5, 0]

    def test_neighbours_are_channels_of_the_input_alone(self, patients):
        data = config(patients, neighbour_slices=2, input_channels=5, held_out_fraction=0)
        image, target = open_source(data, "train", 0).read(0)
        assert (image.shape[-1], target.shape[-1]) == (5, 1)

    def test_parts_are_volumes_with_channels_of_their_own(self, patients, rng):
        for name in ("p1", "p2", "p3", "p4"):
            write_nifti(patients / "mask" / f"{name}.nii", rng.integers(0, 3, (9, 10, 5)).astype(np.uint8))
        parts = [
            {"name": "t1", "folder": "input", "range": [0, 4000]},
            {"name": "mask", "kind": "labels", "classes": 3},
        ]
        given = {"inputs": parts, "neighbour_slices": 1, "input_range": None, "held_out_fraction": 0}
        data = DataConfig.model_validate({**config(patients).model_dump(exclude={"input_channels"}), **given})
        assert data.input_channels == 4
        image, _ = open_source(data, "train", 0).read(2)
        mask = nibabel.load(patients / "mask" / "p1.nii").get_fdata()[:, :, 2].T[::-1, ::-1]
        t1 = nibabel.load(patients / "input" / "p1.nii.gz").get_fdata()
        np.testing.assert_array_equal(image[..., 3] * 255, mask)
        for channel in range(3):
            np.testing.assert_allclose(image[..., channel], t1[:, :, channel + 1].T[::-1, ::-1] / 4000, atol=1e-6)

    def test_masks_are_label_maps_and_weights(self, patients, rng):
        for name in ("p1", "p2", "p3", "p4"):
            write_nifti(patients / "seg" / f"{name}.nii", rng.integers(0, 4, (9, 10, 5)).astype(np.float32))
            write_nifti(patients / "brain" / f"{name}.nii.gz", rng.integers(0, 2, (9, 10, 5)).astype(np.int16))
        changes = {"target_folder": "seg", "target_classes": 4, "target_range": None, "weight": "brain"}
        data = decided(config(patients, held_out_fraction=0, **changes), 0)
        _, target, weight = open_source(data, "train", 0).whole(9)
        seg, brain = (nibabel.load(patients / name).get_fdata()[:, :, 4].T[::-1, ::-1]
                      for name in ("seg/p2.nii", "brain/p2.nii.gz"))  # fmt: skip
        np.testing.assert_array_equal(target[..., 0], seg)
        np.testing.assert_array_equal(weight[..., 0], brain)
        assert (target.dtype, weight.dtype) == (np.uint8, np.float32)

    def test_percentiles_are_measured(self, patients):
        data = config(patients, input_range=None, input_percentiles=[0, 100], held_out_fraction=0)
        read = [nibabel.load(path).get_fdata() for path in sorted((patients / "input").iterdir())]
        assert decided(data, 0).input_range == (min(map(np.min, read)), max(map(np.max, read)))

    def test_fingerprints_are_of_every_slice(self, patients):
        before = fingerprints(open_source(config(patients, held_out_fraction=0), "train", 0))
        assert set(before) >= {"p1#z000", "p4#z004"}
        write_nifti(patients / "input" / "p2.nii.gz", np.zeros((9, 10, 5), np.int16))
        now = fingerprints(open_source(config(patients, held_out_fraction=0), "train", 0))
        assert {name[:2] for name in before if before[name] != now[name]} == {"p2"}

    def test_fingerprints_of_series_are_of_their_files(self, tmp_path, rng):
        for side in ("input", "target"):
            write_series(tmp_path / side / "p1", rng.integers(0, 4096, (3, 9, 8)))
        data = config(tmp_path, held_out_fraction=0)
        before = fingerprints(open_source(data, "train", 0))
        assert all(before.values())
        write_series(tmp_path / "input" / "p1", rng.integers(0, 4096, (3, 9, 8)))
        assert before != fingerprints(open_source(data, "train", 0))


class TestDoctor:
    def test_names_slices_and_counts_empty_ones(self, tmp_path, rng):
        for name in ("a", "b"):
            voxels = rng.integers(0, 4000, (32, 24, 6)).astype(np.int16)
            voxels[..., [0, 5]] = 0
            write_nifti(tmp_path / "input" / f"{name}.nii", voxels)
            write_nifti(tmp_path / "target" / f"{name}.nii", voxels[::-1].copy())
        write_nifti(tmp_path / "target" / "b.nii", voxels, RAS + np.eye(4))
        result = examine(config(tmp_path, input_range=[0, 4000], target_range=[0, 4000]))
        assert {finding.kind for finding in result.findings} == {"size"}
        assert "differ by 1 mm" in result.findings[0].message
        assert any(note.startswith("2 of 6 slices have a side of nearly one colour") for note in result.notes)
        assert sum(result.pairs.values()) == 6
        assert result.sizes["input"] == {"32x24 px, 6 slices": 1}
        assert result.channels["input"] == {"gray, 16 bits": 1}

    def test_slices_that_only_look_alike_are_no_leak(self, tmp_path, rng):
        y, x = np.mgrid[:48, :40]
        head = np.hypot(y - 24, x - 20)[..., np.newaxis] * np.linspace(40, 60, 6)
        for index in range(2):
            for split in ("train", "val"):
                voxels = (head + rng.normal(0, 9, head.shape) + index * (split == "val")).clip(0, 3999)
                write_nifti(tmp_path / split / "input" / f"{split}{index}.nii", voxels.astype(np.int16))
                write_nifti(tmp_path / split / "target" / f"{split}{index}.nii", (4000 - voxels).astype(np.int16))
        data = config(tmp_path, input_range=[0, 4000], target_range=[0, 4000])
        assert [finding.kind for finding in examine(data).findings] == []
        for side in ("input", "target"):
            shutil.copy(tmp_path / "train" / side / "train0.nii", tmp_path / "val" / side / "again.nii")
        leaks = [finding for finding in examine(data).findings if finding.kind == "leak"]
        assert leaks[0].names == ("train/train0#z000", "val/again#z000")
        assert len(leaks) == 6

    def test_leaves_no_slice_of_a_series_unread(self, tmp_path, rng):
        for side in ("input", "target"):
            write_series(tmp_path / side / "p1", rng.integers(0, 4096, (3, 9, 8)))
        assert not any("not read" in note for note in examine(config(tmp_path)).notes)


def refusal_of(path) -> str:
    """The message of what is refused of a volume, or its path if its first slice is read."""
    try:
        image = place_reader(config(path.parent))(slices_of(open_volume(path, MOST), "axial")[0])
    except UserError as error:
        return str(error)
    assert image.dtype == np.float32
    return str(path)


class TestRefusals:
    def refused(self, path, most: float = MOST) -> str:
        def read_first() -> None:
            volume = open_volume(path, most)
            place_reader(config(path.parent, max_megapixels=most))(slices_of(volume, "axial")[0])

        with pytest.raises(UserError) as caught:
            read_first()
        message = str(caught.value)
        assert str(path) in message
        return message

    def test_an_affine_that_differs_names_both_files(self, tmp_path, voxels):
        other = RAS.copy()
        other[0, 3] += 0.25
        a, b = (write_nifti(tmp_path / f"{i}.nii", voxels, affine) for i, affine in enumerate((RAS, other)))
        volumes = [open_volume(path, MOST) for path in (a, b)]
        with pytest.raises(UserError, match=r"0\.nii and .*1\.nii, whose affines differ by 0\.25 mm"):
            check_one_geometry(volumes)
        check_one_geometry([volumes[0], volumes[0]])

    def test_affines_within_a_micrometre_are_equal(self, tmp_path, voxels):
        paths = [write_nifti(tmp_path / f"{add}.nii", voxels, RAS + add) for add in (0, 0.0009)]
        affines = [np.vstack([RAS[:3] + add, RAS[3]]) for add in (0, 0.0009)]
        paths = [write_nifti(path, voxels, affine) for path, affine in zip(paths, affines, strict=True)]
        check_one_geometry([open_volume(path, MOST) for path in paths])

    def test_another_shape(self, tmp_path, voxels):
        paths = [write_nifti(tmp_path / "a.nii", voxels), write_nifti(tmp_path / "b.nii", voxels[:, :, :4])]
        with pytest.raises(UserError, match=r"5x6x7 in .*a\.nii and 5x6x4 in .*b\.nii"):
            check_one_geometry([open_volume(path, MOST) for path in paths])

    def test_several_volumes_in_one_file(self, tmp_path):
        path = write_nifti(tmp_path / "bold.nii.gz", np.zeros((4, 5, 6, 7), np.int16))
        assert "has 4 dimensions (4x5x6x7): split it" in self.refused(path)

    @pytest.mark.parametrize("cut", [100, 400, -3])
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_a_truncated_file(self, tmp_path, rng, cut, ending):
        path = write_nifti(tmp_path / f"v{ending}", rng.integers(0, 4000, (20, 20, 20)).astype(np.int16))
        path.write_bytes(path.read_bytes()[:cut])
        message = self.refused(path)
        assert "ends too soon" in message or "not a NIfTI" in message

    def test_a_damaged_byte_of_a_compressed_file(self, tmp_path, rng):
        path = write_nifti(tmp_path / "v.nii.gz", rng.integers(0, 4000, (20, 20, 20)).astype(np.int16))
        content = bytearray(path.read_bytes())
        content[-6] ^= 255  # of the checksum
        path.write_bytes(content)
        assert "CRC check failed" in self.refused(path)

    def test_an_empty_file_and_another_format(self, tmp_path):
        (tmp_path / "e.nii").write_bytes(b"")
        (tmp_path / "t.nii.gz").write_bytes(gzip.compress(b"a text" * 200))
        assert "it is empty" in self.refused(tmp_path / "e.nii")
        assert "is not a NIfTI file" in self.refused(tmp_path / "t.nii.gz")

    def header(self, shape, dtype=np.uint8) -> bytes:
        header = nibabel.Nifti1Header()
        header.set_data_shape(shape)
        header.set_data_dtype(dtype)
        header["vox_offset"], header["magic"] = 352, b"n+1"
        return header.binaryblock + bytes(4)

    def test_a_header_that_claims_too_much_takes_no_memory(self, tmp_path):
        claims = self.header((30000, 30000, 30000))
        (tmp_path / "v.nii").write_bytes(claims)
        (tmp_path / "v.nii.gz").write_bytes(gzip.compress(claims))
        for name in ("v.nii", "v.nii.gz"):
            message = self.refused(tmp_path / name)
            assert "30000x30000 px" in message
            assert "`data.max_megapixels` to 900" in message

    def test_a_compressed_volume_has_four_voxels_a_pixel_that_is_allowed(self, tmp_path):
        path = tmp_path / "v.nii.gz"
        path.write_bytes(gzip.compress(self.header((100, 100, 401)) + bytes(4_010_000)))
        message = self.refused(path, most=1)
        assert "decoded whole" in message
        assert "`data.max_megapixels` to 2" in message

    def test_a_claim_that_no_compression_reaches(self, tmp_path):
        path = tmp_path / "v.nii.gz"
        path.write_bytes(gzip.compress(self.header((1000, 1000, 500))))
        assert "more than its" in self.refused(path)

    def test_a_bomb_is_unpacked_as_far_as_its_header_claims(self, tmp_path):
        path = tmp_path / "v.nii.gz"
        path.write_bytes(gzip.compress(self.header((10, 10, 10)) + bytes(50_000_000)))
        read = []
        with pytest.MonkeyPatch.context() as patch:
            readinto, one = gzip.GzipFile.readinto, gzip.GzipFile.read
            patch.setattr(gzip.GzipFile, "read", lambda file, size=-1: (read.append(size), one(file, size))[1])
            patch.setattr(gzip.GzipFile, "readinto", lambda file, b: (read.append(len(b)), readinto(file, b))[1])
            assert open_volume(path, MOST).whole().shape == (10, 10, 10)
        assert 0 < sum(read) < 5000

    @pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
    def test_values_that_are_no_numbers(self, tmp_path, dtype):
        path = tmp_path / "v.nii"
        path.write_bytes(self.header((4, 4, 4), dtype) + bytes(1000))
        assert "holds values of the type" in self.refused(path)

    def test_an_affine_without_a_direction(self, tmp_path, voxels):
        path = write_nifti(tmp_path / "v.nii", voxels)
        content = bytearray(path.read_bytes())
        content[280:296] = bytes(16)  # srow_x
        path.write_bytes(content)
        assert "cannot be inverted" in self.refused(path)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
    def test_damaged_headers_are_one_sentence(self, tmp_path, changes, packed):
        """Whatever bytes of the header are wrong: the file is read, or refused."""
        content = bytearray(self.header((4, 5, 6), np.int16) + bytes(240))
        for place, value in changes:
            content[place] = value
        path = tmp_path / ("v.nii.gz" if packed else "v.nii")
        path.write_bytes(gzip.compress(content) if packed else content)
        assert str(path) in refusal_of(path)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
    def test_damaged_dicom_is_one_sentence(self, tmp_path, changes, cut):
        (path,) = write_series(tmp_path / "s", np.ones((1, 4, 5), int))
        content = bytearray(path.read_bytes())
        for place, value in changes:
            content[132 + int(place * (len(content) - 133))] = value
        path.write_bytes(content[: int(changes[0][0] * len(content))] if cut else content)
        assert str(tmp_path / "s") in refusal_of(tmp_path / "s")

    def test_several_series_are_listed(self, tmp_path, rng):
        write_series(tmp_path / "s", rng.integers(0, 9, (3, 4, 5)), series="1.1", description="T1")
        names = ["x1.dcm", "x2.dcm"]
        write_series(tmp_path / "s", rng.integers(0, 9, (2, 4, 5)), series="1.2", description="T2", names=names)
        message = self.refused(tmp_path / "s")
        assert "holds 2 series: T1 (3 files, 1.1) and T2 (2 files, 1.2)" in message
        assert message.endswith(
            "Put the files of each series into a folder of their own, and give the folder of the one that you mean."
        )

    def test_a_missing_slice(self, tmp_path, rng):
        paths = write_series(tmp_path / "s", rng.integers(0, 9, (6, 4, 5)))
        paths[3].unlink()
        message = self.refused(tmp_path / "s")
        assert f"5 mm between {paths[2].name} and {paths[4].name}, but 2.5 mm between most" in message
        assert "where 1 seems to be missing" in message

    def test_two_slices_at_one_place(self, tmp_path, rng):
        write_series(tmp_path / "s", rng.integers(0, 9, (3, 4, 5)))
        write_series(tmp_path / "s", rng.integers(0, 9, (1, 4, 5)), names=["again.dcm"])
        assert "two slices at one place" in self.refused(tmp_path / "s")

    def test_slices_that_are_not_parallel_or_of_one_size(self, tmp_path, rng):
        for name, change in (("t", {"directions": (0, 1, 0, 0, 0, -1)}), ("z", {"spacing_mm": (1.0, 1.0)})):
            write_series(tmp_path / name, rng.integers(0, 9, (3, 4, 5)))
            write_series(tmp_path / name, rng.integers(0, 9, (1, 4, 5)), names=["other.dcm"], **change)
        assert "not parallel" in self.refused(tmp_path / "t")
        assert "several sizes" in self.refused(tmp_path / "z")

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "in colour (RGB)"),
            ({"NumberOfFrames": 4}, "many frames in one file"),
            ({"ImagePositionPatient": None}, "without ImagePositionPatient"),
            ({"Rows": 20000, "Columns": 20000}, "20000x20000 px"),
            ({"PixelData": b"12345678"}, "cannot be read: IM0000.dcm"),
        ],
    )
    def test_dicom_that_is_no_gray_slice(self, tmp_path, tags, words):
        write_series(tmp_path / "s", np.zeros((1, 4, 5), int), **tags)
        assert words in self.refused(tmp_path / "s")

    @pytest.mark.parametrize("syntax", ["JPEGLSLossless", "HTJ2KLossless"])
    def test_a_compression_without_a_decoder(self, tmp_path, syntax):
        (path,) = write_series(tmp_path / "s", np.zeros((1, 4, 5), int))
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = uid = getattr(pydicom.uid, syntax)
        data.PixelData = pydicom.encaps.encapsulate([b"1234"])
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
        if pydicom.pixels.get_decoder(uid).is_available:
            pytest.skip("a decoder is installed")
        message = self.refused(tmp_path / "s")
        assert f"compressed as {uid.name}" in message
        assert "pip install pylibjpeg" in message

    def test_a_deflated_header_is_not_unpacked(self, tmp_path):
        (path,) = write_series(tmp_path / "s", np.zeros((1, 4, 5), int))
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        data.save_as(path)
        assert "is deflated" in self.refused(tmp_path / "s")

    def test_a_damaged_dicom_file(self, tmp_path, rng):
        paths = write_series(tmp_path / "s", rng.integers(0, 9, (3, 4, 5)))
        paths[1].write_bytes(b"no DICOM at all" * 20)
        assert paths[1].name in self.refused(tmp_path / "s")

    @pytest.mark.parametrize("module", ["nibabel", "pydicom"])
    def test_a_missing_package_is_named(self, tmp_path, voxels, monkeypatch, module):
        path = write_nifti(tmp_path / "v.nii", voxels)
        write_series(tmp_path / "s", np.zeros((1, 4, 5), int))
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UserError, match=rf"no module {module}\. Install them with pip install 'tfpix2pix\[medical"):
            open_volume(path if module == "nibabel" else tmp_path / "s", MOST)

    def test_pairs_of_a_volume_and_an_image(self, patients):
        (patients / "target" / "p1.nii").rename(patients / "target" / "p1.png")
        with pytest.raises(UserError, match="either volumes or images"):
            open_source(config(patients), "train", 0)
        source = open_source(config(patients, on_error="skip", held_out_fraction=0), "train", 0)
        assert len(source) == 15
        assert source.skipped[0].where == str(patients / "input" / "p1.nii.gz")

    def test_neighbours_of_images(self, combined_dir, tmp_path):
        files = {"a": (combined_dir / "train" / "0.png", combined_dir / "train" / "1.png")}
        result = sliced(files, config(tmp_path, neighbour_slices=1, input_channels=3))
        assert "`data.neighbour_slices` must go with volumes" in result.faults[0].message

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"input_channels": 3}, "`data.input_channels` must be left out or 5"),
            ({"source": "combined"}, "`data.source` must be folders or table"),
            ({"input_classes": 3}, "`data.input_classes` must be null"),
            ({"inputs": [{"name": "t1", "channels": 1}]}, "must be images of 5 channels"),
        ],
    )
    def test_settings_that_do_not_go_with_neighbours(self, changes, words):
        with pytest.raises(ValueError, match=words):
            DataConfig.model_validate({"source": "folders", "neighbour_slices": 2, **changes})

    def test_shards_of_volumes(self, patients, tmp_path):
        with pytest.raises(UserError, match=r"Shards must be made from images\. Received the volume .*p1\.nii\.gz"):
            write_shards(config(patients), str(tmp_path / "shards"))


@pytest.mark.parametrize("inputs", [None, ["t1", {"name": "seg", "kind": "labels", "classes": 3}]])
def test_pictures_show_the_slice_between_its_neighbours(inputs):
    data = DataConfig.model_validate({"source": "folders", "neighbour_slices": 2, "inputs": inputs})
    image = np.linspace(-1, 1, 6, dtype=np.float32)[: data.input_channels] * np.ones((4, 3, 1), np.float32)
    picture = pictures_of(data)[0](image)
    np.testing.assert_array_equal(picture, np.full((4, 3, 3), round((image[0, 0, 2] + 1) * 127.5), np.uint8))


def test_channels_follow_from_the_neighbours():
    data = DataConfig.model_validate({"source": "folders", "neighbour_slices": 2})
    assert data.input_channels == 5
    parts = ["t1", {"name": "t2"}, {"name": "seg", "kind": "labels", "classes": 4}]
    data = DataConfig.model_validate({"source": "folders", "neighbour_slices": 1, "inputs": parts})
    assert [part.stacked_channels for part in data.inputs] == [3, 3, 1]
    assert DataConfig.model_validate(data.model_dump()) == data
