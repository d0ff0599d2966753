"""The split of a group: all members on one side, wherever other groups go."""

import math
from collections import Counter
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import tiny_config
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import names_of_split, seeded_split, split_of_group, would_be_pairs

SHARES = {"val": 0.1, "test": 0.05}


@given(st.text(), st.integers(0, 2**31 - 1))
def test_it_is_a_function_of_key_and_seed_alone(key, seed):
    assert split_of_group(key, seed, SHARES) == split_of_group(key, seed, dict(SHARES)) in SPLITS


def test_groups_are_held_out_in_the_shares_asked_for():
    counts = Counter(split_of_group(f"patient {index}", 0, SHARES) for index in range(20_000))
    assert counts["val"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / 20_000 == pytest.approx(0.05, abs=0.01)


def test_another_seed_holds_out_other_groups():
    held_out = [{index for index in range(500) if split_of_group(f"{index}", seed, SHARES) == "val"} for seed in (0, 1)]
    assert 0 < len(held_out[0] & held_out[1]) < len(held_out[0]) / 2


def test_more_held_out_takes_from_training_alone():
    """So that a larger share of `val` never moves a group from `val` back to `train`."""
    for index in range(500):
        before, after = (split_of_group(f"{index}", 0, {"val": share}) for share in (0.1, 0.3))
        assert before == "train" or after == "val"


@pytest.mark.parametrize(
    ("fractions", "split"), [({}, "train"), ({"val": 0.0, "test": 0.0}, "train"), ({"test": 0.999999999}, "test")]
)
def test_ends_of_the_range(fractions, split):
    assert {split_of_group(f"{index}", 0, fractions) for index in range(200)} == {split}


@pytest.mark.parametrize("fractions", [{"val": -0.1}, {"val": 0.5, "test": 0.5}, {"val": 1.5}])
def test_fractions_must_leave_something_to_train_on(fractions):
    with pytest.raises(ValueError, match="fraction.*Received"):
        split_of_group("a", 0, fractions)


@pytest.mark.parametrize("source", ["combined", "folders", "table", "photographs", "openmoji"])
def test_a_seed_of_the_split_holds_out_the_same_pairs_whatever_the_run_s_seed(source, tmp_path):
    files = [f"{number}.png" for number in range(40)]
    for side in ("", "input", "target"):
        for name in files:
            (tmp_path / source / side).mkdir(parents=True, exist_ok=True)
            (tmp_path / source / side / name).touch()
    path = tmp_path / source
    if source == "table":
        path = tmp_path / "pairs.csv"
        path.write_text("input,target\n" + "".join(f"{source}/input/{name},{source}/target/{name}\n" for name in files))
    settings = {"source": source, "held_out_fraction": 0.5, **({} if source == "openmoji" else {"dir": str(path)})}
    if source == "photographs":
        settings["operator"] = "edges"

    def held_out(seed, **more):
        return tuple(SOURCES[source](tiny_config(data={**settings, **more}).data, "val", seed).names)

    assert len({held_out(seed) for seed in (0, 1, 2)}) == 3
    assert {held_out(seed, split_seed=1) for seed in (0, 1, 2)} == {held_out(1)}


NAMES = [f"{number:03}" for number in range(200)]


def divided(names, **data):
    """(train, val) by the rule of `data`."""
    return [set(names_of_split(names, split, DataConfig(**data), 0)) for split in ("train", "val")]


def test_a_pair_keeps_its_split_when_others_come_or_go():
    train, val = divided(NAMES)
    for gone in (sorted(val)[0], sorted(train)[0]):
        assert divided([name for name in NAMES if name != gone]) == [train - {gone}, val - {gone}]
    more_train, more_val = divided([*NAMES, *(f"new {name}" for name in NAMES)])
    assert train < more_train and val < more_val


@pytest.mark.parametrize(("count", "expected"), [(20, 3), (80, 12), (160, 24), (200, 30), (800, 60), (50_000, 474)])
def test_a_shrinking_share_of_many_pairs_is_held_out(count, expected):
    """On average over seeds; twin: the binomial distribution of hashes."""
    names = [f"{number:05}" for number in range(count)]
    data = DataConfig(split_rule="shrinking", held_out_fraction=0.15)
    seeds = range(40 if count < 1000 else 2)
    held_out = [len(names_of_split(names, "val", data, seed)) for seed in seeds]
    assert abs(mean(held_out) - expected) < 4 * math.sqrt(expected / len(seeds))


def test_a_shrinking_share_never_holds_out_what_was_trained_on():
    data = {"split_rule": "shrinking", "held_out_fraction": 0.15}
    train, val = divided(NAMES, **data)
    assert (train, val) == tuple(divided(NAMES, held_out_fraction=0.15))
    more_train, more_val = divided([*NAMES, *(f"new {number}" for number in range(1000))], **data)
    assert train < more_train and more_val & set(NAMES) < val


def test_by_rank_a_pair_that_was_held_out_may_be_trained_on():
    """The rule of earlier versions, which their runs keep."""
    _, val = divided(NAMES, split_rule="rank")
    assert len(val) == 40
    moved = [divided([name for name in NAMES if name != gone], split_rule="rank")[1] - val for gone in sorted(val)]
    assert all(len(others) == 1 for others in moved)


@pytest.mark.parametrize("count", range(2, 12))
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_at_least_one_pair_is_held_out_and_one_trained_on(count, fraction):
    train, val = divided(NAMES[:count], held_out_fraction=fraction)
    assert train and val


def test_nothing_is_held_out_if_nothing_shall_be():
    assert divided(NAMES, held_out_fraction=0.0) == [set(NAMES), set()]
    assert divided(["alone"]) == [{"alone"}, set()]
    assert names_of_split(NAMES, "test", DataConfig(), 0) == []


def test_several_targets_of_an_input_stay_together():
    names = [name for number in range(100) for name in (f"{number}", f"{number}#2", f"{number}#3")]
    train, val = divided(names)
    assert {name.partition("#")[0] for name in train}.isdisjoint(name.partition("#")[0] for name in val)


def test_a_number_sign_in_a_file_name_groups_nothing():
    names = [f"shot #{number}" for number in range(200)]
    _, val = divided(names)
    assert 20 < len(val) < 60
    assert seeded_split(names, "val", 0, 0.2) == []  # earlier versions took all for one group


@pytest.mark.parametrize(
    ("folders", "out", "data", "read"),
    [
        (["inner"], "out", {}, True),
        (["inner"], "inner/out", {"source": "photographs"}, True),
        (["inner"], "out", {"files": "top"}, False),
        (["train", "val"], "out", {}, False),
        (["train", "val"], "val/out", {}, True),
        (["input", "target"], "out", {"source": "folders"}, False),
        (["input", "target"], "input/out", {"source": "folders"}, True),
        (["inner"], "../out", {}, False),
    ],
)
def test_a_folder_of_results_may_be_one_of_pairs(tmp_path, folders, out, data, read):
    for name in folders:
        (tmp_path / "data" / name).mkdir(parents=True)
    config = DataConfig(dir=str(tmp_path / "data"), **data)
    assert would_be_pairs(config, tmp_path / "data" / out) is read
