"""Translates many images by one translator: reads, translates and writes them at the same time.

While the translator computes, threads decode the next images and encode the last ones. Images of one size go through
the network in one batch, which reads its weights once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.inference.tiling import Readable
from tfpix2pix.parallel import Outcome, in_order, outcomes
from tfpix2pix.quiet import load_tensorflow

THREADS = 2  # that read, and as many that write: the translator needs the other cores
BATCH_PX = 8 * 256 * 256  # of all images of a batch; larger batches save no more time
# Consecutive items that share batches with no others. Sums of a batch differ from those of an image alone in the last
# digit, so machines that are given whole groups write the same bytes as one machine that is given all items.
GROUP = 32


class NotWritten(Exception):
    """Reports the result for one item that cannot be written, in one sentence. The others still can."""


EXPECTED = (UserError, NotWritten)  # errors of one item, which stop no other
Item = TypeVar("Item")
Read = Callable[[Item], np.ndarray]
Write = Callable[[Item, Any], Any]


class ImageTranslator(Protocol):
    """Translates images as files hold them: a `Translator` on this machine, or a `RemoteModel` on a server."""

    card: ModelCard

    def noise(self, count: int, seed: int) -> np.ndarray:
        """Returns `count` noise vectors of a seed, float32 (count, noise_size)."""

    def style_of(self, image: np.ndarray) -> np.ndarray:
        """Returns the noise of the style in an image like the targets, (H, W, C), or (H, W) for gray, as target files
        hold it: float32 (1, noise_size). Exports of the run take it too.

        Raises:
            UserError: the model has no encoder of styles, or it is not such an image.
        """
        rule = "`like` must go with the directory of a run that was trained with `objective.weights.style_kl`"
        raise UserError(f"{rule}. Received {self.card.name!r}, which has no encoder of styles. Leave it out.")

    def translate_many(
        self,
        images: Sequence[np.ndarray],
        noise: np.ndarray | None = None,
        where: Sequence[object] = (),
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> list[np.ndarray]:
        """Translates images (H, W, C) of any sizes, each in its own range, into (H, W, C') as files hold them.

        Args:
            images: uint8, uint16 or float32 in `data.input_range`, or class indices of label maps.
            noise: one vector, float32 (1, noise_size), for all images, or (N, noise_size); None: off.
            where: names of the images, for messages.
            tile_px: side of overlapping tiles, for images larger than memory or the server allows.
            overlap_px: least overlap of tiles; None: a quarter of the side, or an eighth if tiles are translated alone.

        Raises:
            UserError: an image does not fit the model, or tiles overlap by more than half.
        """

    def translate(
        self,
        image: np.ndarray,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """Translates one image (H, W, C) in its own range into (H, W, C') as its file holds it.

        Args:
            image: as for `translate_many`.
            noise: float32 (1, noise_size), as `noise` returns it; None: off.
            where: name of the image, for messages.
            tile_px: side of overlapping tiles, for an image larger than memory or the server allows.
            overlap_px: least overlap of tiles; None: a quarter of the side, or an eighth if tiles are translated alone.
        """
        return self.translate_many([image], noise, [where], tile_px=tile_px, overlap_px=overlap_px)[0]

    def translate_bands(
        self,
        image: Readable,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Translates one image (H, W, C) as `translate` does, and yields its rows from the top as they are finished.

        Args:
            image: an array, or anything else of a shape and a type of which rectangles are read.
            noise: as for `translate`, as all others.

        Yields:
            (h, W, C'), which may change when the next rows are computed.
        """
        yield self.translate(image[:, :], noise, where, tile_px=tile_px, overlap_px=overlap_px)


def vectors_of(noise: np.ndarray | None, count: int, size: int) -> np.ndarray | None:
    """Returns a noise vector for every image, (count, size), from `noise` of `translate_many`.

    `size` is the card's `noise_size`. For 0, a model without noise, anything passes.

    Raises:
        UserError: the vectors have another length, or are neither one nor as many as the images.
    """
    if noise is None:
        return None
    vectors = np.atleast_2d(noise)
    if size and (vectors.ndim != 2 or vectors.shape[1] != size or len(vectors) not in (1, count)):
        raise UserError(
            f"`noise` must be one vector of {size} values, or one for each image, {count} here. Received an array of "
            f"shape {np.shape(noise)}. Draw it with `noise(count, seed)` of the model."
        )
    return np.repeat(vectors, count, axis=0) if len(vectors) == 1 else vectors


def check_noise(card: ModelCard, asked: str) -> None:
    """Checks that a model has noise.

    Args:
        asked: what the caller gave that needs noise, as `samples`.

    Raises:
        UserError: the model has no noise.
    """
    if not card.noise_size:
        raise UserError(
            f"`{asked}` must go with a model that has noise. Received it for {card.name!r}, without. Leave it out, "
            f"take a run of a generator with noise, or export one with noise on."
        )


def drawn_noise(card: ModelCard, count: int, seed: int) -> np.ndarray:
    """Returns `count` noise vectors of a seed: float32 (count, noise_size) in [0, 1).

    They are among the card's styles if it has any, each as likely as another, and else uniform.

    Raises:
        UserError: the model has no noise.
    """
    check_noise(card, "noise")
    load_tensorflow()  # a client of a server does so only for this
    from tfpix2pix import rng

    key, styles = rng.stream(seed, "translate"), card.noise_of_styles
    if not len(styles):
        return rng.uniform((count, card.noise_size), key).numpy()
    places = rng.uniform((count, 1), key).numpy()[:, 0]
    return styles[(places * np.float32(len(styles))).astype(int)]


def names_of(where: Sequence[object], count: int) -> Sequence[object]:
    """Returns a name for every image, from `where` of `translate_many`."""
    return where or ["an image"] * count


def batch_of(height: int, width: int) -> int:
    """Returns the number of images of a size that a network translates in one batch."""
    return max(1, BATCH_PX // (height * width))


def in_batches(
    items: Sequence[Item], read: Read, translate: Callable[[list[Item], list[np.ndarray]], list[Any]], write: Write
) -> Iterator[Outcome]:
    """Yields `write(item, translation)` of every item in order. `error` of an outcome is one of `EXPECTED`, or None.

    Args:
        read: returns the image (H, W, C) of an item. Runs in threads.
        translate: returns the translations of images of one shape and type. Runs in this thread.
        write: returns the result for an item. Runs in threads.

    Raises:
        Exception: any error of the three except `EXPECTED`.
    """
    batches = _batches(map(_expected, outcomes(read, items, THREADS)))
    translated = (_translated(translate, batch) for batch in batches)
    for batch in in_order(partial(_written, write), translated, THREADS):
        yield from batch


def one_by_one(
    items: Sequence[Item], read: Read, translate: Callable[[Item, np.ndarray], Any], write: Write, threads: int = 1
) -> Iterator[Outcome]:
    """Yields the same as `in_batches`, with at most `threads` images in memory. A single thread is the caller's."""

    def work(item: Item) -> Any:
        return write(item, translate(item, read(item)))

    if threads == 1:
        return (_outcome(work, item) for item in items)
    return map(_expected, outcomes(work, items, threads))


def _batches(images: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    """Yields images of one group, shape and type in batches of at most `batch_of`, and each failed one alone."""
    batch: list[Outcome] = []
    for number, image in enumerate(images):
        if batch and (number % GROUP == 0 or not _joins(image, batch)):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _joins(image: Outcome, batch: list[Outcome]) -> bool:
    first = batch[0]
    if image.error or first.error:
        return False
    alike = (image.result.shape, image.result.dtype) == (first.result.shape, first.result.dtype)
    return alike and len(batch) < batch_of(*first.result.shape[:2])


def _translated(translate: Callable, batch: list[Outcome]) -> list[Outcome]:
    """Returns the translations of a batch. If one image cannot be translated, translates each alone."""
    if batch[0].error:
        return batch
    items = [image.item for image in batch]
    try:
        results = translate(items, [image.result for image in batch])
    except UserError as error:
        if len(batch) == 1:
            return [Outcome(items[0], None, error)]
        return [_translated(translate, [image])[0] for image in batch]
    return [Outcome(item, result, None) for item, result in zip(items, results, strict=True)]


def _written(write: Write, batch: list[Outcome]) -> list[Outcome]:
    return [done if done.error else _outcome(write, done.item, done.result) for done in batch]


def _outcome(function: Callable[..., Any], item: Any, *arguments: Any) -> Outcome:
    try:
        return Outcome(item, function(item, *arguments), None)
    except EXPECTED as error:
        return Outcome(item, None, error)


def _expected(outcome: Outcome) -> Outcome:
    """Returns an outcome, or raises its error if that is not one of `EXPECTED`."""
    if outcome.error is not None and not isinstance(outcome.error, EXPECTED):
        raise outcome.error
    return outcome
