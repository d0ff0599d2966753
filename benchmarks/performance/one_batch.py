"""D's gradients with real and generated pairs in two passes and in one batch of two: milliseconds, in turns.

python benchmarks/performance/one_batch.py [--precision bfloat16] [--rounds 20]

One batch is another objective where norms take statistics of the whole batch; here only its time is asked.
"""

from __future__ import annotations

import argparse
import statistics
import time

from tfpix2pix.quiet import load_tensorflow

SHAPE = (1, 256, 256, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.runs.networks import build_discriminator

    discriminator = build_discriminator(resolve_config("facades"), seed=0, precision=given.precision)
    image, real, generated = (tf.random.stateless_normal(SHAPE, (number, 0)) for number in range(3))

    def gradients(logits_of):
        def compute():
            with tf.GradientTape() as tape:
                of_real, of_generated = logits_of()
                loss = tf.reduce_mean(tf.nn.softplus(-of_real)) + tf.reduce_mean(tf.nn.softplus(of_generated))
            return tape.gradient(loss, discriminator.trainable_variables)

        return tf.function(compute, autograph=False)

    def apart():
        return [discriminator([image, each], training=True) for each in (real, generated)]

    def together():
        both = discriminator([tf.repeat(image, 2, axis=0), tf.concat([real, generated], axis=0)], training=True)
        return tf.split(both, 2)

    forms = {"two passes": gradients(apart), "one batch of two": gradients(together)}
    took_ms = {name: [] for name in forms}
    for number in range(given.rounds + 2):
        for name, compute in forms.items():
            start = time.perf_counter()
            compute()
            if number >= 2:  # the first ones compile
                took_ms[name].append(1000 * (time.perf_counter() - start))
    for name, each in took_ms.items():
        print(f"{name}: {statistics.median(each):.1f} ms ({min(each):.1f} to {max(each):.1f})")


if __name__ == "__main__":
    main()
