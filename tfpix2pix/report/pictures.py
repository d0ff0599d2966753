"""The pictures of one image as they stand in a page: JPEG data URIs, and where output and target differ."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from tfpix2pix.pages import data_uri
from tfpix2pix.training.samples import CAPTIONS, picture_grid

MOST_PX = 512  # of the longer side
VARIANT_PX = 160  # the same of a variant: it is shown in a strip, never in large
QUALITY = 88
SHEET_PX, SHEET_ROWS = 128, 8  # of a contact sheet: the longer side of an image, and rows in a column
ERROR_COLORS = matplotlib.colormaps["magma"]
ERROR_MOST = 1.0  # of a map's scale, which is the same for all images, on [-1, 1] as L1 is
COLOR_STOPS = 9


@dataclass(frozen=True)
class Pictures:
    """Of one image: uint8 (H, W, 3) each."""

    name: str
    output: np.ndarray
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    variants: tuple[np.ndarray, ...] = ()  # by different noise

    def embedded(self) -> dict[str, Any]:
        """JSON values: role -> data URI for `output` and, where they are there, `input`, `target` and `error`;
        `variants`, a list of data URIs; `size`, width and height of the output, pixels."""
        images: Mapping[str, np.ndarray | None] = {
            "output": self.output,
            "target": self.target,
            "input": self.input,
            "error": error_map(self.output, self.target),
        }
        return {
            "size": [self.output.shape[1], self.output.shape[0]],
            "variants": [jpeg_uri(each, VARIANT_PX) for each in self.variants],
            **{role: jpeg_uri(image) for role, image in images.items() if image is not None},
        }


def contact_sheet(shown: Sequence[Pictures]) -> np.ndarray:
    """uint8 (height, width, 3): input | output | target of every image, of what there is, in columns that fit a screen.

    Images of more than SHEET_PX are made smaller.
    """
    captions = [role for role in CAPTIONS if all(getattr(each, role) is not None for each in shown)]
    height, width = shown[0].output.shape[:2]
    shrink = max(1.0, max(height, width) / SHEET_PX)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    rows = [[getattr(each, role) for role in captions] for each in shown]
    return picture_grid(rows, captions, size=size, columns=-(-len(rows) // SHEET_ROWS))


def jpeg_uri(image: np.ndarray, most_px: int = MOST_PX) -> str:
    """uint8 (H, W, 3) -> a data URI, made smaller where its longer side exceeds `most_px`. Colour is not subsampled:
    label maps have edges between colours of one brightness."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return data_uri(buffer.getvalue(), "image/jpeg")


def error_map(output: np.ndarray, target: np.ndarray | None) -> np.ndarray | None:
    """uint8 (H, W, 3): the mean absolute difference over channels in colours, black at 0 and brightest from 1 on
    [-1, 1] upwards. None without a target of the output's size."""
    if target is None or target.shape != output.shape:
        return None
    error = np.abs(output.astype(np.float32) - target).mean(axis=-1) / 127.5
    return ERROR_COLORS(np.clip(error / ERROR_MOST, 0, 1), bytes=True)[..., :3]


def color_bar() -> str:
    """The colours of error maps from 0 to 1, as a CSS gradient."""
    stops = ERROR_COLORS(np.linspace(0, 1, COLOR_STOPS), bytes=True)[:, :3]
    return f"linear-gradient(90deg, {', '.join('#' + bytes(stop).hex() for stop in stops)})"
