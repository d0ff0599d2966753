"""The exports of a run beside the trained generator: size, closeness, speed.

    python benchmarks/exports.py RUN [--size 256] [--rounds 15] [--threads 2]

Every form of EXPORTERS is written to a temporary folder as `tfpix2pix export` would, then all are timed in turns, one
image a turn, beside TensorFlow's own float32 forward pass of the same generator: the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import tfpix2pix as p2p
from tfpix2pix.export import EXPORTERS
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.export import inputs_of
from tfpix2pix.runs.load import run_engine


def measure(run: Path, size_px: int | None, rounds: int) -> list[dict]:
    """A row a form: what its report says and how many times as fast as TensorFlow's forward pass it was."""
    directory = RunDirectory(run)
    size_px = size_px or directory.config().data.image_size_px
    image = inputs_of(directory.config(), "val", size_px, 1)[0]
    engines, rows = {"TensorFlow": run_engine(directory, noise_input=False, size_px=size_px)}, []
    with tempfile.TemporaryDirectory() as folder:
        for format, exporter in EXPORTERS.items():
            if exporter.runtime:  # a page holds the TFLite file
                continue
            for quantize in exporter.quantizations:
                size = {"size_px": size_px} if exporter.static else {}
                report = p2p.export_run(run, format, folder, quantize=quantize, **size)
                engines[f"{format} {quantize}"] = p2p.load(report.path).engine
                rows.append({"form": f"{format} {quantize}", **report.as_dict()})
        times: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(rounds + 2):
            for name, engine in engines.items():
                start = time.perf_counter()
                engine(image, None)
                if turn >= 2:  # the first plan memory
                    times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return [
        {**row, "ms": 1e3 * medians[row["form"]], "times_as_fast": medians["TensorFlow"] / medians[row["form"]]}
        for row in rows
    ] + [{"form": "TensorFlow", "ms": 1e3 * medians["TensorFlow"], "times_as_fast": 1.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    load_tensorflow()
    print(
        "| form | MB | largest difference | PSNR, dB | ms an image | times as fast | in XNNPACK |\n"
        "|---|---|---|---|---|---|---|"
    )
    for row in measure(given.run, given.size, given.rounds):
        if "size_mb" not in row:
            print(f"| {row['form']} forward pass | | | | {row['ms']:.0f} | 1 | |")
            continue
        nodes = f"{row['delegated_nodes']} of {row['nodes']}" if row["nodes"] else ""
        print(
            f"| {row['form']} | {row['size_mb']:.1f} | {row['max_abs_error']:.2g} | {row['psnr_db']:.1f} "
            f"| {row['ms']:.0f} | {row['times_as_fast']:.2f} | {nodes} |"
        )


if __name__ == "__main__":
    main()
