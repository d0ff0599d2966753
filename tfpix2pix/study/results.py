"""What a rater's page saves, read with care: a file from somebody's downloads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tfpix2pix.errors import UserError

READ_STRICTLY = ConfigDict(frozen=True, strict=True, protected_namespaces=(), use_attribute_docstrings=True)


class Trial(BaseModel):
    """One answer."""

    model_config = READ_STRICTLY

    name: str
    """Of the pair that the generated image is of."""
    practice: bool
    generated_first: bool
    answered_first: bool
    """Whether the rater said that the first image was the generated one."""
    fooled: bool
    """Whether the rater took the generated image for the real one."""
    response_ms: float
    shown_ms: tuple[float, float]
    """Measured, of the first image and of the second."""
    hidden: bool
    """Whether the page was out of sight while it showed the images, or a reload made it show them twice."""

    @model_validator(mode="after")
    def _one_story(self) -> Trial:
        if self.fooled == (self.answered_first == self.generated_first):
            raise ValueError("fooled contradicts the answer")
        return self


class Asked(BaseModel):
    """How many trials the study has."""

    model_config = READ_STRICTLY

    practice: int = Field(ge=0)
    trials: int = Field(ge=1)


class Session(BaseModel):
    """One rater's answers."""

    model_config = READ_STRICTLY

    format_version: Literal[1]
    study: str
    """A function of what raters see."""
    title: str
    model: dict[str, Any]
    """What generated the images."""
    same_input: bool
    shown_s: float = Field(gt=0)
    asked: Asked
    rater: str
    seed: int
    """Gives the order of trials and images again (mulberry32 in study.js)."""
    started: str
    ended: str
    user_agent: str
    trials: list[Trial]

    @property
    def answers(self) -> list[Trial]:
        """Those that were no practice."""
        return [trial for trial in self.trials if not trial.practice]

    @property
    def counted(self) -> list[Trial]:
        """The answers to images that were seen, once."""
        return [trial for trial in self.answers if not trial.hidden]

    @property
    def is_complete(self) -> bool:
        return len(self.answers) == len({trial.name for trial in self.answers}) == self.asked.trials

    @property
    def rate(self) -> float:
        """How often the rater was fooled, from 0 to 1."""
        return float(np.mean([trial.fooled for trial in self.counted]))


def read_sessions(paths: Sequence[Path]) -> list[Session]:
    """The sessions of files, in their order.

    Raises:
        UserError: no file, one that is no result, files of different studies, or two of one rater.
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
        return Session.model_validate_json(path.read_bytes())
    except OSError as error:
        received = f"{path}, which is not opened: {error.strerror}"
    except ValidationError as error:
        received = f"{path}, {_what_is_wrong(error)}"
    raise UserError(f"A result must be a file that a study's page saved. Received {received}. Leave it out.")


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return "which is not JSON"
    if first["type"] == "missing":
        return f"in which `{key}` is missing"
    return f"in which {f'`{key}`' if key else 'the whole'} does not fit ({first['msg']})"
