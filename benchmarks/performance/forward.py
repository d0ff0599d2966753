"""Our contestant in inference: one form of a trained generator. One JSON line.

    python benchmarks/performance/forward.py MODEL [--size 256] [--batch 1] [--count 20]

MODEL is a run directory, a SavedModel folder or a .tflite file.
"""

from __future__ import annotations

import argparse
import json

from step import median_s

import tfpix2pix as p2p
from tfpix2pix.quiet import load_tensorflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    load_tensorflow()
    import numpy as np

    engine = p2p.load(given.model).engine
    images = np.random.default_rng(0).uniform(-1, 1, (given.batch, given.size, given.size, 3)).astype(np.float32)
    forward_s = median_s(lambda: engine(images, None), given.count)
    print(json.dumps({"forward_s": forward_s, "s_per_image": forward_s / given.batch}))


if __name__ == "__main__":
    main()
