"""How alike two pairs are to the eye: a hash of each side's coarse shapes finds candidates, thumbnails confirm them.

Measured on 500 facades and 100 pairs of edges2shoes against copies of JPEG quality 20 to 90, scaled by 0.9, brightened
by 8 % or with a gamma of 0.9: 98 to 100 % of the copies are within MOST_BITS of their pair and differ by 0.21 at most
(0.16 but where a white ground is clipped), while the nearest different pairs differ by 0.28 (facades) and 0.32 (shoes,
of which many have the same outline on the same white).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from tfpix2pix.data.images import LUMA

SMALL_PX, LOWEST = 32, 8  # of a picture that is hashed, and of its frequencies, either way
BITS_A_SIDE = 32  # of its lowest frequencies, without the mean
LEAST_AMPLITUDE = 100.0  # of a frequency, about 0.2 levels: what is flat has no random bits
THUMBNAIL_PX = 8
BANDS, BAND_BITS = 4, 16
MOST_BITS = 3  # in which copies may differ: then at least one of 4 bands is equal
MOST_COMPARED, MOST_EQUAL = 128, 16  # neighbours in a band, so that 100,000 pictures much alike remain near-linear
MOST_DIFFERENCE = 0.22  # of thumbnails, as a share of their own contrast, once brightness and contrast are equal
LEAST_CONTRAST = 4.0  # levels: of a thumbnail that is flatter the difference is measured by this

COSINES = np.cos(np.pi * (2 * np.arange(SMALL_PX) + 1) * np.arange(LOWEST)[:, np.newaxis] / (2 * SMALL_PX))
FREQUENCIES = sorted(((i, j) for i in range(LOWEST) for j in range(LOWEST) if i + j), key=lambda at: (sum(at), at))
ROWS, COLUMNS = zip(*FREQUENCIES[:BITS_A_SIDE], strict=True)


def exact_hash(images: Iterable[np.ndarray]) -> bytes:
    """16 bytes of all pixels, sizes and types."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(f"{image.shape} {image.dtype}".encode())
        digest.update(np.ascontiguousarray(image))
    return digest.digest()


def perceptual_hash(views: Iterable[np.ndarray]) -> int:
    """64 bits of two views: the signs of each side's 32 lowest frequencies (DCT), by lightness.

    Signs, not a comparison with the median: of copies fewer bits change. Both sides, because outlines and grounds of
    one side alone recur.
    """
    bits = []
    for view in views:
        gray = (view @ LUMA).astype(np.float32)
        small = np.asarray(Image.fromarray(gray).resize((SMALL_PX, SMALL_PX), Image.Resampling.BOX))
        bits.append((COSINES @ small @ COSINES.T)[ROWS, COLUMNS] > LEAST_AMPLITUDE)
    return int(np.packbits(np.concatenate(bits)).view(">u8")[0])


def thumbnail(view: np.ndarray, size_px: int = THUMBNAIL_PX) -> np.ndarray:
    """uint8 (size_px, size_px, 3)."""
    return np.asarray(Image.fromarray(view).resize((size_px, size_px), Image.Resampling.BOX))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of pairs' thumbnails (n, 2, 8, 8, 3): of the side that differs more, the share that lighting does not explain.

    One factor and one offset for all colours: a shoe in brown is not the same shoe in red.
    """
    a, b = (each.reshape(len(each), 2, -1).astype(np.float32) for each in (a, b))
    a, b = (each - each.mean(axis=-1, keepdims=True) for each in (a, b))
    factor = np.clip((a * b).sum(axis=-1) / np.maximum((a * a).sum(axis=-1), 1e-6), 0.5, 2.0)
    rest = np.sqrt(np.square(b - factor[..., np.newaxis] * a).mean(axis=-1))
    return (rest / np.maximum(b.std(axis=-1), LEAST_CONTRAST)).max(axis=-1)


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`difference` of every pair in `a` (n, sides, …) to every pair in `b` (m, sides, …), by matrix products: (n, m).

    Thumbnails may be of any size and have any number of channels and sides, alike in `a` and `b`.
    """
    worst = np.zeros((len(a), len(b)), np.float32)
    for side in range(a.shape[1]):
        one, other = (each[:, side].reshape(len(each), -1).astype(np.float32) for each in (a, b))
        one, other = (each - each.mean(axis=-1, keepdims=True) for each in (one, other))
        products = one @ other.T
        of_one, of_other = (np.square(each).sum(axis=-1) for each in (one, other))
        factor = np.clip(products / np.maximum(of_one, 1e-6)[:, np.newaxis], 0.5, 2.0)
        rest = of_other - 2 * factor * products + np.square(factor) * of_one[:, np.newaxis]
        rest = np.sqrt(np.maximum(rest, 0.0) / one.shape[1])
        np.maximum(worst, rest / np.maximum(other.std(axis=-1), LEAST_CONTRAST), out=worst)
    return worst


def near(hashes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) uint64 and the groups they are of -> (m, 2) indices i < j of different groups within MOST_BITS, sorted.

    Hashes so near have a band of 16 bits in common, and only those are compared: near-linear in n. In a band that
    more than MOST_COMPARED have in common, each is compared with as many neighbours in the order of whole hashes, and
    with MOST_EQUAL equal ones.
    """
    found = [np.empty(0, np.int64)]
    for band in range(BANDS):
        keys = (hashes >> np.uint64(band * BAND_BITS)) & np.uint64(2**BAND_BITS - 1)
        order = np.lexsort((hashes, keys))
        keys, ordered, kinds = keys[order], hashes[order], groups[order]
        for step in range(1, min(MOST_COMPARED + 1, len(keys))):
            same_band = keys[step:] == keys[:-step]
            if not same_band.any():
                break
            apart = ordered[step:] ^ ordered[:-step]
            if step > MOST_EQUAL:
                same_band &= apart > 0
            for _ in range(MOST_BITS):
                apart &= apart - np.uint64(1)  # clears the lowest bit that is set; of 0 none
            at = np.flatnonzero(same_band & (apart == 0) & (kinds[step:] != kinds[:-step]))
            a, b = order[at], order[at + step]
            found.append(np.minimum(a, b) * len(keys) + np.maximum(a, b))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(1, len(hashes))), axis=1)


class Groups:
    """Which of n things belong together, told two by two; a group is called by its first."""

    def __init__(self, count: int) -> None:
        self._before = list(range(count))

    def of(self, at: int) -> int:
        while self._before[at] != at:
            self._before[at] = at = self._before[self._before[at]]
        return at

    def join(self, a: int, b: int) -> None:
        a, b = sorted((self.of(a), self.of(b)))
        self._before[b] = a
