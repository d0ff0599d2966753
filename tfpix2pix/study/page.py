"""The perceptual test as one HTML page: a real and a generated image, one after the other, and which was generated?

Everything is in the page, which loads nothing. What a trial shows is chosen here. The order in which a rater sees
trials and images is drawn in the rater's browser (study.js), from a seed that the results carry.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.data.formats import encode
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file
from tfpix2pix.pages import LOADS_NOTHING, asset, attribution_line, data_uri, in_script
from tfpix2pix.study import PRACTICE, SHOWN_S, TRIALS

FIXATION_MS, BLANK_MS = 500, 250  # before the first image and between the two; the paper does not say
FORMAT_VERSION = 1
WHAT_COUNTS = {  # whether there is practice -> what raters are told of it
    True: "The first {practice} pairs are practice: you are told whether you were right. The {trials} after them "
    "count, and you are not told.",
    False: "There are {trials} pairs. You are not told whether you were right.",
}


@dataclass(frozen=True)
class Pair:
    """An image and its translation's target, prepared alike: of one size, cropped and resized in the same way."""

    name: str
    real: np.ndarray  # uint8 (H, W, 3)
    generated: np.ndarray  # uint8 (H, W, 3), of the same size


def write_study(
    path: Path,
    pairs: Sequence[Pair],
    *,
    title: str,
    practice: int = PRACTICE,
    trials: int = TRIALS,
    shown_s: float = SHOWN_S,
    seed: int = 0,
    model: Mapping[str, Any] = {},
    same_input: bool = True,
    attribution: str = "",
) -> None:
    """Writes the page to `path`, whole or not at all. Source: Isola et al., 2017, §4.1 "AMT perceptual studies".

    Args:
        pairs: `practice` + `trials` of them are drawn; the others are not read, so a sequence that makes a pair when it
            is asked for it makes no more than needed.
        title: what raters read above the page; it should not say what generated the images.
        shown_s: how long each image is shown, seconds.
        seed: which pairs are drawn, and which of them are practice.
        model: what generated the images, for the results; JSON values. Raters are not shown it.
        attribution: whose images they are and by which licence they may be shown; raters read it under the page.
        same_input: False shows a generated image beside the real one of another pair, as the paper does of maps and
            aerial photographs, "in order to make the task more difficult and avoid floor-level results".

    Raises:
        UserError: too few pairs, two of one name, images of different sizes or not uint8 (H, W, 3); a file at `path`.
        RunError: the page cannot be written.
    """
    check_study(path, len(pairs), practice=practice, trials=trials, shown_s=shown_s)
    rng = np.random.default_rng(seed)
    drawn = [pairs[int(index)] for index in rng.permutation(len(pairs))[: practice + trials]]
    shown = list(zip(drawn if same_input else [*drawn[1:], drawn[0]], drawn, strict=True))
    _check_pairs(shown)

    images = [image for real_of, generated_of in shown for image in (real_of.real, generated_of.generated)]
    places = rng.permutation(len(images))  # so that the place of an image in the page says nothing
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
        "shown_s": shown_s,
        "same_input": same_input,
        "key": _veiled(key),
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
    with whole_file(path) as temporary:
        temporary.write_text(_page(title, practice, trials, shown_s, data, attribution), encoding="utf-8")


def check_study(
    path: Path, pairs: int, *, practice: int = PRACTICE, trials: int = TRIALS, shown_s: float = SHOWN_S
) -> None:
    """Raises UserError where a study of so many pairs could not be made or written: to be asked before translating."""
    for option, value, least in (("--trials", trials, 1), ("--practice", practice, 0)):
        if value < least:
            raise UserError(f"{option} must be {least} or more. Received {value}. Choose another.")
    if not 0 < shown_s <= 60:
        raise UserError(f"An image must be shown for up to 60 seconds. Received {shown_s:g}. Use {SHOWN_S:g}.")
    if pairs < practice + trials:
        raise UserError(
            f"A study needs a pair for each of its {practice} practice and {trials} other trials. Received {pairs} "
            f"{'pair' if pairs == 1 else 'pairs'}. Lower --trials or --practice, or give more pairs."
        )
    check_place(path)


def check_place(path: Path) -> None:
    """Raises UserError where there is a file already."""
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
                f"The two images of a trial must have one size, or the size gives the answer away. Received "
                f"{_size(real)} real ({real_of.name!r}) and {_size(generated)} generated ({generated_of.name!r}). "
                f"Resize them alike."
            )


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


def _veiled(key: list[dict]) -> str:
    """Which image is which, so that nobody reads it by the way; who decodes it has decided to."""
    return base64.b64encode(json.dumps(key).encode()).decode()


def _identity(seen: Mapping[str, Any], images: Sequence[np.ndarray]) -> str:
    """12 hexadecimal digits, a function of what raters see: two pages of one study have one."""
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode())
    for image in images:
        digest.update(f"{image.shape}".encode() + image.tobytes())
    return digest.hexdigest()[:12]


def _page(
    title: str, practice: int, trials: int, shown_s: float, data: Mapping[str, Any], attribution: str
) -> str:  # fmt: skip
    return asset(__package__, "study.html").format(
        policy=LOADS_NOTHING,
        style=asset(__package__, "study.css"),
        script=asset(__package__, "study.js"),
        data=in_script(data),
        title=escape(title),
        attribution=attribution_line(attribution),
        seconds=f"{shown_s:g} second{'' if shown_s == 1 else 's'}",
        what_counts=WHAT_COUNTS[practice > 0].format(practice=practice, trials=trials),
    )
