"""Makes pairs from photographs: the photograph is the target, and an operator makes the input from it."""

from __future__ import annotations

import threading
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tfpix2pix.data import OPERATORS
from tfpix2pix.data.images import image_reader, read_size
from tfpix2pix.data.pairs import Pair, Source, check_size, with_channels
from tfpix2pix.data.ranges import from_signed, in_range, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import data_folder, is_divided, named, split_files
from tfpix2pix.errors import UserError
from tfpix2pix.files import as_bytes

# Photographs that scikit-image ships in its wheel. docs/data.md has their terms.
SAMPLE_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "rocket.jpg")
PHOTOGRAPHS_KEPT = 8
LOCKS = 32  # photographs that are read at a time, at most


def photographs(config: DataConfig, split: str, seed: int) -> Source:
    """Opens a folder of photographs as targets. `config.operator` makes the inputs from them.

    If the folder has no train/ and val/ inside, a seeded fraction of the files is held out. No photograph is in two
    splits.
    """
    source = _photographs(split_files(config, split, seed), config, split, seed, held_out=0.0)
    return replace(source, divided=is_divided(data_folder(config)))


def sample_photographs(config: DataConfig, split: str, seed: int) -> Source:
    """Opens real photographs that come with scikit-image, as `photographs` does, without a download.

    They are few, so the right-hand part of every photograph is held out.
    """
    import skimage.data

    if config.dir is not None:
        raise UserError(
            f"`data.dir` must be left out for the sample photographs, which come with scikit-image. "
            f"Received {config.dir}. "
            f"For photographs of your own add `--set data.source=photographs`, for pairs `--set data.source=combined`."
        )
    folder = Path(skimage.data.__file__).parent
    files = named([folder / name for name in SAMPLE_PHOTOGRAPHS], folder)
    return _photographs(files, config, split, seed, config.held_out_fraction)


def _photographs(files: dict[str, Path], config: DataConfig, split: str, seed: int, held_out: float) -> Source:
    """Returns a source of photographs or tiles. `held_out`: fraction of each photograph's width that is held out."""
    operator, random = OPERATORS[config.operator].make, OPERATORS[config.operator].random and split == "train"
    read_image = image_reader(config)
    if held_out and split == "test":  # parts of photographs are `train` or `val`
        files = {}
    # Training cuts random crops. Held-out parts are evaluated tile by tile, so that every pixel counts.
    tiled = split != "train" and config.fit == "crop"
    tiles = [(stem, path, None) for stem, path in files.items()]
    if tiled:
        tiles = [(stem, path, tile) for stem, path, _ in tiles for tile in _tiles(path, config, split, held_out)]

    @lru_cache(maxsize=PHOTOGRAPHS_KEPT)  # neighbouring tiles are from one photograph
    def whole(path: Path, epoch: int) -> Pair:
        target = _part(with_channels(read_image(path), 3, config, path), split, held_out)
        if target.dtype != np.uint8:  # operators work on 8 bits
            target = in_range(target, config.target_range, "data.target_range", path, clip=config.clips[1])
            target = from_signed(to_signed(target, config.target_range))
        rng = np.random.default_rng([seed, zlib.crc32(as_bytes(f"{path.name}/{split}")), epoch])
        return operator(target, config, rng), target  # applied after the cut: a part's input shows nothing of the other

    locks = [threading.Lock() for _ in range(LOCKS)]

    def at_epoch(index: int, epoch: int) -> Pair:
        _, path, tile = tiles[index]
        with locks[hash(path) % LOCKS]:  # threads that read neighbouring tiles wait for the first of them
            pair = whole(path, epoch)
        if tile is not None:
            (top, left), (tall, wide) = tile, config.size_px
            pair = tuple(image[top : top + tall, left : left + wide] for image in pair)
        check_size(*pair[0].shape[:2], config, path, held_out)
        return with_channels(pair[0], config.input_channels, config, path), pair[1]

    names = [stem if tile is None else f"{stem}-{tile[0]}-{tile[1]}" for stem, _, tile in tiles]
    return Source(
        names, lambda index: at_epoch(index, 0), lambda index: tiles[index][1:2], at_epoch=at_epoch if random else None
    )


def _part(photograph: np.ndarray, split: str, held_out: float) -> np.ndarray:
    return photograph[:, _columns(photograph.shape[1], split, held_out)]


def _columns(width: int, split: str, held_out: float) -> slice:
    """Returns the columns of a split: the left-hand part for training, the right-hand fraction `held_out` otherwise."""
    if not held_out:
        return slice(0, width)
    cut = round(width * (1.0 - held_out))
    return slice(0, cut) if split == "train" else slice(cut, width)


def _tiles(path: Path, config: DataConfig, split: str, held_out: float) -> list[tuple[int, int]]:
    """Lists (top, left) of the tiles of `image_size_px` that fill a split's part of a photograph."""
    height, width = read_size(path)
    columns = _columns(width, split, held_out)
    width = columns.stop - columns.start
    check_size(height, width, config, path, held_out)
    tall, wide = config.size_px
    return [(top, left) for top in range(0, height - tall + 1, tall) for left in range(0, width - wide + 1, wide)]
