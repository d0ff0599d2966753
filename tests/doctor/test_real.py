"""On real facades and shoes, where they are at hand: nothing is found as they are, and everything that is planted."""

import re
import time

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SHARED_DATA
from tests.doctor.made import combine, examined, moved, recompressed, told
from tfpix2pix.data.images import read_image
from tfpix2pix.doctor.alignment import LEAST_MARGIN, LEAST_PEAK, LEAST_PX, peak_of, surface
from tfpix2pix.doctor.direction import CLEAR, texture


@pytest.fixture(scope="module")
def shoes():
    folder = SHARED_DATA / "edges2shoes"
    if not folder.is_dir():
        pytest.skip("the shoes are not at hand (../shared/data/edges2shoes)")
    return folder


def halves(path):
    return np.split(read_image(path), 2, axis=1)


def sample(folder, every):
    return [halves(path) for path in sorted((folder / "train").iterdir())[::every]]


def some_of(folder, to, train=60, val=30):
    """A copy of some pairs, which a test may spoil."""
    for split, count in (("train", train), ("val", val)):
        (to / split).mkdir(parents=True)
        for path in sorted((folder / split).iterdir())[:count]:
            (to / split / path.name).write_bytes(path.read_bytes())
    return to


def save(path, *sides):
    Image.fromarray(combine(*sides)).save(path, quality=95)


def test_facades_as_they_are(facades):
    start = time.perf_counter()
    result = examined(facades, image_size_px=256)
    assert told(result) == [] and result.exit_code == 0 and result.pairs == {"train": 400, "val": 100, "test": 0}
    assert "photograph -> drawing" in result.notes[0]
    assert time.perf_counter() - start < 60  # 6 s on two idle cores


def test_shoes_as_they_are(shoes):
    result = examined(shoes, image_size_px=256, input_side="right")
    assert told(result) == [] and "drawing -> photograph" in result.notes[0]


SHIFTS = [(8, 0), (0, 8), (-8, 8), (0, -8)]


def found(image, target):
    peak = peak_of(surface(image, target))
    return peak, peak.distance >= LEAST_PX and peak.margin >= LEAST_MARGIN and peak.height >= LEAST_PEAK


def test_displacements_of_facades(facades):
    """The table in alignment.py in small: every tenth pair, either side moved by 8 px."""
    pairs = sample(facades, every=10)
    assert not any(found(*pair)[1] for pair in pairs)
    assert max(found(*pair)[0].margin for pair in pairs) < LEAST_MARGIN / 2
    right = 0
    for number, (photo, labels) in enumerate(pairs):
        across, down = SHIFTS[number % len(SHIFTS)]
        for pair, sign in (((moved(photo, across, down), labels), -1), ((photo, moved(labels, across, down)), 1)):
            peak, told = found(*pair)
            right += told and max(abs(peak.right - sign * across), abs(peak.down - sign * down)) <= 2
    assert right >= 0.9 * 2 * len(pairs)


@pytest.mark.parametrize("shift", SHIFTS)
def test_displacements_of_shoes(shoes, shift):
    for photo, drawing in sample(shoes, every=8):
        assert not found(photo, drawing)[1]
        peak, told = found(moved(photo, *shift), drawing)
        assert told and abs(peak.right + shift[0]) <= 1 and abs(peak.down + shift[1]) <= 1


def test_texture_tells_photographs_from_drawings(facades, shoes):
    for folder, every in ((facades, 10), (shoes, 4)):
        assert min(texture(photo) - texture(drawing) for photo, drawing in sample(folder, every)) > 2 * CLEAR


def test_every_planted_fault_is_found_and_nothing_else(facades, tmp_path):
    folder = some_of(facades, tmp_path / "pairs")
    train, val = folder / "train", folder / "val"
    swapped, displaced, cut, leaked, twice, small = sorted(train.iterdir())[5:11]
    photo, labels = halves(swapped)
    save(swapped, labels, photo)
    photo, labels = halves(displaced)
    save(displaced, moved(photo, 8, 0), labels)
    cut.write_bytes(cut.read_bytes()[:9000])
    recompressed(leaked, val / "leaked.jpg", quality=60)
    (train / "twice.jpg").write_bytes(twice.read_bytes())
    Image.open(small).resize((400, 200)).save(small, quality=95)
    result = examined(folder, image_size_px=256)
    assert told(result) == [
        ("unreadable", "train", (cut.stem,)),
        ("size", "train", (small.stem,)),
        ("swapped", "train", (swapped.stem,)),
        ("misaligned", "train", (displaced.stem,)),
        ("duplicate", "train", (twice.stem, "twice")),
        ("leak", "", (f"train/{leaked.stem}", "val/leaked")),
    ]
    assert result.exit_code == 3
    assert re.search("about [789] px to the left", result.findings[3].message)


def test_in_two_folders_with_one_side_renamed(facades, tmp_path):
    for path in sorted((facades / "train").iterdir())[:30]:
        photo, labels = halves(path)
        for side, image, suffix in (("photos", photo, "jpg"), ("labels", labels, "png")):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / side / f"{path.stem}.{suffix}")
    options = {"source": "folders", "input_folder": "labels", "target_folder": "photos", "image_size_px": 256}
    result = examined(tmp_path, **options)
    assert told(result) == [] and "drawing -> photograph" in result.notes[0]
    lost = sorted((tmp_path / "photos").iterdir())[4]
    lost.rename(lost.with_name("other.jpg"))
    assert told(examined(tmp_path, **options)) == [
        ("partner", "", (f"{lost.stem}.png",)),
        ("partner", "", ("other.jpg",)),
    ]


def test_a_whole_set_that_is_displaced(facades, tmp_path):
    for number, (photo, labels) in enumerate(sample(facades, every=16)):
        Image.fromarray(combine(photo, moved(labels, 0, -6))).save(tmp_path / f"{number}.png")
    result = examined(tmp_path, image_size_px=256)
    assert told(result) == [("misaligned", "", ())]
    assert "6 px up" in result.findings[0].message or "7 px up" in result.findings[0].message
