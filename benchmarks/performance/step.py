"""Our contestant: the training step as the command trains, on random pairs, and the forward pass. One JSON line.

    python benchmarks/performance/step.py [--size 256] [--batch 1] [--precision float32|bfloat16] [--base-filters 64]
        [--recompute-levels 0] [--steps 8]

`step_s` and `forward_s`, medians after two that warm up, as the peers print; besides, for the roofline, `gflop`, what
the products of a step come to, and `parameters`, each of which Adam must read and write (28 bytes).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from tfpix2pix.quiet import load_tensorflow


def median_s(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def step_gflop(generator, discriminator, batch: int) -> float:
    """The recipe's: G forward and back, three times its products; D the same on real and on generated pairs, and back
    to its input once, for G. (D before G, as here, is one forward pass of D more, which this leaves out.)"""
    from tfpix2pix.runs.dry_run import rows_of

    of_g, of_d = (sum(row.flops for row in rows_of(network)) for network in (generator, discriminator))
    return batch * (3 * of_g + 7 * of_d) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--base-filters", type=int, default=64)
    parser.add_argument("--recompute-levels", type=int, default=0)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()

    load_tensorflow()
    import tensorflow as tf

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.runs.dry_run import parameters
    from tfpix2pix.runs.networks import build_model

    model = build_model(resolve_config("facades", [
        f"data.image_size_px={given.size}", f"training.precision={given.precision}",
        f"training.recompute_levels={given.recompute_levels}",
        f"generator.base_filters={given.base_filters}", f"discriminator.base_filters={given.base_filters}",
    ]))  # fmt: skip
    step = tf.function(model.train_step, autograph=False)
    shape = (given.batch, given.size, given.size, 3)
    x, y = (tf.random.uniform(shape, -1, 1) for _ in range(2))
    step_s = median_s(lambda: float(step((x, y))["g/total"]), given.steps)
    forward = tf.function(lambda images: model(images), autograph=False)
    print(
        json.dumps(
            {
                "step_s": step_s,
                "images_per_s": given.batch / step_s,
                "forward_s": median_s(lambda: forward(x).numpy(), given.steps),
                "gflop": step_gflop(model.generator, model.discriminator, given.batch),
                "parameters": sum(parameters(network) for network in (model.generator, model.discriminator)),
            }
        )
    )


if __name__ == "__main__":
    main()
