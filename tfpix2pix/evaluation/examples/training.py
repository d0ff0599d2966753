"""Opens the training targets of what is evaluated, to look for copies of them among its translations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.opening import evaluated_pair_reader, open_source, pair_reader
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError, shortly
from tfpix2pix.evaluation.examples.pairs import at_size
from tfpix2pix.metrics.nearest import TrainingTargets, small
from tfpix2pix.parallel import evenly_spread, outcomes
from tfpix2pix.size import SizePx

# Training targets that translations are compared with; of more, these are taken evenly spread. Of large images, fewer.
MOST_TARGETS, LEAST_TARGETS, MOST_PIXELS = 1_000, 50, 1e8


@dataclass(frozen=True)
class Training:
    """Holds the training targets that translations are compared with.

    Args:
        targets: the small pictures of these targets.
        names: of their pairs.
        picture: index -> the picture of a target, uint8 (H, W, 3).
        about: says how many there are and where they lie.
    """

    targets: TrainingTargets
    names: Sequence[str]
    picture: Callable[[int], np.ndarray]
    about: str


def open_training(trained_on: Sequence[Config], data: DataConfig, size_px: SizePx | None) -> Training | str:
    """Opens the training split of the first configuration that can be read. Returns the reason if none can.

    Args:
        trained_on: configurations of what may have been trained on.
        data: describes how the translations are read.
        size_px: size to which targets are fitted; None: they keep that of their files.
    """
    reasons = []
    for config in trained_on:
        try:
            return _opened(config, data, size_px)
        except UserError as error:
            reasons.append(shortly(error))
    if reasons:
        return f"its training targets cannot be read: {reasons[0]}"
    return "its training pairs are not known, or are what is evaluated"


def _opened(config: Config, data: DataConfig, size_px: SizePx | None) -> Training:
    own = at_size(config, size_px).data.model_copy(update={"on_error": "stop"})  # else every pair is read
    source = open_source(own, "train", config.seed)
    read = (pair_reader if size_px is None else evaluated_pair_reader)(source, own)
    picture = pictures_of(own, every_part=True)[1]

    def target(index: int) -> list[np.ndarray]:
        """Returns the target of a pair, and its weights if there are any."""
        pair = read(index) if size_px is None else for_evaluation(read(index), own)
        return [np.asarray(image) for image in pair[1:]]

    height, width = config.data.size_px
    most = max(LEAST_TARGETS, min(MOST_TARGETS, int(MOST_PIXELS / (height * width))))
    chosen = evenly_spread(len(source), most)
    smalls = {}
    for outcome in outcomes(lambda index: small(picture, *target(index)), chosen):
        if outcome.error is None:
            smalls[outcome.item] = outcome.result
        elif not isinstance(outcome.error, UserError):
            raise outcome.error
    if not smalls:
        raise UserError(f"Training targets must be readable. Received none in {own.dir}. Check it.")
    indices = list(smalls)
    of = "" if len(indices) == len(source) else f" of {len(source):,}"
    return Training(
        TrainingTargets(list(smalls.values()), pictures_of(data, every_part=True)[1]),
        [source.names[index] for index in indices],
        lambda number: picture(target(indices[number])[0]),
        f"{len(indices):,}{of} training targets{f' in {own.dir}' if own.dir else ''}",
    )
