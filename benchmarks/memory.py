"""Measures memory and time of a training step of large images: each network, size and measure in its own process.

    python benchmarks/memory.py [--quick] [--only global] [--limit-gb 12] [--again]

Writes `docs/performance/large-images.json` after every row, and the tables between the marks of docs/performance.md.
What that file has is not measured again without `--again`. `--quick`: float32 at 256 and 512 px, the other measures at
512 px alone, with one timed step.

A process that takes more than the limit is stopped, and its row and those of larger sizes say `skipped`. `peak MB` is
the largest resident memory of the process, and `MB above TensorFlow` what it is above that after TensorFlow's import.

The column of 64 filters is computed by `of_filters`: weights grow with the square of the filters, maps with the filters
and with the pixels. From F = 16 filters to f,

    M(f, px) = M(F, px) + w · ((f/F)² − 1) + a · px · (f/F − 1)

w: 16 bytes for each parameter of G and D, which are the weight, its gradient and two moments of Adam; a: bytes of maps
for each pixel, the slope of M(F, px) between the smallest and the largest size that were measured. The rest, programs
and buffers, stays. The rows of `CHECKED` are measured with 32 filters too; the page says how far off the formula is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from performance import tables

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
MEASURED = ROOT / "docs" / "performance" / "large-images.json"
FILTERS, COMPUTED_FILTERS, CHECKED_FILTERS = 16, 64, 32
BYTES_OF_A_PARAMETER = 16  # float32: weight, gradient and two moments
SIZES = ("256", "512", "512x1024", "1024", "1024x2048", "2048")
QUICK_SIZES = SIZES[:2]
AS_PUBLISHED = ("generator.norm=instance_non_affine", "generator.bias=all", "generator.noise=none")
KINDS: dict[str, tuple[str, ...]] = {"unet": (), "global": AS_PUBLISHED, "local_enhancer": AS_PUBLISHED}
MEASURES: dict[str, tuple[str, ...]] = {
    "float32": (),
    "bfloat16": ("training.precision=bfloat16",),
    "2 levels computed again": ("training.recompute_levels=2",),
    "batch 2": ("training.batch_size=2",),
    "batch 2 in 2 parts": ("training.batch_size=2", "training.micro_batches=2"),
}
# measure -> sizes on the page; all of the others
SHOWN_SIZES = {"bfloat16": ("1024", "2048"), "2 levels computed again": ("1024", "2048"), "batch 2": ("512",)}
CHECKED = ("512", "float32")  # size and measure that are measured with more filters too
HEAD = (
    "network",
    "image, px",
    "measure",
    "MB above TensorFlow",
    "peak MB",
    "s a step",
    "64 filters: MB above, computed",
)
Row = dict[str, object]


def overrides_of(row: Mapping[str, object]) -> list[str]:
    """Settings of a row's training, beside the preset `facades`."""
    filters = row["filters"]
    return [
        f"data.image_size_px={row['size']}", f"generator.kind={row['network']}", "training.precision=float32",
        f"generator.base_filters={filters}", f"discriminator.base_filters={filters}",
        *KINDS[str(row["network"])], *MEASURES[str(row["measure"])],
    ]  # fmt: skip


def measure_here(row: Mapping[str, object], steps: int) -> dict[str, float]:
    """Trains two steps that warm up and `steps` that are timed, on random pairs."""
    from tfpix2pix.quiet import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    imported_mb = resident_mb(os.getpid())
    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.runs.dry_run import parameters
    from tfpix2pix.runs.networks import build_model

    config = resolve_config("facades", overrides_of(row))
    model = build_model(config)
    step = tf.function(model.train_step, autograph=False)
    x, y = (tf.random.uniform((config.training.batch_size, *config.data.size_px, 3), -1, 1) for _ in range(2))
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        float(step((x, y))["g/total"])
        times.append(time.perf_counter() - start)
    weights = sum(parameters(network) for network in (model.generator, model.discriminator))
    return {"imported_mb": imported_mb, "step_s": statistics.median(times[2:]), "parameters": weights}


def resident_mb(process_id: int) -> float:
    """Returns the resident memory of a process, 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def within(command: Sequence[str | Path], limit_mb: float) -> dict[str, float] | None:
    """Runs a command that prints one JSON line last. Returns its figures and `peak_mb`; None: it took more than
    `limit_mb` and was stopped. Raises RuntimeError if it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, env=environment)
        ended = 0
        while not ended:
            if resident_mb(process.pid) > limit_mb:
                process.kill()
                process.wait()
                return None
            time.sleep(0.05)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        lines = out.read().strip().splitlines()
        if process.returncode or not lines:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {err.read()[-2000:]}")
    figures, peak_mb = json.loads(lines[-1]), usage.ru_maxrss / 1e3
    return {**figures, "peak_mb": peak_mb, "above_mb": peak_mb - figures["imported_mb"]}


def wanted(sizes: Sequence[str]) -> list[Row]:
    """Returns the rows to measure, the checked ones last."""
    rows = [
        {"network": kind, "measure": measure, "size": size, "filters": FILTERS}
        for kind in KINDS
        for measure in MEASURES
        for size in sizes
    ]
    size, measure = CHECKED
    return rows + [{"network": kind, "measure": measure, "size": size, "filters": CHECKED_FILTERS} for kind in KINDS]


def quick_rows() -> list[Row]:
    """Returns the rows of float32 at `QUICK_SIZES`, which the formula needs, and others at the larger one."""
    return [row for row in wanted(QUICK_SIZES) if row["measure"] == "float32" or row["size"] == QUICK_SIZES[-1]]


def same(row: Mapping[str, object], other: Mapping[str, object], *but: str) -> bool:
    return all(row[key] == other[key] for key in ("network", "measure", "size", "filters") if key not in but)


def pixels(row: Mapping[str, object]) -> int:
    height, *width = (int(side) for side in str(row["size"]).split("x"))
    return height * (width or [height])[0]


def measured(rows: Sequence[Row], known: list[Row], *, steps: int, limit_mb: float) -> None:
    """Measures `rows` that are not `known`, in order of size, and adds each to `known`."""
    for row in rows:
        if any(same(row, other) for other in known):
            continue
        smaller = [other for other in known if same(row, other, "size") and pixels(other) < pixels(row)]
        figures = None
        if not any(other.get("skipped") for other in smaller):
            command = [sys.executable, __file__, "--row", json.dumps(row), "--steps", str(steps)]
            figures = within(command, limit_mb)
        known.append({**row, **(figures or {"skipped": True})})
        print(known[-1], file=sys.stderr, flush=True)
        write(known)


def slope_mb(rows: Sequence[Mapping[str, object]]) -> float | None:
    """Returns MB of maps for each pixel, between the smallest and the largest size; None: only one was measured."""
    ordered = sorted(rows, key=pixels)
    if len(ordered) < 2:
        return None
    return (ordered[-1]["above_mb"] - ordered[0]["above_mb"]) / (pixels(ordered[-1]) - pixels(ordered[0]))


def of_filters(row: Mapping[str, object], filters: int, mb_of_a_pixel: float) -> float:
    """Returns MB above TensorFlow with other `filters` than the row's, by the formula of this module."""
    times = filters / row["filters"]
    weights_mb = BYTES_OF_A_PARAMETER * row["parameters"] / 1e6
    return row["above_mb"] + weights_mb * (times**2 - 1) + mb_of_a_pixel * pixels(row) * (times - 1)


def large_images(rows: Sequence[Row]) -> str:
    """Returns the table of the rows of `FILTERS` that the page shows: all sizes of measures without `SHOWN_SIZES`."""
    cells = []
    for row in wanted(SIZES):
        found = next((other for other in rows if same(row, other)), None)
        shown = row["size"] in SHOWN_SIZES.get(str(row["measure"]), SIZES)
        if found is None or row["filters"] != FILTERS or not shown:
            continue
        figures = ["skipped", "", "", ""]
        if not found.get("skipped"):
            of_row = [other for other in rows if same(row, other, "size") and not other.get("skipped")]
            slope = slope_mb(of_row)
            computed = "" if slope is None else f"{of_filters(found, COMPUTED_FILTERS, slope):.0f}"
            figures = [f"{found['above_mb']:.0f}", f"{found['peak_mb']:.0f}", f"{found['step_s']:.2f}", computed]
        cells.append([row["network"], row["size"], row["measure"], *figures])
    return tables.table(HEAD, cells)


def checks(rows: Sequence[Row]) -> str:
    """Returns the table of the formula beside what was measured with `CHECKED_FILTERS`."""
    cells = []
    for row in rows:
        if row["filters"] != CHECKED_FILTERS or row.get("skipped"):
            continue
        others = [other for other in rows if same(row, other, "filters", "size") and "above_mb" in other]
        of_row = [other for other in others if other["filters"] == FILTERS]
        small = next((other for other in of_row if other["size"] == row["size"]), None)
        slope = slope_mb(of_row)
        if small and slope is not None:
            computed = of_filters(small, CHECKED_FILTERS, slope)
            share = f"{computed / row['above_mb'] - 1:+.0%}"
            cells.append([row["network"], row["size"], f"{row['above_mb']:.0f}", f"{computed:.0f}", share])
    return tables.table(
        ["network", "image, px", f"{CHECKED_FILTERS} filters: MB above, measured", "computed", "off"], cells
    )


def markdown(rows: Sequence[Row]) -> dict[str, str]:
    """Returns name -> table, as the marks of the page name them."""
    return {"large images": large_images(rows), "large images checked": checks(rows)}


def write(rows: Sequence[Row]) -> None:
    """Writes the file of figures, and the page's tables."""
    for path, text in (
        (MEASURED, json.dumps(rows, indent=1) + "\n"),
        (PAGE, tables.filled(PAGE.read_text(encoding="utf-8"), markdown(rows))),
    ):
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--limit-gb", type=float, default=12.0)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--row", type=json.loads, help="measures one row in this process, and prints JSON")
    options = parser.parse_args()
    steps = options.steps or (1 if options.quick else 3)
    if options.row:
        print(json.dumps(measure_here(options.row, steps)))
        return
    rows = quick_rows() if options.quick else wanted(SIZES)
    rows = sorted(rows, key=lambda row: [*MEASURES].index(row["measure"]))  # the checks after float32
    rows = [row for row in rows if options.only in (None, row["network"])]
    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else []
    if options.again:
        known = [other for other in known if not any(same(row, other) for row in rows)]
    measured(rows, known, steps=steps, limit_mb=1e3 * options.limit_gb)
    write(known)
    print("\n\n".join(markdown(known).values()))


if __name__ == "__main__":
    main()
