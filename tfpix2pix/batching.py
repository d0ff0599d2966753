"""Many files through one model: read, translated together where they have one size, and written, all at a time.

What a processor does between two translations (decoding, encoding, waiting for a disk) it does here beside them; and
images of one size go through the network in one batch, which reads its weights once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from tfpix2pix.errors import UserError
from tfpix2pix.serving.client import in_flight

THREADS = 2
BATCH_PX = 8 * 256 * 256  # of all images of a batch together: beyond it the weights are no longer what takes time

Item = TypeVar("Item")


def batched(
    items: Sequence[Item],
    read: Callable[[Item], np.ndarray],
    together: Callable[[list[Item], list[np.ndarray]], list[Any]],
    write: Callable[[Item, Any], Any],
) -> Iterator[Any | UserError]:
    """`write(item, translation)` of every item in their order, or the UserError that stood in its way.

    Args:
        read: an item's image (H, W, C); in threads.
        together: the translations of images of one shape and type; in this thread.
        write: in threads.
    """
    writers, under_way = ThreadPoolExecutor(THREADS, thread_name_prefix="write"), deque[Future | UserError]()

    def finished(most: int) -> Iterator[Any | UserError]:
        while len(under_way) > most:
            first = under_way.popleft()
            yield first if isinstance(first, UserError) else first.result()

    def translate(group: list[tuple[Item, np.ndarray]]) -> int:
        if group:
            given = [item for item, _ in group]
            for item, translation in zip(given, _kept(together, group), strict=True):
                failed = isinstance(translation, UserError)
                under_way.append(translation if failed else writers.submit(write, item, translation))
        return len(group)

    group: list[tuple[Item, np.ndarray]] = []
    try:
        for done in in_flight(read, items, THREADS):
            if done.error is not None and not isinstance(done.error, UserError):
                raise done.error
            full = group and (
                done.error is not None
                or _kind(done.result) != _kind(group[0][1])
                or len(group) >= batch_of(*group[0][1].shape[:2])
            )
            if full:
                yield from finished(translate(group))
                group = []
            if done.error is not None:
                under_way.append(done.error)
            else:
                group.append((done.item, done.result))
        translate(group)
        yield from finished(0)
    finally:  # what is being written is written whole, also where the user stops
        writers.shutdown(wait=True, cancel_futures=True)


def _kept(together: Callable, group: list[tuple[Any, np.ndarray]]) -> list[Any]:
    """The translations of a group; where one of several cannot be translated, each by itself."""
    try:
        return together([item for item, _ in group], [image for _, image in group])
    except UserError as error:
        return [error] if len(group) == 1 else [_kept(together, [one])[0] for one in group]


def _kind(image: np.ndarray) -> tuple:
    return image.shape, image.dtype


def batch_of(height: int, width: int) -> int:
    """How many images of a size go through a network at a time."""
    return max(1, BATCH_PX // (height * width))
