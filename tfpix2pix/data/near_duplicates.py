"""Finds pairs that look alike: a hash of each side's coarse shapes finds candidates, and thumbnails confirm them.

Measured on 500 facades and 100 pairs of edges2shoes against copies of JPEG quality 20 to 90, scaled by 0.9, brightened
by 8 % or with a gamma of 0.9: 98 to 100 % of the copies are within MOST_BITS of their pair and differ by 0.21 at most
(0.16 without clipped white grounds), while the nearest different pairs differ by 0.28 (facades) and 0.32 (shoes, which
often have the same outline on the same white).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from tfpix2pix.data.images import LUMA

SMALL_PX, LOWEST = 32, 8  # side of the picture that is hashed; number of its frequencies in each direction
BITS_A_SIDE = 32  # its lowest frequencies, without the mean
LEAST_AMPLITUDE = 100.0  # of a frequency, about 0.2 levels: flat pictures get no random bits
THUMBNAIL_PX = 8
BANDS, BAND_BITS = 4, 16
MOST_BITS = 3  # that may differ between copies: then at least one of 4 bands is equal
MOST_COMPARED, MOST_EQUAL = 128, 16  # neighbours in a band; keeps 100,000 similar pictures near-linear
MOST_DIFFERENCE = 0.22  # of thumbnails, as a fraction of their contrast, after brightness and contrast are matched
LEAST_CONTRAST = 4.0  # levels; the difference of flatter thumbnails is a fraction of this

COSINES = np.cos(np.pi * (2 * np.arange(SMALL_PX) + 1) * np.arange(LOWEST)[:, np.newaxis] / (2 * SMALL_PX))
FREQUENCIES = sorted(((i, j) for i in range(LOWEST) for j in range(LOWEST) if i + j), key=lambda ij: (sum(ij), ij))
ROWS, COLUMNS = zip(*FREQUENCIES[:BITS_A_SIDE], strict=True)


def exact_hash(images: Iterable[np.ndarray]) -> bytes:
    """Returns a hash, 16 bytes, of the images' pixels, sizes and dtypes."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(f"{image.shape} {image.dtype}".encode())
        digest.update(np.ascontiguousarray(image))
    return digest.digest()


def perceptual_hash(views: Iterable[np.ndarray]) -> int:
    """Returns 64 bits of two views: the signs of the 32 lowest frequencies (DCT) of each side's lightness.

    Signs change in fewer bits between copies than comparisons with the median. Both sides count, because many pairs
    share the outlines and grounds of one side.
    """
    bits = []
    for view in views:
        gray = (view @ LUMA).astype(np.float32)
        small = np.asarray(Image.fromarray(gray).resize((SMALL_PX, SMALL_PX), Image.Resampling.BOX))
        bits.append((COSINES @ small @ COSINES.T)[ROWS, COLUMNS] > LEAST_AMPLITUDE)
    return int(np.packbits(np.concatenate(bits)).view(">u8")[0])


def thumbnail(view: np.ndarray, size_px: int = THUMBNAIL_PX) -> np.ndarray:
    """Reduces a view to uint8 (size_px, size_px, 3)."""
    return np.asarray(Image.fromarray(view).resize((size_px, size_px), Image.Resampling.BOX))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns, for thumbnails (n, 2, 8, 8, 3) of n pairs in `a` and `b`, the difference that lighting does not explain.

    It is a fraction of the contrast, of the side that differs more. Lighting is one factor and one offset for all
    colours: a shoe in brown is not the same shoe in red.
    """
    a, b = (pairs.reshape(len(pairs), 2, -1).astype(np.float32) for pairs in (a, b))
    a, b = (pairs - pairs.mean(axis=-1, keepdims=True) for pairs in (a, b))
    factor = np.clip((a * b).sum(axis=-1) / np.maximum((a * a).sum(axis=-1), 1e-6), 0.5, 2.0)
    rest = np.sqrt(np.square(b - factor[..., np.newaxis] * a).mean(axis=-1))
    return (rest / np.maximum(b.std(axis=-1), LEAST_CONTRAST)).max(axis=-1)


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the `difference` of every pair in `a` (n, sides, …) from every pair in `b` (m, sides, …): (n, m).

    Computed by matrix products. Thumbnails may have any size and any number of channels and sides, the same in both.
    """
    worst = np.zeros((len(a), len(b)), np.float32)
    for side in range(a.shape[1]):
        views_a, views_b = (pairs[:, side].reshape(len(pairs), -1).astype(np.float32) for pairs in (a, b))
        views_a, views_b = (views - views.mean(axis=-1, keepdims=True) for views in (views_a, views_b))
        products = views_a @ views_b.T
        norms_a, norms_b = (np.square(views).sum(axis=-1) for views in (views_a, views_b))
        factor = np.clip(products / np.maximum(norms_a, 1e-6)[:, np.newaxis], 0.5, 2.0)
        rest = norms_b - 2 * factor * products + np.square(factor) * norms_a[:, np.newaxis]
        rest = np.sqrt(np.maximum(rest, 0.0) / views_a.shape[1])
        np.maximum(worst, rest / np.maximum(views_b.std(axis=-1), LEAST_CONTRAST), out=worst)
    return worst


def near(hashes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the indices (m, 2), i < j and sorted, of hashes in different groups that differ in MOST_BITS at most.

    `hashes` are uint64 (n,), and `groups` (n,) their groups. Such hashes share a band of 16 bits, and only hashes that
    share one are compared, so the time is near-linear in n. If more than MOST_COMPARED share a band, a hash is compared
    with that many neighbours in the order of whole hashes, and with MOST_EQUAL equal ones.
    """
    codes = [np.empty(0, np.int64)]  # i * n + j
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
                apart &= apart - np.uint64(1)  # clears the lowest bit that is set
            positions = np.flatnonzero(same_band & (apart == 0) & (kinds[step:] != kinds[:-step]))
            a, b = order[positions], order[positions + step]
            codes.append(np.minimum(a, b) * len(keys) + np.maximum(a, b))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), max(1, len(hashes))), axis=1)


class Groups:
    """Groups n items, joined two by two (union-find). A group is named by the index of its first item."""

    def __init__(self, count: int) -> None:
        self._before = list(range(count))

    def of(self, index: int) -> int:
        """Returns the group of an item."""
        while self._before[index] != index:
            self._before[index] = index = self._before[self._before[index]]
        return index

    def join(self, a: int, b: int) -> None:
        """Joins the groups of two items."""
        a, b = sorted((self.of(a), self.of(b)))
        self._before[b] = a
