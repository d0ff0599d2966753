"""The training step on a GPU, unattended in ten minutes: a table, plots and all figures.

    python benchmarks/gpu.py --out gpu [--minutes 10] [--gpus all] [--long --data data/facades]

It measures the step at 256, 512 and 1,024 px and batch 1 to 64, in float32, TF32, bfloat16 and float16, with and
without XLA; the input pipeline's share of the command's loop; the peers, the TensorFlow tutorial and, if PyTorch is
installed with CUDA, pytorch-CycleGAN-and-pix2pix; and the peak memory. Rows come by importance, each for a bounded
time, until the minutes are spent. OUT/gpu.md says which are missing. OUT/gpu.json is written after every row.

`--gpus all` adds a table over the number of GPUs. `--long` trains facades for 80,000 steps, timed, after the table;
the same command with `--minutes 0` continues it. Without a GPU, the same runs in small on the CPU, in about a minute.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from card.plan import MEASURED, SMALL_FILTERS, SMALL_NETWORKS, Results, Row, measure_all, plan
from card.report import draw, page
from card.worker import Worker

MINUTES, SMALL_MINUTES = 10.0, 1.0
START_S = 300.0  # at most, of a process with its matrix products
LONG_STEPS, SMALL_LONG_STEPS = 80_000, 4
ON_CPU = (
    "TensorFlow sees no GPU here. These are small networks on small images on the CPU: they show that the benchmark "
    "works, and no figure of them says anything about a GPU."
)
SMALL_TRAINING = (
    "data.image_size_px=64", f"generator.base_filters={SMALL_FILTERS}", f"discriminator.base_filters={SMALL_FILTERS}",
    *SMALL_NETWORKS, "training.validation_images=0", "training.sample_every_steps=1000000",
)  # fmt: skip


def write(found: dict[str, Any], out: Path) -> None:
    from tfpix2pix.files import write_text

    write_text(out / "gpu.json", json.dumps(found, indent=1) + "\n")
    write_text(out / "gpu.md", page(found))


def train_long(out: Path, data: Path, steps: int, overrides: tuple[str, ...]) -> list[dict[str, float]]:
    """Trains facades, or continues, and returns the seconds and the last step of each session so far."""
    import tfpix2pix as p2p
    from tfpix2pix.files import write_text
    from tfpix2pix.runs.directory import RunDirectory

    times, folder = out / "long.json", out / "facades"
    sessions = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else []
    resume = RunDirectory(folder).is_run()
    began = time.monotonic()
    preset = None if resume else "facades"
    more = () if resume else (f"training.steps={steps}", *overrides)
    run = p2p.train(preset, data=str(data), run_dir=folder, overrides=more, resume=resume)
    sessions.append({"seconds": time.monotonic() - began, "step": run.card.step})
    write_text(times, json.dumps(sessions) + "\n")
    return sessions


def table(out: Path, minutes: float | None, wanted: int | str) -> dict[str, Any]:
    """Measures rows until the minutes are spent. Returns what gpu.json holds."""
    began = time.monotonic()
    parts = 2 if wanted == "all" else wanted  # of a CPU
    worker = Worker(gpus=parts)
    try:
        card = worker.ask(None, START_S, "tensorflow")
        if card["state"] != MEASURED:
            raise SystemExit(f"TensorFlow must start on this machine. Received: {card['reason']}.")
        small = card["capability"] is None
        capability = None if small else tuple(card["capability"])
        gpus = parts if small else card["gpus"] if wanted == "all" else min(wanted, card["gpus"])
        minutes = minutes or (SMALL_MINUTES if small else MINUTES)
        notes = [ON_CPU] if small else []
        if wanted not in ("all", gpus):
            notes.append(f"{wanted} GPUs were asked for, and TensorFlow sees {gpus}.")
        with_torch = importlib.util.find_spec("torch") is not None
        if with_torch and not small:
            with_torch = worker.ask(None, START_S, "torch").get("device") == "cuda"
        if not with_torch:
            notes.append("PyTorch is not measured: it is not installed here, or without CUDA.")
        for note in [*notes, card["explained"]]:
            print(note, file=sys.stderr, flush=True)

        results, date = Results(), datetime.date.today().isoformat()
        found = {"card": card, "date": date, "minutes": minutes, "notes": notes, "small": small}
        found |= {"rows": results.rows, "missing": results.missing}

        def ask(row: Row, limit_s: float) -> dict[str, Any]:
            answer = worker.ask(row, limit_s)
            said = f"{1e3 * answer['step_s']:.3g} ms a step" if answer["state"] == MEASURED else answer["state"]
            print(f"{(time.monotonic() - began) / 60:4.1f} min  {row.title}: {said}", file=sys.stderr, flush=True)
            return answer

        measure_all(
            plan(capability, gpus, with_torch=with_torch), ask, minutes=minutes, results=results,
            after_each=lambda: write(found, out), began_s=began,
        )  # fmt: skip
        return found
    finally:
        worker.close()


def number_of(text: str) -> int | str:
    return text if text == "all" else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder for gpu.json, gpu.md and plots")
    parser.add_argument("--minutes", type=float, help="time for the table: 10 on a GPU, 1 on a CPU. 0: keep the table")
    parser.add_argument("--gpus", type=number_of, default=1, help="largest number of GPUs, or `all`")
    parser.add_argument("--long", action="store_true", help="then train facades, or continue")
    parser.add_argument("--data", type=Path, help="folder of facades, for --long")
    given = parser.parse_args()
    if given.long and (given.data is None or not given.data.is_dir()):
        parser.error(
            f"--long needs --data, the folder of facades. Received {given.data}. Fetch it with `tfpix2pix data "
            f"download facades --out data/facades`."
        )
    before = given.out / "gpu.json"
    if given.minutes == 0 and not before.is_file():
        parser.error(f"--minutes 0 keeps the table of --out. Received {given.out}, which has none. Leave it out first.")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.minutes == 0:
        found = json.loads(before.read_text(encoding="utf-8"))
    else:
        found = table(given.out, given.minutes, given.gpus)
    if given.long:
        steps, overrides = (SMALL_LONG_STEPS, SMALL_TRAINING) if found["small"] else (LONG_STEPS, ())
        found["long"] = train_long(given.out, given.data, steps, overrides)
    write(found, given.out)
    draw(found, given.out)
    print((given.out / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
