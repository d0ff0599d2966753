"""Recognizes a lack of memory, whichever library raises it, and answers it with what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tfpix2pix.errors import UserError

# In messages of errors that TensorFlow raises for other reasons too: those of CUDA and cuDNN.
SHORT = re.compile(r"out of memory|OUT_OF_MEMORY|ALLOC_FAILED|OOM when allocating")
FULL_DISK = "No space left"  # TensorFlow has one error for both


def lacks_memory(error: BaseException) -> bool:
    """Returns True if an error says that the memory of the machine or of a GPU does not suffice.

    It imports no TensorFlow: without it, its errors cannot occur.
    """
    if isinstance(error, MemoryError):
        return True
    tf = sys.modules.get("tensorflow")
    if tf is None or not isinstance(error, tf.errors.OpError) or FULL_DISK in error.message:
        return False
    kinds = (tf.errors.ResourceExhaustedError, tf.errors.AbortedError)  # oneDNN raises the second
    return isinstance(error, kinds) or bool(SHORT.search(error.message))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raises other libraries' errors for a lack of memory as MemoryError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not lacks_memory(error):
            raise
        raise MemoryError(str(error)) from error


@contextmanager
def fitting_in_memory(name: str, advice: str) -> Iterator[None]:
    """Raises UserError if the memory does not suffice in the block.

    Args:
        name: of the image that is translated.
        advice: what to do next, a sentence.
    """
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise UserError(
            f"An image and its translation must fit in memory. Received {name}, which did not. {advice}"
        ) from error
