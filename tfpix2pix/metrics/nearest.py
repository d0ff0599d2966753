"""Finds the training target that is nearest to a translation, so that copying shows on small sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tfpix2pix.data.near_duplicates import thumbnail
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.variants import MeansOverImages

SIDE_PX = 32  # of the pictures that are compared
NEIGHBORS = 50  # training targets whose mean distance a copy is far below
COPIED = 0.5  # part of that mean
Picture = Callable[[np.ndarray], np.ndarray]  # target or translation (H, W, C) in [-1, 1] -> uint8 (H, W, 3)


class Neighbor(NamedTuple):
    """Holds the number of a training target, its distance, and whether it is so near that the image is a copy."""

    index: int
    distance: float
    copied: bool


def small(picture: Picture, image: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Returns the means of an image's picture over a grid of 32x32 fields, float32 (3072,) in [-1, 1].

    Args:
        picture: makes the picture, label maps in the colours of their classes.
        weight: (H, W, 1) in [0, 1], by which pixels count. Pixels of weight 0 become black. None: all count.
    """
    shown = picture(image)
    if weight is not None:
        weight = np.tile(weight, (1, shown.shape[1] // weight.shape[1], 1))  # parts side by side
        shown = np.rint(shown * weight).astype(np.uint8)
    return thumbnail(shown, SIDE_PX).astype(np.float32).ravel() / 127.5 - 1


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the root of the mean squared difference, over the last axis. 0: equal, 2: black and white."""
    return np.sqrt(np.mean(np.square(one - other), axis=-1, dtype=np.float64))


class TrainingTargets:
    """Holds training targets as small pictures.

    Args:
        smalls: of each target, by `small`; at least one.
        picture: makes the pictures of translations and of held-out targets.
    """

    def __init__(self, smalls: Sequence[np.ndarray], picture: Picture) -> None:
        self.smalls, self.picture = np.stack(smalls), picture

    def nearest(self, image: np.ndarray, weight: np.ndarray | None = None) -> Neighbor:
        """Returns the training target that is nearest to a translation or target; of equal ones the first.

        The image is a copy if that distance is below half of the mean distance of the 50 nearest, as Carlini et al.
        judge ("Extracting training data from diffusion models", 2023). A blurry image is about as near to many.
        """
        distances = distance(self.smalls, small(self.picture, image, weight))
        index = int(np.argmin(distances))
        around = np.sort(distances)[:NEIGHBORS].mean()
        return Neighbor(index, float(distances[index]), bool(distances[index] < COPIED * around))


class Nearest(MeansOverImages):
    """Measures how far translations are from the nearest training target, and how far the held-out targets are."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.training = setting.training

    def of(self, example: Example) -> dict[str, float]:
        one, real = (self.training.nearest(image, example.weight) for image in (example.translation, example.target))
        return {"nearest_training": one.distance, "nearest_training_real": real.distance}


class Copied(Nearest):
    """Measures how many translations are copies of a training target, and how many held-out targets would be called
    so. Lower is better. Both are high if the data have many near-duplicates."""

    def of(self, example: Example) -> dict[str, float]:
        one, real = (self.training.nearest(image, example.weight) for image in (example.translation, example.target))
        return {"copied": float(one.copied), "copied_real": float(real.copied)}
