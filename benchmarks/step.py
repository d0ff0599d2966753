"""The training step beside the tutorial's, in turns in one process: median seconds and the median ratio.

    python benchmarks/step.py [--size 256] [--batch 1] [--rounds 12] [--precision float32] [--json out.json]
        [--peers ../shared/peers]

The peer is `tutorial_step.py` in the folder given by --peers: the widely copied tutorial recipe (one forward pass, two
tapes, Keras Adam), always in float32; ours computes in --precision. Without it our step alone is measured, and it is
said so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tfpix2pix import Pix2Pix, build_patchgan, build_unet
from tfpix2pix.models.build import computing_in


def our_step(size: int, precision: str):
    with computing_in(precision):
        model = Pix2Pix(build_unet(size), build_patchgan(70, image_size_px=size))
    model.compile()
    step = tf.function(model.train_step, autograph=False)
    return lambda x, y: float(step((x, y))["g/total"])


def tutorial_step(size: int, folder: Path):
    spec = importlib.util.spec_from_file_location("tutorial_step", folder / "tutorial_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, _, step = module.make_step(size, "float32")
    return lambda x, y: float(step(x, y)[0])


def seconds(step, x, y) -> float:
    start = time.perf_counter()
    step(x, y)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--peers", type=Path, default=Path(__file__).parents[2] / "shared" / "peers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    steps = {"tfpix2pix": our_step(options.size, options.precision)}
    if (options.peers / "tutorial_step.py").is_file():
        steps["tutorial"] = tutorial_step(options.size, options.peers)
    else:
        print(f"tutorial: skipped, no tutorial_step.py in {options.peers}")
    x, y = (tf.random.uniform((options.batch, options.size, options.size, 3), -1, 1) for _ in range(2))
    for step in steps.values():
        step(x, y), step(x, y)  # traces and warms up
    rounds = [{name: seconds(step, x, y) for name, step in steps.items()} for _ in range(options.rounds)]
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, TensorFlow {tf.__version__}",
        "size_px": options.size,
        "batch": options.batch,
        "rounds": options.rounds,
        "precision": options.precision,
        "median_s": {name: round(statistics.median(r[name] for r in rounds), 4) for name in steps},
        "fastest_s": {name: round(min(r[name] for r in rounds), 4) for name in steps},
    }
    if "tutorial" in steps:
        ratios = sorted(r["tutorial"] / r["tfpix2pix"] for r in rounds)
        result["speed_ratio_median"] = round(statistics.median(ratios), 3)
        result["speed_ratio_range"] = [round(ratios[0], 3), round(ratios[-1], 3)]
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
