"""The sections `training` and `inference`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tfpix2pix.config.section import Section, row_of
from tfpix2pix.evaluation import METRICS


def _switch(given: object) -> object:
    """What YAML makes of an unquoted on and off, undone."""
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


class TrainingConfig(Section):
    steps: int = Field(80_000, ge=1)
    """Training steps, each on one batch (facades: 400 images × 200 epochs)."""
    batch_size: int = Field(1, ge=1)
    """Pairs a step."""
    learning_rate: float = Field(2e-4, gt=0)
    """Of Adam, for both networks."""
    learning_rate_constant_fraction: float = Field(1.0, ge=0, le=1)
    """Share of the steps at the full learning rate; from there it falls linearly to 0 at the last step."""
    beta_1: float = Field(0.5, ge=0, lt=1)
    """Of Adam: decay of the mean gradient."""
    beta_2: float = Field(0.999, ge=0, lt=1)
    """Of Adam: decay of the mean squared gradient."""
    update_order: Literal["alternating", "simultaneous"] = "alternating"
    """`alternating`: D first, then G against the new D (the paper); `simultaneous`: both from one forward pass."""
    log_every_steps: int = Field(20, ge=1)
    """Steps between lines of metrics.jsonl and TensorBoard's points; each is the mean over the steps between."""
    sample_every_steps: int = Field(1_000, ge=1)
    """Steps between sample grids."""
    checkpoint_every_steps: int = Field(1_000, ge=1)
    """Steps between checkpoints: at most these are lost when a machine dies."""
    checkpoint_every_minutes: float | None = Field(None, gt=0)
    """And a checkpoint whenever so many minutes have passed since the last: for machines that may go at any time."""
    keep_last: int = Field(2, ge=1)
    """Newest checkpoints kept."""
    keep_every_steps: int | None = Field(None, ge=1)
    """Besides these, checkpoints of steps that are multiples of this are kept for good."""
    validate_every_steps: int = Field(1_000, ge=1)
    """Steps between measurements of held-out pairs; before the first step and after the last they are measured too."""
    validation_images: int = Field(50, ge=0)
    """Held-out pairs measured; 0 for none."""
    validation_metrics: tuple[row_of(METRICS), ...] = tuple(METRICS)
    """What is measured on them."""
    best_by: row_of({name: row for name, row in METRICS.items() if row.score}) | None = None
    """The metric of which the best checkpoint is kept, in checkpoints/best-…; null: `l1`, or `segmentation` of label
    maps."""
    stop_after_worse: int | None = Field(None, ge=1)
    """Measurements in a row that are no better than the best, after which training stops early; null: never."""


class InferenceConfig(Section):
    statistics: Literal["image", "moving"] = "image"
    """What `batch` norm uses after training: each image's own statistics (as the paper's test) or moving averages."""
    noise: Annotated[Literal["off", "on"], BeforeValidator(_switch)] = "off"
    """Whether exports and `translate` feed noise to the generator unless told otherwise."""
