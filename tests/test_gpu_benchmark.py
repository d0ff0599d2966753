"""benchmarks/gpu.py: its rows, its time, its processes and its page, without a GPU."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from card import report, worker  # noqa: E402
from card.plan import FAILED, MEASURED, NO_MEMORY, TOO_LONG, Results, Row, measure_all, plan  # noqa: E402

from tfpix2pix.training import hardware  # noqa: E402

T4, A100 = (7, 5), (8, 0)


# Which rows, in which order


@pytest.mark.parametrize("capability", [T4, A100, (0, 0)])
def test_the_first_row_is_what_auto_trains_with_at_256_px(capability):
    chosen = hardware.choice_for(hardware.Hardware((("", capability),)))
    assert plan(capability)[0] == Row("tfpix2pix", 256, 1, chosen.precision)


def test_every_size_batch_precision_and_xla_is_a_row_once():
    rows = plan(A100)
    ours = [row for row in rows if row.engine == "tfpix2pix" and not row.pipeline]
    precisions = ("float32", "tf32", "bfloat16", "float16")
    wanted = itertools.product((256, 512, 1024), (1, 4, 16, 64), precisions, (False, True))
    assert {(row.size_px, row.batch, row.precision, row.xla) for row in ours} == set(wanted)
    assert len(rows) == len(set(rows))
    assert {row.precision for row in plan(T4)} == {"float32", "float16"}  # a T4 has instructions for no others


def test_peers_and_the_pipeline_come_before_large_images():
    rows = plan(A100)
    at = {kind: next(n for n, row in enumerate(rows) if getattr(row, key) == value)
          for kind, key, value in (("tutorial", "engine", "tutorial"), ("torch", "engine", "torch"),
                                   ("pipeline", "pipeline", True), ("large", "size_px", 1024))}  # fmt: skip
    assert max(at["tutorial"], at["torch"], at["pipeline"]) < at["large"]
    assert "torch" not in {row.engine for row in plan(A100, with_torch=False)}


def test_several_gpus_are_rows_from_one_to_all():
    rows = plan(A100, 4)
    several = [row for row in rows if row.gpus > 1]
    assert [row.gpus for row in several] == [2, 3, 4]
    alone = Row(**{**asdict(several[0]), "gpus": 1})
    assert alone in rows
    assert all(row.gpus == 1 for row in plan(A100))


# Its time


def asked(rows, minutes=1.0, states=(), seconds=10.0):
    """Rows measured on a clock on which each takes `seconds`. `states`: row -> its answer's state."""
    now, states, seen, results = [0.0], dict(states), [], Results()

    def ask(row, limit_s):
        seen.append((row, limit_s))
        now[0] += min(seconds, limit_s)
        return {"state": states.get(row, MEASURED), "step_s": 1.0, "reason": "as told"}

    measure_all(rows, ask, minutes=minutes, results=results, clock=lambda: now[0])
    return seen, results, now[0]


def test_rows_are_measured_in_order_until_the_time_is_spent_and_the_others_are_named():
    rows = [row for row in plan(A100) if row.engine == "tfpix2pix" and not row.xla]
    seen, results, end_s = asked(rows)
    assert [row for row, _ in seen] == rows[:5]  # the sixth would end with the minute
    assert end_s <= 60
    assert len(results.rows) + len(results.missing) == len(rows)
    assert {each["reason"] for each in results.missing} == {"the 1 minutes were spent"}
    assert seen[0][1] == 60 and seen[4][1] == 20  # never more than what is left


def test_a_row_that_the_end_of_the_time_cuts_off_is_missing():
    rows = [row for row in plan(T4) if not row.xla][:3]
    _, results, _ = asked(rows, minutes=0.5, states={rows[0]: TOO_LONG}, seconds=1000)
    assert results.rows == []
    assert len(results.missing) == 3


def test_what_needs_more_memory_than_a_row_that_had_too_little_is_not_tried():
    rows = [Row("tfpix2pix", size, batch, "float32") for size in (256, 512) for batch in (1, 16, 4, 64)]
    rows += [Row("torch", 512, 64, "float32"), Row("tfpix2pix", 512, 64, "float16")]
    seen, results, _ = asked(rows, minutes=60, states={Row("tfpix2pix", 256, 16, "float32"): NO_MEMORY})
    tried = [(row.engine, row.size_px, row.batch, row.precision) for row, _ in seen]
    assert tried == [
        ("tfpix2pix", 256, 1, "float32"), ("tfpix2pix", 256, 16, "float32"), ("tfpix2pix", 256, 4, "float32"),
        ("tfpix2pix", 512, 1, "float32"), ("tfpix2pix", 512, 4, "float32"), ("torch", 512, 64, "float32"),
        ("tfpix2pix", 512, 64, "float16"),
    ]  # fmt: skip
    states = {(row["size_px"], row["batch"]): row["state"] for row in results.rows if row["precision"] == "float32"
              and row["engine"] == "tfpix2pix"}  # fmt: skip
    assert [key for key, state in states.items() if state == NO_MEMORY] == [(256, 16), (256, 64), (512, 16), (512, 64)]


# Its processes

PROCESS = """
import json, os, sys, time
for number, line in enumerate(sys.stdin):
    row = json.loads(line)
    if row["batch"] == 7:
        os._exit(3)
    if row["batch"] == 8:
        time.sleep(600)
    if row["batch"] == 9:
        os.kill(os.getpid(), 9)
    print(json.dumps({"state": "measured", "kind": sys.argv[1], "number": number}), flush=True)
"""


def test_a_process_that_ends_or_hangs_costs_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PROCESS", tmp_path / "process.py")
    worker.PROCESS.write_text(PROCESS)
    asking = worker.Worker()

    def ask(engine, batch, limit_s=60.0):
        return asking.ask(Row(engine, 256, batch, "float32"), limit_s)

    assert ask("tfpix2pix", 1)["number"] == 0
    assert ask("tutorial", 1) == {"state": MEASURED, "kind": "tensorflow", "number": 1}  # in the same process
    assert ask("torch", 1) == {"state": MEASURED, "kind": "torch", "number": 0}
    assert ask("torch", 7) == {"state": FAILED, "reason": "the process ended with 3"}
    assert ask("torch", 9)["state"] == NO_MEMORY  # the system ends what takes all memory
    assert ask("torch", 8, limit_s=0.5)["state"] == TOO_LONG
    assert ask("torch", 1)["number"] == 0
    asking.close()


def test_an_error_is_an_answer():
    def lacking(row):
        raise MemoryError("no more")

    def wrong(row):
        raise ValueError("no such layer\nmore")

    assert worker.answer(lacking, None) == {"state": NO_MEMORY, "reason": "MemoryError: no more"}
    assert worker.answer(wrong, None) == {"state": FAILED, "reason": "ValueError: no such layer"}
    assert worker.answer(lambda row: {"px": row.size_px}, asdict(Row("torch", 64, 1, "float32")))["px"] == 64


def test_the_step_is_measured_in_small(monkeypatch):
    from card import tensorflow_rows

    monkeypatch.setattr(tensorflow_rows, "SMALL_ROW_S", 0.0)
    figures = tensorflow_rows.measurer()(Row("tfpix2pix", 64, 1, "float32"))
    assert 0 < figures["least_s"] <= figures["step_s"] <= figures["most_s"]
    assert figures["steps"] == 3 and figures["gflop"] > 0


# Its page


def figures(*rows, **more):
    card = {"name": "T4 (compute capability 7.5)", "tensorflow": "2.21", "auto": "float16", "auto_xla": False}
    card["matrix_gflops"] = {"float32": 100.0, "float16": 1000.0}
    listed = [{**asdict(row), "state": MEASURED, "step_s": step_s, **others} for row, step_s, others in rows]
    return {"card": card, "date": "2026-01-01", "notes": [], "small": False, "rows": listed, "missing": [], **more}


def test_the_page_has_times_rates_memory_and_what_is_missing():
    found = figures(
        (Row("tfpix2pix", 256, 4, "float16"), 0.02, {"peak_mb": 1500.0, "gflop": 10.0, "device_s": 0.015}),
        (Row("tfpix2pix", 256, 1, "float16", pipeline=True), 0.02, {"bare_s": 0.015, "pipeline_share": 0.25}),
        missing=[{**asdict(Row("torch", 512, 1, "float32")), "reason": "the 10 minutes were spent"}],
        long=[{"seconds": 1200.0, "step": 50_000}, {"seconds": 600.0, "step": 80_000}],
    )
    found["rows"].append({**asdict(Row("tutorial", 256, 64, "float32")), "state": NO_MEMORY, "reason": "batch 16"})
    page = report.page(found)
    assert "| tfpix2pix | 256 | 4 | float16 |  | 20 | 200 | 1.5e+03 | 15 | 50% |" in page
    assert "| tutorial | 256 | 64 | float32 |  | out of memory |  |  |  |  |" in page
    assert "| 256 | 1 | float16 | 15 | 20 | 25% |" in page
    assert "- the 10 minutes were spent: torch, 512 px, batch 1, float32\n" in page
    assert "- out of memory (batch 16): tutorial, 256 px, batch 64, float32" in page
    assert "facades, 80000 steps: 30.0 minutes in 2 sessions" in page


def test_the_page_says_if_auto_is_not_the_fastest():
    plain, compiled = (Row("tfpix2pix", 256, 1, "float16", xla) for xla in (False, True))
    text = report.advice(figures((plain, 0.03, {}), (compiled, 0.02, {})))
    assert text.startswith("`auto` chooses float16 without XLA here. float16 with XLA was 1.50 times as fast")
    assert "Nothing was faster" in report.advice(figures((plain, 0.02, {}), (compiled, 0.03, {})))
    assert "has not been measured" in report.advice(figures((compiled, 0.02, {})))


def test_scaling_is_beside_as_many_single_gpus(tmp_path):
    row = {"engine": "tfpix2pix", "size_px": 256, "batch": 16, "precision": "float16", "pipeline": True}
    found = figures((Row(**row, gpus=4), 0.2, {}), (Row(**row), 0.1, {}), (Row(**row, gpus=2), 0.125, {}))
    lines = report.scaling_table(found).splitlines()[2:]
    assert lines == ["| 1 | 16 | 100 | 160 | 100% |", "| 2 | 16 | 125 | 256 | 80% |", "| 4 | 16 | 200 | 320 | 50% |"]
    bare = (Row("tfpix2pix", 256, 1, "float16"), 0.1, {"peak_mb": 900.0})
    found["rows"] += figures(bare)["rows"]
    drawn = report.draw(found, tmp_path)
    assert [path.name for path in drawn] == ["gpu-speed.png", "gpu-memory.png", "gpu-scaling.png"]
    assert all(path.stat().st_size > 5_000 for path in drawn)


# All of it


def gpu(*options):
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"})


def test_a_long_training_needs_its_pairs(tmp_path):
    done = gpu("--long", "--out", tmp_path / "out")
    assert done.returncode == 2 and "--long needs --data, the folder of facades. Received None." in done.stderr
    assert not (tmp_path / "out").exists()
    assert "--minutes 0 keeps the table of --out" in gpu("--minutes", 0, "--out", tmp_path / "out").stderr


@pytest.mark.slow
def test_without_a_gpu_it_runs_in_small_and_says_so(tmp_path, drawn_facades):
    out = tmp_path / "out"
    done = gpu("--out", out, "--minutes", 5, "--gpus", 2, "--long", "--data", drawn_facades)
    assert done.returncode == 0, done.stderr
    assert "TensorFlow sees no GPU here" in done.stderr and "TensorFlow sees no GPU here" in done.stdout
    found = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
    ours = [row for row in found["rows"] if row["engine"] != "torch"]
    assert ours[0]["state"] == MEASURED and ours[0]["step_s"] > 0
    assert {row["state"] for row in ours if not row["xla"]} == {MEASURED}
    assert any(row["gpus"] == 2 for row in ours) and any("pipeline_share" in row for row in ours)
    assert (out / "gpu.md").read_text(encoding="utf-8") == done.stdout.rstrip("\n") + "\n"
    assert (out / "gpu-speed.png").stat().st_size > 5_000
    assert "facades, 4 steps: " in done.stdout and "in 1 sessions" in done.stdout
    done = gpu("--out", out, "--minutes", 0, "--long", "--data", drawn_facades)  # continued
    assert done.returncode == 0, done.stderr
    assert "facades, 4 steps: " in done.stdout and "in 2 sessions" in done.stdout
    assert json.loads((out / "gpu.json").read_text(encoding="utf-8"))["rows"] == found["rows"]
