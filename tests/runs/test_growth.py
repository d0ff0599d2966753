"""The memory of a run does not grow with its steps. benchmarks/performance/growth.py has its cost by size and files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_combined

TRAINING = """
import json, os, sys

from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import resident_mb, tiny_config
from tfpix2pix.training import TRACKERS, Tracking

sizes_mb = {}


class Memory:  # a tracker, because it is called after the steps that are logged
    def begin(self, *_): return "memory"
    def log(self, step, values): sizes_mb[step] = resident_mb()
    def image(self, *_): pass
    def finish(self, status): pass


TRACKERS["memory"] = Tracking(Memory)
every = {f"{name}_every_steps": 100 for name in ("log", "sample", "checkpoint", "validate")}
config = tiny_config(
    data={"dir": sys.argv[1], "cache_mb": 2, "cache_files_mb": 2},
    training={"steps": 1200, "trackers": ["memory"], **every},
)
p2p.train(config, run_dir=sys.argv[2], console=Console(file=open(os.devnull, "w")))
print(json.dumps(sizes_mb))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="it needs /proc, which says how large a process is")
def test_it_is_flat_after_500_steps_with_a_cache_smaller_than_the_data(tmp_path):
    """1,200 pairs of 240 KB decoded, each read for the first time in the only epoch: with all of them kept, the process
    would grow by 168 MB between steps 500 and 1,200."""
    train = make_combined(tmp_path / "pairs" / "train", 40, 200)
    for number in range(40, 1200):
        os.link(train / f"{number % 40}.png", train / f"{number}.png")
    make_combined(tmp_path / "pairs" / "val", 2, 200)
    command = [sys.executable, "-c", TRAINING, tmp_path / "pairs", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    sizes_mb = {int(step): size for step, size in json.loads(done.stdout).items()}
    assert sizes_mb[1200] - sizes_mb[500] < 40
