"""From the command to the first sample grid and to the end of the first training step, and TensorFlow's import beside
it. One JSON line.

    python benchmarks/performance/startup.py [--data FOLDER] [--set key=value …]

The command is `tfpix2pix train facades`, which logs every step. The first sample grid is there when its file is. The
first step is done when the run says that it now measures its untrained generator, or when metrics.jsonl has losses.
The figures that end in `_cpu_s` are seconds of all cores together, if /proc tells them. Other work on the machine
changes them least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_S = 0.02
LONGEST_S = 600
MEASURES = "measures the untrained generator"  # what a run says after its first steps


def cpu_s(process: subprocess.Popen) -> float | None:
    """Returns the CPU time of a process, s; None if /proc does not tell it."""
    file = Path("/proc", str(process.pid), "stat")
    if not file.is_file():
        return None
    ticks = file.read_text().rpartition(")")[2].split()[11:13]  # of the program, and of the system for it
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def train(arguments: list[str]) -> dict[str, float | None]:
    """Starts a training, ends it after its first step, and returns the times to its first sample and first step, s."""
    with tempfile.TemporaryDirectory() as folder:
        run, said = Path(folder, "run"), Path(folder, "said")
        log = run / "metrics.jsonl"
        ends = {
            "first_sample": (run / "samples" / "step-000000.png").is_file,
            "first_step": lambda: MEASURES in said.read_text() or (log.is_file() and '"g/total"' in log.read_text()),
        }
        found: dict[str, float | None] = {}
        command = [sys.executable, "-m", "tfpix2pix", "train", "facades", "--run", str(run), *arguments]
        start = time.perf_counter()
        with said.open("w") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            for name, is_there in ends.items():
                while not is_there():
                    if process.poll() or time.perf_counter() - start > LONGEST_S:
                        raise SystemExit(f"not there, {name}: {said.read_text()[-1500:]}")
                    time.sleep(POLL_S)
                found |= {f"{name}_s": time.perf_counter() - start, f"{name}_cpu_s": cpu_s(process)}
            return found
        finally:
            process.kill()
            process.wait()


def import_tensorflow() -> dict[str, float | None]:
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    passed_s, after = time.perf_counter() - start, os.times()
    children_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {"import_s": passed_s, "import_cpu_s": children_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    overrides = [*given.overrides, "training.log_every_steps=1"]
    flags = [part for override in overrides for part in ("--set", override)]
    found = {**import_tensorflow(), **train(["--data", str(given.data), *flags])}
    times = {f"{name}_times": found[f"{name}_s"] / found["import_s"] for name in ("first_sample", "first_step")}
    print(json.dumps({**found, **times}))


if __name__ == "__main__":
    main()
