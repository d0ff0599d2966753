"""Where pairs come from: each function gives the pairs of one split. A new kind is a function and a row."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tfpix2pix.config import DataConfig
from tfpix2pix.data import OPERATORS, SPLITS
from tfpix2pix.data.images import SUFFIXES, list_images, match_channels, read_image, read_size
from tfpix2pix.errors import UserError

Pair = tuple[np.ndarray, np.ndarray]  # input and target, each (H, W, C) uint8 or uint16

# Photographs that scikit-image ships in its wheel; their terms stand in docs/demo.md.
SAMPLE_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "rocket.jpg")
MAX_ENLARGEMENT = 4
PHOTOGRAPHS_KEPT = 8


@dataclass(frozen=True)
class Source:
    """A finite sequence of named pairs, read by index."""

    names: Sequence[str]
    read: Callable[[int], Pair]

    def __len__(self) -> int:
        return len(self.names)


def combined(config: DataConfig, split: str, seed: int) -> Source:
    """One image a pair, the input its left or right half (`config.input_side`)."""
    files, _ = split_files(config, split, seed)

    def read(index: int) -> Pair:
        path = files[index]
        image = read_image(path)
        if image.shape[1] % 2:
            raise UserError(
                f"A combined image must be an even number of pixels wide, two halves of one size. "
                f"Received {image.shape[1]} px in {path}. Mend the file or remove it."
            )
        halves = np.split(image, 2, axis=1)
        return checked(halves if config.input_side == "left" else halves[::-1], config, path)

    return Source([path.stem for path in files], read)


def photographs(config: DataConfig, split: str, seed: int) -> Source:
    """One photograph a pair: the target; the input is made from it by `config.operator`.

    Where the folder has no train/ and val/ inside, the right-hand part of every photograph is held out.
    """
    files, divided = split_files(config, split, seed, hold_out_files=False)
    return _photographs(files, config, split, seed, 0.0 if divided else config.held_out_fraction)


def sample_photographs(config: DataConfig, split: str, seed: int) -> Source:
    """`photographs` over real ones that are on every machine with scikit-image installed: no download."""
    import skimage.data

    if config.dir is not None:
        raise UserError(
            f"`data.dir` must be left out for the sample photographs, which come with scikit-image. "
            f"Received {config.dir}. "
            f"For photographs of your own add `--set data.source=photographs`, for pairs `--set data.source=combined`."
        )
    folder = Path(skimage.data.__file__).parent
    files = [folder / name for name in SAMPLE_PHOTOGRAPHS]
    return _photographs(files, config, split, seed, config.held_out_fraction)


def _photographs(files: list[Path], config: DataConfig, split: str, seed: int, held_out: float) -> Source:
    operator = OPERATORS[config.operator]
    if held_out and split == "test":  # parts of photographs are `train` or `val`
        files = []
    # Training cuts its own random crops; held-out parts are measured tile by tile, so that all of them is seen.
    tiled = split != "train" and config.fit == "crop"
    places = [(path, None) for path in files]
    if tiled:
        places = [(path, tile) for path in files for tile in _tiles(path, config, split, held_out)]

    @lru_cache(maxsize=PHOTOGRAPHS_KEPT)  # neighbouring tiles are of one photograph
    def whole(path: Path) -> Pair:
        target = _part(with_channels(read_image(path), 3, config, path), split, held_out)
        if target.dtype == np.uint16:  # operators work on 8 bits
            target = (target // 257).astype(np.uint8)
        rng = np.random.default_rng([seed, zlib.crc32(f"{path.name}/{split}".encode())])
        return operator(target, config, rng), target  # after the cut: the input of one part shows nothing of the other

    def read(index: int) -> Pair:
        path, tile = places[index]
        pair = whole(path)
        if tile is not None:
            top, left = tile
            pair = tuple(image[top : top + config.image_size_px, left : left + config.image_size_px] for image in pair)
        check_size(*pair[0].shape[:2], config, path, held_out)
        return with_channels(pair[0], config.input_channels, config, path), pair[1]

    return Source([path.stem if tile is None else f"{path.stem}-{tile[0]}-{tile[1]}" for path, tile in places], read)


def _part(photograph: np.ndarray, split: str, held_out: float) -> np.ndarray:
    return photograph[:, _columns(photograph.shape[1], split, held_out)]


def _columns(width: int, split: str, held_out: float) -> slice:
    """The left-hand part for training, the right-hand part of share `held_out` for everything else."""
    if not held_out:
        return slice(0, width)
    cut = round(width * (1.0 - held_out))
    return slice(0, cut) if split == "train" else slice(cut, width)


def _tiles(path: Path, config: DataConfig, split: str, held_out: float) -> list[tuple[int, int]]:
    """(top, left) of the squares of side `image_size_px` that fill a photograph's part of a split."""
    height, width = read_size(path)
    columns = _columns(width, split, held_out)
    width = columns.stop - columns.start
    check_size(height, width, config, path, held_out)
    size = config.image_size_px
    return [(top, left) for top in range(0, height - size + 1, size) for left in range(0, width - size + 1, size)]


def checked(pair: Sequence[np.ndarray], config: DataConfig, path: Path) -> Pair:
    """The pair with the configured channels; raises UserError where it is too small to train on."""
    check_size(*pair[0].shape[:2], config, path)
    channels = (config.input_channels, config.target_channels)
    return tuple(with_channels(image, wanted, config, path) for image, wanted in zip(pair, channels, strict=True))


def with_channels(image: np.ndarray, channels: int, config: DataConfig, path: Path) -> np.ndarray:
    """`match_channels` that does not drop an alpha channel unless the configuration says so."""
    if image.shape[-1] in (2, 4) and channels in (1, 3) and config.alpha == "refuse":
        kind = "gray with alpha" if image.shape[-1] == 2 else "RGBA"
        pairs = config.source == "combined"
        more = "`--set data.input_channels=4 --set data.target_channels=4` to translate transparency too, or "
        raise UserError(
            f"An image must have as many channels as the configuration, {channels} here. Received {kind} in {path}. "
            f"Add {more if pairs else ''}`--set data.alpha=drop` to leave the transparency out."
        )
    return match_channels(image, channels)


def check_size(height: int, width: int, config: DataConfig, path: Path, held_out: float = 0.0) -> None:
    """Raises UserError where an input of this size (px) is too small for the configured image size.

    `held_out` is the share of a photograph's width that is cut off and held out, where one is.
    """
    crop = config.fit == "crop"
    least = config.image_size_px if crop else -(-config.image_size_px // MAX_ENLARGEMENT)
    if min(height, width) < least:
        why = "to cut a crop from it" if crop else f"to be enlarged {MAX_ENLARGEMENT} times at most"
        part = f", its part of a `data.held_out_fraction` of {held_out:g}" if held_out else ""
        other = ", another `data.held_out_fraction`, train/ and val/ folders" if held_out else ""
        raise UserError(
            f"Input and target must each be at least {least} px high and wide {why}. "
            f"Received {width}x{height} px from {path}{part}. Use larger images{other}, or a smaller "
            f"`data.image_size_px`."
        )


def split_files(config: DataConfig, split: str, seed: int, hold_out_files: bool = True) -> tuple[list[Path], bool]:
    """The image files of a split, and whether folders divide them.

    With train/, val/ or test/ inside the folder, those; a missing one is empty. Otherwise the files directly inside,
    of which a seeded share is `val` (the split of a file depends on the seed and its name alone).

    Raises:
        UserError: no such folder, or no image for training in it.
    """
    if config.dir is None:
        raise UserError("A folder of pairs must be given. Received none. Add `--data DIR` or set `data.dir`.")
    folder = Path(config.dir).expanduser()
    if not folder.is_dir():
        raise UserError(f"`data.dir` must be an existing folder. Received {folder}. Check the path.")
    divided = any((folder / name).is_dir() for name in SPLITS)
    if divided:
        folder = folder / split
        files = list_images(folder) if folder.is_dir() else []
    else:
        files = list_images(folder)
        if hold_out_files and split != "test":
            held_out = set(sorted(files, key=lambda f: hashlib.sha256(f"{seed}/{f.name}".encode()).digest())[
                : round(len(files) * config.held_out_fraction)
            ])  # fmt: skip
            files = [file for file in files if (file in held_out) == (split == "val")]
    if split == "train" and not files:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(f"The folder {folder} must hold images ({kinds}) to train on. Received none. Check `data.dir`.")
    return files, divided
