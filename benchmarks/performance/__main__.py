"""The project beside its peers: `make bench`, or

    python benchmarks/performance [--only step --only inference …] [--rounds 5] [--out docs/performance]
        [--peers ../shared/peers] [--data ../shared/data/facades] [--torch-python .venv-torch/bin/python]
        [--openvino-python .venv-openvino/bin/python]

Everything is measured in processes of its own, contestants in turns. What is measured is added to OUT/performance.json;
the tables and plots are made of it. A peer whose files or environment are not there is skipped, and it is said so.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from performance import growth, inference, plots
from performance.tables import filled, markdown
from performance.turns import HERE, in_turns, turn

ROOT = HERE.parents[1]
PYTHON = sys.executable
TORCH_AT_ITS_BEST = ("--precision", "bfloat16", "--channels-last", "--fused-adam", "--compile")
FLAGS = ("avx512f", "avx512_bf16", "amx_bf16", "avx_vnni")


class Bench:
    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.peers = given, given.peers
        self.tutorial = self.peers / "tutorial_step.py"
        self.torch = self._python(given.torch_python, "torch", self.peers / "torch_step.py")
        self.openvino = self._python(given.openvino_python, "openvino", None)
        if not self.tutorial.is_file():
            print(f"skipped: the tutorial recipe, no {self.tutorial}", file=sys.stderr)

    @staticmethod
    def _python(python: Path, module: str, script: Path | None) -> Path | None:
        there = (
            python.is_file() and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0
        )
        if there and (script is None or script.is_file()):
            return python
        print(f"skipped: {module}, which {python} does not have (make bench-peers)", file=sys.stderr)
        return None

    def machine(self) -> dict:
        cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
        model = next((line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")), "")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        version = lambda python, name: subprocess.run(  # noqa: E731
            [python, "-c", f"import importlib.metadata as m; print(m.version('{name}'))"],
            capture_output=True,
            text=True,
        ).stdout.strip()
        return {
            "processor": model or platform.machine(), "cores": os.cpu_count(), "memory_gb": round(memory),
            "instructions": [flag for flag in FLAGS if f" {flag} " in cpu.replace("\n", " ")],
            "python": platform.python_version(), "date": datetime.date.today().isoformat(),
            "tensorflow": importlib.metadata.version("tensorflow"), "keras": importlib.metadata.version("keras"),
            "torch": version(self.torch, "torch") if self.torch else None,
            "openvino": version(self.openvino, "openvino") if self.openvino else None,
        }  # fmt: skip

    def ceilings(self) -> dict:
        peak = self.peers / "peak.py"
        found = [turn([PYTHON, peak]) for _ in range(3)]
        return {key: max(row[key] for row in found) for key in ("float32_gflops", "bfloat16_gflops", "copy_gb_s")}

    def step(self) -> dict:
        found = {}
        for batch, rounds in ((1, self.given.rounds), (4, max(1, self.given.rounds - 2))):
            size = ["--batch", batch]
            contestants = {}
            if self.tutorial.is_file():  # as people run it, and at its best
                contestants["tutorial, float32"] = [PYTHON, self.tutorial, *size]
                contestants["tutorial, mixed_bfloat16"] = [PYTHON, self.tutorial, *size, "--policy", "mixed_bfloat16"]
            if self.torch:
                torch = [self.torch, self.peers / "torch_step.py", *size]
                contestants["PyTorch, float32"] = torch
                contestants["PyTorch, bfloat16 at its best"] = [*torch, *TORCH_AT_ITS_BEST]
            for precision in ("float32", "bfloat16"):
                contestants[f"tfpix2pix, {precision}"] = [PYTHON, HERE / "step.py", *size, "--precision", precision]
            found[str(batch)] = in_turns(contestants, rounds)
        return found

    def loop(self) -> list:
        return [turn([PYTHON, HERE / "loop.py", "--data", self.given.data]) for _ in range(1)]

    def startup(self) -> list:
        return [turn([PYTHON, HERE / "startup.py", "--data", self.given.data]) for _ in range(2)]

    def memory(self) -> list:
        rows = []
        for size in (256, 512, 1024):
            for levels in (0, 2):
                flags = [
                    "--size",
                    size,
                    "--recompute-levels",
                    levels,
                    "--precision",
                    self.given.precision,
                    "--steps",
                    3,
                ]
                rows.append({"size": size, "levels": levels, **turn([PYTHON, HERE / "step.py", *flags])})
        return rows

    def inference(self) -> dict:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            inference.tfpix2pix(
                "train", "facades", "--data", self.given.data, "--run", folder / "run",
                "--set", "training.steps=40", "--set", "training.validation_images=5",
            )  # fmt: skip
            forms = inference.exports(folder / "run", folder / "exports")
            tutorial = [PYTHON, self.tutorial, "--steps", "10"] if self.tutorial.is_file() else []
            found = inference.forwards(folder / "run", forms, tutorial, self.openvino, max(1, self.given.rounds - 2))
            folders = {}
            for title, model in {
                "run directory": folder / "run",
                "SavedModel bfloat16": forms["SavedModel bfloat16"],
            }.items():
                bare = inference.batches(model)
                folders[title] = {"bare": bare, "folder": inference.folder(model, self.given.data, folder / "folder")}
        return {"forms": found, "folders": folders}

    def growth(self) -> dict:
        found = {axis: growth.measure(axis, self.given.precision) for axis in growth.AXES}
        return {**found, "files": growth.first_step(next(iter(sorted((self.given.data / "val").iterdir()))))}


SECTIONS = ("step", "loop", "startup", "memory", "inference", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=SECTIONS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance")
    parser.add_argument("--peers", type=Path, default=ROOT.parent / "shared" / "peers")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "facades")
    parser.add_argument("--precision", default="bfloat16", help="of memory and growth")
    parser.add_argument("--torch-python", type=Path, default=ROOT / ".venv-torch" / "bin" / "python")
    parser.add_argument("--openvino-python", type=Path, default=ROOT / ".venv-openvino" / "bin" / "python")
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"--data must be a folder of pairs with train/ and val/. Received {given.data}. Name another.")
    bench, path = Bench(given), given.out / "performance.json"
    given.out.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text()) if path.is_file() and given.only else {}
    if not given.only or "ceilings" not in found:
        found |= {"machine": bench.machine(), "ceilings": bench.ceilings(), "precision": given.precision}
    for section in given.only or SECTIONS:
        print(f"== {section}", file=sys.stderr, flush=True)
        found[section] = getattr(bench, section)()
        path.write_text(json.dumps(found, indent=1) + "\n")
    tables = markdown(found)
    (given.out / "tables.md").write_text("\n\n".join(f"## {name}\n\n{text}" for name, text in tables.items()) + "\n")
    if "growth" in found:
        plots.draw(found, given.out)
    document = given.out.with_suffix(".md")
    if document.is_file():
        document.write_text(filled(document.read_text(encoding="utf-8"), tables), encoding="utf-8")
    print((given.out / "tables.md").read_text())


if __name__ == "__main__":
    main()
