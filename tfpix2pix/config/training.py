"""The sections `training` and `inference`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tfpix2pix.config.section import LENGTH, MACHINE, RUN, Section, row_of
from tfpix2pix.evaluation import METRICS, Metric
from tfpix2pix.models import PRECISIONS
from tfpix2pix.training import SCHEDULES, STRATEGIES

USUAL = tuple(name for name, row in METRICS.items() if row.while_training)


def _directly(row: Metric) -> bool:
    """Needs no segmenter, no features."""
    return row.needs == ("target",)


def _with_score(row: Metric) -> bool:
    return _directly(row) and row.score is not None


def _switch(given: object) -> object:
    """What YAML makes of an unquoted on and off, undone."""
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


class TrainingConfig(Section):
    steps: Annotated[int, LENGTH] = Field(80_000, ge=1)
    """Training steps, each on one batch (facades: 400 images × 200 epochs); beside `minutes` the most of them."""
    minutes: Annotated[float | None, LENGTH] = Field(None, gt=0)
    """Minutes of training steps: a new run measures how long a step takes and lowers `steps` to those that fit, once,
    so that it ends at a step known from the start. Start, held-out pairs, samples and checkpoints come on top: give 50
    or less for a session of 60."""
    seconds_per_step: Annotated[float | None, LENGTH] = Field(None, gt=0)
    """How long a step takes, s: what `minutes` are divided by. null: a new run measures it and writes it here."""
    batch_size: Annotated[int, LENGTH] = Field(1, ge=1)
    """Pairs a step, over all devices together."""
    micro_batches: Annotated[int, MACHINE] = Field(1, ge=1)
    """Parts in which a device goes through its share of a batch, summing their gradients: memory falls with their
    number. `batch` norm then takes the statistics of a part."""
    recompute_levels: Annotated[int, MACHINE] = Field(0, ge=0)
    """Outer levels of a U-Net whose maps are computed again in the backward pass rather than kept: for images that are
    large beside the memory (docs/performance.md); changes no number but the last digits."""
    precision: Annotated[row_of(PRECISIONS), MACHINE] = "auto"
    """What networks compute in; weights are always float32. `auto`: bfloat16 where the machine has instructions for it
    (AVX512-BF16, AMX; GPUs of compute capability 8.0 and up), else float32. `float16` scales its losses."""
    learning_rate: float = Field(2e-4, gt=0)
    """Of Adam, for both networks."""
    discriminator_learning_rate: float | None = Field(None, gt=0)
    """Of Adam for D, where it learns at a pace of its own (two time-scale updates); null: as `learning_rate`. It falls
    by the same schedule."""
    learning_rate_schedule: row_of(SCHEDULES) = "constant"
    """`constant`, or falling to 0 at the last step: `linear_decay`, `cosine`."""
    learning_rate_constant_fraction: float | None = Field(None, ge=0, lt=1)
    """Share of the steps at the full rate before it falls; null: half of `linear_decay`, none of `cosine`."""
    clip_gradient_norm: float | None = Field(None, gt=0)
    """Gradients of a network whose norm, over all its weights, is larger are scaled down to it; null: none are."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Keeps a moving average of the generator's weights (0.999, say), which is then what samples, held-out figures,
    `translate` and exports use; null: none."""
    beta_1: float = Field(0.5, ge=0, lt=1)
    """Of Adam: decay of the mean gradient."""
    beta_2: float = Field(0.999, ge=0, lt=1)
    """Of Adam: decay of the mean squared gradient."""
    update_order: Literal["alternating", "simultaneous"] = "alternating"
    """`alternating`: D first, then G against the new D (the paper); `simultaneous`: both from one forward pass."""
    strategy: Annotated[row_of(STRATEGIES), MACHINE] = "auto"
    """Devices to train on: `one`; `mirrored`, all GPUs of this machine; `multiworker`, the machines of TF_CONFIG;
    `auto`: whichever of these is there."""
    synchronized_norm: bool = False
    """`batch` norm by the statistics of all devices' pairs together, in place of each device's own."""
    steps_per_execution: Annotated[int, MACHINE] = Field(1, ge=1)
    """Steps in one call of the compiled loop; changes no number. More are faster where a step takes milliseconds, and
    Ctrl-C waits for them."""
    xla: Annotated[bool, MACHINE] = False
    """Compile the step by XLA: often faster on a GPU, slower on a CPU."""
    deterministic_ops: Annotated[bool, MACHINE] = False
    """Have every number repeat bit for bit on GPUs and on any number of devices too (docs/distributed.md); slower. On
    one CPU runs repeat without."""
    on_non_finite: Annotated[Literal["stop", "halve_learning_rate"], RUN] = "stop"
    """When a loss or weight is no finite number: stop, or go on from the last checkpoint at half the learning rate."""
    health: Annotated[bool, RUN] = True
    """Watch for what goes wrong with GANs (docs/health.md)."""
    log_every_steps: Annotated[int, RUN] = Field(20, ge=1)
    """Steps between lines of metrics.jsonl and TensorBoard's points; each is the mean over the steps between."""
    sample_every_steps: Annotated[int, RUN] = Field(1_000, ge=1)
    """Steps between sample grids, and TensorBoard's histograms of the weights."""
    profile_steps: Annotated[tuple[int, int] | None, RUN] = None
    """First and last step of a profiler trace, for TensorBoard; null: none."""
    checkpoint_every_steps: Annotated[int, RUN] = Field(1_000, ge=1)
    """Steps between checkpoints: at most these are lost when a machine dies."""
    checkpoint_every_minutes: Annotated[float | None, RUN] = Field(None, gt=0)
    """And a checkpoint whenever so many minutes have passed since the last: for machines that may go at any time."""
    keep_last: Annotated[int, RUN] = Field(2, ge=1)
    """Newest checkpoints kept."""
    keep_every_steps: Annotated[int | None, RUN] = Field(None, ge=1)
    """Besides these, checkpoints of steps that are multiples of this are kept for good."""
    validate_every_steps: Annotated[int, RUN] = Field(1_000, ge=1)
    """Steps between measurements of held-out pairs; before the first step and after the last they are measured too."""
    validation_images: Annotated[int, RUN] = Field(50, ge=0)
    """Held-out pairs measured; 0 for none."""
    validation_metrics: Annotated[tuple[row_of(METRICS, _directly), ...], RUN] = USUAL
    """What is measured on them; `tfpix2pix evaluate` knows more."""
    best_by: Annotated[row_of(METRICS, _with_score) | None, RUN] = None
    """The metric of which the best checkpoint is kept, in checkpoints/best-…; null: `l1`, or `segmentation` of label
    maps."""
    stop_after_worse: Annotated[int | None, LENGTH] = Field(None, ge=1)
    """Measurements in a row that are no better than the best, after which training stops early; null: never."""

    def within_minutes(self) -> TrainingConfig:
        """With `steps` lowered to those that `minutes` hold, at least 1; as it is where the pace is not known."""
        if self.minutes is None or self.seconds_per_step is None:
            return self
        most = max(1, int(60 * self.minutes / self.seconds_per_step))
        return self.model_copy(update={"steps": min(self.steps, most)})

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
                f"`training.learning_rate_constant_fraction` must be left out where the learning rate never falls. "
                f"Received {self.learning_rate_constant_fraction:g} with `learning_rate_schedule: constant`. Use "
                f"linear_decay or cosine, or null"
            )
        return self

    @model_validator(mode="after")
    def _profiled_steps_are_a_range(self) -> TrainingConfig:
        if self.profile_steps and not 0 < self.profile_steps[0] <= self.profile_steps[1]:
            raise ValueError(
                f"`training.profile_steps` must be a first and a last step. Received {list(self.profile_steps)}. "
                f"Use [10, 15], say"
            )
        return self


class InferenceConfig(Section):
    statistics: Literal["image", "moving"] = "image"
    """What `batch` norm uses after training: each image's own statistics (as the paper's test) or moving averages."""
    noise: Annotated[Literal["off", "on"], BeforeValidator(_switch)] = "off"
    """Whether exports and `translate` feed noise to the generator unless told otherwise."""
