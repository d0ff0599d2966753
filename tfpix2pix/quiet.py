"""Hides messages of libraries: those of native code while it loads or converts, and those about damaged metadata."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_native_code() -> Iterator[None]:
    """Captures standard error at the level of file descriptors. Prints it if the block raises."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages and with oneDNN, unless the user's environment sets either.

    TensorFlow itself chooses oneDNN only on CPUs with AVX512-VNNI or AMX. On others its own convolutions take longer
    (docs/performance-step.md) and divide their sums among the threads.

    Real errors of native code are raised as exceptions. Its other messages do not report errors, although some are
    logged as errors (a graph optimiser that leaves out a fusion, for instance).
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_native_code(), _without_collections():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.list_physical_devices()  # starts the device code, which writes messages too


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collects no garbage while the block imports: a million objects that stay are looked at many times otherwise.

    No later collection looks at these objects either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
            gc.freeze()


def quiet_pillow() -> None:
    """Leaves out what Pillow says about damaged metadata, which names no file. Damaged pixels raise errors."""
    warnings.filterwarnings("ignore", "(Possibly c|C)orrupt EXIF|Metadata Warning|Truncated File Read", module="PIL")
    logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)
