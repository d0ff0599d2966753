"""On real pairs: nothing is found as they are, and everything that is planted."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests import real_pairs
from tests.data.doctor.helpers import combine, examined, moved, recompressed, told
from tests.real_pairs import SIZE_PX
from tfpix2pix.data.doctor.alignment import LEAST_MARGIN, LEAST_PEAK, LEAST_PX
from tfpix2pix.data.doctor.direction import CLEAR, LEAST_TEXTURE
from tfpix2pix.data.doctor.measure import peak_of, surface, texture
from tfpix2pix.data.images import read_image
from tfpix2pix.data.near_duplicates import MOST_DIFFERENCE, differences, thumbnail

SETS = {"photographs": real_pairs.photographs, "drawings": real_pairs.drawings}  # what is on every machine
SHIFTS = [(8, 0), (0, 8), (-8, 8), (0, -8)]


@pytest.fixture(scope="module", params=SETS)
def real(request, tmp_path_factory):
    """A folder of real pairs, a third of them held out. Read it; do not change it."""
    return write(tmp_path_factory.mktemp(request.param), SETS[request.param]())


@pytest.fixture
def spoilt(real, tmp_path):
    """A copy of `real`, which a test may spoil."""
    return Path(shutil.copytree(real, tmp_path / "pairs"))


def write(folder: Path, pairs: real_pairs.Pairs) -> Path:
    return real_pairs.write(folder, pairs, held_out=len(pairs) // 3)


def halves(path: Path) -> list[np.ndarray]:
    return np.split(read_image(path), 2, axis=1)


def sample(folder: Path, every: int) -> list[list[np.ndarray]]:
    return [halves(path) for path in sorted((folder / "train").iterdir())[::every]]


def save(path: Path, *sides: np.ndarray) -> None:
    Image.fromarray(combine(*sides)).save(path, quality=95)


def displacement(image, target):
    """The peak of a pair, and whether the doctor tells of it."""
    peak = peak_of(surface(image, target))
    return peak, peak.distance >= LEAST_PX and peak.margin >= LEAST_MARGIN and peak.height >= LEAST_PEAK


def share_found(pairs, shifts, within_px: int) -> float:
    """Moves one side of every pair, and gives the share of pairs reported with that shift, to `within_px`."""
    right = []
    for (image, target), (across, down) in zip(pairs, shifts, strict=True):
        for pair, sign in (
            ((moved(image, across, down), target), -1),
            ((image, moved(target, across, down)), 1),
        ):
            peak, is_told = displacement(*pair)
            off_px = max(abs(peak.right - sign * across), abs(peak.down - sign * down))
            right.append(is_told and off_px <= within_px)
    return np.mean(right)


def test_nothing_is_found_as_they_are(real):
    result = examined(real, image_size_px=SIZE_PX)
    assert told(result) == [] and result.exit_code == 0
    assert result.pairs == {split: len(list((real / split).glob("*"))) for split in ("train", "val", "test")}
    assert min(result.pairs["train"], result.pairs["val"]) >= 11


def test_the_direction_is_noted_where_one_side_is_photographs(tmp_path):
    folder = write(tmp_path / "photographs", real_pairs.photographs())
    (note,) = examined(folder, image_size_px=SIZE_PX).notes
    assert "photograph -> drawing" in note and "`--set data.input_side=right`" in note
    (note,) = examined(folder, image_size_px=SIZE_PX, input_side="right").notes
    assert "drawing -> photograph" in note and "`--set data.input_side=left`" in note
    drawings = write(tmp_path / "drawings", real_pairs.drawings())
    assert examined(drawings, image_size_px=SIZE_PX).notes == ()


@pytest.mark.parametrize("name", SETS)
def test_no_displacement_is_near_where_there_is_none(name):
    assert max(displacement(*pair)[0].margin for pair in SETS[name]().values()) < LEAST_MARGIN / 2


@pytest.mark.parametrize("shift", [*SHIFTS, (4, 0), (0, 4)], ids=str)
@pytest.mark.parametrize(("name", "least"), [("photographs", 0.95), ("drawings", 1.0)])
def test_displacements(name, least, shift):
    """The table of data/doctor/measure.py on what is on every machine: either side of every second pair moved."""
    pairs = list(SETS[name]().values())[::2]
    assert share_found(pairs, [shift] * len(pairs), within_px=1) >= least


def test_texture_tells_photographs_from_drawings():
    differences = [texture(photograph) - texture(drawing) for photograph, drawing in real_pairs.photographs().values()]
    assert min(differences) > 2 * LEAST_TEXTURE
    drawings = [texture(colors) - texture(lines) for colors, lines in real_pairs.drawings().values()]
    assert max(np.abs(drawings)) < LEAST_TEXTURE


def test_every_planted_fault_is_found_and_nothing_else(spoilt):
    train, val = spoilt / "train", spoilt / "val"
    displaced, cut, leaked, twice, small = sorted(train.iterdir())[6:11]
    image, target = halves(displaced)
    save(displaced, moved(image, 8, 0), target)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    recompressed(leaked, val / "leaked.jpg", quality=60)
    (train / "twice.jpg").write_bytes(twice.read_bytes())
    Image.open(small).resize((400, 200)).save(small, quality=95)
    result = examined(spoilt, image_size_px=SIZE_PX)
    assert told(result) == [
        ("unreadable", "train", (cut.stem,)),
        ("size", "train", (small.stem,)),
        ("misaligned", "train", (displaced.stem,)),
        ("duplicate", "train", (twice.stem, "twice")),
        ("leak", "", (f"train/{leaked.stem}", "val/leaked")),
    ]
    assert result.exit_code == 3
    assert re.search("about [789] px to the left", result.findings[2].message)


def test_one_pair_the_other_way_round(tmp_path):
    folder = write(tmp_path, real_pairs.photographs())
    swapped = sorted((folder / "train").iterdir())[5]
    save(swapped, *halves(swapped)[::-1])
    assert told(examined(folder, image_size_px=SIZE_PX)) == [("swapped", "train", (swapped.stem,))]


COPIES = {
    "JPEG 20": lambda image, to: image.save(to, quality=20),
    "JPEG 90": lambda image, to: image.save(to, quality=90),
    "scaled by 0.9": lambda image, to: image.resize([round(0.9 * side / 2) * 2 for side in image.size]).save(to),
    "brightened by 8 %": lambda image, to: ImageEnhance.Brightness(image).enhance(1.08).save(to),
    "gamma of 0.9": lambda image, to: image.point([round(255 * (v / 255) ** 0.9) for v in range(256)] * 3).save(to),
}


def test_copies_are_found_in_another_split(spoilt):
    originals = sorted((spoilt / "train").iterdir())[: 2 * len(COPIES) : 2]
    for (number, copy), path in zip(enumerate(COPIES.values()), originals, strict=True):
        copy(Image.open(path), spoilt / "val" / f"copy-{number}.jpg")
    leaks = [finding for finding in told(examined(spoilt, image_size_px=SIZE_PX)) if finding[0] == "leak"]
    assert leaks == [
        ("leak", "", (f"train/{path.stem}", f"val/copy-{number}")) for number, path in enumerate(originals)
    ]


@pytest.mark.parametrize("name", SETS)
def test_different_pairs_differ_by_more_than_copies(name):
    thumbnails = np.stack([np.stack([thumbnail(side) for side in pair]) for pair in SETS[name]().values()])
    between = differences(thumbnails, thumbnails)[np.triu_indices(len(thumbnails), 1)]
    assert between.min() > MOST_DIFFERENCE


def test_in_two_folders_with_one_side_renamed(tmp_path):
    for name, (photograph, drawing) in real_pairs.photographs().items():
        for side, image, suffix in (("photos", photograph, "jpg"), ("drawings", drawing, "png")):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / side / f"{name}.{suffix}")
    options = {"source": "folders", "input_folder": "drawings", "target_folder": "photos", "image_size_px": SIZE_PX}
    result = examined(tmp_path, **options)
    assert told(result) == [] and "drawing -> photograph" in result.notes[0]
    lost = sorted((tmp_path / "photos").iterdir())[4]
    lost.rename(lost.with_name("other.jpg"))
    assert told(examined(tmp_path, **options)) == [
        ("partner", "", (f"{lost.stem}.png",)),
        ("partner", "", ("other.jpg",)),
    ]


def test_a_whole_set_that_is_displaced(real, tmp_path):
    for number, (image, target) in enumerate(sample(real, every=1)):
        save(tmp_path / f"{number}.jpg", image, moved(target, 0, -6))
    result = examined(tmp_path, image_size_px=SIZE_PX)
    assert told(result) == [("misaligned", "", ())]
    assert re.search("[567] px up", result.findings[0].message)


@pytest.mark.parametrize(
    ("name", "photograph", "pairs", "every", "least", "within_px"),
    [("facades", "left", (400, 100), 10, 0.9, 2), ("edges2shoes", "left", (80, 20), 2, 1.0, 1)],
)
def test_published_figures(published_data, name, photograph, pairs, every, least, within_px):
    """The facades and shoes give the figures of docs/doctor.md, data/doctor/measure.py and data/doctor/direction.py."""
    folder = published_data(name)
    result = examined(folder, image_size_px=256, input_side=photograph)
    assert told(result) == [] and (result.pairs["train"], result.pairs["val"]) == pairs
    assert "photograph -> drawing" in result.notes[0]
    some = sample(folder, every)
    assert max(displacement(*pair)[0].margin for pair in some) < LEAST_MARGIN / 2
    shifts = [SHIFTS[number % len(SHIFTS)] for number in range(len(some))]
    assert share_found(some, shifts, within_px) >= least
    assert min(texture(photo) - texture(drawing) for photo, drawing in some) > 2 * CLEAR
