"""The quick look at the data before a run writes anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tfpix2pix.data.pairs import Source

MOST_READ = 1_000


def check_readable(source: Source, at_most: int = MOST_READ) -> int:
    """Reads every pair, or `at_most` of them evenly spread; returns how many.

    Raises:
        UserError: a file is unreadable, cut short, too small or does not fit, by its name.
    """
    count = min(len(source), at_most)
    indices = [position * len(source) // count for position in range(count)]
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(source.read, index) for index in indices]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return count
