"""Where a step's time goes: milliseconds of all threads by kind of operation, from TensorFlow's profiler.

    python benchmarks/performance/profile_step.py [--precision bfloat16] [--plain] [--steps 5]

--plain takes TensorFlow's convolutions and the norms as separate operations: the step before both were changed.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
from pathlib import Path

from step import median_s

from tfpix2pix.quiet import load_tensorflow

KINDS = {
    "ResourceApplyAdam": "Adam", "Cast": "casts between float32 and 16 bits", "MatMul": "products of small maps",
    "Conv2DBackpropFilter": "convolutions, to the kernel", "Conv2DBackpropInput": "convolutions, to the input",
    "Conv2D": "convolutions, forward", "FusedBatchNorm": "norms (fused)",
}  # fmt: skip


def kind_of(operation: str) -> str:
    return next((kind for part, kind in KINDS.items() if part in operation), "everything else")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.models import norms, products
    from tfpix2pix.runs.networks import build_model

    if given.plain:
        products.on_gpu = lambda: True
        norms._fused = lambda x, gamma, beta, epsilon: norms._written(x, gamma, beta, epsilon, norms.BATCH_AXES, False)
    model = build_model(resolve_config("facades", [f"training.precision={given.precision}"]))
    step = tf.function(model.train_step, autograph=False)
    x, y = (tf.random.uniform((1, 256, 256, 3), -1, 1) for _ in range(2))
    call = lambda: float(step((x, y))["g/total"])  # noqa: E731
    whole_s = median_s(call, given.steps)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(given.steps):
            call()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    ms: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines if "CPU" in plane.name else ():
            for event in line.events:
                name, _, operation = plane.event_metadata[event.metadata_id].name.rpartition(":")
                # Operations are `name:Kind`; what runs them (the executor, the function) is left out.
                if (
                    name
                    and "::" not in name + ":"
                    and not operation.startswith((":", " ", "__"))
                    and operation != "Run"
                ):
                    ms[kind_of(operation)] += event.duration_ps / 1e9 / given.steps
    print(f"a step: {whole_s * 1e3:.0f} ms; of all threads:")
    for kind, value in ms.most_common():
        print(f"| {kind} | {value:.0f} |")


if __name__ == "__main__":
    main()
