"""Made pairs of a photograph and a drawing of one scene, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import tiny_config, write_image
from tfpix2pix.config import Config
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.doctor.findings import Examination

SIZE_PX = 64
PALETTE = np.array([[0, 0, 170], [0, 85, 255], [170, 255, 85], [255, 85, 0], [0, 255, 170], [170, 0, 0]], np.uint8)


def scene(seed: int, size_px: int = SIZE_PX) -> tuple[np.ndarray, np.ndarray]:
    """Photograph and drawing: rectangles, once shaded, textured and noisy, once in plain colours."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size_px, size_px), int)
    for _ in range(14):
        top, left = rng.integers(0, size_px - 8, 2)
        height, width = rng.integers(6, size_px // 2, 2)
        labels[top : top + height, left : left + width] = rng.integers(1, len(PALETTE))
    walls = rng.integers(40, 216, (len(PALETTE), 3))[labels].astype(float)
    shade = np.linspace(-20, 20, size_px)[:, np.newaxis, np.newaxis]
    noise = rng.normal(0, 14, (size_px, size_px, 1)) + rng.normal(0, 4, walls.shape)
    return np.clip(walls + shade + noise, 0, 255).astype(np.uint8), PALETTE[labels]


def moved(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """Moved over the frame; what comes in are the border's pixels again, as no circular shift has it."""
    rows, columns = (np.arange(length) for length in image.shape[:2])
    rows = np.clip(rows - down, 0, image.shape[0] - 1)
    return image[rows][:, np.clip(columns - right, 0, image.shape[1] - 1)]


def combine(*sides: np.ndarray) -> np.ndarray:
    return np.concatenate(sides, axis=1)


def make_set(folder: Path, train: int = 8, val: int = 4) -> Path:
    """Combined PNG images, photograph left: train/0.png, …, val/100.png, …; nothing is wrong with them."""
    for split, count, first in (("train", train, 0), ("val", val, 100)):
        for seed in range(first, first + count):
            write_image(folder / split / f"{seed}.png", combine(*scene(seed)))
    return folder


def config_of(folder: Path | str, **data) -> Config:
    return tiny_config(data={"dir": str(folder), **data})


def examined(folder: Path | str, **data) -> Examination:
    return examine(config_of(folder, **data).data)


def told(examination: Examination) -> list[tuple]:
    """(kind, split, names) of all findings."""
    return [(finding.kind, finding.split, finding.names) for finding in examination.findings]


def recompressed(path: Path, to: Path, quality: int = 75) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    Image.open(path).convert("RGB").save(to, quality=quality)
