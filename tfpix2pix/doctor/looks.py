"""What is kept of a pair once it has been read: under 2 KB, so that memory does not grow with the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageStat

from tfpix2pix.config import Config
from tfpix2pix.data.images import as_picture, to_signed
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.near_duplicates import exact_hash, perceptual_hash, thumbnail
from tfpix2pix.data.pairs import Fault, Source
from tfpix2pix.doctor.alignment import Peak, Surfaces, peak_of, surface
from tfpix2pix.doctor.direction import texture
from tfpix2pix.doctor.headers import Header, header
from tfpix2pix.errors import UserError

VIEW_PX = 256  # a pair is looked at no larger than this, either side
SEAM_PX = 4  # into which the other half of a combined JPEG bleeds


@dataclass(frozen=True)
class Traits:
    """Of a pair that could be read: figures of its two views, input before target."""

    scale: tuple[float, float]  # px of the input, across and down, in a px of its view
    spread: tuple[float, float]  # of each: `_spread`, of 255 levels
    difference: float  # between the two: mean absolute, of 255 levels
    texture: tuple[float, float]  # of each: `direction.texture`
    exact: bytes  # hash of all pixels and sizes
    perceptual: int  # 64 bits
    thumbnails: np.ndarray  # uint8 (2, 8, 8, 3)
    peak: Peak | None  # of the alignment; None: not asked


@dataclass(frozen=True)
class Look:
    """Of one pair: either `traits`, or the `fault` for which it cannot be read."""

    split: str
    index: int  # in its source
    name: str
    headers: tuple[Header | None, ...]  # of its files
    traits: Traits | None = None
    fault: Fault | None = None


@dataclass
class Survey:
    """All that the checks go by."""

    config: Config
    sources: dict[str, Source]
    looks: list[Look] = field(default_factory=list)
    surfaces: Surfaces = field(default_factory=Surfaces)

    @property
    def readable(self) -> list[Look]:
        return [look for look in self.looks if look.traits is not None]

    @property
    def whole(self) -> list[Look]:
        """The readable pairs but those that the source cuts from one photograph, where a flat sky is no fault."""
        places = [(look.split, *self.files(look)) for look in self.readable]
        counts = Counter(places) if self.config.data.makes_inputs else {}
        return [look for look, place in zip(self.readable, places, strict=True) if counts.get(place, 1) == 1]

    def files(self, look: Look) -> tuple[str, ...]:
        """Paths of the files behind a pair."""
        return tuple(str(path) for path in self.sources[look.split].files(look.index))

    def of(self, *looks: Look) -> dict[str, tuple]:
        """The fields of a finding that say where its pairs are."""
        files = dict.fromkeys(path for look in looks for path in self.files(look))
        return {"files": tuple(files), "pairs": tuple((look.split, look.index) for look in looks)}


Views = tuple[np.ndarray, np.ndarray]  # a pair to look at: both uint8 (H, W, 3), of one size


def viewer(config: Config, most_px: int = VIEW_PX) -> Callable[[tuple[np.ndarray, np.ndarray]], Views]:
    """Pair of any kind -> its views: label maps in colours, ranges stretched to 8 bits, at most `most_px`."""
    data = config.data
    sides = list(zip(pictures_of(data), data.classes, data.ranges, strict=True))

    def views(pair: tuple[np.ndarray, np.ndarray]) -> Views:
        height, width = (min(image.shape[axis] for image in pair) for axis in (0, 1))
        shrink = max(1.0, max(height, width) / most_px)
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        found = []
        for image, (picture, classes, value_range) in zip(pair, sides, strict=True):
            if classes is None and value_range is None and image.dtype == np.uint8:
                view = as_picture(image)
            else:
                view = picture(to_signed(image, None if classes else value_range))
            if view.shape[1::-1] != size:
                view = np.asarray(Image.fromarray(view).resize(size, Image.Resampling.BOX))
            found.append(view)
        return tuple(found)

    return views


def looker(survey: Survey) -> Callable[[tuple[str, int]], tuple[Look, np.ndarray | None]]:
    """(split, index) -> the look at that pair, and its correlation surface for the sum. Runs in threads."""
    views, made = viewer(survey.config), survey.config.data.makes_inputs

    def look(place: tuple[str, int]) -> tuple[Look, np.ndarray | None]:
        split, index = place
        source, headers = survey.sources[split], ()
        try:
            headers = tuple(header(path) for path in source.files(index))
            pair = source.read(index)
        except UserError as error:
            fault = Fault(error.kind or "unfit", source.names[index], str(error))
            return Look(split, index, source.names[index], headers, fault=fault), None
        pictures = views(pair)
        # An input that is made from the target is aligned, and may be another each time: the target says who it is.
        itself = (pair[1], pair[1]) if made else pair
        shown = (pictures[1], pictures[1]) if made else pictures
        correlation = None if made else surface(*pictures)
        (height, width), seen = pair[0].shape[:2], pictures[0].shape
        traits = Traits(
            scale=(width / seen[1], height / seen[0]),
            spread=tuple(_spread(view) for view in pictures),
            difference=float(np.abs(pictures[0].astype(np.int16) - pictures[1]).mean()),
            texture=tuple(texture(view) for view in pictures),
            exact=exact_hash(itself),
            perceptual=perceptual_hash(shown),
            thumbnails=np.stack([thumbnail(view) for view in shown]),
            peak=None if correlation is None else peak_of(correlation),
        )
        return Look(split, index, source.names[index], headers, traits), correlation

    return look


def _spread(view: np.ndarray) -> float:
    """Standard deviation of the most varied channel, in levels, without SEAM_PX on all sides of a view with room."""
    seam = SEAM_PX if min(view.shape[:2]) >= 8 * SEAM_PX else 0
    inner = view[seam : view.shape[0] - seam, seam : view.shape[1] - seam]
    return float(max(ImageStat.Stat(Image.fromarray(inner)).stddev))
