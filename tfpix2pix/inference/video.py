"""Translates videos frame by frame by one noise, and measures how much the translations flicker.

PyAV reads and writes the files: the extra `video`, imported when the first video is opened.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import match_channels, resized
from tfpix2pix.data.labels import pictures_of, read_side
from tfpix2pix.data.parts import check_one_file, check_one_target
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.files import safe_path, whole_file, write_text
from tfpix2pix.inference.batching import ImageTranslator, batch_of
from tfpix2pix.inference.items import MOST, TARGET, Input
from tfpix2pix.inference.steps import Options, Steps

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
SUFFIX, CODEC, PIXELS, QUALITY = ".mp4", "libx264", "yuv420p", "18"  # what browsers and phones play
RECORD = "flicker.json"
STILL_LEVELS = 2  # of 255: an input pixel that changes by more from frame to frame does not count
SEVERAL = ("samples", "uncertainty", "between")  # options with several translations of an image
OF_IMAGES = (*SEVERAL, "gif", "format", "resize_back")  # options that videos do not take


def is_video(path: str | Path) -> bool:
    """Returns True if the name of a path is that of a video."""
    return Path(path).suffix.lower() in SUFFIXES


@dataclass
class Flicker:
    """Measures how much translations of consecutive frames differ at pixels whose input stays still.

    A pixel is still if each of its values changes by at most `STILL_LEVELS` of 255. With D the mean absolute difference
    of two consecutive frames at still pixels, the figures are means of D over all still pixels of all pairs of frames,
    in levels of 255: those of the translations, and those of the input beside them.
    """

    frames: int = 0
    _still: int = 0
    _pixels: int = 0
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the translation and of the input
    _last: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, input_: np.ndarray, translation: np.ndarray) -> None:
        """Adds the next frame: two pictures, uint8 (H, W, 3). An input of another size is resized."""
        if input_.shape[:2] != translation.shape[:2]:
            input_ = resized(input_, translation.shape[1::-1])
        frame = input_.astype(np.int16), translation.astype(np.int16)
        self.frames += 1
        if self._last is not None and self._last[1].shape == frame[1].shape:
            moved, changed = (np.abs(now - before) for now, before in zip(frame, self._last, strict=True))
            still = moved.max(axis=-1) <= STILL_LEVELS
            self._still += int(still.sum())
            self._pixels += still.size
            for index, differences in enumerate((changed, moved)):
                self._sums[index] += float(differences[still].mean(axis=-1).sum())
        self._last = frame

    def figures(self) -> dict[str, float | int | None]:
        """Returns `frames`, `still_share` of the pixels, and `flicker_levels` and `input_levels`, which are None if no
        pixel is still."""
        share = self._still / self._pixels if self._pixels else 0.0
        levels = [total / self._still if self._still else None for total in self._sums]
        return {
            "frames": self.frames, "still_share": share, "flicker_levels": levels[0], "input_levels": levels[1],
        }  # fmt: skip


def sentence(name: str, figures: dict[str, Any]) -> str:
    """Words the figures of `Flicker`."""
    if figures["flicker_levels"] is None:
        return f"{name}: no pixel of the input stays still from frame to frame, so flicker cannot be measured."
    return (
        f"{name}: where the input stays still ({figures['still_share']:.0%} of the pixels), the translation changes by "
        f"{figures['flicker_levels']:.2g} levels of 255 from frame to frame, the input by "
        f"{figures['input_levels']:.2g}."
    )


def record(out: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Writes the figures of each video, or folder of frames, by its name into `flicker.json` of a folder."""
    with whole_file(out / RECORD) as temporary:
        write_text(temporary, json.dumps(figures, indent=2) + "\n")


def recorded(out: Path) -> dict[str, dict[str, Any]]:
    """Reads what `record` wrote."""
    return json.loads((out / RECORD).read_text(encoding="utf-8"))


def flicker_of_files(inputs: Sequence[Path], translations: Sequence[Path], card: ModelCard) -> dict[str, Any]:
    """Returns the figures of `Flicker` for image files, in the order of their frames."""
    data, flicker = card.config.data, Flicker()
    for paths in zip(inputs, translations, strict=True):
        flicker.add(*(_picture(data, side, read_side(path, side, data, MOST)) for side, path in enumerate(paths)))
    return flicker.figures()


def translate_videos(
    translator: ImageTranslator,
    videos: Sequence[Path],
    out: Path,
    options: Options,
    *,
    overwrite: bool = False,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[Path]:
    """Translates videos into MP4 files (H.264) of `out`, each frame by the same noise, and writes `flicker.json`.

    A file has the frame rate of its video on average, no sound, and sides of even numbers of pixels: the last row or
    column is repeated if need be.

    Returns:
        The paths of the files, in the order of the videos.

    Raises:
        UserError: PyAV is not installed, a file is not a video, a name is taken, or options do not go with videos.
    """
    _check(options, translator.card)
    av = load_pyav()
    steps = Steps.of(translator, out, options)
    items = [Input(safe_path(path.stem), partial(_refuse, path), (path,)) for path in videos]
    writer = replace(steps.writer, suffix=SUFFIX)
    writer.check(items, within=None, overwrite=overwrite)
    written, figures = [], {}
    for item, path in zip(items, videos, strict=True):
        (target,) = writer.paths(item)
        with opened(av, path) as (container, stream), whole_file(target) as temporary:
            rate, count = stream.average_rate or 25, stream.frames
            frames = track(frames_of(container, stream, path), count)
            figures[path.name] = _translate(av, steps, frames, item, rate, temporary, options.allowed(translator.card))
        written.append(target)
    record(out, figures)
    if clipped := steps.reader.clipped.sentence(sum(each["frames"] for each in figures.values()), "frames"):
        warnings.warn(clipped, stacklevel=3)
    return written


def _translate(
    av: Any, steps: Steps, frames: Iterable[np.ndarray], item: Input, rate: Any, path: Path, card: ModelCard
) -> dict[str, Any]:
    """Writes the translations of frames as a video, and returns the figures of `Flicker`."""
    data, flicker, frames = card.config.data, Flicker(), iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"A video must have frames. Received {item.files[0]} without any. Check the file.")
    count = 1 if steps.variants.tile_px else batch_of(*first.shape[:2])
    batch: list[np.ndarray] = [first, *islice(frames, count - 1)]
    with av.open(str(path), "w", format="mp4") as container:
        stream, number = None, 0
        while batch:
            inputs = [replace(item, read=partial(match_channels, frame, data.input_channels)) for frame in batch]
            images = [steps.reader(each) for each in inputs]
            for frame, (translation,) in zip(batch, steps.variants.of_batch(inputs, images), strict=True):
                picture = _picture(data, TARGET, steps.writer.brought_back(item, translation, steps.writer.palette))
                flicker.add(frame, picture)
                picture = _even(picture)
                if stream is None:
                    stream = container.add_stream(CODEC, rate=rate, options={"crf": QUALITY})
                    stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], PIXELS
                coded = av.VideoFrame.from_ndarray(picture, format="rgb24")
                coded.pts = number
                number += 1
                container.mux(stream.encode(coded))
            batch = list(islice(frames, count))
        container.mux(stream.encode())
    return flicker.figures()


def frames_of(container: Any, stream: Any, path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video upright, uint8 (H, W, 3). Raises UserError if the file is damaged."""
    with _naming(path):
        for frame in container.decode(stream):
            turns = round(getattr(frame, "rotation", 0) / 90)
            yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


@contextmanager
def opened(av: Any, path: Path) -> Iterator[tuple[Any, Any]]:
    """Opens a video. Yields its container and its stream of pictures.

    Raises:
        UserError: the file cannot be opened, or holds no pictures.
    """
    with _naming(path):
        container = av.open(str(path))
    with container:
        if not container.streams.video:
            raise UserError(f"A video must have pictures. Received {path}, which holds none. Give another file.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raises UserError, which names the file, in place of PyAV's errors."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"A video must be a file that FFmpeg can read. Received {path}: {reason}. Convert it to MP4, or give a "
            f"folder of frames."
        ) from error


def load_pyav() -> Any:
    """Imports PyAV. Raises UserError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            "Videos need PyAV. Received no module av. Install it with pip install 'tfpix2pix[video]', or give a folder "
            "of frames."
        ) from error
    return av


def check_alone(videos: Sequence[Path], inputs: int, *, local: bool) -> None:
    """Raises UserError if videos are given beside other inputs, or not to this process (`local`)."""
    if len(videos) < inputs:
        raise UserError(
            f"Videos must be translated without other inputs. Received {videos[0]} beside others. Translate them "
            f"separately."
        )
    if not local:
        raise UserError(
            f"Videos must be translated by `engine` local. Received {videos[0]} for another. Leave `engine` out, or "
            f"give folders of frames."
        )


def check_flicker(options: Options, *, of_files: bool) -> None:
    """Raises UserError if flicker cannot be measured: there are several translations of an image, or inputs that are
    not files of one image each."""
    given = next((name for name in SEVERAL if getattr(options, name)), None)
    if given or not of_files:
        received = f"`{given}`" if given else "the inputs of pairs or of parts"
        raise UserError(
            f"`flicker` must go with image files and one translation of each. Received {received} too. Leave one of "
            f"the two out."
        )


def _check(options: Options, card: ModelCard) -> None:
    """Raises UserError if options do not go with videos, or a model cannot translate frames."""
    given = next((name for name in OF_IMAGES if getattr(options, name)), None)
    if given:
        raise UserError(
            f"Videos must be translated without `{given}`. Received both. Leave it out, or give a folder of frames."
        )
    data = card.config.data
    check_one_target(data, "Videos must go with a model that has", "Give folders of frames")
    check_one_file(data, "A video")
    if data.input_classes or data.input_channels not in (1, 3):
        kind = "label maps" if data.input_classes else f"{data.input_channels} channels"
        raise UserError(
            f"Videos must go with a model that takes images of 1 or 3 channels. Received one that takes {kind}. Give "
            f"a folder of frames."
        )


def _refuse(path: Path) -> np.ndarray:
    raise UserError(f"A video must be read frame by frame. Received {path} as an image. Give an image.")


def _picture(data: DataConfig, side: int, image: np.ndarray) -> np.ndarray:
    """Returns an image (H, W, C) of one side, as its file holds it, as a picture: uint8 (H, W, 3)."""
    return pictures_of(data)[side](to_signed(image, data.ranges[side]))


def _even(picture: np.ndarray) -> np.ndarray:
    """Returns a picture whose sides are even: the last row or column is repeated."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
