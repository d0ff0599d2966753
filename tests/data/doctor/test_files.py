"""Files that are missing, cannot be read, or are not like the others."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tests.conftest import write_image
from tests.data.doctor.helpers import SIZE_PX, combine, config_of, examined, make_set, scene, told
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.doctor.headers import header
from tfpix2pix.data.images import write_image as write_deep
from tfpix2pix.errors import UserError


def make_folders(folder, count=6, first=0):
    for seed in range(first, first + count):
        photo, drawing = scene(seed)
        write_image(folder / "input" / f"{seed}.png", photo)
        write_image(folder / "target" / f"{seed}.png", drawing)
    return folder


def test_a_good_set_has_no_findings(tmp_path):
    result = examined(make_set(tmp_path))
    assert result.findings == () and result.exit_code == 0
    assert result.pairs == {"train": 8, "val": 4, "test": 0}
    assert result.sizes == {"image": {"128x64 px": 12}} and result.channels == {"image": {"RGB, 8 bits": 12}}
    assert result.verdict == "12 pairs, no faults found"


def test_no_pairs_at_all_is_the_sources_error(tmp_path):
    with pytest.raises(UserError, match="must hold images"):
        examined(tmp_path)
    with pytest.raises(UserError, match="`data.dir` must be an existing folder"):
        examined(tmp_path / "nowhere")


class TestPairing:
    def test_a_missing_partner_is_told_once_of_all_splits(self, tmp_path):
        make_folders(tmp_path)
        (tmp_path / "target" / "2.png").rename(tmp_path / "target" / "zwei.png")
        result = examined(tmp_path, source="folders")
        assert told(result) == [("partner", "", ("2.png",)), ("partner", "", ("zwei.png",))]
        assert result.findings[0].files == (str(tmp_path / "input" / "2.png"),)
        assert "Received '2' without one" in result.findings[0].message
        assert sum(result.pairs.values()) == 5 and result.exit_code == 3

    def test_in_divided_folders_it_is_of_its_split(self, tmp_path):
        make_folders(tmp_path / "train")
        make_folders(tmp_path / "val", count=2, first=100)
        (tmp_path / "val" / "input" / "101.png").unlink()
        assert told(examined(tmp_path, source="folders")) == [("partner", "val", ("101.png",))]

    def test_two_files_of_one_name(self, tmp_path):
        make_folders(tmp_path)
        write_image(tmp_path / "input" / "3.bmp", scene(3)[0])
        assert [finding[0] for finding in told(examined(tmp_path, source="folders"))] == ["repeated"]

    def test_lines_of_a_table(self, tmp_path):
        make_folders(tmp_path)
        lines = [
            "input,target",
            *(f"input/{seed}.png,target/{seed}.png" for seed in range(6)),
            "input/0.png,nowhere.png",
        ]
        (tmp_path / "pairs.csv").write_text("\n".join(lines))
        result = examined(tmp_path / "pairs.csv", source="table")
        assert told(result) == [("missing", "", ("pairs.csv:8",))]
        assert result.sizes == {"input": {"64x64 px": 6}, "target": {"64x64 px": 6}}


class TestReading:
    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda path: path.write_text("no image"), "not in a supported format"),
            (lambda path: path.write_bytes(b""), "it is empty"),
            (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "truncated"),
        ],
    )
    def test_files_that_cannot_be_read(self, tmp_path, spoil, reason):
        spoil(make_set(tmp_path) / "train" / "3.png")
        result = examined(tmp_path)
        assert told(result) == [("unreadable", "train", ("3",))]
        assert reason in result.findings[0].message
        assert result.findings[0].files == (str(tmp_path / "train" / "3.png"),)

    @pytest.mark.filterwarnings("error")
    def test_an_image_of_too_many_pixels_is_a_finding(self, tmp_path, monkeypatch):
        make_set(tmp_path)
        write_image(tmp_path / "val" / "large.png", np.zeros((SIZE_PX, 4 * SIZE_PX, 3), np.uint8))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit
        result = examined(tmp_path, max_megapixels=2 * SIZE_PX * SIZE_PX / 1e6)
        assert told(result) == [("large", "val", ("large",))]
        assert result.findings[0].advice.startswith("Raise `data.max_megapixels`")
        assert "`data.max_megapixels`" in result.findings[0].message

    @pytest.mark.parametrize(
        ("image", "data", "kind"),
        [
            (np.zeros((SIZE_PX, 2 * SIZE_PX + 1, 3), np.uint8), {}, "size"),
            (np.zeros((4, 8, 3), np.uint8), {}, "size"),
            (np.zeros((SIZE_PX, 2 * SIZE_PX, 4), np.uint8), {}, "channels"),
            (combine(*scene(0)), {"input_range": (0, 100)}, "range"),
        ],
    )
    def test_pairs_that_do_not_fit(self, tmp_path, image, data, kind):
        make_set(tmp_path)
        write_image(tmp_path / "train" / "odd.png", image)
        findings = [finding for finding in told(examined(tmp_path, **data)) if finding[2] == ("odd",)]
        assert findings == [(kind, "train", ("odd",))]

    def test_values_that_are_not_finite_are_to_be_replaced(self, tmp_path):
        for seed in range(2):
            for side, image in zip(("input", "target"), scene(seed), strict=True):
                values = (image / 255).astype(np.float32)
                values[0, seed] = [np.inf, np.nan][seed]
                (tmp_path / side).mkdir(exist_ok=True)
                np.save(tmp_path / side / f"{seed}.npy", values if side == "input" else image)
        result = examined(tmp_path, source="folders", held_out_fraction=0)
        assert result.kinds == {"finite": 2}
        assert result.findings[0].advice == (
            "Write numbers in place of NaN and infinity, or remove the file. If NaN stands for no data, set "
            "`data.weight` to {nodata: nan}."
        )

    def test_label_maps_of_a_class_too_many(self, tmp_path):
        make_folders(tmp_path)
        for seed in range(6):
            indices = np.random.default_rng(seed).integers(0, 5 if seed == 4 else 3, (8, 8)).repeat(8, 0).repeat(8, 1)
            write_image(tmp_path / "target" / f"{seed}.png", indices.astype(np.uint8)[..., np.newaxis])
        result = examined(tmp_path, source="folders", target_classes=3, held_out_fraction=0)
        assert told(result) == [("classes", "train", ("4",))]
        assert "number of classes" in result.findings[0].advice


class TestOutliers:
    def test_a_file_of_another_size(self, tmp_path):
        make_set(tmp_path, train=20)
        write_image(tmp_path / "train" / "7.png", combine(*scene(7, size_px=48)))
        result = examined(tmp_path)
        assert told(result) == [("size", "train", ("7",))]
        assert "is 96x48 px; 23 of 24 are 128x64 px" in result.findings[0].message

    @pytest.mark.parametrize("mode", ["L", "P"])
    def test_a_file_of_other_channels(self, tmp_path, mode):
        path = make_set(tmp_path) / "val" / "101.png"
        Image.open(path).convert(mode).save(path)
        assert told(examined(tmp_path)) == [("channels", "val", ("101",))]

    def test_roles_have_their_own_kind(self, tmp_path):
        """Gray targets of another size beside colour inputs are no fault; one gray input is."""
        for seed in range(6):
            photo, drawing = scene(seed)
            write_image(tmp_path / "input" / f"{seed}.png", photo[..., :1] if seed == 2 else photo)
            write_image(tmp_path / "target" / f"{seed}.png", drawing[..., 1:2].repeat(2, 0).repeat(2, 1))
        result = examined(tmp_path, source="folders", held_out_fraction=0)
        assert told(result) == [("channels", "train", ("2",))]
        assert result.sizes["target"] == {"128x128 px": 6}

    @pytest.mark.parametrize(("total", "others", "findings"), [(4, 1, 0), (5, 1, 1), (8, 2, 0), (39, 2, 0), (40, 2, 2)])
    def test_how_many_may_differ(self, tmp_path, total, others, findings):
        for seed in range(total):
            write_image(tmp_path / f"{seed}.png", combine(*scene(seed, size_px=40 if seed < others else 32)))
        result = examined(tmp_path, held_out_fraction=0)
        assert result.kinds == ({"size": findings} if findings else {})


@pytest.mark.parametrize(
    ("dtype", "channels", "said"),
    [
        (np.uint8, 1, "gray, 8 bits"),
        (np.uint8, 4, "RGBA, 8 bits"),
        (np.uint16, 1, "gray, 16 bits"),
        (np.uint16, 3, "RGB, 16 bits"),
        (np.uint16, 5, "5 channels, 16 bits"),
        (np.float32, 5, "5 channels, float"),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_headers_of_deep_files(tmp_path, dtype, channels, said, suffix):
    image, path = np.zeros((9, 7, channels), dtype), tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, image)
    else:
        write_deep(path, image)
    assert header(path)[:2] == ("7x9 px", said)


def test_the_header_of_planes_one_after_the_other(tmp_path):
    image = np.zeros((5, 9, 7), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="separate")
    assert header(tmp_path / "a.tif")[:2] == ("7x9 px", "5 channels, 16 bits")


@pytest.mark.parametrize(
    ("dtype", "said"),
    [(bool, "black and white, 1 bit"), (np.uint8, "gray, 8 bits"), (np.uint16, "gray, 16 bits"), (np.float32, None)],
)
@pytest.mark.parametrize("pages", [1, 3])
def test_headers_say_that_a_tiff_is_read_as_its_negative(tmp_path, dtype, said, pages):
    """Other programs may show what is stored. Floats are read as they are stored."""
    image = np.zeros((9, 7) if pages == 1 else (pages, 9, 7), dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    kind = header(tmp_path / "a.tif").channels
    assert kind.endswith(", WhiteIsZero") == (said is not None)
    assert pages == 3 or kind == (f"{said}, WhiteIsZero" if said else "gray, float")


def test_headers_say_16_bits_of_a_png_and_the_upright_size(tmp_path):
    write_deep(tmp_path / "deep.png", np.zeros((9, 7, 3), np.uint16))
    assert header(tmp_path / "deep.png")[:2] == ("7x9 px", "RGB, 16 bits")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert header(tmp_path / "turned.jpg").size == "10x20 px"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "nothing.png"])
def test_no_header(tmp_path, name):
    if name[0] == "a":
        (tmp_path / name).write_bytes(b"not")
    assert header(tmp_path / name) is None


@pytest.mark.parametrize(
    ("dtype", "channels", "data"),
    [
        (np.uint16, 3, {}),
        (np.float32, 5, {"input_range": (-2, 2), "target_range": (-2, 2)}),
        (np.uint8, 1, {}),
    ],
)
def test_data_of_any_kind_are_looked_at(tmp_path, dtype, channels, data):
    """5 channels of floats, or 16 bits: examined like pictures, nothing found."""
    for seed in range(6):
        for side, image in zip(("input", "target"), scene(seed), strict=True):
            wide = np.resize(image.astype(np.float64).transpose(2, 0, 1), (channels, *image.shape[:2]))
            wide = np.moveaxis(wide, 0, -1) / 255
            wide = wide * 3 - 1.5 if np.dtype(dtype).kind == "f" else wide * np.iinfo(dtype).max
            (tmp_path / side).mkdir(exist_ok=True)
            np.save(tmp_path / side / f"{seed}.npy", wide.astype(dtype))
    sizes = {"input_channels": channels, "target_channels": channels}
    result = examine(config_of(tmp_path, source="folders", held_out_fraction=0.2, **sizes, **data).data)
    assert result.findings == ()
    assert sum(result.pairs.values()) == 6


def test_colour_profiles_are_noted_unless_they_are_srgb(tmp_path):
    """Of ICC profiles, Lab's here stands for a camera's own."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    for index, kind in enumerate(("LAB", "sRGB", None)):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes() if kind else None
        Image.fromarray(np.roll(pixels, index, axis=0)).save(tmp_path / f"{index}.png", icc_profile=profile)
    (note,) = examined(tmp_path).notes
    assert note.startswith("1 of 3 files have a colour profile that is not applied (Lab")
