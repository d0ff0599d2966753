"""Training processes killed at random moments, then resumed: do they end as one that was never interrupted?

    python benchmarks/faults.py [--kills 25] [--steps 1500] [--seed 0] [--out runs/faults] [--set key=value …]

Every process is killed by SIGKILL at a random moment, half of them while a checkpoint is being written, and continued
by `--resume`. At the end all variables of both networks and optimisers, the held-out figures and metrics.jsonl must
equal those of an uninterrupted run, bit for bit (but for times).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tfpix2pix.files import TEMPORARY
from tfpix2pix.training.checkpoints import Checkpoints

SETTINGS = (
    "generator.base_filters=16", "training.checkpoint_every_steps=7", "training.validate_every_steps=40",
    "training.log_every_steps=5", "training.sample_every_steps=100", "training.ema_decay=0.99",
)  # fmt: skip
TIMES = ("time_s", "images_per_s")


def command(run_dir: Path, steps: int, settings: tuple[str, ...]) -> list[str]:
    """To start the run, or to go on where there is one."""
    start = [sys.executable, "-m", "tfpix2pix", "train", "--run", str(run_dir)]
    if (run_dir / "config.yaml").exists():
        return [*start, "--resume"]
    flags = [flag for setting in (f"training.steps={steps}", *settings) for flag in ("--set", setting)]
    return [*start, "smoke", *flags]


def kill_at_random(run_dir: Path, steps: int, settings: tuple[str, ...], rng: random.Random) -> str:
    """Runs a process until a random moment: `checkpoint`, `training`, `start`, or `finished` where it was too late."""
    process = subprocess.Popen(command(run_dir, steps, settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun_at, in_training = newest_step(run_dir), False
    if rng.random() < 0.9:  # else while it starts
        for goes_on in (lambda step: step > begun_at, lambda step: step <= begun_at):
            # What the one before wrote after its last checkpoint is dropped first, then the log grows.
            while process.poll() is None and goes_on(logged_step(run_dir)):
                time.sleep(0.01)
        in_training = True
    time.sleep(rng.uniform(0, 1.5))
    in_checkpoint = in_training and rng.random() < 0.5
    while in_checkpoint and process.poll() is None and not unfinished(run_dir, process.pid):
        time.sleep(0.0005)
    process.kill()
    if process.wait() == 0:
        return "finished"
    if unfinished(run_dir, process.pid):
        return "checkpoint"
    return "training" if in_training else "start"


def newest_step(run_dir: Path) -> int:
    return max(Checkpoints(run_dir / "checkpoints").steps(), default=0)


def logged_step(run_dir: Path) -> int:
    """The step of the last line of metrics.jsonl."""
    log = run_dir / "metrics.jsonl"
    steps = re.findall(r'^{"step": (\d+)', log.read_text() if log.exists() else "", re.MULTILINE)
    return int(steps[-1]) if steps else -1


def unfinished(run_dir: Path, pid: int) -> bool:
    """Whether this process has a checkpoint half written."""
    return next((run_dir / "checkpoints").glob(f".*.{pid}{TEMPORARY}"), None) is not None


def finish(run_dir: Path, steps: int, settings: tuple[str, ...]) -> None:
    subprocess.run(command(run_dir, steps, settings), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def differences(first: Path, second: Path) -> list[str]:
    """What is not the same in two finished runs, bit for bit."""
    (step, a), (other_step, b) = (Checkpoints(run / "checkpoints").load() for run in (first, second))
    found = [] if step == other_step else [f"step {step} and {other_step}"]
    found += [f"{part}: {name}" for part in a for name in a[part] if not np.array_equal(a[part][name], b[part][name])]
    cards = [json.loads((run / "model_card.json").read_text())["metrics"] for run in (first, second)]
    found += [] if cards[0] == cards[1] else ["figures of the model card"]
    logs = [[untimed(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (first, second)]
    return found + ([] if logs[0] == logs[1] else ["metrics.jsonl"])


def untimed(line: str) -> dict:
    return {key: value for key, value in json.loads(line).items() if key not in TIMES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    settings, rng = (*SETTINGS, *options.set), random.Random(options.seed)
    whole, killed = options.out / "whole", options.out / "killed"
    finish(whole, options.steps, settings)
    moments: list[str] = []
    while len(moments) < options.kills:
        moments.append(kill_at_random(killed, options.steps, settings, rng))
        print(f"kill {len(moments)}: {moments[-1]}, newest checkpoint {newest_step(killed)}", flush=True)
        if moments[-1] == "finished":
            print("The run finished before all kills: raise --steps.")
            break
    finish(killed, options.steps, settings)
    found = differences(whole, killed)
    counts = {moment: moments.count(moment) for moment in sorted(set(moments))}
    print(json.dumps({"kills": counts, "differences": found}, indent=2))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
