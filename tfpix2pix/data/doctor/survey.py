"""Measures pairs and keeps less than 2 KB of each, so that memory does not grow with the size of the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageStat

from tfpix2pix.data import source_row
from tfpix2pix.data.division import Division
from tfpix2pix.data.doctor.headers import Header, header
from tfpix2pix.data.doctor.measure import Peak, Surfaces, step_across, texture
from tfpix2pix.data.doctor.shifts import VIEW_PX, Displacement, Shift, Views, as_views, comparable, displacement
from tfpix2pix.data.images import as_picture
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.near_duplicates import exact_hash, perceptual_hash, thumbnail
from tfpix2pix.data.pairs import Fault, Source
from tfpix2pix.data.ranges import clipped_shares, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import channels_of_targets
from tfpix2pix.errors import UserError

CONSTANT_LEVELS = 2.0  # standard deviation, of 255 levels; facades and shoes have 18 or more
HEADERS_KEPT = 64  # neighbouring tiles and slices are from one file
SEAM_PX = 4  # border of a half into which the other half of a combined JPEG bleeds


@dataclass(frozen=True)
class Traits:
    """Holds measurements of a readable pair's two views, input before target."""

    scale: tuple[float, float]  # px of the input, across and down, in a px of its view
    spread: tuple[float, float]  # standard deviation of each side (`_spread`), of 255 levels
    difference: float  # between the sides: mean absolute, of 255 levels
    texture: tuple[float, float]  # of each side (`measure.texture`)
    classes: tuple[frozenset[int], ...]  # that occur in each of the pair's `label_maps`
    exact: bytes  # hash of all pixels and sizes
    perceptual: int  # 64 bits
    thumbnails: np.ndarray  # uint8 (2, 8, 8, 3)
    peak: Peak | None  # of the alignment; None: not measured
    shift: Shift | None  # px of the input; None: not measured, or not clear
    step: float | None = None  # across the cut of a combined image (`measure.step_across`); None: it says nothing
    counting: float = 1.0  # mean weight of the pixels (`data.weight`)
    heaviest: float = 1.0  # largest weight of a pixel
    clipped: tuple[float, float] = (0.0, 0.0)  # share of the values of each side that lie outside their range
    levels: tuple[tuple[int, int] | None, ...] = (None, None)  # least and largest value of each side of 16 bits


@dataclass(frozen=True)
class Look:
    """Holds the `traits` of one pair, or the `fault` that prevents reading it."""

    split: str
    index: int  # in its source
    name: str
    headers: tuple[Header | None, ...]  # of its files
    traits: Traits | None = None
    fault: Fault | None = None


@dataclass
class Survey:
    """Holds the measurements of all pairs, for the checks."""

    data: DataConfig
    sources: dict[str, Source]
    looks: list[Look] = field(default_factory=list)
    surfaces: Surfaces = field(default_factory=Surfaces)

    @cached_property
    def division(self) -> Division:
        """Returns the number of pairs and the groups of each split."""
        return Division.of(self.sources, self.data)

    @property
    def readable(self) -> list[Look]:
        return [look for look in self.looks if look.traits is not None]

    @property
    def whole(self) -> list[Look]:
        """Returns the readable pairs that are not tiles of one photograph, in which a flat sky is not a fault, and not
        `empty` slices."""
        empty = {id(look) for look in self.empty}
        files = [(look.split, *self.files(look)) for look in self.readable]
        counts = Counter(files) if self.data.makes_inputs else {}
        return [
            look
            for look, key in zip(self.readable, files, strict=True)
            if counts.get(key, 1) == 1 and id(look) not in empty
        ]

    @property
    def empty(self) -> list[Look]:
        """Returns the slices of volumes with a side of nearly one colour, as the first and last of a volume are."""
        return [
            look
            for look in self.readable
            if min(look.traits.spread) < CONSTANT_LEVELS and self.sources[look.split].is_slice(look.index)
        ]

    def files(self, look: Look) -> tuple[str, ...]:
        """Returns the paths of a pair's files."""
        return tuple(str(path) for path in self.sources[look.split].files(look.index))

    def of(self, *looks: Look) -> dict[str, tuple]:
        """Returns the fields of a finding that locate its pairs."""
        files = dict.fromkeys(path for look in looks for path in self.files(look))
        return {"files": tuple(files), "pairs": tuple((look.split, look.index) for look in looks)}


@dataclass(frozen=True)
class LabelMap:
    """Describes a label map of every pair: a side, or a part of the inputs or the targets."""

    one: str  # what it is called
    many: str
    side: int
    file: int  # number of its file among those of a pair
    classes: int
    by_index: bool  # palette files are read by their indices
    channel: int | None = None  # in the stack of a side in several files; None: the map is the whole side

    def indices(self, pair: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the class indices of a pair that a source has read."""
        if self.channel is None:
            return pair[self.side]
        channel = pair[self.side][..., self.channel]
        if channel.dtype == np.uint8:
            return channel
        is_scaled = self.side == 0  # the stack of a target holds the indices themselves
        return np.rint(channel * 255 if is_scaled else channel).astype(np.uint8)


def label_maps(data: DataConfig) -> list[LabelMap]:
    """Returns the label maps of the pairs of `data`."""
    in_files = [part for part in data.inputs or () if part.row.in_files]
    starts = np.cumsum([0, *(part.stacked_channels for part in data.inputs or ())]).tolist()
    channels = {part.name: start for part, start in zip(data.inputs or (), starts, strict=False)}
    maps = [
        LabelMap(
            *[f"`{part.name}` of the inputs"] * 2, 0, file, part.classes, part.row.palette(part, data) == "indices",
            channels[part.name],
        )
        for file, part in enumerate(in_files)
        if part.classes
    ]  # fmt: skip
    first_files = (0, len(in_files) or 1)
    for file, (part, of_part) in enumerate(channels_of_targets(data), first_files[1]):
        if part.classes:
            by_index = part.row.palette(part, data) == "indices"
            name = f"`{part.name}` of the targets"
            maps.append(LabelMap(name, name, 1, file, part.classes, by_index, of_part.start))
    for side, (name, classes, values) in enumerate(
        zip(("input", "target"), data.classes, data.class_values, strict=True)
    ):
        if classes:
            by_index = values == "indices" and not data.class_colors
            maps.append(LabelMap(name, f"{name}s", side, first_files[side], classes, by_index))
    return maps


def painter(data: DataConfig) -> Callable[[tuple[np.ndarray, np.ndarray]], Views]:
    """Returns a function from a pair of any kind to its pictures, uint8 (H, W, 3) of the files' sizes: label maps in
    colours, other ranges stretched to 8 bits."""
    sides = list(zip(pictures_of(data), data.classes, data.ranges, (bool(data.inputs), False), strict=True))

    def paint(pair: tuple[np.ndarray, np.ndarray]) -> Views:
        return tuple(
            as_picture(image)
            if classes is None and value_range is None and image.dtype == np.uint8 and not is_stack
            else picture(to_signed(image, None if classes else value_range))
            for image, (picture, classes, value_range, is_stack) in zip(pair, sides, strict=True)
        )

    return paint


def aligner(data: DataConfig) -> Callable[[tuple[np.ndarray, np.ndarray], Views], Displacement | None]:
    """Returns a function from a pair and its pictures to its displacement, as `displacement`."""
    numbers = (bool(data.inputs or data.input_classes), any(data.numbers[1]))

    def align(pair: tuple[np.ndarray, np.ndarray], pictures: Views) -> Displacement | None:
        return displacement(tuple(map(comparable, pair, pictures, numbers)))

    return align


def viewer(data: DataConfig, most_px: int = VIEW_PX) -> Callable[[tuple[np.ndarray, np.ndarray]], Views]:
    """Returns a function from a pair of any kind to its views, its pictures at one size of at most `most_px`."""
    paint = painter(data)
    return lambda pair: as_views(paint(pair), most_px)


def looker(survey: Survey) -> Callable[[tuple[str, int]], tuple[Look, np.ndarray | None]]:
    """Returns a function from (split, index) to the `Look` at that pair and its correlation surface.

    The function may run in threads.
    """
    paint, align, makes_inputs = painter(survey.data), aligner(survey.data), survey.data.makes_inputs
    maps, is_cut = label_maps(survey.data), source_row(survey.data.source).cut
    header_of = lru_cache(maxsize=HEADERS_KEPT)(lambda path: header(path, survey.data))

    def look(position: tuple[str, int]) -> tuple[Look, np.ndarray | None]:
        split, index = position
        source, headers = survey.sources[split], ()
        try:
            headers = tuple(map(header_of, source.files(index)))
            *pair, weight = (*source.sample(index), None)[:3]
        except UserError as error:
            fault = Fault(error.kind or "unfit", source.names[index], str(error))
            return Look(split, index, source.names[index], headers, fault=fault), None
        whole = paint(pair)
        pictures = as_views(whole)
        # An input that is made from the target is aligned and may be random: only the target identifies the pair.
        images = (pair[1], pair[1]) if makes_inputs else pair
        shown = (pictures[1], pictures[1]) if makes_inputs else pictures
        aligned = None if makes_inputs else align(pair, whole)
        (height, width), view_shape = pair[0].shape[:2], pictures[0].shape
        traits = Traits(
            scale=(width / view_shape[1], height / view_shape[0]),
            spread=tuple(_spread(view) for view in pictures),
            difference=float(np.abs(pictures[0].astype(np.int16) - pictures[1]).mean()),
            texture=tuple(texture(view) for view in pictures),
            classes=tuple(frozenset(np.unique(map_.indices(pair)).tolist()) for map_ in maps),
            exact=exact_hash(images),
            perceptual=perceptual_hash(shown),
            thumbnails=np.stack([thumbnail(view) for view in shown]),
            peak=aligned and aligned.peak,
            shift=aligned and aligned.shift,
            step=_step(pictures, survey.data) if is_cut and not source.is_large(index) else None,
            counting=1.0 if weight is None else float(weight.mean()),
            heaviest=1.0 if weight is None else float(weight.max()),
            clipped=clipped_shares(source, index, survey.data, weight),
            levels=tuple((int(side.min()), int(side.max())) if side.dtype == np.uint16 else None for side in pair),
        )
        return Look(split, index, source.names[index], headers, traits), aligned and aligned.correlation

    return look


def _step(pictures: Views, data: DataConfig) -> float | None:
    """Returns the step across the cut of a combined image, whose first half is left or top."""
    first, second = pictures if data.input_side in ("left", "top") else pictures[::-1]
    if data.input_side in ("top", "bottom"):
        first, second = (half.swapaxes(0, 1) for half in (first, second))
    return step_across(first, second)


def _spread(view: np.ndarray) -> float:
    """Returns the standard deviation of the most varied channel, in levels. Ignores a border of SEAM_PX if the view is
    large enough."""
    seam = SEAM_PX if min(view.shape[:2]) >= 8 * SEAM_PX else 0
    inner = view[seam : view.shape[0] - seam, seam : view.shape[1] - seam]
    return float(max(ImageStat.Stat(Image.fromarray(inner)).stddev))
