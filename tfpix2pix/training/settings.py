"""Defines the section `training`: length, optimisers, machine and reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfpix2pix.errors import UserError
from tfpix2pix.metrics import METRICS, Metric
from tfpix2pix.models import PRECISIONS
from tfpix2pix.section import LENGTH, MACHINE, MAY_CHANGE, RUN, START, Section, row_of
from tfpix2pix.training import SCHEDULES, STRATEGIES, TRACKERS

USUAL = tuple(name for name, row in METRICS.items() if row.while_training)


def _needs_only_targets(row: Metric) -> bool:
    """Returns True for metrics that need neither a segmenter nor features."""
    return row.needs == ("target",)


def _with_score(row: Metric) -> bool:
    return _needs_only_targets(row) and row.score is not None


class TrainingConfig(Section):
    """Configures the length of a training, its optimisers, machine and reports."""

    steps: Annotated[int, LENGTH, MAY_CHANGE] = Field(80_000, ge=1)
    """Number of training steps, one batch each (facades: 400 images × 200 epochs). If `minutes` is set too, this is
    the upper limit. If `epochs` is set, a new run replaces this number."""
    epochs: Annotated[float | None, LENGTH, MAY_CHANGE] = Field(None, gt=0)
    """Length as papers state it: how often every training pair is seen. A new run sets `steps` to epochs × pairs /
    `batch_size`. null: `steps` is the length."""
    decay_epochs: Annotated[float | None, LENGTH] = Field(None, gt=0)
    """Number of last epochs over which the learning rate falls, in place of `learning_rate_constant_fraction`. null: as
    that key says."""
    pairs_per_epoch: Annotated[int | None, LENGTH] = Field(None, ge=1)
    """Number of training pairs, by which epochs become steps. A new run counts them and writes them here."""
    coarse_epochs: float = Field(0, ge=0)
    """`generator.kind: local_enhancer`: number of first epochs in which its global generator is trained alone, on pairs
    of 1/2^`generator.enhancers` of the size (docs/coarse-to-fine.md). 0: no such stage."""
    fix_global_epochs: float = Field(0, ge=0)
    """`generator.kind: local_enhancer`: number of epochs after `coarse_epochs` in which the enhancers are trained
    alone, and the global generator stays as it is. 0: no such stage."""
    minutes: Annotated[float | None, LENGTH, MAY_CHANGE] = Field(None, gt=0)
    """Time limit for the training steps, min. A new run measures the time of a step once and lowers `steps` to as many
    as fit. Start-up, validation, samples and checkpoints take extra time: give 50 or less for a session of 60."""
    seconds_per_step: Annotated[float | None, LENGTH] = Field(None, gt=0)
    """Time of a step, s, by which `minutes` are divided. null: a new run measures it and writes it here."""
    presentable_steps: Annotated[int | None, LENGTH, MAY_CHANGE] = Field(None, ge=1)
    """Number of steps from which pictures of this task can be shown, if its preset knows it. A new run says so if fewer
    fit in `minutes`. null: not known."""
    start_from: Annotated[str | None, START] = None
    """Run directory whose weights both networks start with, wherever names and shapes of arrays agree: a trained run,
    or an import. The optimisers start anew. null: random weights."""
    started_from: Annotated[str | None, START] = None
    """Name, step and digest of these weights. A new run writes them here."""
    batch_size: Annotated[int, LENGTH] = Field(1, ge=1)
    """Number of pairs in a step, over all devices together."""
    micro_batches: Annotated[int, MACHINE] = Field(1, ge=1)
    """Number of parts into which a device divides its share of a batch. Their gradients are summed, and less memory is
    needed. `batch` norm then uses the statistics of one part."""
    recompute_levels: Annotated[int, MACHINE] = Field(0, ge=0)
    """Number of outer levels of a U-Net, or of the largest map sizes of a residual network, that are recomputed in the
    backward pass to save memory (docs/performance.md). Only the last digits of the results change."""
    precision: Annotated[row_of(PRECISIONS), MACHINE] = "auto"
    """Number format of the computation. Weights are always float32. `auto`: bfloat16 if the machine has instructions
    for it (AVX512-BF16, AMX, GPUs of compute capability 8.0 and up), float16 on GPUs of 7.0 to 7.5, else float32
    (docs/training-step.md#precision). `float16` uses loss scaling."""
    learning_rate: float = Field(2e-4, gt=0)
    """Adam's learning rate, used for both networks."""
    discriminator_learning_rate: float | None = Field(None, gt=0)
    """Adam's learning rate for D, if it differs from G's (two time-scale update rule). null: as `learning_rate`. It
    follows the same schedule."""
    learning_rate_schedule: row_of(SCHEDULES) = "constant"
    """`constant`, or a decay to 0 at the last step: `linear_decay` or `cosine`."""
    learning_rate_constant_fraction: float | None = Field(None, ge=0, lt=1)
    """Fraction of the steps at the full learning rate, before the decay. null: 0.5 for `linear_decay`, 0 for
    `cosine`. `decay_epochs` says the same in epochs."""
    clip_gradient_norm: float | None = Field(None, gt=0)
    """Largest norm of a network's gradient, over all its weights. Larger gradients are scaled down. null: no limit."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of an exponential moving average of the generator's weights, such as 0.999. Samples, validation,
    `translate` and exports then use the average. null: no average."""
    beta_1: float = Field(0.5, ge=0, lt=1)
    """Adam's decay rate of the mean gradient."""
    beta_2: float = Field(0.999, ge=0, lt=1)
    """Adam's decay rate of the mean squared gradient."""
    update_order: Literal["alternating", "simultaneous"] = "alternating"
    """`alternating`: update D, then G against the new D (the paper). `simultaneous`: update both from one forward
    pass."""
    strategy: Annotated[row_of(STRATEGIES), MACHINE, MAY_CHANGE] = "auto"
    """Devices to train on. `one`: one device. `mirrored`: all GPUs of this machine. `multiworker`: the machines that
    TF_CONFIG names. `auto`: the largest of these that is available."""
    synchronized_norm: bool = False
    """Compute the statistics of `batch` norm over all devices together, instead of on each device."""
    steps_per_execution: Annotated[int, MACHINE, MAY_CHANGE] = Field(1, ge=1)
    """Number of steps in one call of the compiled loop. The results do not change. More are faster if a step takes
    milliseconds, but Ctrl-C waits for the call to end."""
    xla: Annotated[bool | Literal["auto"], MACHINE] = False
    """Compile the step with XLA: often faster on a GPU, slower on a CPU. `auto`: where it has been measured to be
    faster, which is on no device yet (docs/training-step.md#precision)."""
    deterministic_ops: Annotated[bool, MACHINE] = False
    """Reproduce every number bit for bit on GPUs and on any number of devices (docs/distributed.md). This is slower.
    On one CPU, runs reproduce without it."""
    on_non_finite: Annotated[Literal["stop", "halve_learning_rate"], RUN, MAY_CHANGE] = "stop"
    """Reaction to a loss or weight that is NaN or infinite: stop, or restore the last checkpoint and halve the learning
    rate."""
    health: Annotated[bool, RUN, MAY_CHANGE] = True
    """Watch for typical failures of GAN training (docs/health.md)."""
    log_every_steps: Annotated[int, RUN] = Field(20, ge=1)
    """Steps between two lines of metrics.jsonl and two points in TensorBoard. Each is the mean over these steps."""
    sample_every_steps: Annotated[int, RUN] = Field(1_000, ge=1)
    """Steps between two sample grids, and between two weight histograms in TensorBoard. The first are drawn before the
    first step and after 50, 100, 200 and 400 steps, unless that is later than this number."""
    profile_steps: Annotated[tuple[int, int] | None, RUN, MAY_CHANGE] = None
    """First and last step of a profiler trace for TensorBoard. null: no trace."""
    checkpoint_every_steps: Annotated[int, RUN, MAY_CHANGE] = Field(1_000, ge=1)
    """Steps between two checkpoints. A crash loses at most these."""
    checkpoint_every_minutes: Annotated[float | None, RUN, MAY_CHANGE] = Field(None, gt=0)
    """Minutes after which a further checkpoint is written, for machines that may be taken away at any time. null: by
    steps alone."""
    keep_last: Annotated[int, RUN, MAY_CHANGE] = Field(2, ge=1)
    """Number of newest checkpoints to keep."""
    keep_every_steps: Annotated[int | None, RUN, MAY_CHANGE] = Field(None, ge=1)
    """Keep the checkpoints of all multiples of this step, too. null: only the newest."""
    validate_every_steps: Annotated[int, RUN] = Field(1_000, ge=1)
    """Steps between two validations on held-out pairs. There is one before the first step and one after the last,
    too."""
    validation_images: Annotated[int, RUN] = Field(50, ge=0)
    """Number of held-out pairs to validate on. 0 switches validation off."""
    validation_metrics: Annotated[tuple[row_of(METRICS, _needs_only_targets), ...], RUN] = USUAL
    """Metrics of the validation. `tfpix2pix evaluate` has more."""
    best_by: Annotated[row_of(METRICS, _with_score) | None, RUN] = None
    """Metric that chooses the best checkpoint, which is kept in checkpoints/best-…. null: `l1`, or `segmentation` for
    label maps."""
    stop_after_worse: Annotated[int | None, LENGTH, MAY_CHANGE] = Field(None, ge=1)
    """Stop early after this many validations in a row without a new best. null: never."""
    trackers: Annotated[tuple[row_of(TRACKERS), ...], RUN, MAY_CHANGE] = ()
    """Trackers of experiments that get metrics, samples and hyperparameters, such as [wandb] (docs/trackers.md). []:
    nothing leaves this machine."""

    def within_minutes(self) -> TrainingConfig:
        """Returns a copy with `steps` lowered to as many as fit in `minutes`, at least 1. If the time of a step is
        unknown, nothing changes."""
        if self.minutes is None or self.seconds_per_step is None:
            return self
        most = max(1, int(60 * self.minutes / self.seconds_per_step))
        return self.model_copy(update={"steps": min(self.steps, most)})

    @property
    def counts_epochs(self) -> bool:
        """Returns True if the length of the run or of a stage is in epochs."""
        return bool(self.epochs or self.coarse_epochs or self.fix_global_epochs)

    def steps_of(self, epochs: float) -> int:
        """Returns the number of steps of `epochs`, 0 while the number of pairs is unknown."""
        return round(epochs * (self.pairs_per_epoch or 0) / self.batch_size)

    def within_epochs(self) -> TrainingConfig:
        """Returns a copy with the `steps` of `epochs`, at least 1. If the number of pairs is unknown, nothing changes.

        Raises:
            UserError: the stages before the last leave no step for it.
        """
        if self.pairs_per_epoch is None:
            return self
        steps = self.steps if self.epochs is None else max(1, self.steps_of(self.epochs))
        before = self.steps_of(self.coarse_epochs) + self.steps_of(self.fix_global_epochs)
        if before >= steps:
            raise UserError(
                f"`training.coarse_epochs` and `training.fix_global_epochs` must end before the training. Received "
                f"{before} steps of them, {self.pairs_per_epoch} pairs an epoch, in a training of {steps} steps. "
                f"Lower them, or raise {'`training.epochs`' if self.epochs else '`training.steps`'}."
            )
        return self.model_copy(update={"steps": steps})

    @model_validator(mode="after")
    def _there_is_one_length(self) -> TrainingConfig:
        if self.minutes is not None and self.counts_epochs:
            key = "epochs" if self.epochs else "coarse_epochs" if self.coarse_epochs else "fix_global_epochs"
            raise ValueError(
                f"`training.{key}` must be left out if `training.minutes` limits the training. Received "
                f"{getattr(self, key):g} epochs and {self.minutes:g} minutes. Leave one of the two out"
            )
        stages = self.coarse_epochs + self.fix_global_epochs
        if self.epochs is not None and stages >= self.epochs:
            raise ValueError(
                f"`training.coarse_epochs` and `training.fix_global_epochs` must be fewer than `training.epochs`, the "
                f"whole length. Received {self.coarse_epochs:g} and {self.fix_global_epochs:g} of {self.epochs:g}. "
                f"Lower them, or raise `training.epochs`"
            )
        return self

    @model_validator(mode="after")
    def _the_rate_falls_in_the_last_epochs(self) -> TrainingConfig:
        decay = self.decay_epochs
        if decay is None:
            return self
        if self.learning_rate_schedule == "constant":
            raise ValueError(
                f"`training.decay_epochs` must be left out if the learning rate never falls. Received {decay:g} with "
                f"`learning_rate_schedule: constant`. Use linear_decay or cosine, or null"
            )
        if self.learning_rate_constant_fraction is not None:
            raise ValueError(
                f"`training.decay_epochs` must be left out if `training.learning_rate_constant_fraction` is set. "
                f"Received {decay:g} and {self.learning_rate_constant_fraction:g}. Leave one of the two out"
            )
        if self.epochs is None:
            raise ValueError(
                f"`training.decay_epochs` must go with `training.epochs`. Received {decay:g} alone. Set "
                f"`training.epochs`, or `training.learning_rate_constant_fraction` in its place"
            )
        if decay > self.epochs - self.coarse_epochs:
            after = " after `training.coarse_epochs`" if self.coarse_epochs else ""
            raise ValueError(
                f"`training.decay_epochs` must be at most `training.epochs`{after}, "
                f"{self.epochs - self.coarse_epochs:g}. Received {decay:g}. Lower it"
            )
        return self

    @model_validator(mode="after")
    def _parts_are_even(self) -> TrainingConfig:
        if self.batch_size % self.micro_batches:
            raise ValueError(
                f"`training.micro_batches` must divide `training.batch_size`. Received {self.micro_batches} for "
                f"{self.batch_size}. Change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _a_constant_rate_has_no_fraction(self) -> TrainingConfig:
        if self.learning_rate_schedule == "constant" and self.learning_rate_constant_fraction is not None:
            raise ValueError(
                f"`training.learning_rate_constant_fraction` must be left out if the learning rate never falls. "
                f"Received {self.learning_rate_constant_fraction:g} with `learning_rate_schedule: constant`. Use "
                f"linear_decay or cosine, or null"
            )
        return self

    @model_validator(mode="after")
    def _profiled_steps_are_a_range(self) -> TrainingConfig:
        if self.profile_steps and not 0 < self.profile_steps[0] <= self.profile_steps[1]:
            raise ValueError(
                f"`training.profile_steps` must be a first and a last step. Received {list(self.profile_steps)}. "
                f"Use, for example, [10, 15]"
            )
        return self
