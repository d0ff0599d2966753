"""What may change when a run goes on: of its configuration, and of the data that it trains on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tfpix2pix.card import DataPeriod
from tfpix2pix.config import Config, TrainingConfig
from tfpix2pix.data.fingerprints import changes, digest_of
from tfpix2pix.errors import UserError
from tfpix2pix.foreign import parse_json, read_regular_file
from tfpix2pix.resolve import make_config, read_settings, resolve_config, with_overrides
from tfpix2pix.run_directory import CONFIG, RunDirectory, flat
from tfpix2pix.training.cluster import this_worker

Splits = Mapping[str, Mapping[str, str]]  # fingerprints of pairs, by split


MAY_CHANGE = frozenset(
    {
        "recipe.applied",  # a name; the values that it gave are compared
        "training.steps",
        "training.minutes",
        "training.keep_last",
        "training.keep_every_steps",
        "training.checkpoint_every_minutes",
        "training.checkpoint_every_steps",
        "training.stop_after_worse",
        "training.steps_per_execution",
        "training.strategy",
        "training.profile_steps",
        "training.health",
        "training.on_non_finite",
        "data.dir",
        "data.cache_mb",
        "data.cache_files_mb",
    }
)  # a step's outcome does not depend on them


def run_config(
    preset_or_file: str | None,
    run_dir: str | Path | None,
    *,
    data_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    fresh: bool = False,
    accept_changes: bool = False,
) -> Config:
    """The configuration of a run to start or to resume; raises UserError where directory or keys do not allow it.

    Without a directory nothing is checked but the configuration. To resume, the run's own configuration is taken; a
    preset or overrides given with it may change `MAY_CHANGE` alone, and all else where `accept_changes` says so.
    """
    if accept_changes and not resume:
        raise UserError("--accept-changes must go with --resume. Received it alone. Add --resume, or leave it out.")
    if resume and fresh:
        raise UserError("--resume and --fresh must not be given together. Received both. Leave one out.")
    if resume and run_dir is None:
        raise UserError("To resume, --run must be a run directory. Received none. Add --run DIR.")
    directory = RunDirectory(run_dir or "")
    data_dir = None if data_dir is None else str(data_dir)
    if not resume:
        if preset_or_file is None:
            raise UserError("A preset or a .yaml file must be given. Received none. `tfpix2pix presets` lists them.")
        config = resolve_config(preset_or_file, overrides, data_dir=data_dir)
        chief = this_worker(config.training.strategy).index == 0  # the others find the directory begun
        if run_dir is not None and chief:
            directory.check_free(resume=False, fresh=fresh)
        return config
    directory.check_free(resume=True, fresh=False)
    before = directory.config()
    if not accept_changes:
        check_unedited(directory, before)
    if preset_or_file is None:
        settings = with_overrides(before.model_dump(mode="json"), overrides, data_dir=data_dir)
    else:
        settings = with_overrides(read_settings(preset_or_file), overrides, data_dir=data_dir or before.data.dir)
    return to_resume(before, make_config(settings), accept_changes=accept_changes)


def to_resume(before: Config, now: Config, *, accept_changes: bool = False) -> Config:
    """`now`, in the precision and with the pace of steps that a run began with where it does not say.

    Raises:
        UserError: a run of `before` cannot be continued with it, unless `accept_changes` is set; lists what differs.
    """
    if now.training.precision == "auto":
        precision = {"precision": before.training.precision}
        now = now.model_copy(update={"training": now.training.model_copy(update=precision)})
    now = now.model_copy(update={"training": _at_the_pace_of(before.training, now.training)})
    differences = _differences(before, now)
    if differences and not accept_changes:
        raise UserError(
            f"A run must be resumed with its own configuration. Received other values: {', '.join(differences)}. "
            f"Leave them out, add --accept-changes, or start another run."
        )
    return now


def _differences(before: Config, now: Config) -> list[str]:
    """Lists what a step's outcome depends on and has changed, as `key old -> new`."""
    old, new = (dict(flat(config.model_dump(mode="json"))) for config in (before, now))
    # Where the learning rate falls towards the last step, that step decides what all steps do.
    fixed = {"training.steps"} if now.training.learning_rate_schedule != "constant" else set()
    changed = [key for key in {**old, **new} if new.get(key) != old.get(key) and key not in MAY_CHANGE - fixed]
    return [f"{key} {old.get(key)!r} -> {new.get(key)!r}" for key in changed]


def check_unedited(directory: RunDirectory, config: Config) -> None:
    """Raises UserError if the run's configuration file is not what the run was trained with, as its card has it."""
    card = directory.card()
    differences = _differences(card.config, config) if card and card.step else []  # else no step has seen it
    if differences:
        raise UserError(
            f"A run must be resumed with its own configuration. {directory.path / CONFIG} was edited: "
            f"{', '.join(differences)}. Undo it, add --accept-changes, or start another run."
        )


class DataRecord(BaseModel):
    """The pairs that a run's steps saw: the file `data.json` of a run directory."""

    class Period(BaseModel):
        """The pairs from a step on."""

        model_config = ConfigDict(frozen=True)

        from_step: int
        splits: dict[str, dict[str, str]]

    format_version: Literal[1] = 1
    periods: tuple[Period, ...] = ()

    @classmethod
    def of(cls, directory: RunDirectory) -> DataRecord:
        """Reads a run's record. A run of an older version has none; its record here has no periods.

        Raises:
            UserError: it is damaged, or of another version of the format.
        """
        if not directory.data_record.exists():  # an older version's run
            return cls()
        try:
            record = parse_json(read_regular_file(directory.data_record))
            version = record.get("format_version", 1)
            if version != 1:
                raise UserError(
                    f"A run's data.json must be of format version 1. Received {directory.data_record} of version "
                    f"{version}. Resume with the version of tfpix2pix that wrote it, or remove it to go on without a "
                    f"comparison of the data."
                )
            return cls.model_validate(record)
        except UserError:
            raise
        except (ValueError, AttributeError, OSError) as error:  # no JSON, no object, or not these fields
            raise UserError(
                f"A run's data.json must be whole. Received {directory.data_record}, which is damaged. Remove it to go "
                f"on without a comparison of the data."
            ) from error

    def check_unchanged(self, splits: Splits) -> None:
        """Raises UserError if the data are not those of the last period; names what differs."""
        found = list(changes(self.periods[-1].splits, splits)) if self.periods else []
        if found:
            raise UserError(
                f"A run must be resumed on the data that it was trained on. Received others: {'; '.join(found)}. "
                f"Put them back, or add --accept-changes."
            )

    def going_on(self, step: int, splits: Splits) -> DataRecord:
        """Returns the record of a run that goes on from `step` on these data."""
        kept = [period for period in self.periods if period.from_step <= step]
        if not kept or list(changes(kept[-1].splits, splits)):
            kept = [each for each in kept if each.from_step < step]
            kept.append(self.Period(from_step=step, splits=splits))
        return DataRecord(periods=tuple(kept))

    def summary(self) -> tuple[DataPeriod, ...]:
        """Returns what the model card says of it."""
        return tuple(
            DataPeriod(
                from_step=period.from_step,
                pairs={split: len(names) for split, names in period.splits.items()},
                digest=digest_of(period.splits),
            )
            for period in self.periods
        )


def _at_the_pace_of(before: TrainingConfig, now: TrainingConfig) -> TrainingConfig:
    """`now` with the steps that its minutes hold at the pace that was measured when the run began."""
    if now.seconds_per_step is None:
        now = now.model_copy(update={"seconds_per_step": before.seconds_per_step})
    if now.minutes is not None and before.seconds_per_step is None:
        raise UserError(
            f"`training.minutes` must be given when a run begins, which measures its pace then. Received "
            f"{now.minutes:g} for a run of {before.steps} steps. Leave it out, or start another run."
        )
    return now.within_minutes()
