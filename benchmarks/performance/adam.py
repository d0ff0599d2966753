"""Adam's update of a U-Net's inner kernels from gradients in 16 bits: by TensorFlow's kernel with casts around it, and
as one operation compiled by XLA. Both leave a copy of the weights in 16 bits.

    python benchmarks/performance/adam.py [--rounds 7]

Prints one JSON line: milliseconds, the median of rounds in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from tfpix2pix.quiet import load_tensorflow

SIZES = [4 * 4 * 512 * 512] * 7 + [4 * 4 * 512 * 1024] * 4  # weights, 63 million
RATE, BETA_1, BETA_2, EPSILON = 2e-4, 0.5, 0.999, 1e-7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    def variables(dtype=tf.float32):
        return [tf.Variable(tf.random.normal((size,), 0, 0.02, dtype)) for size in SIZES]

    weights, firsts, copies = variables(), variables(), variables(tf.bfloat16)
    seconds = [tf.Variable(tf.square(first)) for first in firsts]  # moments, as `firsts`
    gradients = [tf.random.normal((size,), 0, 0.02, tf.bfloat16) for size in SIZES]

    @tf.function(autograph=False)
    def kernel():
        for w, m, v, copy, gradient in zip(weights, firsts, seconds, copies, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle, m=m.handle, v=v.handle, beta1_power=BETA_1, beta2_power=BETA_2, lr=RATE, beta1=BETA_1,
                beta2=BETA_2, epsilon=EPSILON, grad=tf.cast(gradient, tf.float32),
            )  # fmt: skip
            copy.assign(tf.cast(w, tf.bfloat16))

    @tf.function(autograph=False, jit_compile=True)
    def compiled(gradients):
        rate = RATE * (1 - BETA_2) ** 0.5 / (1 - BETA_1)  # of the first step
        for w, m, v, copy, gradient in zip(weights, firsts, seconds, copies, gradients, strict=True):
            gradient = tf.cast(gradient, tf.float32)
            first = m + (gradient - m) * (1 - BETA_1)
            second = v + (gradient * gradient - v) * (1 - BETA_2)
            weight = w - first * rate / (tf.sqrt(second) + EPSILON)
            m.assign(first), v.assign(second), w.assign(weight), copy.assign(tf.cast(weight, tf.bfloat16))

    contestants = {"kernel_ms": kernel, "xla_ms": lambda: compiled(gradients)}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(given.rounds + 1):
        for name, update in contestants.items():
            start = time.perf_counter()
            update()
            times[name].append(1e3 * (time.perf_counter() - start))
    print(json.dumps({name: round(statistics.median(found[1:]), 1) for name, found in times.items()}))


if __name__ == "__main__":
    main()
