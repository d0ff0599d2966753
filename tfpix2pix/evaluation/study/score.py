"""Scores a perceptual test: computes how often raters took the generated image for the real one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tfpix2pix.errors import UserError
from tfpix2pix.metrics.bootstrap import COVERED, REPLICATES
from tfpix2pix.safe_files import parse_json, read_regular_file

READ_STRICTLY = ConfigDict(frozen=True, strict=True, protected_namespaces=(), use_attribute_docstrings=True)


class Trial(BaseModel):
    """Holds one answer."""

    model_config = READ_STRICTLY

    name: str
    """Name of the pair that the generated image is from."""
    practice: bool
    generated_first: bool
    answered_first: bool
    """True if the rater said that the first image was the generated one."""
    fooled: bool
    """True if the rater took the generated image for the real one."""
    response_ms: float
    shown_ms: Annotated[tuple[float, float], Field(strict=False)]  # a list in JSON
    """Measured times of the first and the second image, ms."""
    hidden: bool
    """True if the page was out of sight while it showed the images, or a reload made it show them twice."""

    @model_validator(mode="after")
    def _answer_is_consistent(self) -> Trial:
        if self.fooled == (self.answered_first == self.generated_first):
            raise ValueError("fooled contradicts the answer")
        return self


class TrialCounts(BaseModel):
    """Holds the numbers of trials of the study."""

    model_config = READ_STRICTLY

    practice: int = Field(ge=0)
    trials: int = Field(ge=1)


class Session(BaseModel):
    """Holds one rater's answers."""

    model_config = READ_STRICTLY

    format_version: Literal[1]
    study: str
    """Digest of the study's content."""
    title: str
    model: dict[str, Any]
    """The model that generated the images."""
    same_input: bool
    shown_s: float = Field(gt=0)
    asked: TrialCounts
    rater: str
    seed: int
    """Seed of the order of trials and images (mulberry32 in study.js)."""
    started: str
    ended: str
    user_agent: str
    trials: list[Trial]

    @property
    def answers(self) -> list[Trial]:
        """Returns the trials that were not practice."""
        return [trial for trial in self.trials if not trial.practice]

    @property
    def counted(self) -> list[Trial]:
        """Returns the answers to images that were in sight and shown once."""
        return [trial for trial in self.answers if not trial.hidden]

    @property
    def is_complete(self) -> bool:
        return len(self.answers) == len({trial.name for trial in self.answers}) == self.asked.trials

    @property
    def rate(self) -> float:
        """Returns how often the rater was fooled, from 0 to 1."""
        return float(np.mean([trial.fooled for trial in self.counted]))


def read_sessions(paths: Sequence[Path]) -> list[Session]:
    """Reads the sessions of files, in their order.

    Raises:
        UserError: there is no file, one is not a result, they belong to different studies, or two have one rater.
    """
    if not paths:
        raise UserError("A score needs results. Received none. Give the files that raters saved: study-*.json.")
    sessions: list[Session] = []
    of_rater: dict[str, Path] = {}
    for path in paths:
        session = _read(path)
        if sessions and session.study != sessions[0].study:
            raise UserError(
                f"Results must be of one study. Received {paths[0]} of {sessions[0].study} and {path} of "
                f"{session.study}. Score each study by itself."
            )
        if session.rater in of_rater:
            raise UserError(
                f"A rater may take part once. Received {of_rater[session.rater]} and {path}, both of "
                f"{session.rater!r}. Leave one out, or change `rater` in it if they are two people."
            )
        of_rater[session.rater] = path
        sessions.append(session)
    return sessions


def _read(path: Path) -> Session:
    try:
        return Session.model_validate(parse_json(read_regular_file(path)))
    except OSError as error:
        received = f"{path}, which cannot be opened: {error.strerror}"
    except ValidationError as error:
        received = f"{path}, {_reason(error)}"
    except ValueError:
        received = f"{path}, which is not JSON"
    raise UserError(f"A result must be a file that a study's page saved. Received {received}. Leave it out.")


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return "which is not JSON"
    if first["type"] == "missing":
        return f"in which `{key}` is missing"
    return f"in which {f'`{key}`' if key else 'the whole'} does not fit ({first['msg']})"


CHANCE = 0.5  # rate of images that cannot be told apart
HASTY_MS = 200.0  # about the time to press a key without looking
TIMING_OFF = 0.1  # a note reports presentations longer or shorter than planned by more than this share
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Score:
    """Holds the score. Rates are from 0 to 1: how often raters took the generated image for the real one."""

    study: str
    title: str
    model: Mapping[str, Any]
    same_input: bool
    """False if the real image of a trial belongs to another input."""
    rate: float
    """Mean over raters of their rates: the paper's "% Turkers labeled real"."""
    low: float | None
    """Lower end of the 95 % interval over raters. None for fewer than two raters, or without replicates."""
    high: float | None
    raters: int
    trials: int
    per_rater: Mapping[str, float]
    per_image: Mapping[str, float]
    """Name of the pair -> rate, those that fooled most first."""
    first_rate: float
    """Rate of answers that the first image was the generated one, over all trials: near 0.5 without a habit."""
    notes: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "chance": CHANCE, "covered": COVERED}, indent=2, ensure_ascii=False) + "\n"

    def text(self) -> str:
        """Returns the score as lines of text."""
        inputs = "the same input" if self.same_input else "different inputs"
        interval = (
            "" if self.low is None else f" ({100 * COVERED:g} % interval {100 * self.low:.1f} to {_percent(self.high)})"
        )
        rates, names = self.per_rater.values(), list(self.per_image)
        lines = [
            f"{self.title} (study {self.study}, the two images of a trial are of {inputs})",
            f"The generated image was taken for the real one in {_percent(self.rate)} of trials{interval}. Chance is "
            f"{100 * CHANCE:g} %: images that cannot be told apart.",
            f"{_count(self.raters, 'rater')}, from {_percent(min(rates))} to {_percent(max(rates))}; "
            f"{_count(self.trials, 'trial')}. The first image was said to be the generated one in "
            f"{_percent(self.first_rate)}.",
            f"Most often taken for real: {self._rates_of(names[:NAMES_SHOWN])}.",
        ]
        if names[NAMES_SHOWN:]:
            lines.append(f"Least often: {self._rates_of(names[NAMES_SHOWN:][: -NAMES_SHOWN - 1 : -1])}.")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def _rates_of(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} {_percent(self.per_image[name])}" for name in names)


def score(results: Sequence[Path], *, replicates: int = REPLICATES, seed: int = 0) -> Score:
    """Scores the files that raters saved. Leaves out practice, and trials with images that were not in sight.

    The interval is the percentile bootstrap's over raters: what other raters might have said of the same images.
    Source: Isola et al., 2017, §4.1; Efron & Tibshirani, An introduction to the bootstrap, 1993, §13.3.

    Args:
        replicates: number of bootstrap replicates; 0 for no interval.
        seed: seed of the bootstrap.

    Raises:
        UserError: there is no file, one is not a result, they belong to different studies, two have one rater, or no
            session is complete.
    """
    sessions = read_sessions(results)
    scored = [session for session in sessions if session.is_complete and session.counted]
    if not scored:
        raise UserError(
            f"A score needs a complete session with the page in sight. Received {_count(len(sessions), 'result')} "
            f"without one. Ask more raters."
        )
    rates = np.array([session.rate for session in scored])
    low, high = interval_over_raters(rates, replicates, seed)
    counted = [trial for session in scored for trial in session.counted]
    first = scored[0]
    return Score(
        study=first.study,
        title=first.title,
        model=first.model,
        same_input=first.same_input,
        rate=float(rates.mean()),
        low=low,
        high=high,
        raters=len(scored),
        trials=len(counted),
        per_rater={session.rater: session.rate for session in scored},
        per_image=_per_image(counted),
        first_rate=float(np.mean([trial.answered_first for trial in counted])),
        notes=(*_left_out(sessions, scored), *_cautions(scored, rates)),
    )


def interval_over_raters(rates: np.ndarray, replicates: int, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Returns the percentile interval of the mean of rates, (raters,), by drawing as many raters with replacement."""
    if len(rates) < 2 or replicates < 1:
        return None, None
    drawn = np.random.default_rng(seed).integers(len(rates), size=(replicates, len(rates)))
    low, high = np.quantile(rates[drawn].mean(axis=1), [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)


def _per_image(trials: Sequence[Trial]) -> dict[str, float]:
    fooled: dict[str, list[bool]] = defaultdict(list)
    for trial in trials:
        fooled[trial.name].append(trial.fooled)
    rates = {name: float(np.mean(answers)) for name, answers in fooled.items()}
    return dict(sorted(rates.items(), key=lambda row: (-row[1], row[0])))


def _left_out(sessions: Sequence[Session], scored: Sequence[Session]) -> Iterator[str]:
    incomplete = [session.rater for session in sessions if not session.is_complete]
    if incomplete:
        yield f"{_count(len(incomplete), 'incomplete session')} left out: {', '.join(incomplete)}."
    unseen = [session.rater for session in sessions if session.is_complete and not session.counted]
    if unseen:
        yield f"{_count(len(unseen), 'session')} left out, in which no trial was seen: {', '.join(unseen)}."
    hidden = sum(trial.hidden for session in scored for trial in session.answers)
    if hidden:
        yield f"{_count(hidden, 'trial')} left out: the page was out of sight, or its images were shown twice."


def _cautions(scored: Sequence[Session], rates: np.ndarray) -> Iterator[str]:
    if len(scored) < 2:
        yield "An interval over raters needs at least 2 of them."
    elif np.ptp(rates) == 0:
        yield "All raters have the same rate, so the interval has no width. It does not mean that the rate is certain."
    hasty = [session.rater for session in scored if median(t.response_ms for t in session.counted) < HASTY_MS]
    if hasty:
        yield f"Half of the answers in less than {HASTY_MS:g} ms, faster than one looks: {', '.join(hasty)}. Counted."
    one_sided = [session.rater for session in scored if len({t.answered_first for t in session.counted}) == 1]
    if one_sided:
        yield f"Always the same answer, first or second: {', '.join(one_sided)}. Counted: it pulls the rate to 50 %."
    shown_s = np.array([(*trial.shown_ms,) for session in scored for trial in session.counted]) / 1000
    off = int(np.sum(np.abs(shown_s - scored[0].shown_s) > TIMING_OFF * scored[0].shown_s))
    if off:
        yield (
            f"{off} of {shown_s.size} presentations were over {100 * TIMING_OFF:g} % longer or shorter than "
            f"{scored[0].shown_s:g} s, at most {shown_s.max():.2f} s. Counted."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"
