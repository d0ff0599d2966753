"""Each layer of the U-Net as TensorFlow's convolution and as a product: milliseconds of its three passes together.

python benchmarks/performance/layers.py [--precision bfloat16] [--batch 1] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time

from tfpix2pix.quiet import load_tensorflow

ENCODER = ((128, 64, 128), (64, 128, 256), (32, 256, 512), (16, 512, 512), (8, 512, 512), (4, 512, 512), (2, 512, 512))
DECODER = (
    (1, 512, 512),
    (2, 1024, 512),
    (4, 1024, 512),
    (8, 1024, 512),
    (16, 1024, 256),
    (32, 512, 128),
    (64, 256, 64),
)


def passes(form, x, kernel):
    """Forward and both gradients, as one call."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def graph(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = form(x, kernel)
        return [tf.reduce_sum(each[..., :1]) for each in tape.gradient(y, [x, kernel], y)]

    return lambda: [each.numpy() for each in graph(x, kernel)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    from tfpix2pix.models.products import convolved, convolved_transposed

    def plain(x, kernel):
        return tf.nn.conv2d(x, kernel, 2, "SAME")

    def plain_transposed(x, kernel):
        n, h, w, _ = x.shape
        return tf.nn.conv2d_transpose(x, kernel, (n, 2 * h, 2 * w, kernel.shape[2]), 2, "SAME")

    print("| layer | input | as convolution, ms | as product, ms |\n|---|---|---|---|")
    for title, layers, forms in (
        ("encoder", ENCODER, (plain, convolved)),
        ("decoder", DECODER, (plain_transposed, convolved_transposed)),
    ):
        for side, channels, filters in layers:
            x = tf.cast(tf.random.normal((given.batch, side, side, channels)), given.precision)
            shape = (4, 4, channels, filters) if title == "encoder" else (4, 4, filters, channels)
            kernel = tf.cast(tf.random.normal(shape), given.precision)

            calls, times = [passes(form, x, kernel) for form in forms], [[], []]
            for turn in range(given.rounds + 2):
                for index, call in enumerate(calls):
                    start = time.perf_counter()
                    call()
                    if turn > 1:
                        times[index].append(1e3 * (time.perf_counter() - start))
            one, other = (statistics.median(each) for each in times)
            print(f"| {title}, {channels} to {filters} | {side}×{side} | {one:.1f} | {other:.1f} |", flush=True)


if __name__ == "__main__":
    main()
