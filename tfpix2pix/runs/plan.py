"""Plans a training without TensorFlow: its configuration, worker, pairs, and the run that it starts or resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data.division import Division
from tfpix2pix.data.opening import check_readable, decided, open_sources, read_otherwise
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.splits import check_splits_of_folder
from tfpix2pix.errors import UserError
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.perceptual import with_perceptual_identity
from tfpix2pix.runs.resuming import DataRecord, resumed_config
from tfpix2pix.runs.start_from import with_start
from tfpix2pix.section import as_name
from tfpix2pix.training.checkpoints import Checkpoints
from tfpix2pix.training.cluster import Worker, this_worker
from tfpix2pix.training.trackers import check_installed

OWN_PAIRS = "own"  # the preset of a training that names its data alone


@dataclass(frozen=True)
class Plan:
    """Holds everything about a training that is decided before TensorFlow is imported.

    Attributes:
        config: the resolved configuration. `training.precision` is `auto` until TensorFlow knows the devices. It says
            how label maps are read, as soon as there are sources.
        directory: the run directory; None for a dry run without one.
        worker: the index of this process and the number of processes.
        sources: the pairs, by split: `train` and `val`. None if there are several workers, which open them after they
            have joined, and for a dry run without data.
        resume: continue the run in the directory.
        fresh: replace the run in the directory.
        accept_changes: resume with other data than before.
        card: the model card of the run to resume; None if it has none.
        record: the pairs that the run to resume was trained on.
        teacher: the run that a student learns from (`runs/distill.py`).
        start: the run whose weights the networks start with; None: random weights, or a checkpoint to resume from.
        notes: sentences about what was decided.
    """

    config: Config
    directory: RunDirectory | None
    worker: Worker
    sources: dict[str, Source] | None
    resume: bool = False
    fresh: bool = False
    accept_changes: bool = False
    card: ModelCard | None = None
    record: DataRecord = field(default_factory=DataRecord)
    teacher: RunDirectory | None = None
    start: RunDirectory | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def division(self) -> Division | None:
        """Returns the number of pairs and the groups of each split; None without sources."""
        return None if self.sources is None else Division.of(self.sources, self.config.data)


def config_or_own(config: Config | str | None, data_dir: str | Path | None) -> Config | str | None:
    """Returns a configuration, or the preset of own pairs if data alone are named."""
    return OWN_PAIRS if config is None and data_dir is not None else config


def plan_training(
    config: Config | str | None,
    run_dir: str | Path | None,
    *,
    data_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    fresh: bool = False,
    accept_changes: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Plans a training, and checks everything that can be checked without TensorFlow. Writes nothing.

    TensorFlow is imported only for `data.source: shards`, because its reader needs it. The run takes its name from its
    directory unless a `Config`, a file of the user or an override gives one.

    Args:
        config: a `Config`, the name of a preset, or a .yaml file; None to resume with the run's own configuration, or
            for the preset `own` with `data_dir`.
        run_dir: the run directory. None is for a dry run.
        data_dir: folder of the data, in place of `data.dir`.
        overrides: `dotted.key=value` strings.
        resume: continue the run in the directory.
        fresh: replace the run in the directory.
        accept_changes: resume although the configuration or the data have changed.
        dry_run: plan without data if the configuration names none.

    Raises:
        UserError: the configuration, the directory or the data do not fit.
    """
    if run_dir is None and not dry_run:
        look = "" if resume else ", or `dry_run` to look first"
        raise UserError(f"A run directory must be given. Received none. Add `run_dir`{look}.")
    if isinstance(config, Config) and (overrides or data_dir is not None):
        raise UserError(
            "`data`, `recipe` and `overrides` must go with a preset or a file. Received a Config. Set them in it."
        )
    if accept_changes and not resume:
        raise UserError("`accept_changes` must go with `resume`. Received it alone. Add `resume`, or leave it out.")
    if resume and fresh:
        raise UserError("`resume` and `fresh` must not be given together. Received both. Leave one out.")
    if resume and run_dir is None:
        raise UserError("To resume, `run_dir` must be a run directory. Received none. Add it.")
    directory = None if run_dir is None else RunDirectory(run_dir)
    if resume:
        config = resumed_config(
            config, directory, data_dir=data_dir, overrides=overrides, accept_changes=accept_changes
        )
    elif (config := config_or_own(config, data_dir)) is None:
        raise UserError(
            "A preset or a .yaml file, or `data` for your own pairs, must be given. Received none. `tfpix2pix presets` "
            "lists the presets."
        )
    elif not isinstance(config, Config):
        config = resolve_config(config, overrides, data_dir=None if data_dir is None else str(data_dir))
    if directory and not resume and "name" not in config.model_fields_set:
        config = config.model_copy(update={"name": as_name(directory.path.resolve().name) or config.name})
    if not resume:
        check_splits_of_folder(config.data)
    worker = this_worker(config.training.strategy)
    if worker.index == 0:  # the chief alone reports
        check_installed(config.training.trackers)
    begins = not (resume and Checkpoints(directory.checkpoints).any())
    if begins:
        config = with_start(config)
    config = with_perceptual_identity(config, accept_changes=accept_changes)
    if directory and not resume and worker.index == 0:  # the chief has written to it before other workers start
        directory.check_free(resume=False, fresh=fresh)
    plan = Plan(
        config, directory, worker, None, resume, fresh, accept_changes,
        card=_card_to_resume(directory) if resume else None,
        record=DataRecord.of(directory) if resume else DataRecord(),
        start=RunDirectory.trained(config.training.start_from) if begins and config.training.start_from else None,
    )  # fmt: skip
    return _with_pairs(plan, dry_run)


def opened(plan: Plan) -> Plan:
    """Returns the plan with the pairs to train on and those held out, how their label maps are read, and the steps of
    its epochs."""
    data = decided(plan.config.data, plan.config.seed)
    notes, config = read_otherwise(plan.config.data, data), plan.config.model_copy(update={"data": data})
    sources, spec = open_sources(data, config.seed), config.training
    if spec.counts_epochs and not (plan.resume and spec.pairs_per_epoch):  # a run that is resumed has counted them
        spec = spec.model_copy(update={"pairs_per_epoch": len(sources["train"])}).within_epochs()
        config = config.model_copy(update={"training": spec})
    return replace(plan, config=config, sources=sources, notes=(*plan.notes, *notes))


def _with_pairs(plan: Plan, dry_run: bool) -> Plan:
    """Opens the pairs, unless there are several workers or none are given, and reads one."""
    data = plan.config.data
    if plan.worker.count > 1 and not dry_run:
        return plan  # a worker that stops here would leave the others waiting
    if data.source == "shards":
        load_tensorflow()  # the reader of shards needs it
    try:
        plan = opened(plan)
    except UserError:
        if dry_run and not data.is_given:
            return plan
        raise
    check_readable(plan.sources["train"], at_most=1 if data.on_error == "stop" else 0)
    return plan


def _card_to_resume(directory: RunDirectory) -> ModelCard | None:
    """Reads the model card of a run. Raises UserError if the run has been trained but has lost its checkpoints."""
    card = directory.card()
    if card and card.step and not Checkpoints(directory.checkpoints).any():
        raise UserError(
            f"To resume, a run must have a checkpoint. Received {directory.path}, which was at step {card.step} and "
            f"has lost all. Start again with `fresh`, or choose another `run_dir`."
        )
    return card
