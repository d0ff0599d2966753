"""Pairs that are there twice."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import write_image
from tests.data.doctor.helpers import combine, examined, make_set, recompressed, scene, told
from tfpix2pix.data.near_duplicates import (
    MOST_BITS,
    Groups,
    difference,
    differences,
    near,
    perceptual_hash,
    thumbnail,
)


def brute_force(hashes, groups):
    return [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= MOST_BITS and groups[i] != groups[j]
    ]


@st.composite
def hashes_with_copies(draw):
    """64-bit numbers, some of them others with a few bits turned; each of one of three groups."""
    numbers = draw(st.lists(st.integers(0, 2**64 - 1), min_size=0, max_size=6))
    for _ in range(draw(st.integers(0, 10)) if numbers else 0):
        bits = draw(st.lists(st.integers(0, 63), max_size=5))
        numbers.append(draw(st.sampled_from(numbers)) ^ sum(1 << bit for bit in set(bits)))
    return numbers, [draw(st.integers(0, 2)) for _ in numbers]


@given(hashes_with_copies())
@settings(max_examples=200)
def test_bands_find_what_comparing_all_finds(both):
    hashes, groups = both
    pairs = near(np.array(hashes, np.uint64), np.array(groups, int))
    assert pairs.tolist() == brute_force(hashes, groups)


def test_many_hashes_much_alike_take_seconds():
    """20,000 equal, 20,000 of 4096 values, 60,000 of any."""
    rng = np.random.default_rng(0)
    hashes = [np.zeros(20_000), rng.integers(0, 2**12, 20_000) << 20, rng.integers(0, 2**63, 60_000)]
    pairs = near(np.concatenate([part.astype(np.uint64) for part in hashes]), rng.integers(0, 2, 100_000))
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_the_same_pixels_twice_in_a_split(tmp_path):
    train = make_set(tmp_path) / "train"
    shutil.copy(train / "3.png", train / "again.png")
    Image.open(train / "3.png").save(train / "third.bmp")
    result = examined(tmp_path)
    assert told(result) == [("duplicate", "train", ("3", "again", "third"))]
    assert result.findings[0].message == "3 pairs have the same pixels: 3, again and third."


def test_the_same_pixels_in_two_splits(tmp_path):
    make_set(tmp_path)
    shutil.copy(tmp_path / "train" / "3.png", tmp_path / "val" / "held.png")
    (tmp_path / "test").mkdir()
    shutil.copy(tmp_path / "train" / "3.png", tmp_path / "test" / "3.png")
    result = examined(tmp_path)
    assert told(result) == [("leak", "", ("train/3", "val/held", "test/3"))]
    assert "have the same pixels" in result.findings[0].message


COPIES = {
    "recompressed": lambda image: image,
    "smaller": lambda image: image.resize((116, 58), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((160, 80), Image.Resampling.BICUBIC),
    "brighter": lambda image: Image.fromarray(np.clip(np.asarray(image) * 1.06 + 4, 0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_the_same_to_the_eye_in_two_splits(tmp_path, copy):
    make_set(tmp_path, val=2)
    COPIES[copy](Image.open(tmp_path / "train" / "3.png")).save(tmp_path / "copy.png")
    recompressed(tmp_path / "copy.png", tmp_path / "val" / "copy.jpg", quality=80)
    result = examined(tmp_path)
    findings = [finding for finding in told(result) if finding[0] != "size"]
    assert findings == [("leak", "", ("train/3", "val/copy"))]
    assert "are the same to the eye" in str(result)


def test_near_copies_within_a_split_are_no_fault(tmp_path):
    make_set(tmp_path)
    recompressed(tmp_path / "train" / "3.png", tmp_path / "train" / "copy.jpg", quality=90)
    assert told(examined(tmp_path)) == []


def test_one_input_with_two_targets_is_no_copy(tmp_path):
    photo, _ = scene(3)
    write_image(make_set(tmp_path) / "val" / "other.png", combine(photo, scene(77)[1]))
    assert "leak" not in examined(tmp_path).kinds


def test_the_same_shape_in_another_colour_is_no_copy():
    """Shoes on white: the outline recurs, the shoe does not."""
    shoe = np.full((64, 64, 3), 255, np.uint8)
    red, brown = shoe.copy(), shoe.copy()
    red[20:44, 10:54], brown[20:44, 10:54] = (200, 20, 20), (90, 60, 40)
    outline = np.where(red == red[0, 0], 255, 0).astype(np.uint8)
    apart = difference(*(np.stack([thumbnail(shoe), thumbnail(outline)])[np.newaxis] for shoe in (red, brown)))
    assert apart[0] > 0.22
    darker = (red * 0.9).astype(np.uint8)
    same = difference(*(np.stack([thumbnail(shoe), thumbnail(outline)])[np.newaxis] for shoe in (red, darker)))
    assert same[0] < 0.05


def test_a_flat_picture_has_no_bits():
    blank = np.full((40, 30, 3), 77, np.uint8)
    assert perceptual_hash((blank, blank)) == 0
    assert 0 < perceptual_hash(scene(0)) < 2**64


def test_all_pairs_at_once_differ_as_two_by_two():
    """By matrix products and by subtraction; of any number of sides and channels."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (count, 2, 8, 8, 3), np.uint8) for count in (7, 5))
    a[3], b[1] = a[2], a[2] // 2 + 30  # the same, and the same in other light
    a[4], b[4] = 77, 200  # flat
    table = differences(a, b)
    for i in range(7):
        np.testing.assert_allclose(table[i], difference(np.repeat(a[i : i + 1], 5, axis=0), b), rtol=1e-3, atol=1e-3)
    assert table[2, 1] < 0.05 < table[0, 1]
    assert differences(a[:, :1, ..., :1], b[:, :1, ..., :1]).shape == (7, 5)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_groups_are_called_by_their_first(joined):
    groups, members = Groups(10), [{at} for at in range(10)]
    for a, b in joined:
        groups.join(a, b)
        both = members[a] | members[b]
        for at in both:
            members[at] = both
    assert [groups.of(at) for at in range(10)] == [min(group) for group in members]
