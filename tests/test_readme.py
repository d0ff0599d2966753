"""What the README shows works as shown."""

import re
from pathlib import Path

import numpy as np
import tensorflow as tf

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_runs_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 256, (45, 60, 3), np.uint8)
    pairs = [tf.constant(rng.uniform(-1, 1, (2, 64, 64, 3)), tf.float32) for _ in range(2)]
    names = {"labels": labels, "dataset": tf.data.Dataset.from_tensor_slices(tuple(pairs)).batch(1)}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert names["photo"].shape == (45, 60, 3)
    assert int(names["model"].step) == 2


def test_links_and_pictures_are_there():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (document.parent / target).exists(), f"{document.name}: {target}"
