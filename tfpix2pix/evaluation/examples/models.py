"""Opens a model's translations of a split as the examples of an evaluation."""

from __future__ import annotations

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data.groups import groups_of
from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import class_colors, nearest_color
from tfpix2pix.data.opening import evaluated_pair_reader, pair_reader
from tfpix2pix.data.pairs import Pair, Source
from tfpix2pix.data.ranges import clipped_shares, from_signed, to_signed
from tfpix2pix.data.scale import OWN
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.originals import Original
from tfpix2pix.evaluation.examples.pairs import Examples, at_size
from tfpix2pix.evaluation.request import NoiseOptions
from tfpix2pix.inference.translator import Translator
from tfpix2pix.metrics.example import Example
from tfpix2pix.size import SizePx


def model_examples(
    translator: Translator, config: Config, source: Source, *, size_px: SizePx | None, noise: NoiseOptions
) -> Examples:
    """Returns a model's translations of the pairs in `source`.

    Args:
        config: the card's, or one with other `data`. If it has `target_classes` and the model was trained on pictures
            of label maps, its translations are read as label maps: each pixel is the nearest of `class_colors`.
        size_px: size to which pairs are fitted; None: pairs keep the size of their files.
        noise: noise of the translations, without variants if the model has no noise input.

    Raises:
        UserError: noise is on for a model without a noise input.
    """
    config, trained_on = at_size(config, size_px), translator.card.config.data
    data = config.data
    read = (pair_reader if size_px is None else evaluated_pair_reader)(source, data)
    groups = groups_of(source.names, source.groups, data)

    def compute(index: int) -> Example:
        pair, name = read(index), source.names[index]
        clipped = clipped_shares(source, index, data, pair[2] if len(pair) > 2 else None)
        sizes = {image.shape[:2] for image in pair[:2]}
        pair = of_one_size(pair, name) if size_px is None else for_evaluation(pair, data)
        image, target, *weight = map(np.asarray, pair)
        seed = noise.seed_of(name)
        image = np.asarray(match_channels(image, trained_on.input_channels), np.float32)
        translation = translator(image, noise=noise.mode, seed=seed, size=OWN)
        variants = translator.samples(image, noise.variants, seed=seed, size=OWN) if noise.variants else None
        is_off = (noise.mode or translator.card.noise) == "off"
        without = (translation if is_off else translator(image, noise="off", size=OWN)) if noise.variants > 1 else None
        if data.target_classes and not trained_on.target_classes:
            translation = as_label_map(translation, data)
            variants = None if variants is None else np.stack([as_label_map(variant, data) for variant in variants])
            without = None if without is None else as_label_map(without, data)
        is_part = size_px is not None and source.is_large(index)
        stored_px = sizes.pop() if len(sizes) == 1 and not is_part else None
        more = {"stored_px": stored_px, "weight": weight[0] if weight else None, "group": groups[index]}
        more["clipped"] = clipped
        return Example(name, translation, image, target, variants=variants, without_noise=without, **more)

    has = frozenset({"input", "target", *(("variants", "without_noise") if noise.variants > 1 else ())})
    notes = [fault.message for fault in source.skipped[:1]]
    if source.skipped:
        notes = [f"{len(source.skipped)} pairs were left out. The first: {notes[0]}"]
    return Examples(
        source.names, compute, data, has, len(source), tuple(notes), lambda index: Original.of(source, index)
    )  # fmt: skip


def of_one_size(pair: Pair, name: str) -> Pair:
    """Returns the pair. Raises UserError if input and target differ in size."""
    if pair[0].shape[:2] != pair[1].shape[:2]:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in pair]
        raise UserError(
            f"At their own size, input and target must be equally large. Received {sizes[0]} and {sizes[1]} px in "
            f"{name!r}. Give a `size` for both."
        )
    return pair


def as_label_map(picture: np.ndarray, data: DataConfig) -> np.ndarray:
    """Converts a picture, float (H, W, 3) in [-1, 1], to the classes of the nearest colours.

    Returns float (H, W, 1): index / 127.5 - 1.
    """
    label_map, _ = nearest_color(from_signed(match_channels(picture, 3)), class_colors(data, data.target_classes))
    return to_signed(label_map)
