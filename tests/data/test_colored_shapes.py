"""Coloured shapes: what is drawn, of what it is a function, and the truth about its colours."""

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tfpix2pix.data import SHAPE_PROBABILITIES, SOURCES, SPLITS
from tfpix2pix.data.colored_shapes import COLORS, NEAR_LEVELS, SHAPES, drawn, truth
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

BLUE = (32, 32, 224)


def configured(**settings):
    return DataConfig(**{"source": "colored_shapes", "image_size_px": 32, "shape_pairs": 24, **settings})


def source(split="train", seed=0, **settings):
    return SOURCES["colored_shapes"](configured(**settings), split, seed)


def equal(pair, other):
    return all(np.array_equal(a, b) for a, b in zip(pair, other, strict=True))


class TestPictures:
    @pytest.mark.parametrize("kind", SHAPES)
    def test_only_the_inside_of_the_outline_differs(self, kind):
        outline, filled = drawn(kind, BLUE, 64, np.random.default_rng(0))
        assert (outline.shape, filled.shape, outline.dtype, filled.dtype) == (
            (64, 64, 1),
            (64, 64, 3),
            "uint8",
            "uint8",
        )
        plain = (outline[..., 0] == 255) & (filled != 255).any(axis=-1)
        assert plain.sum() > 50
        assert (filled[plain] == BLUE).mean() > 0.99
        assert outline.min() == 0
        assert (filled[0] == 255).all() and (filled[:, -1] == 255).all()

    def test_a_circle_is_round(self):
        _, filled = drawn("circle", (0, 0, 0), 256, np.random.default_rng(1))
        dark = 1 - filled[..., 0] / 255
        across, down = dark.sum(axis=0).max(), dark.sum(axis=1).max()
        assert across == pytest.approx(down, rel=0.02)
        assert dark.sum() == pytest.approx(math.pi / 4 * across * down, rel=0.02)

    @pytest.mark.parametrize("kind", SHAPES)
    def test_every_size_shows_the_same_picture(self, kind):
        """A picture of four times the side, averaged, is the small one, apart from the rounding of corners."""
        small, large = (drawn(kind, BLUE, side, np.random.default_rng(2))[1] for side in (48, 192))
        averaged = np.asarray(Image.fromarray(large).resize((48, 48), Image.Resampling.BOX), float)
        assert np.abs(averaged - small).max() < 100
        assert np.abs(averaged - small).mean() < 1

    def test_the_whole_shape_is_in_the_picture(self):
        for kind, seed in itertools.product(SHAPES, range(20)):
            outline, _ = drawn(kind, BLUE, 32, np.random.default_rng(seed))
            border = np.concatenate([outline[0], outline[-1], outline[:, 0], outline[:, -1]])
            assert (border == 255).all()

    def test_colours_are_far_apart_and_far_from_mush(self):
        colors = np.array(COLORS, float)
        distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(colors, 2)]
        assert len(COLORS) == 16 and min(distances) == 2 * NEAR_LEVELS
        for count in range(2, 17):
            mean = colors[:count].mean(axis=0)
            assert np.linalg.norm(colors[:count] - mean, axis=1).min() > 1.5 * NEAR_LEVELS
        for gray in (0, 128, 255):
            assert np.linalg.norm(colors - gray, axis=1).min() >= 2 * NEAR_LEVELS


class TestSource:
    def test_a_pair_is_a_function_of_seed_split_and_index(self):
        pairs = [source(shape_pairs=count).read(3) for count in (4, 24)]
        assert equal(*pairs)
        others = (source(seed=1), source("val", held_out_fraction=0.5), source("test", held_out_fraction=0.5))
        assert all(not equal(pairs[0], other.read(3)) for other in others)
        assert equal(pairs[0], source(seed=5, split_seed=0).read(3))

    def test_held_out_pairs_are_drawn_in_addition(self):
        assert [len(source(split, held_out_fraction=0.25)) for split in SPLITS] == [24, 6, 6]

    def test_training_pairs_have_the_size_of_the_jitter(self):
        assert [source(split, jitter_ratio=1.25).read(0)[0].shape for split in SPLITS[:2]] == [(40, 40, 3), (32, 32, 3)]
        assert source(input_channels=1).read(0)[0].shape == (32, 32, 1)

    def test_names_say_the_kind(self):
        names = source().names
        assert Counter(map(truth(configured()).kind_of, names)) == dict.fromkeys(SHAPES, 4)
        assert len(set(names)) == 24

    @pytest.mark.parametrize(("key", "value"), [("dir", "pairs"), ("target_channels", 1), ("input_classes", 3)])
    def test_keys_of_files_are_refused(self, key, value):
        with pytest.raises(UserError, match=f"`data.{key}` must .* coloured shapes, .*Received {value}"):
            source(**{key: value})

    def test_shapes_that_are_alike_by_chance_are_no_leak(self, monkeypatch):
        monkeypatch.setattr("tfpix2pix.data.colored_shapes.RADII", (0.42, 0.421))  # much alike, then
        pairs = configured(shape_pairs=18, shape_colors=2, held_out_fraction=0.5)
        assert not examine(pairs, 0).findings
        monkeypatch.setitem(SOURCES, "colored_shapes", replace(SOURCES["colored_shapes"], invented=False))
        assert {finding.kind for finding in examine(pairs, 0).findings} == {"leak"}


class TestTruth:
    @pytest.mark.parametrize("count", [2, 8, 16])
    def test_even_colours_have_log2_k_bits(self, count):
        known = truth(configured(shape_colors=count))
        assert {known.entropy_bits(kind) for kind in SHAPES} == {math.log2(count)}

    @pytest.mark.parametrize("name", SHAPE_PROBABILITIES)
    @pytest.mark.parametrize("count", [2, 3, 16])
    def test_probabilities_add_up(self, name, count):
        known = truth(configured(shape_colors=count, shape_probabilities=name))
        assert known.colors.shape == (count, 3)
        for kind in SHAPES:
            assert known.probabilities[kind].sum() == pytest.approx(1)
            assert (known.probabilities[kind] >= 0).all()
            assert 0 < known.entropy_bits(kind) <= math.log2(count)

    def test_some_shapes_have_nearly_always_one_colour(self):
        known = truth(configured(shape_probabilities="by_shape"))
        bits = {kind: round(known.entropy_bits(kind), 2) for kind in SHAPES}
        assert bits == {"circle": 3.0, "triangle": 1.96, "square": 0.28, "star": 1.96, "bar": 1.0, "cross": 0.28}

    @pytest.mark.parametrize("name", SHAPE_PROBABILITIES)
    def test_pairs_have_colours_of_these_probabilities(self, name):
        settings = {"shape_probabilities": name, "shape_colors": 3, "shape_pairs": 300, "image_size_px": 16}
        known, pairs = truth(configured(**settings)), source(**settings)
        counts = {kind: np.zeros(3) for kind in SHAPES}
        for index, each in enumerate(pairs.names):
            _, target = pairs.read(index)
            pixels = target.reshape(-1, 3)
            counts[known.kind_of(each)] += [(pixels == color).all(axis=-1).any() for color in COLORS[:3]]
        for kind, seen in counts.items():
            assert seen.sum() == 50
            assert np.abs(seen / 50 - known.probabilities[kind]).max() < 0.2
