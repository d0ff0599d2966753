"""Prepares the pictures of one image for a page: JPEG data URIs, and maps of the error between output and target."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from tfpix2pix.pages import data_uri
from tfpix2pix.training.samples import CAPTIONS, labelled, picture_grid

MOST_PX = 512  # length of the longer side
VARIANT_PX = 160  # the same for a variant, which is only shown in a strip
QUALITY = 88
SHEET_PX, SHEET_ROWS = 128, 8  # in a contact sheet: the longer side of an image, and rows in a column
ERROR_COLORS = matplotlib.colormaps["magma"]
ERROR_MOST = 1.0  # end of the scale of all error maps, on [-1, 1] as L1
COLOR_STOPS = 9


@dataclass(frozen=True)
class Pictures:
    """Holds the pictures of one image, each uint8 (H, W, 3)."""

    name: str
    output: np.ndarray
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    variants: tuple[np.ndarray, ...] = ()  # by different noise
    facts: str = ""  # in words, such as the scalars of the input
    nearest: np.ndarray | None = None  # the training target that is nearest to the output
    nearest_caption: str = ""  # its name and distance

    def embedded(self) -> dict[str, Any]:
        """Returns JSON values: `size`, width and height of the output in pixels; `facts`; `variants`, a list of data
        URIs; and the data URIs of `output` and, if they exist, of `input`, `target`, `error` and `nearest`, with its
        caption."""
        images: Mapping[str, np.ndarray | None] = {
            "output": self.output,
            "target": self.target,
            "input": self.input,
            "error": error_map(self.output, self.target),
            "nearest": self.nearest,
        }
        return {
            "size": [self.output.shape[1], self.output.shape[0]],
            "facts": self.facts,
            "variants": [jpeg_uri(variant, VARIANT_PX) for variant in self.variants],
            "captions": {"nearest": self.nearest_caption},
            **{role: jpeg_uri(image) for role, image in images.items() if image is not None},
        }


def contact_sheet(shown: Sequence[Pictures]) -> np.ndarray:
    """Returns input | output | target of every image in columns that fit a screen, uint8 (height, width, 3).

    Roles that an image lacks are left out. Images larger than SHEET_PX are reduced.
    """
    captions = [role for role in CAPTIONS if all(getattr(pictures, role) is not None for pictures in shown)]
    height, width = shown[0].output.shape[:2]
    shrink = max(1.0, max(height, width) / SHEET_PX)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    rows = [
        [labelled(getattr(pictures, role), pictures.facts * (role == "input")) for role in captions]
        for pictures in shown
    ]
    return picture_grid(rows, captions, size=size, columns=-(-len(rows) // SHEET_ROWS))


def jpeg_uri(image: np.ndarray, most_px: int = MOST_PX) -> str:
    """Returns an image, uint8 (H, W, 3), as a data URI, reduced if its longer side exceeds `most_px`.

    Colour is not subsampled, because label maps have edges between colours of one brightness.
    """
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return data_uri(buffer.getvalue(), "image/jpeg")


def error_map(output: np.ndarray, target: np.ndarray | None) -> np.ndarray | None:
    """Returns the mean absolute difference over channels as colours, uint8 (H, W, 3).

    The scale is that of [-1, 1]: black at 0, brightest from 1 upwards. None without a target of the output's size.
    """
    if target is None or target.shape != output.shape:
        return None
    error = np.abs(output.astype(np.float32) - target).mean(axis=-1) / 127.5
    return ERROR_COLORS(np.clip(error / ERROR_MOST, 0, 1), bytes=True)[..., :3]


def color_bar() -> str:
    """Returns the colours of error maps from 0 to 1 as a CSS gradient."""
    stops = ERROR_COLORS(np.linspace(0, 1, COLOR_STOPS), bytes=True)[:, :3]
    return f"linear-gradient(90deg, {', '.join('#' + bytes(stop).hex() for stop in stops)})"
