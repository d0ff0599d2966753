"""Writes the perceptual test as one HTML page, which asks which of two images was generated.

The page contains everything and requests nothing. This module draws the pairs that a study shows. The rater's browser
(study.js) draws the order of the pairs, and of the two images of each, from a seed that the results contain.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.data.formats import encode
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.study import PRACTICE, SHOWN_S, TRIALS
from tfpix2pix.files import whole_file, write_text
from tfpix2pix.pages import data_uri, render_page

KIND = "perceptual test"
TEMPLATE = "evaluation/study/study.html"
FIXATION_MS, BLANK_MS = 500, 250  # before the first image and between the two. The paper does not give these times.
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Pair:
    """Holds a real image and a generated one, prepared alike: of one size, cropped and resized in the same way."""

    name: str
    real: np.ndarray  # uint8 (H, W, 3)
    generated: np.ndarray  # uint8 (H, W, 3), of the same size


@dataclass(frozen=True)
class Design:
    """Holds the settings of a study. The defaults are the paper's."""

    practice: int = PRACTICE
    """Number of trials with feedback, which do not count."""
    trials: int = TRIALS
    """Number of trials that count."""
    shown_s: float = SHOWN_S
    """Display time of each image, s."""
    same_input: bool = True
    """False shows a generated image beside the real one of another pair, as the paper does with maps and aerial
    photographs, "in order to make the task more difficult and avoid floor-level results"."""
    seed: int = 0
    """Seed that draws the pairs, and those of them that are practice."""


def write_study(
    path: Path,
    pairs: Sequence[Pair],
    *,
    title: str,
    design: Design = Design(),
    model: Mapping[str, Any] = {},
    attribution: str = "",
) -> None:
    """Writes the page to `path`, whole or not at all. Source: Isola et al., 2017, §4.1 "AMT perceptual studies".

    Args:
        pairs: pairs from which practice and other trials are drawn. Pairs that are not drawn are not accessed.
        title: title that raters read above the page. It should not reveal what generated the images.
        model: the model that generated the images, JSON values. The results contain it, but raters do not see it.
        attribution: author and licence of the images. Raters read it below the page.

    Raises:
        UserError: there are too few pairs, two have one name, images differ in size or are not uint8 (H, W, 3), or
            there is a file at `path`.
        RunError: the page cannot be written.
    """
    check_study(path, len(pairs), design)
    practice, trials, same_input = design.practice, design.trials, design.same_input
    rng = np.random.default_rng(design.seed)
    drawn = [pairs[int(index)] for index in rng.permutation(len(pairs))[: practice + trials]]
    shown = list(zip(drawn if same_input else [*drawn[1:], drawn[0]], drawn, strict=True))
    _check_pairs(shown)

    images = [image for real_of, generated_of in shown for image in (real_of.real, generated_of.generated)]
    places = rng.permutation(len(images))  # so that the position of an image in the page reveals nothing
    key = [
        {
            "name": pair.name,
            "practice": index < practice,
            "real": int(places[2 * index]),
            "generated": int(places[2 * index + 1]),
        }
        for index, (_, pair) in enumerate(shown)
    ]
    seen = {
        "title": title,
        "practice": practice,
        "trials": trials,
        "shown_s": design.shown_s,
        "same_input": same_input,
        "key": _encoded(key),
    }
    ordered = [images[index] for index in np.argsort(places)]
    data = {
        "format_version": FORMAT_VERSION,
        "study": _identity(seen, ordered),
        **seen,
        "model": dict(model),
        "fixation_ms": FIXATION_MS,
        "blank_ms": BLANK_MS,
        "images": [data_uri(encode(image, ".png"), "image/png") for image in ordered],
    }
    page = render_page(
        TEMPLATE,
        KIND,
        title,
        data=data,
        practice=practice,
        trials=trials,
        seconds=f"{design.shown_s:g} second{'' if design.shown_s == 1 else 's'}",
        attribution=attribution,
    )
    with whole_file(path) as temporary:
        write_text(temporary, page)


def check_study(path: Path, pairs: int, design: Design) -> None:
    """Raises UserError if a study of this number of pairs cannot be made or written. Call it before translating."""
    for name, value, least in (("trials", design.trials, 1), ("practice", design.practice, 0)):
        if value < least:
            raise UserError(f"`{name}` must be {least} or more. Received {value}. Choose another.")
    if not 0 < design.shown_s <= 60:
        raise UserError(f"An image must be shown for up to 60 seconds. Received {design.shown_s:g}. Use {SHOWN_S:g}.")
    if pairs < design.practice + design.trials:
        raise UserError(
            f"A study needs a pair for each of its {design.practice} practice and {design.trials} other trials. "
            f"Received {pairs} {'pair' if pairs == 1 else 'pairs'}. Lower `trials` or `practice`, or give more pairs."
        )
    check_place(path)


def check_place(path: Path) -> None:
    """Raises UserError if there is a file at `path`."""
    if path.exists() or path.is_symlink():
        raise UserError(
            f"A study must not overwrite a file, since raters may have answered it. Received {path}, which exists. "
            f"Choose another folder."
        )


def _check_pairs(shown: Sequence[tuple[Pair, Pair]]) -> None:
    names = [pair.name for _, pair in shown]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Pairs of a study must have different names. Received {twice!r} twice. Rename one.")
    for real_of, generated_of in shown:
        real, generated = real_of.real, generated_of.generated
        for image, pair in ((real, real_of), (generated, generated_of)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
                raise UserError(
                    f"Images of a study must be RGB of 8 bits. Received {image.dtype} of shape {image.shape} in "
                    f"{pair.name!r}. Convert it."
                )
        if real.shape != generated.shape:
            raise UserError(
                f"The two images of a trial must have one size, because a difference reveals the answer. Received "
                f"{_size(real)} real ({real_of.name!r}) and {_size(generated)} generated ({generated_of.name!r}). "
                f"Resize them alike."
            )


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


def _encoded(key: list[dict]) -> str:
    """Encodes the key of the images in base64, so that nobody reads it by accident."""
    return base64.b64encode(json.dumps(key).encode()).decode()


def _identity(seen: Mapping[str, Any], images: Sequence[np.ndarray]) -> str:
    """Returns 12 hexadecimal digits, a function of what raters see: pages of one study have the same digits."""
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode())
    for image in images:
        digest.update(f"{image.shape}".encode() + image.tobytes())
    return digest.hexdigest()[:12]
