"""Peer in inference: OpenVINO in float32, of the SavedModel that `tfpix2pix export` wrote. One JSON line.

python benchmarks/performance/openvino_forward.py SAVED_MODEL [--size 256] [--count 20]      (pip install openvino)
"""

import argparse
import json
import statistics
import time

import numpy as np
import openvino


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    core = openvino.Core()
    model = openvino.convert_model(given.model)
    model.reshape([1, given.size, given.size, 3])
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", hints)
    image = np.random.default_rng(0).uniform(-1, 1, (1, given.size, given.size, 3)).astype(np.float32)
    times = []
    for _ in range(given.count + 2):
        start = time.perf_counter()
        compiled(image)
        times.append(time.perf_counter() - start)
    print(json.dumps({"forward_s": statistics.median(times[2:]), "version": openvino.__version__}))


if __name__ == "__main__":
    main()
