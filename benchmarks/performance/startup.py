"""From the command to the end of the first training step, and TensorFlow's import beside it. One JSON line.

    python benchmarks/performance/startup.py [--data FOLDER] [--set key=value …]

The command is `tfpix2pix train facades`; its first step is done when the first line of metrics.jsonl is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_S = 0.02
LONGEST_S = 600


def first_step_s(arguments: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfpix2pix", "train", "facades", "--run", f"{folder}/run", *arguments]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        log = Path(folder, "run", "metrics.jsonl")
        try:
            while not (log.is_file() and any('"g/total"' in line for line in log.read_text().splitlines())):
                if process.poll() or time.perf_counter() - start > LONGEST_S:
                    raise SystemExit(f"no first step: {process.stderr.read()[-1500:]}")
                time.sleep(POLL_S)
            return time.perf_counter() - start
        finally:
            process.kill()
            process.communicate()


def import_s() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    overrides = [*given.overrides, "training.log_every_steps=1"]
    flags = [part for override in overrides for part in ("--set", override)]
    figures = {"import_s": import_s(), "first_step_s": first_step_s(["--data", str(given.data), *flags])}
    print(json.dumps({**figures, "times_the_import": figures["first_step_s"] / figures["import_s"]}))


if __name__ == "__main__":
    main()
