"""How fast pairs are read, decoded, jittered and batched, beside the training step that eats them, at 256 px.

    python benchmarks/pipeline.py [--data FOLDER] [--pairs 200] [--seconds 10] [--json out.json]

FOLDER holds combined images, as ../shared/data/facades; without one, JPEG files of noise and shapes are made. Rows:
`first epoch` reads and decodes every file; `files in memory` decodes anew from memory; `decoded in memory` is every
later epoch of data that fit `data.cache_mb`; `edges` finds edges in photographs; `shards` reads TFRecord shards.
The step: U-Net and PatchGAN of the paper, batch 1, float32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from skimage.filters import gaussian

from tfpix2pix import Config, Pix2Pix, build_patchgan, build_unet, resolve_config
from tfpix2pix.data.opening import open_sources
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.data.writing import write_shards

MARK = 20  # times the step's rate


def pairs_per_s(config: Config, seconds: float, epochs_before: int = 0) -> float:
    """Pairs a second over one epoch or `seconds`, after `epochs_before`."""
    source = open_sources(config.data, config.seed)["train"]
    count = len(source)
    iterator = iter(
        training_batches(
            source, config.data, batch_size=1, seed=0, first_step=0, total_steps=(epochs_before + 200) * count
        )
    )
    for _ in range(max(epochs_before * count, 8)):  # also fills the prefetch buffer of a cold start
        next(iterator)
    start, done = time.perf_counter(), 0
    most = count - 8 if epochs_before == 0 else 10**9
    while done < most and time.perf_counter() - start < seconds:
        next(iterator)
        done += 1
    return done / (time.perf_counter() - start)


def step_s(size: int = 256, rounds: int = 7) -> float:
    model = Pix2Pix(build_unet(size), build_patchgan(70, image_size_px=size))
    model.compile()
    step = tf.function(model.train_step, autograph=False)
    x, y = (tf.random.uniform((1, size, size, 3), -1, 1) for _ in range(2))
    float(step((x, y))["g/total"])
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        float(step((x, y))["g/total"])
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def made_pairs(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    for index in range(count):
        image = gaussian(rng.random((256, 512, 3)), 2, channel_axis=-1)
        image = (image - image.min()) / np.ptp(image) * 255
        Image.fromarray(image.astype(np.uint8)).save(folder / "train" / f"{index}.jpg", quality=90)
    return folder


def first_pairs(data: Path, folder: Path, count: int) -> Path:
    """Links to the first `count` images of `data`/train."""
    (folder / "train").mkdir(parents=True)
    for path in sorted((data / "train").iterdir())[:count]:
        (folder / "train" / path.name).symlink_to(path.resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pairs"
        folder = first_pairs(options.data, folder, options.pairs) if options.data else made_pairs(folder, options.pairs)

        def config(**changes) -> Config:
            overrides = [f"data.{key}={value}" for key, value in changes.items()]
            return resolve_config("facades", overrides, data_dir=changes.pop("dir", str(folder)))

        uncached, photographs = {"cache_mb": 0}, {"source": "photographs", "input_channels": 1}
        shards = str(Path(temporary) / "shards")
        write_shards(config().data, shards)
        rows = {
            "first epoch": (config(**uncached, cache_files_mb=0), 0),
            "files in memory": (config(**uncached), 1),
            "decoded in memory": (config(), 1),
            "edges": (config(**uncached, **photographs), 0),
            "shards": (config(**uncached, cache_files_mb=0, source="shards", dir=shards), 0),
        }
        before = step_s()
        rates = {name: pairs_per_s(row, options.seconds, epochs) for name, (row, epochs) in rows.items()}
        step = statistics.mean([before, step_s()])
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, TensorFlow {tf.__version__}",
        "pairs": options.pairs,
        "step_s": round(step, 4),
        "pairs_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "times_the_steps_rate": {name: round(rate * step, 1) for name, rate in rates.items()},
        "mark": MARK,
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
