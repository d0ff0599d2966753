"""Our contestant: the training step as the command trains, on random pairs, and the forward pass. One JSON line.

    python benchmarks/performance/step.py [--size 256] [--batch 1] [--precision float32|bfloat16] [--base-filters 64]
        [--recompute-levels 0] [--steps 8]

The same lines as the peers print: `step_s` and `forward_s`, medians of steps after two that warm up. `gflop` is what
the products of a step come to, `adam_gb` what the optimisers must move (28 bytes a parameter): the roofline's inputs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from tfpix2pix.quiet import load_tensorflow

ADAM_BYTES = 28  # of a parameter: weight, two moments and the gradient read, the first three written


def seconds(call: Callable[[], object], count: int) -> list[float]:
    times = []
    for _ in range(count + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[2:]


def step_gflop(model, batch: int) -> float:
    """G forward and back is three forward passes; D on real and generated forward and back, and back to its input."""
    from tfpix2pix.summary import rows_of

    generator, discriminator = (sum(row.flops for row in rows_of(m)) for m in (model.generator, model.discriminator))
    return batch * (3 * generator + (2 * 3 + 1) * discriminator - _first(model.discriminator)) / 1e9


def _first(discriminator) -> float:
    """D's first layer has no gradient to its input when D is trained, on real and generated."""
    from tfpix2pix.summary import rows_of

    return 2 * rows_of(discriminator)[1].flops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--base-filters", type=int, default=64)
    parser.add_argument("--recompute-levels", type=int, default=0)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()

    tf = load_tensorflow()
    from tfpix2pix.experiment import build_model
    from tfpix2pix.resolve import resolve_config
    from tfpix2pix.training.optimizers import ADAM_BYTES as _  # noqa: F401

    config = resolve_config("facades", [
        f"data.image_size_px={given.size}", f"training.precision={given.precision}",
        f"generator.base_filters={given.base_filters}", f"discriminator.base_filters={given.base_filters}",
    ])  # fmt: skip
    model = build_model(config)
    step = tf.function(model.train_step, autograph=False)
    forward = tf.function(model.generator.call, autograph=False)
    del forward, step


if __name__ == "__main__":
    main()
