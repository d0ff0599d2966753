"""Holds the models of the page, checks that they take the same kind of input, and translates by them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import OPERATORS
from tfpix2pix.data.images import as_picture, enlarged, match_channels, read_size
from tfpix2pix.data.labels import palette_of, pictures_of, read_side
from tfpix2pix.data.opening import open_source, pair_reader
from tfpix2pix.data.ranges import from_signed, in_range, to_signed
from tfpix2pix.data.scale import OWN
from tfpix2pix.data.transforms import Pair, for_evaluation
from tfpix2pix.errors import UserError
from tfpix2pix.inference.batching import ImageTranslator
from tfpix2pix.inference.clipping import Clipped
from tfpix2pix.inference.items import INPUT
from tfpix2pix.inference.reader import notes_on
from tfpix2pix.inference.scaling import BROUGHT, Scaling
from tfpix2pix.inference.translator import Translator
from tfpix2pix.parallel import evenly_spread
from tfpix2pix.size import Size

MOST_PX = 4_000_000  # of an image on the page, for which a person waits
EXAMPLES = 8


@dataclass(frozen=True)
class Shown:
    """Holds a model on the page."""

    name: str
    translator: ImageTranslator

    @property
    def card(self) -> ModelCard:
        return self.translator.card

    @property
    def facts(self) -> dict[str, str]:
        """Returns the facts that the page shows about the model: title -> text."""
        card, data = self.card, self.card.config.data
        fixed = card.static_size_px
        size = f"{fixed.height}x{fixed.width} px, others in tiles" if fixed else "any size"
        return {
            "model": self.name,
            "origin": f"{card.config.name}, step {card.step:,}" if card.origin is None else f"from {card.origin.kind}",
            "trained at": f"{data.size_px} px",
            "takes": size,
            "weights": {"none": "float32"}.get(card.quantization, card.quantization),
            "noise": "yes" if card.noise_size else "none",
        }


@dataclass(frozen=True)
class Translation:
    """Holds a translation by a model."""

    image: np.ndarray  # (H, W, C') as its file holds it
    picture: np.ndarray  # uint8 (H, W, 3) to look at
    palette: Sequence[int] | None  # of its file, if it is a label map
    seconds: float
    notes: Sequence[str]
    seed: int = 0  # of the noise; 0: off


def sheet_size_px(model: Shown) -> Size:
    """Returns height and width of a sheet to draw on."""
    return model.card.static_size_px or model.card.config.data.size_px


def warm(model: Shown) -> None:
    """Translates a blank image, so that no user waits for the start-up of a model."""
    data = model.card.config.data
    blank = np.zeros((*sheet_size_px(model), 1 if data.input_classes else data.input_channels), np.uint8)
    model.translator.translate(blank)


def check_alike(models: Sequence[Shown]) -> None:
    """Raises UserError if models side by side take different kinds of input."""
    first = models[0]
    for other in models[1:]:
        if _kind(other.card.config) != _kind(first.card.config):
            raise UserError(
                f"Models side by side must take the same kind of input. Received {first.name}, which takes "
                f"{_words(first.card.config)}, and {other.name}, which takes {_words(other.card.config)}. Show them "
                f"one after the other."
            )


def _kind(config: Config) -> tuple:
    data = config.data
    return data.input_classes, data.input_channels, data.input_range if not data.makes_inputs else None


def _words(config: Config) -> str:
    data = config.data
    if data.input_classes:
        return f"label maps of {data.input_classes} classes"
    values = data.input_range
    among = ""
    if values:
        among = " of other ranges" if isinstance(values[0], tuple) else f" from {values[0]:g} to {values[1]:g}"
    return f"images of {data.input_channels} channel{'s' if data.input_channels > 1 else ''}{among}"


def check_size(height: int, width: int) -> None:
    """Raises UserError if an image is too large for the page."""
    if height * width > MOST_PX:
        raise UserError(
            f"An image on the page must have at most {MOST_PX / 1e6:g} megapixels. Received {width}x{height} px. "
            f"Make it smaller, or use `tfpix2pix translate --tile 512`."
        )


def translate(model: Shown, image: np.ndarray, *, noise: int, where: str) -> Translation:
    """Translates an input as its file holds it.

    Args:
        noise: 0 for noise off, otherwise the seed. A model without noise ignores it.
        where: name of the image, for messages.

    Raises:
        UserError: the image is too large for the page, does not fit the model, or has values out of range.
    """
    card = model.card
    data = card.config.data
    check_size(*image.shape[:2])
    of_file, clipped = image, Clipped(data)
    if not data.input_classes:
        image = in_range(image, data.ranges[0], "data.input_range", where, clip=data.clips[0])
    if clipped.may_be:
        clipped.add(where, of_file)
    scaling = Scaling(card)
    scaled = scaling.brought(image)
    notes = notes_on(image, card, "" if scaled is image else BROUGHT)
    if said := clipped.sentence(1):
        notes.append(said)
    if noise and not card.noise_size:
        notes.append("the model has no noise input, so every image is the same")
    seed = noise if card.noise_size else 0
    vector = model.translator.noise(1, seed) if seed else None
    start = time.perf_counter()
    result = scaling.back(model.translator.translate(scaled, vector, where), image.shape[:2])
    seconds = time.perf_counter() - start
    picture = pictures_of(data)[1](to_signed(result, data.ranges[1]))
    return Translation(result, picture, palette_of(data), seconds, notes, seed)


def read_input(path: Path, card: ModelCard, *, by_operator: bool, enlarge: int = 1) -> np.ndarray:
    """Reads a file as an input of a model.

    Args:
        by_operator: whether the file is a photograph, from which the model's operator makes the input.
        enlarge: factor by which the input is enlarged.

    Raises:
        UserError: the file is unreadable, too large for the page, or does not fit the model.
    """
    data, (height, width) = card.config.data, read_size(path)
    check_size(height * enlarge, width * enlarge)  # before it is decoded
    image = read_side(path, INPUT, data)
    if by_operator:
        photograph = as_picture(from_signed(to_signed(image)))
        image = OPERATORS[data.operator].make(photograph, data, np.random.default_rng(0))
    return enlarged(image, enlarge, data.numbers[INPUT]) if enlarge > 1 else image


def _distance(translator: Translator, pair: Pair) -> float:
    """Returns the mean difference of a pair's translation from its target, or of label maps the share of pixels."""
    data = translator.card.config.data
    image, target = (np.asarray(side, np.float32) for side in pair[:2])
    image = match_channels(image, data.input_channels)
    off = np.abs(translator(image, noise="off", size=OWN) - target)
    return float(np.mean(off > 0 if data.target_classes else off))


def example_pictures(
    config: Config, folder: str | None = None, shipped: Sequence[Path] = (), translator: Translator | None = None
) -> list[np.ndarray]:  # fmt: skip
    """Returns pictures of held-out inputs of a model's data at its training size, uint8 (H, W, 3).

    For a model that fills holes, they are the whole photographs. Without the data the list is empty.

    Args:
        folder: folder of the data; None: as in the model's configuration.
        shipped: files of pictures, 8 bits, that come with the model, and are taken unless `folder` is given.
        translator: if it is given, the example whose translation is nearest to its target comes first, then the next.

    Raises:
        UserError: `folder` does not hold such data.
    """
    if shipped and folder is None:
        return [np.asarray(Image.open(path).convert("RGB")) for path in shipped]
    data = config.data if folder is None else config.data.model_copy(update={"dir": folder})
    whole = int(data.makes_inputs and OPERATORS[data.operator].leaves == "holes")
    picture_of = pictures_of(data)[whole]
    try:
        source = open_source(data, "val", config.seed)
        read = pair_reader(source, data)
        pairs = [for_evaluation(read(index), data) for index in evenly_spread(len(source), EXAMPLES)]
    except UserError:
        if folder is not None:
            raise
        return []
    if translator is not None:
        pairs.sort(key=partial(_distance, translator))
    pictures = [picture_of(np.asarray(pair[whole])) for pair in pairs]
    return [picture for picture in pictures if picture.min() != picture.max()]  # pictures of one colour show nothing
