"""Entropy, by translators whose distribution of colours is known."""

import functools
import math

import numpy as np
import pytest

from tfpix2pix.data.colored_shapes import COLORS, SHAPES, drawn, truth
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.entropy import NO_COLOR, color_of, divergence_bits, miller_madow_bits
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.scoring import Scorer

SIDE_PX = 48
VARIANTS = 64
INPUTS = 24
BROWN = (120, 100, 90)


@functools.cache
def pictures(number, kind, colors):
    """The outline of one shape, and this shape in each of `colors`: float in [-1, 1]."""
    drawings = [drawn(kind, color, SIDE_PX, np.random.default_rng(number)) for color in colors]
    outline, filled = drawings[0][0], np.stack([target for _, target in drawings])
    return np.repeat(outline, 3, axis=-1) / 127.5 - 1, filled / 127.5 - 1


def measured(answers, variants=VARIANTS, change=lambda variants: variants, **settings):
    """The metric of a translator that gives input number n of a kind the numbers of colours `answers(n, kind, rng)`.

    The number of colours itself stands for brown.
    """
    known = truth(DataConfig(source="colored_shapes", **settings))
    scorer, palette = Scorer(["entropy"], Setting(truth=known)), (*COLORS[: len(known.colors)], BROWN)
    for number in range(INPUTS):
        kind, rng = list(SHAPES)[number % len(SHAPES)], np.random.default_rng(number)
        image, filled = pictures(number, kind, palette)
        chosen = np.broadcast_to(answers(number, known.probabilities[kind], rng), variants)
        example = Example(f"{number:05d}-{kind}", filled[0], image, filled[0], variants=change(filled[chosen]))
        scorer.update(example)
    return {name: figure.value for name, figure in scorer.figures().items()}


def perfect(number, probabilities, rng):
    return rng.choice(len(probabilities), VARIANTS, p=probabilities)


@pytest.mark.parametrize("name", ["even", "uneven", "by_shape"])
def test_a_perfect_sampler_has_the_true_bits(name):
    figures = measured(perfect, shape_probabilities=name)
    assert figures["entropy_bits"] == pytest.approx(figures["entropy_true_bits"], abs=0.05)
    assert figures["entropy_pooled_bits"] == pytest.approx(figures["entropy_true_bits"], abs=0.05)
    assert figures["entropy_kl_bits"] == pytest.approx(0, abs=0.05)
    assert figures["colors_present"] == figures["colors_possible"]
    assert figures["no_color"] == figures["paper_l1"] == 0
    assert figures["outline_l1"] < 1e-3  # rounded levels


def test_eight_even_colours_have_three_bits():
    figures = measured(perfect)
    assert figures["entropy_true_bits"] == 3
    assert figures["entropy_bits"] == pytest.approx(3, abs=0.02)
    assert figures["colors_present"] == 8


def test_one_colour_for_all_has_no_bits():
    figures = measured(lambda number, probabilities, rng: 3)
    assert figures["entropy_bits"] == figures["entropy_pooled_bits"] == 0
    assert figures["colors_present"] == 1
    assert figures["entropy_kl_bits"] > 4


def test_a_colour_by_input_has_no_bits_however_many_colours_there_are():
    figures = measured(lambda number, probabilities, rng: number // len(SHAPES) * 2)
    assert figures["entropy_bits"] == 0
    assert figures["colors_present"] == 4
    assert figures["entropy_pooled_bits"] == pytest.approx(2, abs=0.02)


def test_two_of_eight_colours_have_one_bit():
    figures = measured(lambda number, probabilities, rng: rng.permutation(VARIANTS) % 2)
    assert figures["entropy_bits"] == pytest.approx(1, abs=0.02)
    assert figures["colors_present"] == 2


def test_brown_is_no_colour_and_has_no_bits():
    figures = measured(lambda number, probabilities, rng: 8)
    assert figures["no_color"] == 1
    assert figures["entropy_bits"] == figures["colors_present"] == 0
    assert figures["entropy_kl_bits"] > 5


def test_where_half_is_brown_half_of_the_bits_are_left_and_the_divergence_is_a_bit():
    figures = measured(lambda number, probabilities, rng: np.where(np.arange(64) % 2, 8, np.arange(64) // 2 % 8))
    assert figures["no_color"] == 0.5
    assert figures["entropy_bits"] == pytest.approx(1.5 + 0.5 * 7 / (64 * math.log(2)), abs=1e-9)
    assert figures["entropy_kl_bits"] == pytest.approx(1, abs=0.03)


def test_too_much_variety_is_in_the_divergence():
    even = measured(lambda number, probabilities, rng: np.arange(64) % 8, shape_probabilities="by_shape")
    assert even["entropy_bits"] == 3 > even["entropy_true_bits"]
    assert even["entropy_kl_bits"] > 1


def test_few_variants_say_nothing_about_one_input():
    figures = measured(lambda number, probabilities, rng: np.arange(8) % 8, variants=8)
    assert "entropy_bits" not in figures
    assert figures["colors_present"] == 8


def test_a_harmed_outline_and_stained_paper_are_seen_apart():
    def erased(variants):
        return np.where(variants.max(axis=-1, keepdims=True) < -0.2, 1.0, variants)

    def stained(variants):
        return np.where(variants.min(axis=-1, keepdims=True) == 1, 0.5, variants)

    without, on_gray = (measured(perfect, change=change) for change in (erased, stained))
    assert without["outline_l1"] > 0.2 and without["paper_l1"] == 0
    assert on_gray["outline_l1"] < 1e-3 and on_gray["paper_l1"] == pytest.approx(0.5, abs=1e-3)
    assert without["entropy_bits"] == on_gray["entropy_bits"] == pytest.approx(3, abs=0.02)


def test_patches_are_not_the_colour_of_their_mean():
    known = truth(DataConfig(source="colored_shapes"))
    red, yellow = known.colors[0], known.colors[3]
    patches = np.concatenate([np.tile(red, (40, 1)), np.tile(yellow, (60, 1))])
    assert color_of(np.tile(patches.mean(axis=0), (9, 1)), known.colors, known.near) == 6  # orange
    assert color_of(patches, known.colors, known.near) == NO_COLOR
    assert color_of(patches[:50], known.colors, known.near) == 0
    noisy = red + np.random.default_rng(0).normal(0, 0.1, (100, 3))
    assert color_of(noisy, known.colors, known.near) == 0


def test_the_corrected_entropy_is_nearly_unbiased():
    """Mean over many draws; the plug-in estimate is clearly too small."""
    rng, probabilities = np.random.default_rng(0), 0.5 ** np.arange(1, 9)
    probabilities /= probabilities.sum()
    true = -np.sum(probabilities * np.log2(probabilities))
    counts = rng.multinomial(VARIANTS, probabilities, 4_000)
    shares = counts / VARIANTS
    plug_in = -np.sum(shares * np.log2(np.where(shares > 0, shares, 1)), axis=-1).mean()
    corrected = miller_madow_bits(counts).mean()
    assert true - plug_in > 0.06
    assert abs(true - corrected) < (true - plug_in) / 2


def test_the_divergence_equals_its_twin():
    probabilities, counts = np.array([0.5, 0.3, 0.2, 0.0]), np.array([40, 0, 50, 7, 3])
    estimated = [(count + 0.5) / (counts.sum() + 2.5) for count in counts]
    twin = sum(p * math.log2(p / q) for p, q in zip(probabilities, estimated, strict=False) if p)
    assert divergence_bits(probabilities, counts) == pytest.approx(twin)


def test_every_value_has_a_title_in_words():
    figures = measured(perfect)
    assert list(figures) == list(METRICS["entropy"].titles)
