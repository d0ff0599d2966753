"""Makes the pictures of examples that reports and contact sheets show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.scalars import in_words
from tfpix2pix.data.weights import dimmed
from tfpix2pix.evaluation.examples.pairs import Examples
from tfpix2pix.evaluation.examples.training import Training
from tfpix2pix.evaluation.report.pictures import Pictures
from tfpix2pix.metrics.example import Example


def painter(
    examples: Examples, evaluated: Sequence[int], training: Training | None = None
) -> Callable[[int], Pictures]:
    """Returns a function from a row to the pictures of its example, `evaluated[row]`, which it computes again, and that
    of the nearest of the training targets."""
    input_picture, target_picture = pictures_of(examples.data, every_part=True)

    def pictures(row: int) -> Pictures:
        example = examples[evaluated[row]]

        def shown(image: np.ndarray) -> np.ndarray:
            return dimmed(target_picture(image), example.weight)

        return Pictures(
            example.name,
            shown(example.translation),
            None if example.input is None else input_picture(example.input),
            None if example.target is None else shown(example.target),
            tuple(map(shown, () if example.variants is None else example.variants)),
            "" if example.input is None else in_words(example.input, examples.data),
            *(() if training is None else _nearest(training, example)),
        )

    return pictures


def _nearest(training: Training, example: Example) -> tuple[np.ndarray, str]:
    """Returns the picture of the training target that is nearest to a translation, and a caption."""
    nearest = training.targets.nearest(example.translation, example.weight)
    return training.picture(nearest.index), f"{training.names[nearest.index]}, distance {nearest.distance:.3f}"
