"""Trains runs of several seeds one after another: `tfpix2pix train --seeds`. From Python, a loop does it."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpix2pix.config import Config
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import Run, RunDirectory
from tfpix2pix.runs.plan import Plan, config_or_own, plan_training
from tfpix2pix.section import LONGEST_NAME

if TYPE_CHECKING:
    from rich.console import Console


def directories_of(run_dir: str | Path, count: int) -> list[Path]:
    """Returns the run directories of a group: `runs/x-seed0`, `runs/x-seed1`, …

    Raises:
        UserError: `run_dir` has no name to derive theirs from.
    """
    path = Path(run_dir)
    if path.name in ("", ".."):
        raise UserError(
            f"`run_dir` must end in a name, from which those of the runs are made. Received {path}. Add one."
        )
    return [path.with_name(f"{path.name}-seed{index}") for index in range(count)]


def plan_seeds(
    config: Config | str | None, run_dir: str | Path | None, seeds: int, *, resume: bool = False, **options: Any
) -> list[Plan]:
    """Plans a training of each seed, without TensorFlow and without writing anything.

    The seeds are the configuration's own and those after it. All runs hold out the pairs that the first one does.

    Args:
        run_dir: beginning of the names of the run directories; None: for a dry run.
        seeds: number of runs.
        resume: continue the runs that are there, and start those that are not with the configuration of the first.
        options: as `plan_training` takes them.

    Raises:
        UserError: `seeds` is not a number of runs, there are several workers, or `plan_training` refuses one of them.
    """
    if seeds < 1:
        raise UserError(f"`seeds` must be a number of runs from 1. Received {seeds}. Choose another, or leave it out.")
    paths: list[Path | None] = [None] * seeds if run_dir is None else list(directories_of(run_dir, seeds))
    overrides, data_dir = options.pop("overrides", ()), options.pop("data_dir", None)
    if resume:
        return _plan_to_resume(config, paths, {**options, "overrides": overrides, "data_dir": data_dir})
    config = config_or_own(config, data_dir)
    if isinstance(config, str):
        config = resolve_config(config, overrides, data_dir=None if data_dir is None else str(data_dir))
        overrides, data_dir = (), None  # they are in it
    rest = {"overrides": overrides, "data_dir": data_dir, **options}
    configs = [config] if config is None else [of_seed(config, index) for index in range(_checked(config, seeds))]
    return [_alone(plan_training(one, path, **rest)) for one, path in zip(configs, paths, strict=False)]


def of_seed(config: Config, index: int) -> Config:
    """Returns the configuration of a group's run: with its own seed, and the split of the group's first seed."""
    split = config.seed if config.data.split_seed is None else config.data.split_seed
    changes: dict[str, Any] = {"seed": config.seed + index}
    if "name" in config.model_fields_set:  # else a run is named by its folder
        changes["name"] = _name(config.name, index)
    return config.model_copy(update={**changes, "data": config.data.model_copy(update={"split_seed": split})})


def run_seeds(plans: list[Plan], console: Console | None = None) -> Iterator[Run]:
    """Trains the plans in turn, and yields each run when it has ended, until one was interrupted.

    A run that was finished before is left as it is. Runs limited by `training.minutes` take the pace that the first
    one measured, so that all have the same number of steps.

    Args:
        plans: from `plan_seeds`. They are taken out of the list one by one, because their pairs may fill memory.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM between two trainings.
        UserError: something else has been written to a run directory meanwhile.
        RunError: a training failed.
    """
    from tfpix2pix.runs.train import run

    seconds_per_step = None
    with _interrupted_by_sigterm():
        while plans:
            plan = plans.pop(0)
            spec = plan.config.training
            if plan.card and plan.card.step == spec.steps:
                result = Run(plan.directory, plan.card)
            else:
                plan.directory.check_free(resume=plan.resume, fresh=plan.fresh)
                if spec.minutes is not None and spec.seconds_per_step is None:
                    spec = spec.model_copy(update={"seconds_per_step": seconds_per_step})
                    plan = replace(plan, config=plan.config.model_copy(update={"training": spec}))
                result = run(plan, console)
            seconds_per_step = result.card.config.training.seconds_per_step
            del plan
            gc.collect()  # graphs and variables refer to each other
            yield result
            if result.interrupted:
                return


def _plan_to_resume(config: Config | str | None, paths: list[Path | None], options: dict[str, Any]) -> list[Plan]:
    """Plans the runs that are there as resumed ones, and the others as new ones like the first."""
    first = RunDirectory(paths[0]) if paths[0] else None
    if isinstance(config, str) and first and first.is_run():
        own = first.config().data.dir
        data_dir = options["data_dir"] or own
        config = resolve_config(config, options["overrides"], data_dir=None if data_dir is None else str(data_dir))
        options |= {"overrides": (), "data_dir": None}
    plans: list[Plan] = []
    for index, path in enumerate(paths):
        if index and not RunDirectory(path).is_run():
            fresh = {key: options[key] for key in ("fresh", "dry_run") if key in options}
            plans.append(_alone(plan_training(_begun_anew(plans[0].config, index), path, **fresh)))
            continue
        one = of_seed(config, index) if isinstance(config, Config) else config
        plans.append(_alone(plan_training(one, path, resume=True, **options)))
    return plans


def _begun_anew(config: Config, index: int) -> Config:
    """Returns the configuration of a group's run that has not begun, from that of its first run."""
    named = config.name.removesuffix("-seed0")
    return of_seed(config, index).model_copy(update={"name": _name(named, index)})


def _name(first: str, index: int) -> str:
    return f"{first[: LONGEST_NAME - len('-seed') - 9]}-seed{index}"


def _checked(config: Config, seeds: int) -> int:
    """Returns `seeds`. Raises UserError if the last seed would be too large."""
    most = 2**31
    if config.seed + seeds > most:
        raise UserError(
            f"`seeds` must end below seed {most}. Received {seeds} from seed {config.seed} on. Lower one of the two."
        )
    return seeds


def _alone(plan: Plan) -> Plan:
    """Returns the plan. Raises UserError if there are several workers, which cannot join twice in one process."""
    if plan.worker.count > 1:
        raise UserError(
            f"Several `seeds` must be trained by one worker. Received {plan.worker.count} workers in TF_CONFIG. Train "
            f"the seeds one by one, with `seed` and `data.split_seed`."
        )
    return plan


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM interrupt as Ctrl-C does, between trainings: a training itself catches both."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
