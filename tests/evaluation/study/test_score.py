"""The score of a perceptual test: exact on made results, its interval against SciPy, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.study.score import interval_over_raters, score


def trial(name: str, fooled: bool, *, first: bool = True, **changes) -> dict:
    """An answer; `first`: the rater said that the first image was the generated one."""
    return {
        "name": name, "practice": False, "generated_first": first != fooled, "answered_first": first,
        "fooled": fooled, "response_ms": 900.5, "shown_ms": [1000.1, 999.9], "hidden": False, **changes,
    }  # fmt: skip


def session(rater: str, trials: list[dict], **changes) -> dict:
    counted = sum(not trial["practice"] for trial in trials)
    return {
        "format_version": 1, "study": "0123456789ab", "title": "Maps", "model": {"name": "maps"}, "same_input": True,
        "shown_s": 1, "asked": {"practice": len(trials) - counted, "trials": counted}, "rater": rater, "seed": 7,
        "started": "2026-11-26T10:00:00.000Z", "ended": "2026-11-26T10:05:00.000Z", "user_agent": "a browser",
        "trials": trials, **changes,
    }  # fmt: skip


def fooled_by(*names: str, of: str = "abcd", **changes) -> list[dict]:
    """An answer a letter, fooled by some; the first and the second image named in turn."""
    return [trial(name, name in names, first=index % 2 == 0, **changes) for index, name in enumerate(of)]


@pytest.fixture
def saved(tmp_path):
    def write(*sessions: dict) -> list[Path]:
        paths = [tmp_path / f"study-{index}.json" for index in range(len(sessions))]
        for path, content in zip(paths, sessions, strict=True):
            path.write_text(json.dumps(content), encoding="utf-8")
        return paths

    return write


def test_rate_is_the_mean_over_raters(saved):
    result = score(saved(session("Ann", fooled_by("a", "b", "c")), session("Bob", fooled_by("a"))))
    assert result.per_rater == {"Ann": 0.75, "Bob": 0.25}
    assert (result.rate, result.raters, result.trials, result.first_rate) == (0.5, 2, 8, 0.5)
    assert result.per_image == {"a": 1.0, "b": 0.5, "c": 0.5, "d": 0.0}
    assert list(result.per_image) == ["a", "b", "c", "d"]
    assert result.notes == ()


def test_raters_weigh_the_same_whatever_was_left_out_of_theirs(saved):
    half_seen = [{**trial, "hidden": trial["name"] in "cd"} for trial in fooled_by("a", "c")]
    result = score(saved(session("Ann", half_seen), session("Bob", fooled_by())))
    assert (result.per_rater, result.rate, result.trials) == ({"Ann": 0.5, "Bob": 0.0}, 0.25, 6)
    assert result.notes == ("2 trials left out: the page was out of sight, or its images were shown twice.",)


def test_practice_is_left_out(saved):
    practice = fooled_by("x", "y", of="xy", practice=True)
    assert score(saved(session("Ann", practice + fooled_by("a")))).rate == 0.25


def test_interval_equals_scipys():
    rates = np.random.default_rng(0).beta(2, 6, 25)
    twin = bootstrap((rates,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))
    ours = interval_over_raters(rates, 20_000, seed=0)
    assert ours == pytest.approx(tuple(twin.confidence_interval), abs=0.003)


def test_interval_holds_the_true_rate_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for study in range(200):  # of 20 raters who differ, true rate 0.25, and 40 trials each
        rates = rng.binomial(40, rng.beta(2, 6, 20)) / 40
        low, high = interval_over_raters(rates, 1000, seed=study)
        held += low <= 0.25 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_interval_is_repeated_by_its_seed_and_absent_without_replicates(saved):
    paths = saved(*(session(f"{rater}", fooled_by(*"abcd"[:rater])) for rater in range(5)))
    one, again, other = (score(paths, replicates=7, seed=seed) for seed in (0, 0, 1))
    assert (one.low, one.high) == (again.low, again.high) != (other.low, other.high)
    assert one.low < one.rate == 0.5 < one.high
    assert (score(paths, replicates=0).low, score(paths, replicates=0).high) == (None, None)


def test_one_rater_has_no_interval_and_equal_raters_a_note(saved):
    result = score(saved(session("Ann", fooled_by("a"))))
    assert (result.low, result.high) == (None, None)
    assert result.notes == ("An interval over raters needs at least 2 of them.",)
    equal = score(saved(session("Ann", fooled_by("a")), session("Bob", fooled_by("b"))))
    assert (equal.low, equal.high) == (0.25, 0.25)
    assert "does not mean that the rate is certain" in equal.notes[0]


def test_incomplete_sessions_are_left_out_with_a_note(saved):
    whole, cut = session("Ann", fooled_by("a")), session("Bob", fooled_by("a", "b", of="ab"))
    result = score(saved(whole, {**cut, "asked": {"practice": 0, "trials": 4}}))
    assert (result.raters, result.rate) == (1, 0.25)
    assert result.notes[0] == "1 incomplete session left out: Bob."


def test_odd_raters_are_named_and_counted(saved):
    hasty = [{**trial, "response_ms": 80} for trial in fooled_by("a", "b")]
    one_sided = [trial(name, name == "a") for name in "abcd"]
    result = score(saved(session("Ann", hasty), session("Bob", one_sided), session("Cem", fooled_by())))
    assert result.raters == 3
    assert [note for note in result.notes if "Ann" in note] == [
        "Half of the answers in less than 200 ms, faster than one looks: Ann. Counted."
    ]
    assert [note for note in result.notes if "Bob" in note] == [
        "Always the same answer, first or second: Bob. Counted: it pulls the rate to 50 %."
    ]
    assert not any("Cem" in note for note in result.notes)


def test_slow_presentations_are_told_of(saved):
    slow = fooled_by("a")
    slow[0]["shown_ms"] = [1000, 1480]
    study = score(saved(session("Ann", slow), session("Bob", fooled_by())))
    assert study.notes == ("1 of 16 presentations were over 10 % longer or shorter than 1 s, at most 1.48 s. Counted.",)


def test_text_and_json_say_the_same(saved):
    result = score(saved(session("Ann", fooled_by("a", "b", "c")), session("Bob", fooled_by("a"))))
    text = result.text()
    assert f"in 50.0 % of trials (95 % interval {100 * result.low:.1f} to {100 * result.high:.1f} %)" in text
    assert "Chance is 50 %: images that cannot be told apart." in text
    assert "Most often taken for real: a 100.0 %, b 50.0 %, c 50.0 %, d 0.0 %." in text
    values = json.loads(result.to_json())
    assert (values["rate"], values["low"], values["chance"]) == (0.5, result.low, 0.5)
    assert values["per_image"]["a"] == 1.0 and values["model"] == {"name": "maps"}


def test_least_often_taken_are_others_than_most_often(saved):
    names = "abcdefgh"
    result = score(saved(session("Ann", fooled_by("a", of=names)), session("Bob", fooled_by("a", "b", of=names))))
    assert "Most often taken for real: a 100.0 %, b 50.0 %, c 0.0 %, d 0.0 %, e 0.0 %." in result.text()
    assert "Least often: h 0.0 %, g 0.0 %, f 0.0 %." in result.text()


WHOLE = session("Ann", fooled_by("a"))
BAD = {  # what a file holds -> what is said of it
    "no result": ([1, 2], "the whole"),
    "no rater": ({key: value for key, value in WHOLE.items() if key != "rater"}, "`rater` is missing"),
    "no answer": (
        {**WHOLE, "trials": [{key: value for key, value in trial("a", True).items() if key != "fooled"}]},
        r"`trials\.0\.fooled` is missing",
    ),
    "another format": ({**WHOLE, "format_version": 2}, "`format_version` does not fit"),
    "a word for a truth": ({**WHOLE, "trials": [trial("a", True, hidden="no")]}, r"`trials\.0\.hidden` does not fit"),
    "a contradiction": ({**WHOLE, "trials": [{**trial("a", True), "fooled": False}]}, "fooled contradicts the answer"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_result_is_named_with_what_is_wrong(saved, what):
    content, said = BAD[what]
    good, bad = saved(WHOLE, content)
    with pytest.raises(UserError, match=rf"must be a file that a study's page saved. Received {bad}, .*{said}"):
        score([good, bad])


def test_a_file_that_is_not_json_or_not_there_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\x00{")
    with pytest.raises(UserError, match=r"a\.json, which is not JSON\. Leave it out"):
        score([tmp_path / "a.json"])
    with pytest.raises(UserError, match=r"none\.json, which cannot be opened: No such file"):
        score([tmp_path / "none.json"])


def test_two_studies_are_not_mixed(saved):
    first, second = saved(WHOLE, {**session("Bob", fooled_by()), "study": "ba9876543210"})
    with pytest.raises(UserError, match=rf"Received {first} of 0123456789ab and {second} of ba9876543210"):
        score([first, second])


def test_a_rater_takes_part_once(saved):
    first, second = saved(WHOLE, session("Ann", fooled_by("b")))
    with pytest.raises(UserError, match=rf"Received {first} and {second}, both of 'Ann'"):
        score([first, second])


def test_no_results_and_none_complete_are_errors(saved):
    with pytest.raises(UserError, match=r"Received none\. Give the files that raters saved"):
        score([])
    with pytest.raises(
        UserError, match=r"with the page in sight\. Received 2 results without one\. Ask more raters\.$"
    ):
        score(
            saved(
                {**WHOLE, "asked": {"practice": 0, "trials": 9}},
                session("Bob", [{**trial, "hidden": True} for trial in fooled_by()]),
            )
        )


def test_names_that_are_not_utf_8_are_read_as_browsers_write_them(saved):
    name = os.fsdecode(b"caf\xe9")
    result = score(saved(session("Ann", fooled_by(name, of=(name, "b")))))
    assert result.per_image == {name: 1.0, "b": 0.0}
