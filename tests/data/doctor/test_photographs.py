"""Photographs that are read as pairs: found, said at the start of a run, and pairs are never taken for them."""

import io

import numpy as np
import pytest
from PIL import Image

from tests import real_pairs
from tests.data.doctor.helpers import config_of, examined, make_set, told
from tfpix2pix.data.doctor import examine, quick_lines
from tfpix2pix.data.doctor.content import MOST_STEP_ACROSS
from tfpix2pix.data.doctor.measure import step_across

FOUND = ("photographs", "", ())


def photographs(folder, size=(192, 144), quality=90):
    """Photographs of 4:3, as a camera has them."""
    folder.mkdir(parents=True)
    for name, (photograph, _) in real_pairs.photographs().items():
        image = Image.fromarray(photograph[: size[1], : size[0]])
        image.save(folder / f"{name}.jpg", quality=quality)
    return folder


def compressed(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("side", ["left", "bottom"])
@pytest.mark.parametrize("quality", [50, 95])
def test_photographs_are_told_from_pairs(tmp_path, side, quality):
    folder = photographs(tmp_path / "photos", quality=quality)
    assert FOUND in told(examined(folder, input_side=side))


def test_a_run_that_starts_says_so_with_the_way_out_and_goes_on(tmp_path):
    result = examine(config_of(photographs(tmp_path / "photos")).data, at_most=20)
    (line,) = [line for line in quick_lines(result) if line.startswith("photographs: ")]
    assert "images continue across the middle" in line and "set `data.source` to photographs" in line
    assert result.exit_code == 3


def test_other_sources_are_not_judged(tmp_path):
    folder = photographs(tmp_path / "photos")
    assert FOUND not in told(examined(folder, source="photographs"))


def halves_of(kind):
    pairs = real_pairs.photographs()
    return {
        "edges": list(pairs.values()),
        "drawings": list(real_pairs.drawings().values()),
        "label maps": list(real_pairs.label_maps(12).values()),
        "gray": [(p, np.repeat(p[..., 1:2], 3, axis=-1)) for p, _ in pairs.values()],
        "negative": [(p, 255 - p) for p, _ in pairs.values()],
        "noise": [(r, 255 - r) for r in np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)],
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["edges", "drawings", "label maps", "gray", "negative", "noise"])
@pytest.mark.parametrize("quality", [None, 50])
def test_pairs_are_not_taken_for_photographs(kind, quality):
    pairs = halves_of(kind)
    if quality:
        pairs = [np.split(compressed(np.concatenate(pair, axis=1), quality), 2, axis=1) for pair in pairs]
    steps = [step_across(*pair) for pair in pairs]
    said = [step for step in steps if step is not None]
    assert sum(step <= MOST_STEP_ACROSS for step in said) <= 0.25 * len(said)


def test_made_pairs_are_clean(tmp_path):
    assert told(examined(make_set(tmp_path))) == []


@pytest.mark.parametrize("shape", [(8, 1, 3), (1, 8, 3), (4, 3, 3)])
def test_small_views_say_nothing(shape):
    view = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert step_across(view, view) is None


def test_white_margins_say_nothing():
    view = np.full((64, 64, 3), 255, np.uint8)
    view[20:40, 20:40] = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    assert step_across(view, view) is None


@pytest.mark.parametrize("name", ["facades", "edges2shoes"])
def test_published_pairs_are_no_photographs_and_their_photographs_are(published_data, tmp_path, name):
    folder = published_data(name)
    assert FOUND not in told(examined(folder, image_size_px=256))
    for path in sorted((folder / "train").iterdir())[::8]:
        image = Image.open(path)
        image.crop((0, 0, image.width // 2, image.height)).save(tmp_path / path.name, quality=90)
    assert FOUND in told(examined(tmp_path, image_size_px=256, held_out_fraction=0.2))
