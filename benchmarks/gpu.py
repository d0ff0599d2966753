"""The training step on a GPU, by the device's own time, beside its matrix rate. One JSON line a row.

    python benchmarks/gpu.py [--size 256] [--batches 1 4 16 64] [--steps 20]

For float32, bfloat16 and float16, with and without XLA: seconds of the device per step (the sum of its kernels, read
from TensorFlow's profiler), seconds on the clock, and the share of the card's measured rate of 8192³ matrix products
of that type. Where no GPU is at hand it says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "performance"))

from step import median_s, step_gflop

from tfpix2pix.quiet import load_tensorflow

SIDE = 8192  # of the matrices
PRECISIONS = ("float32", "bfloat16", "float16")


def matrix_gflops(dtype: str) -> float:
    import tensorflow as tf

    a = tf.cast(tf.random.normal((SIDE, SIDE)), dtype)
    product = tf.function(lambda a: tf.reduce_sum(tf.cast(tf.matmul(a, a)[0], tf.float32)))
    return 2 * SIDE**3 / median_s(lambda: product(a).numpy(), 10) / 1e9


def device_s(call, steps: int) -> float:
    """Seconds a step of all kernels on the first GPU: the lines of its streams in the profiler's trace."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            call()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU:0")]
    streams = [line for plane in planes for line in plane.lines if line.name.startswith("Stream")]
    return sum(event.duration_ps for line in streams for event in line.events) / 1e12 / steps


def measure(size: int, batch: int, precision: str, xla: bool, steps: int) -> dict:
    import tensorflow as tf

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.runs.networks import build_model

    model = build_model(resolve_config("facades", [f"data.image_size_px={size}", f"training.precision={precision}"]))
    step = tf.function(model.train_step, autograph=False, jit_compile=xla)
    x, y = (tf.random.uniform((batch, size, size, 3), -1, 1) for _ in range(2))
    call = lambda: float(step((x, y))["g/total"])  # noqa: E731
    clock_s = median_s(call, steps)
    return {
        "batch": batch, "precision": precision, "xla": xla, "clock_s": clock_s, "device_s": device_s(call, steps),
        "gflop": step_gflop(model.generator, model.discriminator, batch),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    if not (gpus := tf.config.list_physical_devices("GPU")):
        print("not measured: TensorFlow sees no GPU here")
        return
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    rates = {precision: matrix_gflops(precision) for precision in PRECISIONS}
    print(json.dumps({"device": name, "tensorflow": tf.__version__, "matrix_gflops": rates}))
    for precision in PRECISIONS:
        for xla in (False, True):
            for batch in given.batches:
                start = time.perf_counter()
                row = measure(given.size, batch, precision, xla, given.steps)
                row["of_the_matrix_rate"] = row["gflop"] / row["device_s"] / rates[precision]
                print(json.dumps({**row, "took_s": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
