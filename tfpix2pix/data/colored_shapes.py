"""Draws pairs whose truth is known: the black outline of a shape is the input, the same outline filled with one of K
colours the target.

A pair is a function of (seed, split, index). Its colour is drawn by probabilities that depend on the kind of the shape
at most, so that the entropy of the colour, given the input, is a known number of bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfpix2pix.data import SHAPE_PROBABILITIES, SPLITS
from tfpix2pix.data.images import match_channels
from tfpix2pix.data.pairs import Pair, Source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

OUTLINE = 1 / 32  # width of the outline, as a fraction of the image's side
RADII = (0.24, 0.42)  # least and largest radius of the circle around a shape, as fractions of the side
COLORS = (  # levels of 32, 128 and 224: no two are nearer than 96, and all are as far from gray, black and white
    (224, 32, 32), (32, 32, 224), (32, 224, 32), (224, 224, 32), (224, 32, 224), (32, 224, 224), (224, 128, 32),
    (128, 32, 224), (32, 128, 32), (224, 128, 128), (32, 32, 128), (128, 128, 32), (128, 224, 128), (128, 32, 128),
    (32, 128, 224), (128, 224, 224),
)  # fmt: skip
NEAR_LEVELS = 48  # of 255: a colour less than this away from one of `COLORS`, half their least distance, is that one
FIXED = {  # key -> the values that it may have
    "dir": (None,),
    "input_channels": (1, 3),
    "target_channels": (3,),
    "input_classes": (None,),
    "target_classes": (None,),
    "input_range": (None,),
    "target_range": (None,),
}


def _regular(corners: int, inner_radius: float = 1.0) -> np.ndarray:
    """Returns the corners (E, 2) of a regular polygon, or of a star if every second corner is on an inner circle."""
    angles = np.arange(corners) * (2 * math.pi / corners)
    radii = np.where(np.arange(corners) % 2, inner_radius, 1.0)
    return radii[:, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _from_box(*corners: tuple[float, float]) -> np.ndarray:
    """Returns corners (E, 2), scaled so that the farthest is 1 from the middle."""
    return np.array(corners) / np.hypot(*np.array(corners).T).max()


# Kind of shape -> its corners (E, 2) in a circle of radius 1; None: the circle itself
SHAPES: dict[str, np.ndarray | None] = {
    "circle": None,
    "triangle": _regular(3),
    "square": _regular(4),
    "star": _regular(10, inner_radius=0.5),
    "bar": _from_box((-5, -2), (5, -2), (5, 2), (-5, 2)),
    "cross": _from_box(
        (-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)
    ),
}


@dataclass(frozen=True)
class ColorTruth:
    """Holds what is known of the pairs' colours.

    Args:
        colors: (K, 3), the colours that a target may have, in [-1, 1].
        near: Euclidean distance on [-1, 1] below which a colour counts as one of them.
        probabilities: kind of shape -> (K,), the probabilities of the colours given an input of that kind.
    """

    colors: np.ndarray
    near: float
    probabilities: Mapping[str, np.ndarray]

    @staticmethod
    def kind_of(name: str) -> str:
        """Returns the kind of the shape that the pair `name` shows."""
        return name.rpartition("-")[2]

    def entropy_bits(self, kind: str) -> float:
        """Returns the entropy of the colour given an input of that kind, bits."""
        known = self.probabilities[kind][self.probabilities[kind] > 0]
        return float(-(known * np.log2(known)).sum())


def truth(config: DataConfig) -> ColorTruth:
    """Returns what is known of the colours of the pairs of `config`."""
    row, count = SHAPE_PROBABILITIES[config.shape_probabilities], config.shape_colors
    colors = np.array(COLORS[:count]) / 127.5 - 1
    return ColorTruth(colors, NEAR_LEVELS / 127.5, {kind: row(kind, count) for kind in SHAPES})


def even(kind: str, count: int) -> np.ndarray:
    """Returns the same probability for each of `count` colours."""
    return np.full(count, 1 / count)


def uneven(kind: str, count: int) -> np.ndarray:
    """Returns probabilities of which each is half of the one before it."""
    weights = 0.5 ** np.arange(count)
    return weights / weights.sum()


def by_shape(kind: str, count: int) -> np.ndarray:
    """Returns the probabilities of a kind's own: some have many colours, a square and a cross nearly always one."""
    return BY_SHAPE[kind](count)


def _nearly_always(color: int) -> Callable[[int], np.ndarray]:
    """Returns the distribution in which one colour has 97 %, and the others share the rest."""

    def probabilities(count: int) -> np.ndarray:
        rare = np.full(count, 0.03 / (count - 1))
        rare[color % count] = 0.97
        return rare

    return probabilities


def _one_of_two(count: int) -> np.ndarray:
    """Returns the distribution in which the first two colours have a half each."""
    return np.array([0.5, 0.5, *[0.0] * (count - 2)])


BY_SHAPE: dict[str, Callable[[int], np.ndarray]] = {
    "circle": lambda count: even("circle", count),
    "triangle": lambda count: uneven("triangle", count),
    "square": _nearly_always(2),
    "star": lambda count: uneven("star", count)[::-1],
    "bar": _one_of_two,
    "cross": _nearly_always(5),
}


def colored_shapes(config: DataConfig, split: str, seed: int) -> Source:
    """Opens pairs that are drawn when they are read, at the size that the split needs: gray or RGB input, RGB target.

    There are `config.shape_pairs` to train on. `val` and `test` have `config.held_out_fraction` of that number each,
    which are other pairs.

    Raises:
        UserError: a key has a value that does not go with drawn shapes.
    """
    for key, allowed in FIXED.items():
        if getattr(config, key) not in allowed:
            rule = f"be {' or '.join(map(str, allowed))}" if allowed != (None,) else "be left out"
            own = " For pairs of your own add `--set data.source=combined`." if key == "dir" else ""
            raise UserError(
                f"`data.{key}` must {rule} for coloured shapes, which are drawn. Received {getattr(config, key)}. "
                f"Remove the key, or choose another `data.source`.{own}"
            )
    count = config.shape_pairs if split == "train" else round(config.shape_pairs * config.held_out_fraction)
    side_px = (config.jitter_size_px if split == "train" else config.size_px).height  # of a square
    known, kinds = truth(config), tuple(SHAPES)
    key = (config.seed_of_split(seed), SPLITS.index(split))
    names = [f"{index:05d}-{kinds[index % len(kinds)]}" for index in range(count)]

    def read_pair(index: int) -> Pair:
        rng = np.random.default_rng([*key, index])
        kind = known.kind_of(names[index])
        color = rng.choice(len(known.colors), p=known.probabilities[kind])
        image, target = drawn(kind, COLORS[color], side_px, rng)
        return match_channels(image, config.input_channels), target

    return Source(names, read_pair)


def drawn(kind: str, color: tuple[int, int, int], side_px: int, rng: np.random.Generator) -> Pair:
    """Draws a shape of random position, size and rotation: uint8 outline (S, S, 1) and filled shape (S, S, 3).

    All lengths are fractions of the side, so that one state of `rng` gives one picture at any size. A pixel's coverage
    follows from the distance of its centre to the edge, which rounds corners by a fraction of a pixel.
    """
    radius = rng.uniform(*RADII)
    room = radius + 1.5 * OUTLINE
    x, y = rng.uniform(room, 1 - room, 2)
    distance = side_px * _distance(SHAPES[kind], x, y, radius, rng.uniform(0, 2 * math.pi), side_px)
    line = np.clip(side_px * OUTLINE / 2 + 0.5 - np.abs(distance), 0, 1)[..., np.newaxis]
    inside = np.clip(0.5 - distance, 0, 1)[..., np.newaxis]
    paper = 255 * (1 - line)
    filled = (1 - line) * (255 + inside * (np.array(color, np.float32) - 255))
    return np.rint(paper).astype(np.uint8), np.rint(filled).astype(np.uint8)


def _distance(corners: np.ndarray | None, x: float, y: float, radius: float, angle: float, side_px: int) -> np.ndarray:
    """Returns the distance of every pixel's centre to the edge of a shape, negative inside: float32 (S, S).

    All lengths are fractions of the side. `corners` is None for a circle.
    """
    centers = (np.arange(side_px, dtype=np.float32) + 0.5) / side_px
    across, down = np.float32(centers[np.newaxis, :] - x), np.float32(centers[:, np.newaxis] - y)
    if corners is None:
        return np.hypot(across, down) - np.float32(radius)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    starts = np.float32(radius * corners @ turn)
    nearest, inside = np.full((side_px, side_px), np.inf, np.float32), np.zeros((side_px, side_px), bool)
    for (start_x, start_y), (end_x, end_y) in zip(starts, np.roll(starts, -1, axis=0), strict=True):
        edge_x, edge_y = end_x - start_x, end_y - start_y
        from_x, from_y = across - start_x, down - start_y
        along = np.clip((from_x * edge_x + from_y * edge_y) / (edge_x**2 + edge_y**2), 0, 1)
        nearest = np.minimum(nearest, (from_x - along * edge_x) ** 2 + (from_y - along * edge_y) ** 2)
        crosses = (start_y > down) != (end_y > down)  # (S, 1): a ray to the right meets an edge in these rows
        inside ^= crosses & ((from_x * edge_y < from_y * edge_x) == (edge_y > 0))
    return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)
