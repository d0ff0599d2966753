"""The estimate of a training agrees with the files that runs wrote and the memory that a benchmark measured."""

import importlib.util
import io
import json
import re
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, others_slow, run_cli, tiny_config
from tfpix2pix.errors import UserError
from tfpix2pix.runs import estimate, session
from tfpix2pix.runs.estimate import Networks, check_disk, disk_of, memory_of, needs, size_text
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.checkpoints import TRANSLATING, Checkpoints, get_state

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def bytes_of(state):
    return sum(array.nbytes for arrays in state.values() for array in arrays.values())


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free_disk(monkeypatch, free):
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: Usage(10**15, 10**15 - free, free))


STYLED = {"weights": {"style_kl": 0.01}, "encoder_filters": 8}
KINDS = {
    "tiny": {},
    "average": {"training": {"ema_decay": 0.9}},
    "global": {"generator": {"kind": "global", "base_filters": 4}},
    "float16": {"training": {"precision": "float16"}},
    "styled": {"generator": {"noise": "modulation"}, "objective": STYLED},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_has_the_bytes_that_are_counted(kind):
    config = tiny_config(**KINDS[kind])
    disk, model = disk_of(config, Networks.of(config), validated=True), build_model(config)
    scalars = bytes_of(get_state(model)) - disk.checkpoint  # steps, learning rates, loss scales
    assert 0 <= scalars < 100
    assert disk.best == 2 * bytes_of(get_state(model, TRANSLATING))


def test_a_run_takes_no_more_than_is_said(tiny_run):
    config = tiny_run.card.config
    disk = disk_of(config, Networks.of(config), validated=True)
    (checkpoint, *_) = sorted(tiny_run.directory.checkpoints.glob("step-*"))
    assert disk.checkpoint < size_of(checkpoint) < disk.checkpoint + 30_000  # headers, hashes and notes
    assert disk.samples == len(list(tiny_run.directory.samples.iterdir())) == 3
    assert size_of(tiny_run.directory.samples) + size_of(tiny_run.directory.tensorboard) < 3 * disk.sample + 200_000
    assert size_of(tiny_run.path) < disk.total


@pytest.mark.parametrize(
    ("steps", "every", "keep_last", "for_good"),
    [(10, 3, 2, None), (2, 3, 2, None), (40, 4, 1, None), (40, 4, 3, 8), (40, 4, 2, 6), (7, 1, 9, 3), (12, 4, 3, 5)],
)
def test_as_many_checkpoints_are_there_at_a_time_as_is_said(steps, every, keep_last, for_good, tmp_path):
    config = least_config(
        training={
            "steps": steps, "checkpoint_every_steps": every, "keep_last": keep_last, "keep_every_steps": for_good,
        }
    )  # fmt: skip
    checkpoints, most = Checkpoints(tmp_path, keep_last, for_good), 0
    state = {"generator": {"w": np.zeros(1, np.float32)}}
    for step in range(1, steps + 1):
        if step % every == 0 or step == steps:
            most = max(most, len(checkpoints.steps()) + 1)  # the earlier ones are removed after it is written
            checkpoints.save(step, state)
    said = disk_of(config, Networks.of(config), validated=False)
    assert said.best == 0
    assert most <= said.checkpoints <= most + (keep_last if for_good else 0)  # the newest may be kept for good


@pytest.mark.parametrize(
    ("steps", "every"), [(4, 2), (40, 1000), (60, 1000), (400, 1000), (401, 1000), (3000, 1000), (900, 90), (95, 90)]
)
def test_samples_are_counted_as_the_loop_draws_them(steps, every):
    from tfpix2pix.training import loop

    config, drawn = least_config(training={"steps": steps, "sample_every_steps": every}), [0]
    hook = loop.Hook(every, lambda step, losses: drawn.append(step), early_steps=session.FIRST_SAMPLES)
    loop.run(lambda count: {}, [hook], last_step=steps)
    assert disk_of(config, Networks.of(config), validated=False).samples == len(drawn)


def measured_rows():
    rows = json.loads((ROOT / "docs" / "performance" / "large-images.json").read_text())
    return {
        " ".join(str(row[key]) for key in ("network", "size", "filters", "measure")): row
        for row in rows if not row.get("skipped")
    }  # fmt: skip


QUICK = ("unet 256 16 float32", "unet 1024 16 bfloat16", "unet 512 16 batch 2", "unet 2048 16 2 levels computed again")


@pytest.mark.parametrize("name", others_slow(measured_rows(), *QUICK))
def test_memory_is_near_what_was_measured(name):
    row = measured_rows()[name]
    spec = importlib.util.spec_from_file_location("large_images", ROOT / "benchmarks" / "memory.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    config = p2p.resolve_config("facades", module.overrides_of(row))
    said = memory_of(config, Networks.of(config), on_gpu=False) / 1e6
    most = 1.30 if config.training.recompute_levels else 1.16
    assert 0.88 * row["peak_mb"] < said < most * row["peak_mb"]


def test_memory_grows_with_the_batch_and_falls_with_its_parts_and_devices():
    config = tiny_config(training={"batch_size": 8})
    networks = Networks.of(config)

    def of(replicas=1, **training):
        changed = config.model_copy(update={"training": config.training.model_copy(update=training)})
        return memory_of(changed, networks, on_gpu=False, replicas=replicas)

    assert of(batch_size=4) < of() < of(batch_size=16)
    assert of(batch_size=2) == of(micro_batches=4) == of(replicas=4)
    assert of(precision="bfloat16") < of()
    assert of(recompute_levels=1) < of()
    assert memory_of(config, networks, on_gpu=True) == of() - estimate.TENSORFLOW_BYTES


def test_a_disk_that_suffices_is_not_spoken_of(tmp_path, monkeypatch):
    config = least_config()
    disk = disk_of(config, Networks.of(config), validated=True)
    free_disk(monkeypatch, disk.total)
    assert check_disk(disk, tmp_path / "not" / "there" / "yet") is None
    free_disk(monkeypatch, disk.total - 1)
    note = check_disk(disk, tmp_path / "run")
    assert "may become full: the run takes up to" in note
    assert "training.keep_last" in note
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_bytes(b"x")  # of the run that is resumed or replaced
    assert check_disk(disk, tmp_path / "run") is None
    free_disk(monkeypatch, disk.checkpoint - 1)
    with pytest.raises(UserError, match="room for a checkpoint of .* Received .* that are free at .*base_filters"):
        check_disk(disk, tmp_path / "other")


def test_a_disk_without_room_for_a_checkpoint_stops_a_training_before_it_writes(combined_dir, tmp_path, monkeypatch):
    free_disk(monkeypatch, 1000)
    settings = ["--set", "data.image_size_px=32", "--set", "generator.base_filters=4", "--set", "training.steps=1"]
    command = ["train", "facades", "--data", combined_dir, "--run", tmp_path / "run", *settings]
    for more in ([], ["--dry-run"]):
        code, _, err = run_cli(*command, *more)
        assert code == 2
        assert "Error: The disk must have room for a checkpoint of " in err
        assert not (tmp_path / "run").exists()


def test_a_run_says_what_it_takes_before_its_first_step_and_how_long_after_some(combined_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "LEAST_TOLD_S", 0.0)
    free_disk(monkeypatch, 500_000)
    console = Console(file=io.StringIO(), width=80)
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 6})
    p2p.train(config, run_dir=tmp_path / "run", console=console)
    lines = console.file.getvalue().splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("step 2/6"))
    before = [line for line in lines[:first] if line.startswith(("In 6 steps", "Disk: up to", "The disk may"))]
    assert [line.split()[0] for line in before] == ["In", "Disk:", "The"]
    assert "every training pair is seen 2 times" in before[0]
    told = [line for line in lines if re.match(r"[24] steps at [0-9.e-]+ s: about 0 s, until about ", line)]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("steps", "batch_size", "pairs", "text"),
    [(80_000, 1, 160, "500 times"), (80_000, 1, 50_000, "1.6 times"), (100, 4, 160, "2.5 times"),
     (100, 1, 160, "0.6 times on average"), (160, 1, 160, "once")],
)  # fmt: skip
def test_how_often_a_pair_is_seen(steps, batch_size, pairs, text):
    config = least_config(training={"steps": steps, "batch_size": batch_size})
    line = needs(config, Networks.of(config), None, pairs=(pairs, 1))[0]
    assert line == f"In {steps:,} steps every training pair is seen {text}."


def test_one_step_is_singular():
    config = least_config(training={"steps": 1})
    assert needs(config, Networks.of(config), None, pairs=(1, 1))[0] == "In 1 step every training pair is seen once."


def test_steps_that_are_not_known_yet_are_not_spoken_of():
    config = least_config(training={"minutes": 5})
    assert len(needs(config, Networks.of(config), None, pairs=(3, 1))) == 1
    assert len(needs(config, Networks.of(config), None, pairs=None)) == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 kB"), (17_600, "18 kB"), (686_400_000, "686 MB"), (2_140_000_000, "2.1 GB"), (2.5e11, "250 GB"),
     (3.21e12, "3.2 TB")],
)  # fmt: skip
def test_sizes_are_short(size, text):
    assert size_text(size) == text


def test_the_disk_is_looked_at_where_the_run_will_lie(tmp_path):
    disk = estimate.Disk(checkpoint=0, checkpoints=1, best=0, samples=0, sample=0, others=0)
    assert check_disk(disk, tmp_path / "a" / "b") is None
    huge = estimate.Disk(
        checkpoint=2 * shutil.disk_usage(tmp_path).total, checkpoints=1, best=0, samples=0, sample=0, others=0
    )
    with pytest.raises(UserError, match="room for a checkpoint"):
        check_disk(huge, tmp_path / "a" / "b")
