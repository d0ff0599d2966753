"""A fixed part of benchmarks/hostile.py: damaged files, models, runs and answers are one sentence, or are read."""

import json
import random
import shutil
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import hostile


@pytest.fixture(scope="module")
def whole(smoke_run, smoke_exports, tmp_path_factory):
    """The smoke run and its TFLite file, by kind: the other formats take long to open or to export."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(smoke_run.path, folder / "run")
    return {"run": folder / "run", "tflite": Path(shutil.copy(smoke_exports("tflite").path, folder))}


def outcomes(cases):
    """Reads cases (kind, reader, path), asserts that each is good, and counts the outcomes."""
    tally = hostile.Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of checkpoints that are passed over
        for kind, reader, path in cases:
            before = hostile.fingerprint(path)
            outcome = hostile.outcome(reader, str(path))
            tally.add(kind, *outcome, lost=hostile.fingerprint(path) != before)
    assert tally.wrong == []
    return tally.counts


def test_damages_repeat_and_change_something():
    content = bytes(range(256)) * 8
    once, again = ([hostile.damaged(content, random.Random(seed)) for seed in range(200)] for _ in range(2))
    assert once == again
    assert sum(text == content for text in once) == 0
    assert len(set(once)) == 200


def test_whole_files_are_read(whole, tmp_path):
    for name, content in hostile.images().items():
        (tmp_path / name).write_bytes(content)
        assert hostile.outcome("read_picture", str(tmp_path / name)) == ("read", "")
    for kind, path in whole.items():
        assert hostile.outcome(hostile.KINDS[kind].reader, str(path)) == ("read", ""), kind


def test_damaged_images(tmp_path):
    counts = outcomes(hostile.cases_of_images(300, random.Random(0), tmp_path))
    assert sum(count["one sentence"] for count in counts.values()) > 100


@pytest.mark.parametrize(("damaged", "least"), [(10, 2), pytest.param(30, 5, marks=pytest.mark.slow)])
def test_damaged_models_and_runs(whole, tmp_path, damaged, least):
    cases = hostile.cases_of_models(damaged, random.Random(0), tmp_path, whole)
    assert sum(count["one sentence"] for count in outcomes(cases).values()) >= least


def test_damaged_answers(whole):
    answers = hostile.Answers((whole["run"] / "model_card.json").read_text())
    with hostile.server(answers, lambda data: data) as address:
        assert hostile.outcome("ask_server", address) == ("read", "")
    rng = random.Random(0)
    with hostile.server(answers, lambda data: hostile.damaged(data, rng)) as address:
        words = {hostile.outcome("ask_server", address)[0] for _ in range(20)}
    assert words == {"one sentence"}


def test_a_traceback_is_counted_as_one(monkeypatch):
    monkeypatch.setitem(hostile.READERS, "read_picture", lambda path: json.loads(path))
    tally = hostile.Tally()
    tally.add("*.png", *hostile.outcome("read_picture", "{"))
    assert tally.counts["*.png"]["traceback"] == 1 and "JSONDecodeError" in tally.wrong[0]["message"]
