"""A model's translations of a split."""

from __future__ import annotations

import numpy as np

from tfpix2pix.config import Config, DataConfig
from tfpix2pix.data.images import from_signed, match_channels, to_signed
from tfpix2pix.data.labels import class_colors, nearest_color
from tfpix2pix.data.pairs import Pair
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.example import Example
from tfpix2pix.examples.pairs import Examples, at_size, pair_reader, split_of
from tfpix2pix.examples.request import OWN, Noise
from tfpix2pix.inference import Translator


def of_model(
    translator: Translator, config: Config, split: str, *, size_px: int | None, own_size: bool, noise: Noise
) -> Examples:
    """A model's translations of a split.

    Args:
        config: the card's, or with another `data`: `target_classes` given where the model was trained on pictures of
            label maps has its translations read as label maps, each pixel the nearest of `class_colors`.
        size_px: pairs are brought to this size, in place of the one trained at.
        own_size: pairs are left at the size that the files have.

    Raises:
        UserError: the split is empty, or noise or variants are asked of a model without a noise input.
    """
    size_px = None if own_size else size_px or config.data.image_size_px
    config, card = at_size(config, size_px), translator.card
    source, data = split_of(config, split), config.data
    if noise.variants and not card.noise_size:
        noise = Noise(noise.mode, 0, noise.seed)
    read = pair_reader(source, data)
    trained_on = card.config.data

    def make(index: int) -> Example:
        pair = read(index)
        pair = of_one_size(pair, source.names[index]) if own_size else for_evaluation(pair, data)
        image, target = map(np.asarray, pair)
        seed = noise.seed_of(source.names[index])
        image = np.asarray(match_channels(image, trained_on.input_channels), np.float32)
        translation = translator(image, noise=noise.mode, seed=seed)
        variants = translator.samples(image, noise.variants, seed=seed) if noise.variants else None
        if data.target_classes and not trained_on.target_classes:
            translation = as_label_map(translation, data)
            variants = None if variants is None else np.stack([as_label_map(each, data) for each in variants])
        return Example(source.names[index], translation, image, target, variants=variants)

    protocol = {
        "size_px": size_px or OWN,
        "fit": None if own_size else data.fit,
        "statistics": card.statistics,
        "noise": noise.mode or card.noise,
        "seed": noise.seed,
        "variants": noise.variants,
    }
    has = frozenset({"input", "target", *(("variants",) if noise.variants > 1 else ())})
    about = {"name": card.name, "step": card.step, "protocol": protocol, "card": card.model_dump(mode="json")}
    notes = [fault.message for fault in source.skipped[:1]]
    if source.skipped:
        notes = [f"{len(source.skipped)} pairs were left out. The first: {notes[0]}"]
    return Examples(source.names, make, data, has, len(source), about, tuple(notes))


def of_one_size(pair: Pair, name: str) -> Pair:
    """The pair; raises UserError where input and target differ in size."""
    if pair[0].shape[:2] != pair[1].shape[:2]:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in pair]
        raise UserError(
            f"At their own size, input and target must be equally large. Received {sizes[0]} and {sizes[1]} px in "
            f"{name!r}. Give a --size for both."
        )
    return pair


def as_label_map(picture: np.ndarray, data: DataConfig) -> np.ndarray:
    """float (H, W, 3) in [-1, 1] -> float (H, W, 1): the class of the nearest colour, index / 127.5 - 1."""
    label_map, _ = nearest_color(from_signed(match_channels(picture, 3)), class_colors(data, data.target_classes))
    return to_signed(label_map)
