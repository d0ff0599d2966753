"""Compares a run that is resumed with the run as it was: its configuration, and the data that it trains on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tfpix2pix.config import Config
from tfpix2pix.config.card import DataPeriod
from tfpix2pix.config.recipe import APPLIED
from tfpix2pix.config.resolve import make_config, resolve_config, with_overrides
from tfpix2pix.data.fingerprints import changes, digest_of
from tfpix2pix.data.rules import RANGES
from tfpix2pix.data.settings import CLASS_VALUES, FIRST_VALUES
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import CONFIG, RunDirectory, flat
from tfpix2pix.safe_files import parse_json, read_regular_file
from tfpix2pix.section import MayChange
from tfpix2pix.training.settings import TrainingConfig

Splits = Mapping[str, Mapping[str, str]]  # fingerprints of pairs, by split


def changeable_keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Yields the dotted keys of the fields that are marked `MAY_CHANGE`."""
    for name, field in section.model_fields.items():
        if any(isinstance(mark, MayChange) for mark in field.metadata):
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from changeable_keys(field.annotation, f"{prefix}{name}.")


def resumed_config(
    config: Config | str | None,
    directory: RunDirectory,
    *,
    data_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    accept_changes: bool = False,
) -> Config:
    """Returns the configuration to resume a run with.

    Args:
        config: a `Config`, a preset or a .yaml file, in place of the run's own configuration; None: the run's own.
        directory: directory of the run.
        data_dir: folder of the data, in place of `data.dir`. None: as before.
        overrides: `dotted.key=value` strings, for a preset, a file or the run's own configuration.
        accept_changes: allow other values for all keys, not only for those marked `MAY_CHANGE`.

    Raises:
        UserError: the directory does not hold a run that can be resumed, or a value differs that may not change.
    """
    directory.check_free(resume=True, fresh=False)
    before = directory.config()
    if not accept_changes:
        check_unedited(directory, before)
    data_dir = None if data_dir is None else str(data_dir)
    if config is None:
        config = make_config(with_overrides(before.model_dump(mode="json"), overrides, data_dir=data_dir))
    elif not isinstance(config, Config):
        config = resolve_config(config, overrides, data_dir=data_dir or before.data.dir)
    return to_resume(before, config, accept_changes=accept_changes)


def to_resume(before: Config, now: Config, *, accept_changes: bool = False) -> Config:
    """Returns `now`, with those values of `before` that it leaves open.

    These are the name, the precision, XLA, the time of a step, the number of pairs, the identity of the perceptual
    network, the files that are read, the rule of the split, how label maps are read, and the ranges that percentiles
    have.

    Raises:
        UserError: a value differs that may not change, and `accept_changes` is not set. The message lists all of them.
    """
    chosen = {
        key: getattr(before.training, key) for key in ("precision", "xla") if getattr(now.training, key) == "auto"
    }
    now = now.model_copy(update={"training": now.training.model_copy(update=chosen)})
    now = now.model_copy(update={"training": _as_begun(before.training, now.training)})
    objective, same = now.objective, now.objective.perceptual_network == before.objective.perceptual_network
    if same and objective.perceptual_identity is None:
        identity = {"perceptual_identity": before.objective.perceptual_identity}
        now = now.model_copy(update={"objective": objective.model_copy(update=identity)})
    if "name" not in now.model_fields_set:
        now = now.model_copy(update={"name": before.name})
    kept = {key: getattr(before.data, key) for key in FIRST_VALUES if key not in now.data.model_fields_set}
    if now.data.classes == before.data.classes:
        kept |= {key: getattr(before.data, key) for key in CLASS_VALUES if getattr(now.data, key) is None}
    for key, by in RANGES.items():  # which the run measured when it began
        if getattr(now.data, key) is None and getattr(now.data, by) == getattr(before.data, by) is not None:
            kept[key] = getattr(before.data, key)
    now = now.model_copy(update={"data": now.data.model_copy(update=kept)})
    differences = _differences(before, now)
    if differences and not accept_changes:
        raise UserError(
            f"A run must be resumed with its own configuration. Received other values: {', '.join(differences)}. "
            f"Leave them out, add `accept_changes`, or start another run."
        )
    return now


def _differences(before: Config, now: Config) -> list[str]:
    """Returns the values that have changed although they may not, as `key old -> new`."""
    old, new = (dict(flat(config.model_dump(mode="json"))) for config in (before, now))
    free = {*changeable_keys(), f"recipe.{APPLIED}"}  # a recipe's name may change; the values that it set are compared
    if now.training.learning_rate_schedule != "constant":
        free -= {"training.steps", "training.epochs"}  # the learning rate of every step depends on the last step
    changed = [key for key in {**old, **new} if new.get(key) != old.get(key) and key not in free]
    return [f"{key} {old.get(key)!r} -> {new.get(key)!r}" for key in changed]


def check_unedited(directory: RunDirectory, config: Config) -> None:
    """Raises UserError if the run's `config.yaml` differs from the configuration in its model card."""
    card = directory.card()
    begun = card is not None and card.step > 0
    differences = _differences(card.config, config) if begun else []
    if differences:
        raise UserError(
            f"A run must be resumed with its own configuration. {directory.path / CONFIG} was edited: "
            f"{', '.join(differences)}. Undo it, add `accept_changes`, or start another run."
        )


class DataRecord(BaseModel):
    """Records which pairs a run was trained on: the file `data.json` of a run directory."""

    class Period(BaseModel):
        """Holds the pairs from a step on."""

        model_config = ConfigDict(frozen=True)

        from_step: int
        splits: dict[str, dict[str, str]]
        division: dict[str, Any] | None = None  # rule, seed and groups of the split; None: something else divides
        groups: dict[str, int] | None = None  # number of groups by split; None: without `data.group`, or an old record

    format_version: Literal[1] = 1
    periods: tuple[Period, ...] = ()

    @classmethod
    def of(cls, directory: RunDirectory) -> DataRecord:
        """Reads the record of a run. A run of an older version has no file, so its record has no periods.

        Raises:
            UserError: the file is damaged, or of another version of the format.
        """
        if not directory.data_record.exists():
            return cls()
        try:
            record = parse_json(read_regular_file(directory.data_record))
            version = record.get("format_version", 1)
            if version != 1:
                raise UserError(
                    f"A run's data.json must be of format version 1. Received {directory.data_record} of version "
                    f"{version}. Resume with the version of tfpix2pix that wrote it, or remove it to continue without "
                    f"a comparison of the data."
                )
            return cls.model_validate(record)
        except UserError:
            raise
        except (ValueError, AttributeError, OSError) as error:  # no JSON, no object, or not these fields
            raise UserError(
                f"A run's data.json must be whole. Received {directory.data_record}, which is damaged. Remove it to "
                f"continue without a comparison of the data."
            ) from error

    def to_json(self) -> str:
        """Returns the content of the file. pydantic's own JSON has no names of files that are not UTF-8."""
        return json.dumps(self.model_dump(), indent=1)

    def check_unchanged(self, splits: Splits) -> None:
        """Raises UserError, which names the differences, if the data are not those of the last period."""
        differences = list(changes(self.periods[-1].splits, splits)) if self.periods else []
        if differences:
            raise UserError(
                f"A run must be resumed on the data that it was trained on. Received others: {'; '.join(differences)}. "
                f"Put them back, or add `accept_changes`."
            )

    def resumed(
        self, step: int, splits: Splits, division: dict[str, Any] | None = None, groups: dict[str, int] | None = None
    ) -> DataRecord:
        """Returns the record of the run resumed from `step` on these data, which `division` has divided into numbers
        of `groups`."""
        kept = [period for period in self.periods if period.from_step <= step]
        if not kept or list(changes(kept[-1].splits, splits)):
            kept = [period for period in kept if period.from_step < step]
            kept.append(self.Period(from_step=step, splits=splits, division=division, groups=groups))
        return DataRecord(periods=tuple(kept))

    def summary(self) -> tuple[DataPeriod, ...]:
        """Returns the periods for the model card, with a digest in place of the names of the pairs."""
        return tuple(
            DataPeriod(
                from_step=period.from_step,
                pairs={split: len(names) for split, names in period.splits.items()},
                digest=digest_of(period.splits),
            )
            for period in self.periods
        )


def _as_begun(before: TrainingConfig, now: TrainingConfig) -> TrainingConfig:
    """Returns `now` with what the run measured and recorded when it began: the weights that it started from, and the
    time of a step and the number of pairs, by which its minutes or epochs become steps."""
    if now.pairs_per_epoch is None:
        now = now.model_copy(update={"pairs_per_epoch": before.pairs_per_epoch})
    if now.counts_epochs:
        now = now.within_epochs()
    if now.seconds_per_step is None:
        now = now.model_copy(update={"seconds_per_step": before.seconds_per_step})
    if now.start_from == before.start_from and now.started_from is None:
        now = now.model_copy(update={"started_from": before.started_from})
    if now.minutes is not None and before.seconds_per_step is None:
        raise UserError(
            f"`training.minutes` must be given when a run begins, which then measures its pace. Received "
            f"{now.minutes:g} for a run of {before.steps} steps. Leave it out, or start another run."
        )
    return now.within_minutes()
