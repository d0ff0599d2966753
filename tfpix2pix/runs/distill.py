"""Distils a run: trains a narrower generator, the student, on the translations of a trained one, its teacher.

The student's objective is λ₁·L1(target) + λ₂·L1(teacher) + λ₃·(1 - MS-SSIM(teacher)), as in Ren et al., "Online
Multi-Granularity Distillation for GAN Compression", ICCV 2021, §3, and the teacher's GAN loss. Theirs has no
discriminator. Without one, students of a few minutes are blurred (docs/export.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpix2pix.config import Config
from tfpix2pix.config.resolve import make_config, with_overrides
from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.runs.directory import Run, RunDirectory
from tfpix2pix.runs.plan import Plan, plan_training
from tfpix2pix.runs.start_from import identity_of

if TYPE_CHECKING:
    from rich.console import Console

NARROWING = 4  # the teacher's filters over the student's, unless they are set
LEAST_FILTERS = 4
STUDENT_WEIGHTS = {"l1": 10.0, "teacher_l1": 100.0, "teacher_ms_ssim": 10.0}  # beside that of the teacher's GAN loss
FORMAT, QUANTIZATION = "tflite", "dynamic"  # of the file whose size and time limit a student's width
NEEDED = "A teacher must be"
OWN = ("name",)  # keys that a student does not take from its teacher


def distill(
    teacher: str | Path,
    *,
    run_dir: str | Path,
    data: str | Path | None = None,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    fresh: bool = False,
    console: Console | None = None,
) -> Run:
    """Trains a student of a run in `run_dir`. It has the teacher's configuration, apart from its objective and width.

    Args:
        teacher: run directory of the teacher. Its newest checkpoint teaches, by its averaged weights if it has them.
        data: folder of the data, in place of the teacher's.
        overrides: `dotted.key=value` strings. `generator.base_filters` is the student's width; without it, a quarter of
            the teacher's.
        resume: continue an interrupted run from its newest checkpoint.
        fresh: replace a run that is there.
        console: console for the progress; None: standard error.

    Raises:
        UserError: `teacher` is not a trained run, or the configuration, the data or the directory does not fit.
    """
    from tfpix2pix.runs.train import run

    plan = plan_distillation(teacher, run_dir, data_dir=data, overrides=overrides, resume=resume, fresh=fresh)
    return run(plan, console)


def plan_distillation(
    teacher: str | Path,
    run_dir: str | Path | None,
    *,
    data_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Plans the training of a student, without TensorFlow and without writing anything. The arguments are those of
    `distill`.

    Raises:
        UserError: as `distill`.
    """
    directory = RunDirectory.trained(teacher)
    identity = identity_of(directory, NEEDED)
    if not resume:
        config = student_of(directory.config(), identity, overrides, data_dir=data_dir)
        plan = plan_training(config, run_dir, fresh=fresh, dry_run=dry_run)
        return replace(plan, teacher=directory)
    plan = plan_training(None, run_dir, data_dir=data_dir, overrides=overrides, resume=True, fresh=fresh)
    if plan.config.objective.teacher != identity:
        raise UserError(
            f"A student must be resumed with the teacher that it began with, {plan.config.objective.teacher}. Received "
            f"{directory.path}, {identity}. Give that one as `teacher`."
        )
    return replace(plan, teacher=directory)


def student_of(
    teacher: Config, identity: str, overrides: Sequence[str], *, data_dir: str | Path | None = None
) -> Config:
    """Returns the configuration of a student: the teacher's, with another objective, width and name.

    Raises:
        UserError: an override does not fit, or images become others than the teacher's.
    """
    settings: dict[str, Any] = {key: value for key, value in teacher.model_dump(mode="json").items() if key not in OWN}
    generator, training = settings["generator"], settings["training"]
    generator["base_filters"] = max(LEAST_FILTERS, generator["base_filters"] // NARROWING)
    training |= {"precision": "auto", "seconds_per_step": None, "start_from": None, "started_from": None}
    training |= {"coarse_epochs": 0, "fix_global_epochs": 0}  # a student learns at the teacher's size
    gan = {"gan": settings["objective"]["weights"].get("gan", 0.0)}
    settings["objective"] |= {"weights": {**gan, **STUDENT_WEIGHTS}, "teacher": identity}
    settings["objective"] |= {"perceptual_network": None, "perceptual_identity": None}
    settings = with_overrides(settings, overrides, data_dir=None if data_dir is None else str(data_dir))
    config = make_config(settings, "the student")
    for key in (
        "inputs",
        "targets",
        "input_channels",
        "target_channels",
        "input_classes",
        "target_classes",
        "color_space",
    ):
        ours, theirs = getattr(config.data, key), getattr(teacher.data, key)
        if ours != theirs:
            raise UserError(
                f"A student must see and make its teacher's kind of images. Received {ours} for `data.{key}`, and the "
                f"teacher has {theirs}. Leave it out."
            )
    return config


def width_within(
    teacher: str | Path, overrides: Sequence[str], target_mb: float | None, target_ms: float | None
) -> int:
    """Returns the largest `generator.base_filters` below the teacher's with which a student's .tflite file keeps the
    limits.

    The file has 8-bit weights (`dynamic`). Its size, MB, is computed from the number of weights. Its time, ms, is that
    of an untrained student on this machine, for an image of the training size.

    Raises:
        UserError: no width keeps the limits. The message has the size and time of the narrowest.
    """
    from tfpix2pix.runs.export_within import NARROWER, count_parameters, expected_size_mb

    directory = RunDirectory.trained(teacher)
    config = student_of(directory.config(), identity_of(directory, NEEDED), overrides)
    bits = EXPORTERS[FORMAT].quantizations[QUANTIZATION].bits
    received = []
    for width in (width for width in NARROWER if width < directory.config().generator.base_filters):
        generator = config.generator.model_copy(update={"base_filters": width})
        student = config.model_copy(update={"generator": generator})
        size_mb = expected_size_mb(count_parameters(student), bits)
        received = [f"{size_mb:.1f} MB"]
        if target_mb and size_mb > target_mb:
            continue
        if target_ms:
            time_ms = milliseconds_of(student)
            received.append(f"{time_ms:.0f} ms")
            if time_ms > target_ms:
                continue
        return width
    limits = " and ".join(f"{limit:g} {unit}" for limit, unit in ((target_mb, "MB"), (target_ms, "ms")) if limit)
    narrowest = f"{' and '.join(received)} for the narrowest" if received else "a teacher that is as narrow"
    raise UserError(
        f"A student must keep the limits, {limits}. Received {narrowest}. Raise `target_mb` or `target_ms`, or "
        f"distil a teacher with fewer levels or smaller images."
    )


def milliseconds_of(config: Config) -> float:
    """Returns the time, ms, in which a configuration's untrained .tflite file translates an image of its size."""
    import numpy as np

    from tfpix2pix.config.card import ModelCard
    from tfpix2pix.export.verify import latency_of
    from tfpix2pix.runs.networks import build_generator

    size_px, channels = config.data.image_size_px, config.data.input_channels
    generator = build_generator(config, seed=config.seed, noise_input=False, input_size_px=size_px)
    card = ModelCard.of(config, 0, fixed_size_px=size_px, quantization=QUANTIZATION)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "student.tflite"
        EXPORTERS[FORMAT].write(generator, card, path, [])
        return 1e3 * latency_of(EXPORTERS[FORMAT].read(path), np.zeros((1, *config.data.size_px, channels), np.float32))
