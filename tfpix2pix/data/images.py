"""Finds, reads, converts and writes images: uint8, uint16 or float of any range in files, float32 in [-1, 1] inside."""

from __future__ import annotations

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from tfpix2pix.data import OUTPUT_FORMATS, SPLITS
from tfpix2pix.data.dicom import is_series, may_be_dicom
from tfpix2pix.data.formats import (
    Palette,
    TooLarge,
    Unreadable,
    check_header,
    decode,
    encode,
    open_header,
    upright_size,
)
from tfpix2pix.data.nifti import is_nifti, without_suffix
from tfpix2pix.data.regions import unreadable
from tfpix2pix.data.settings import MOST_MEGAPIXELS, DataConfig
from tfpix2pix.destinations import is_own_folder
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.files import SYSTEM_FILES, SYSTEM_FOLDERS, whole_file
from tfpix2pix.safe_files import open_regular_file

SUFFIXES_OF_TOP = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy"})
SUFFIXES = SUFFIXES_OF_TOP | {".jfif", ".jpe"}
NOT_IMAGES = frozenset(  # beside images; others that are not read may be images in another format
    (".txt", ".md", ".html", ".pdf", ".csv", ".tsv", ".json", ".xml", ".yaml", ".log", ".py", ".ipynb", ".zip", ".gz")
)
SERIES = "series"  # name of a volume whose files lie in the folder of the volumes itself
NEAREST, BILINEAR, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
MEGAPIXELS = "data.max_megapixels"  # the key that messages name
LARGE_BYTES = 2**24  # of a file whose header is looked at before the file is read; decoding looks at it again
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
Value = TypeVar("Value")


def list_images(
    folder: Path, files: str = "all", *, deep: bool = True, leave_out: Path | None = None, volumes: bool = False
) -> list[Path]:
    """Lists the image files in `folder`, sorted by their paths.

    Hidden files are left out, as `walk` does. A link without a target is listed, so that reading it raises an error
    that names it.

    Args:
        files: `all`, or `top`: as the first versions, which did not read sub-folders, .jfif and .jpe (`data.files`).
        deep: read sub-folders too, except hidden ones, those of splits and those that this package wrote.
        leave_out: a sub-folder that is not read.
        volumes: list NIfTI files and the folders of DICOM files, too.
    """
    if files == "top":
        names = [name for name in walk(folder, lambda inner: False, hidden=True) if suffix_of(name) in SUFFIXES_OF_TOP]
    else:
        left_out = leave_out and os.path.realpath(leave_out)

        def enter(inner: Path) -> bool:
            return deep and may_hold_pairs(inner) and os.path.realpath(inner) != left_out

        every = list(walk(folder, enter))
        names = [name for name in every if is_image(name) or (volumes and is_nifti(name))]
        if volumes:
            series = {str(PurePosixPath(name).parent) for name in every if may_be_dicom(name)}
            names += [name for name in series if is_series(folder / name)]
    return [folder / name for name in sorted(names)]


def is_image(name: str) -> bool:
    """Returns True if a file of this name is read as an image."""
    return suffix_of(name) in SUFFIXES


def suffix_of(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def stem_of(file: Path, folder: Path) -> str:
    """Returns the path of a file in `folder` without its ending: `a`, or `inner/a` in a sub-folder.

    The folder of a DICOM series has no ending. It is `series` if it is `folder` itself.
    """
    name = file.relative_to(folder)
    if is_nifti(name.name):
        return without_suffix(name.as_posix())
    if not is_image(name.name) and file.is_dir():
        return name.as_posix() if name.name else SERIES
    return name.with_suffix("").as_posix()


def without_ending(path: str) -> str:
    """Returns a path without its ending if that is one of an image or a volume: `a` of `a.png`, but `a.1` of `a.1`."""
    if is_nifti(path):
        return without_suffix(path)
    return str(PurePosixPath(path).with_suffix("")) if is_image(path) else path


def may_hold_pairs(folder: Path) -> bool:
    """Returns False for the folder of a split and for one that this package wrote: a run, for example."""
    return folder.name not in SPLITS and not is_own_folder(folder)


def walk(folder: Path, enter: Callable[[Path], bool] = lambda inner: True, hidden: bool = False) -> Iterator[str]:
    """Yields the paths, relative to `folder`, of the files in it and in the folders below that `enter` accepts.

    What systems add is left out, and unless `hidden` is set, all files and folders whose names begin with a dot. Links
    to folders are followed, and no folder is read twice.

    Raises:
        UserError: a folder cannot be read.
    """
    known, waiting = set(), [""]
    while waiting:
        inner = waiting.pop()
        real = os.path.realpath(folder / inner)
        if real in known:
            continue
        known.add(real)
        try:
            with os.scandir(folder / inner) as entries:  # knows which entries are files, without a call for each
                visible = sorted((entry.name, _is_folder(entry)) for entry in entries if hidden or entry.name[0] != ".")
        except OSError as error:
            raise UserError(
                f"A folder must be readable. Received {folder / inner}: {error.strerror}. Check the path."
            ) from error
        for name, is_folder in reversed(visible):
            if is_folder:
                if not SYSTEM_FOLDERS.fullmatch(name) and enter(folder / inner / name):
                    waiting.append(f"{inner}{name}/")
            elif is_folder is not None and not SYSTEM_FILES.fullmatch(name):
                yield f"{inner}{name}"


def _is_folder(entry: os.DirEntry) -> bool | None:
    """Returns False for a file and for a link without a target, None for a pipe or a device."""
    try:
        return entry.is_dir() or (None if not entry.is_file() and Path(entry.path).exists() else False)
    except OSError:  # a link to itself
        return False


def unread(folder: Path, read: Collection[Path], leave_out: Path | None = None) -> dict[str, int]:
    """Counts the files below `folder` that are not in `read`, in words: `images in old/` -> 12, `.heic` -> 3.

    The most frequent come first. Hidden files, texts and archives (`NOT_IMAGES`), and files in the folder `leave_out`
    are not counted.
    """
    read, left_out = {os.path.normpath(path) for path in read}, leave_out and os.path.realpath(leave_out)
    counts: Counter[str] = Counter()
    for name in walk(folder, lambda inner: os.path.realpath(inner) != left_out):
        known = {os.path.normpath(path) for path in (folder / name, (folder / name).parent)} & read
        if suffix_of(name) not in NOT_IMAGES and not known:
            path = PurePosixPath(name)
            place = f"{path.parent}/" if "/" in name else "the folder itself"
            counts[f"images in {place}" if is_image(name) else suffix_of(name) or path.name] += 1
    return dict(counts.most_common())


def counted(counts: Mapping[str, int], most: int = 6) -> str:
    """Joins counts of `unread`: `12 images in old/, 3 .heic and 2 others`."""
    parts = [f"{count} {what.replace('images', 'image', count == 1)}" for what, count in list(counts.items())[:most]]
    rest = sum(counts.values()) - sum(list(counts.values())[:most])
    return ", ".join(parts) + (f" and {rest} others" if rest else "")


class Cache:
    """Keeps values by key until `room_mb` is full, then adds none. Safe in threads.

    Values are never evicted: every epoch reads everything once, so an evicted value would be the next one needed.
    """

    def __init__(self, room_mb: int) -> None:
        self._kept: dict[Hashable, object] = {}
        self._room_bytes = room_mb * 2**20
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value], size_bytes: Callable[[Value], int]) -> Value:
        """Returns the value of `key`, and calls `make` if it is not in the cache."""
        if key in self._kept:
            return self._kept[key]
        value = make()
        with self._lock:
            size = size_bytes(value)
            if size <= self._room_bytes and key not in self._kept:
                self._room_bytes -= size
                self._kept[key] = value
        return value


def image_reader(config: DataConfig) -> Callable[..., np.ndarray]:
    """Returns `read_image` with `config.max_megapixels`. It keeps up to `config.cache_files_mb` of files in memory."""
    cache, most = Cache(config.cache_files_mb), config.max_megapixels

    def read_bytes(path: Path) -> bytes:
        return cache.get(path, lambda: _bytes_of_image(path, most), len)

    return partial(read_image, read_bytes=read_bytes, max_megapixels=most)


def _bytes_of_image(path: Path, max_megapixels: float) -> bytes:
    """Reads a file. Raises TooLarge before it reads a large one that claims too many pixels."""
    with open_regular_file(path) as file:
        if os.fstat(file.fileno()).st_size > LARGE_BYTES:
            check_header(file, max_megapixels * 1e6)
            file.seek(0)
        return file.read()


def read_image(
    path: Path,
    *,
    palette: Palette = "colors",
    read_bytes: Callable[[Path], bytes] | None = None,
    max_megapixels: float = MOST_MEGAPIXELS,
    key: str = MEGAPIXELS,
) -> np.ndarray:
    """Reads the first frame of an image file: (H, W, C) uint8, uint16 or float32, turned by its EXIF orientation.

    Args:
        palette: as for `decode`: for label maps, what a palette becomes.
        read_bytes: reads the file.
        max_megapixels: most pixels that its header may claim.
        key: names `max_megapixels` in messages.

    Raises:
        UserError: the file cannot be read, is not an image, is too large, or ends too soon.
    """
    with reading(path, max_megapixels, key):
        data = read_bytes(path) if read_bytes else _bytes_of_image(path, max_megapixels)
        return decode(data, palette=palette, most_px=max_megapixels * 1e6)


@contextmanager
def reading(path: Path, max_megapixels: float, key: str, where: object = None) -> Iterator[None]:
    """Raises UserError, which names the file, if it cannot be read in the block or is too large.

    `where` names a part of it, such as a slice.
    """
    name = where or path
    try:
        yield
    except TooLarge as error:
        raise UserError(
            f"An image must have at most `{key}` megapixels, {max_megapixels:g} here. Received {name}, which {error}. "
            f"Set `{key}` to {error.megapixels} if you know the file, or make the image smaller.",
            "large",
        ) from error
    except (OSError, Unreadable) as error:
        raise unreadable(path, error, name) from error


def read_size(path: Path) -> tuple[int, int]:
    """Reads (height, width) of the image that `read_image` would return, from the file's header."""
    try:
        with open_header(path) as image:
            return upright_size(image)[::-1]
    except Exception:  # parsers raise errors of many types; reading the whole file explains them
        return read_image(path).shape[:2]


def match_channels(image: np.ndarray, channels: int, where: object = "an array") -> np.ndarray:
    """Converts (H, W, C) to `channels` channels of the same dtype: repeats gray, turns colour gray, drops alpha or adds
    an opaque one.

    Raises:
        UserError: C cannot be converted to `channels` in these ways.
    """
    have, integers = image.shape[-1], image.dtype.kind == "u"
    opaque = np.iinfo(image.dtype).max if integers else 1
    if have == channels:
        return image
    if have in (2, 4):  # gray or colour with alpha
        image, have = image[..., : have - 1], have - 1
        if have == channels:
            return image
    if (have, channels) == (1, 3):
        return np.repeat(image, 3, axis=-1)
    if (have, channels) == (3, 1):
        luminance = image @ LUMA
        return (np.rint(luminance) if integers else luminance).astype(image.dtype)[..., np.newaxis]
    if channels == 4 and have in (1, 3):
        return np.concatenate([match_channels(image, 3), np.full_like(image[..., :1], opaque)], axis=-1)
    raise UserError(
        f"An image must have the {channels} channels of the configuration, or 1 or 3 to convert from. "
        f"Received {image.shape[-1]} in {where}. Set `data.input_channels`, `data.target_channels`, or `channels` of a "
        f"part in `data.inputs` or `data.targets`, to fit the data.",
        "channels",
    )


def enlarged(image: np.ndarray, times: int, numbers: Sequence[bool] = (False,)) -> np.ndarray:
    """Resizes (H, W, C) to `times` its height and width, bicubic, or channels of `numbers` by the nearest.

    Bicubic overshoots at edges: floats stay within the values of the image.
    """
    result = resized_channels(image, (image.shape[1] * times, image.shape[0] * times), numbers, BICUBIC)
    return result.clip(image.min(), image.max()) if image.dtype.kind == "f" else result


def resized(image: np.ndarray, size: tuple[int, int], method: Image.Resampling = BICUBIC) -> np.ndarray:
    """Resizes (H, W, C) of any dtype to `size`, (width, height). Smooths an image that shrinks."""
    bands = [
        np.asarray(Image.fromarray(band.astype(np.float32)).resize(size, method)) for band in np.moveaxis(image, -1, 0)
    ]
    if image.dtype.kind == "u":
        levels = np.iinfo(image.dtype).max
        bands = [np.rint(np.clip(band, 0, levels)) for band in bands]
    return np.stack(bands, axis=-1).astype(image.dtype)


def resized_channels(
    image: np.ndarray, size: tuple[int, int], numbers: Sequence[bool], method: Image.Resampling = BILINEAR
) -> np.ndarray:
    """Resizes (H, W, C) as `resized`: channels of `numbers`, of classes or instances, by the nearest, others by
    `method`.

    An image of another number of channels than `numbers` is resized as its first channel is.
    """
    if len(set(numbers)) == 1 or len(numbers) != image.shape[-1]:
        return resized(image, size, NEAREST if numbers[0] else method)
    bands = zip(np.split(image, image.shape[-1], axis=-1), numbers, strict=True)
    return np.concatenate([resized(band, size, NEAREST if number else method) for band, number in bands], axis=-1)


def suffix_for(channels: int, dtype: np.dtype | type, format: str | None = None) -> str:
    """Returns the ending of a format that loses nothing: PNG for 8 and 16 bits and 1 to 4 channels, else TIFF.

    Args:
        format: the key of `OUTPUT_FORMATS` that is asked for.

    Raises:
        UserError: the format does not hold such images.
    """
    fits_png = np.dtype(dtype).kind == "u" and channels <= 4
    if format is None:
        return ".png" if fits_png else ".tif"
    if format not in OUTPUT_FORMATS:
        raise UserError(unknown_name("`format`", format, OUTPUT_FORMATS))
    if format == "png" and not fits_png:
        raise UserError(
            f"PNG must hold 8 or 16 bits in at most 4 channels. Received `format` png for {channels} "
            f"channel{'s' * (channels > 1)} of {np.dtype(dtype)}. Choose tiff or npy."
        )
    return OUTPUT_FORMATS[format]


def as_picture(image: np.ndarray) -> np.ndarray:
    """Converts an image to (H, W, 3) to look at: gray or colour without alpha, or the first channel of other images."""
    return match_channels(image if image.shape[-1] in (1, 2, 3, 4) else image[..., :1], 3)


def write_image(path: Path, image: np.ndarray, palette: Sequence[int] | None = None, **options: Any) -> None:
    """Writes (H, W, C) uint8, uint16 or float32 in the format of the path's suffix, .png, .tif or .npy.

    The other arguments are those of `encode`.
    """
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, image)
        data = buffer.getvalue()
    else:
        data = encode(image, path.suffix, palette, **options)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def reflected_indices(length, total, arange=np.arange, minimum=np.minimum, maximum=np.maximum):
    """Returns indices that extend an axis of `length` to `total` by reflection, centred, without repeating the edge.

    Works as `np.pad(mode="reflect")`, for any `length` of at least 1. Pass TensorFlow's functions to use it in a graph.
    """
    period = maximum(2 * (length - 1), 1)
    steps = (arange(total) - (total - length) // 2) % period
    return minimum(steps, period - steps)
