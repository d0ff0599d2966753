"""Detects failures of a training: those that are typical of GANs, and numbers that are not finite.

A finding is one sentence with advice. docs/health.md shows its curves. A detector depends on nothing but the lines
of metrics.jsonl, so a resumed run, which reads them again, detects the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfpix2pix.losses import TERMS, Term

Line = Mapping[str, float]

SATURATED_STEPS = 500  # for which D is right, or wrong, about nearly all patches
ALWAYS, NEVER = 0.99, 0.01  # fractions of patches
LEAST_VARIATION = 0.05  # of translations across inputs, relative to their targets
LEAST_BOTTLENECK_VARIATION = 1e-3  # across inputs, relative to the size of the values
GAP = 1.5  # held-out L1 divided by L1 in training
COLLAPSED_MEASUREMENTS, COLLAPSED_STEPS = 2, 500
OVERFITTING_MEASUREMENTS = 3
MEMORY = 0.2  # difference of the mean sign of D's logits between training pairs and held-out pairs
MEMORY_MEASUREMENTS = 3
LARGE_WEIGHT = 1000.0  # of a term; the largest of the recipes and papers is 200


@dataclass(frozen=True)
class Finding:
    """Holds a failure that was detected in a run: its name, and a sentence for people."""

    name: str
    text: str


class Sustained:
    """Reports once when `condition(line)` has held for at least `steps` and `lines`.

    Args:
        text: the sentence to report, a format string for the values of the line.
        condition: returns True or False, or None for a line that does not matter.
        steps: number of steps from the first line to the latest.
        lines: number of lines.
    """

    def __init__(self, text: str, condition: Callable[[Line], bool | None], *, steps: int = 0, lines: int = 1) -> None:
        self.text, self.condition, self.steps, self.lines = text, condition, steps, lines
        self.since: int | None = None
        self.count, self.before = 0, 0

    def update(self, line: Line) -> str | None:
        """Returns the sentence when the condition has held long enough, and not again before it has failed."""
        holds = self.condition(line)
        if holds is None:
            return None
        reported = self._enough()
        self.count = self.count + 1 if holds else 0
        # A line is a mean over the steps since the line before, so the condition has held since then.
        self.since = (self.before if self.since is None else self.since) if holds else None
        self.before = int(line["step"])
        return self.text.format(**line) if holds and self._enough() and not reported else None

    def _enough(self) -> bool:
        return self.since is not None and self.count >= self.lines and self.before - self.since >= self.steps


class OverfittingGap:
    """Returns True if held-out L1 is above its best, and far above L1 in training: overfitting."""

    def __init__(self) -> None:
        self.sum, self.count, self.best = 0.0, 0, float("inf")

    def __call__(self, line: Line) -> bool | None:
        if "g/l1" in line:  # in training, since the last validation
            self.sum, self.count = self.sum + line["g/l1"], self.count + 1
        if "val/l1" not in line or not self.count:
            return None
        training, self.sum, self.count = self.sum / self.count, 0.0, 0
        self.best = min(self.best, line["val/l1"])
        return line["val/l1"] > self.best and line["val/l1"] > GAP * training


class AccuracyOverSteps:
    """Tests the mean of the worse of D's two accuracies over the last `SATURATED_STEPS`."""

    def __init__(self, condition: Callable[[float], bool]) -> None:
        self.condition = condition
        self.before = 0
        self.latest: deque[tuple[int, int, float]] = deque()  # first step, last step, accuracy

    def __call__(self, line: Line) -> bool | None:
        if "d/real_accuracy" not in line:
            return None
        step = int(line["step"])
        self.latest.append((self.before, step, min(line["d/real_accuracy"], line["d/fake_accuracy"])))
        self.before = step
        while len(self.latest) > 1 and self.latest[1][0] <= step - SATURATED_STEPS:
            self.latest.popleft()
        spans = [last - first for first, last, _ in self.latest]
        mean = sum(span * value for span, (_, _, value) in zip(spans, self.latest, strict=True)) / max(sum(spans), 1)
        return sum(spans) >= SATURATED_STEPS and self.condition(mean)


def _memorised(line: Line) -> bool | None:
    """Returns True if D calls the real pairs that it is trained on real more often than held-out ones."""
    training, held_out = line.get("health/real_sign"), line.get("health/held_out_real_sign")
    return None if training is None or held_out is None or not line["step"] else training - held_out > MEMORY


def _below(name: str, least: float) -> Callable[[Line], bool | None]:
    return lambda line: line[name] < least if name in line and line["step"] > 0 else None


DETECTORS: dict[str, Callable[[], Sustained]] = {
    "d_always_right": lambda: Sustained(
        f"D has been right about {ALWAYS:.0%} of real and generated patches for {SATURATED_STEPS} steps, so it may "
        "have little left to teach G: look whether samples still get better, else set objective.label_smoothing=0.1, a "
        "smaller discriminator.receptive_field_px, or discriminator.spectral_norm=true.",
        AccuracyOverSteps(lambda accuracy: accuracy >= ALWAYS),
    ),
    "d_always_wrong": lambda: Sustained(
        f"D has been wrong about {ALWAYS:.0%} of real or of generated patches for {SATURATED_STEPS} steps, so it "
        "teaches G nothing: lower training.learning_rate or objective.label_smoothing, or give D more "
        "discriminator.base_filters.",
        AccuracyOverSteps(lambda accuracy: accuracy <= NEVER),
    ),
    "d_memorises": lambda: Sustained(
        "D calls real pairs real where it was trained on them (r_t = E[sign D] {health/real_sign:.2f}) and much less "
        "so where it was not ({health/held_out_real_sign:.2f}), which is memory and comes before overfitting: add "
        "pairs or augmentation (data.jitter_ratio, data.mirror), use fewer discriminator.base_filters or "
        "discriminator.spectral_norm=true, or a smaller training.discriminator_learning_rate.",
        _memorised,
        lines=MEMORY_MEASUREMENTS,
    ),
    "collapsed": lambda: Sustained(
        "G gives nearly the same image for every input (they vary {health/output_variation:.1%} as much as their "
        "targets do), which is collapse: raise objective.weights.l1, lower training.learning_rate, and check with "
        "`tfpix2pix data check` that inputs and targets belong together.",
        _below("health/output_variation", LEAST_VARIATION),
        steps=COLLAPSED_STEPS,
        lines=COLLAPSED_MEASUREMENTS,
    ),
    "dead_bottleneck": lambda: Sustained(
        "G's narrowest layer gives the same values for every input, so nothing passes through it and the image as a "
        "whole is not seen: set generator.bottleneck_norm=false, or fewer generator.levels, or lower "
        "training.learning_rate.",
        _below("health/bottleneck_variation", LEAST_BOTTLENECK_VARIATION),
        steps=COLLAPSED_STEPS,
        lines=COLLAPSED_MEASUREMENTS,
    ),
    "overfitting": lambda: Sustained(
        "Held-out L1 ({val/l1:.3f}) no longer gets better and is far above training's, which is overfitting: use the "
        "best checkpoint (`best`), add pairs or augmentation (data.jitter_ratio, data.mirror), or set "
        "training.stop_after_worse.",
        OverfittingGap(),
        lines=OVERFITTING_MEASUREMENTS,
    ),
}


ADVERSARIAL = ("d_always_right", "d_always_wrong", "d_memorises")  # only if G is trained against D


class Monitor:
    """Passes the lines of metrics.jsonl to the detectors.

    Args:
        before: lines that an earlier part of the run wrote.
        adversarial: False if G is not trained against D. D's accuracy then says nothing.
    """

    def __init__(self, before: Iterable[Line] = (), *, adversarial: bool = True) -> None:
        names = [name for name in DETECTORS if adversarial or name not in ADVERSARIAL]
        self.detectors = {name: DETECTORS[name]() for name in names}
        for line in before:
            self.update(line)

    def update(self, line: Line) -> list[Finding]:
        """Passes the next line to the detectors. Returns the findings that are new with it."""
        texts = {name: detector.update(line) for name, detector in self.detectors.items()}
        return [Finding(name, text) for name, text in texts.items() if text]


class NotFinite(Exception):
    """Reports that losses or weights are NaN or infinite after `step`."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def check_losses(step: int, losses: Mapping[str, np.ndarray]) -> None:
    """Raises NotFinite, with names and steps, if a loss of the call that ends at `step` is not finite."""
    indices_of = {name: np.flatnonzero(~np.isfinite(values)) for name, values in losses.items()}
    indices_of = {name: indices for name, indices in indices_of.items() if len(indices)}
    if not indices_of:
        return
    count = len(next(iter(losses.values())))
    first = step - count + 1 + int(min(indices[0] for indices in indices_of.values()))
    named = ", ".join(f"{name} {losses[name][indices[0]]}" for name, indices in indices_of.items())
    span = f"step {first}" if first == step else f"steps {first} to {step}"
    raise NotFinite(f"Losses must be finite numbers. Received {named} in {span}.", step)


def check_weights(model, step: int) -> None:
    """Raises NotFinite if a weight of a `Pix2Pix` model's networks is not finite."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    for name, network in networks.items():
        if not bool(_finite([v.value for v in network.variables])):
            raise NotFinite(f"Weights must be finite numbers. Received others in the {name} after step {step}.", step)


def _finite(values: list[tf.Variable]) -> tf.Tensor:
    # The sum of values · 0 is 0 if all are finite, else NaN. It needs no array of booleans.
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tf.reduce_sum(value * 0.0))) for value in values])


def _may_explode(term: Term, weight: float) -> bool:
    """Returns True if a weight may make losses explode: that of noise or style, or one far above a recipe's."""
    return term.needs_noise or term.needs_encoder or weight > LARGE_WEIGHT


def advice(precision: str, halved: bool, weights: Mapping[str, float]) -> str:
    """Returns advice after numbers that are not finite, for an objective of these weights.

    `halved`: lower learning rates have been tried already.
    """
    low = "" if precision == "float32" else ", set training.precision=float32"
    suspected = [name for name, weight in weights.items() if weight and _may_explode(TERMS[name], weight)]
    lower = [f"objective.weights.{name}" for name in suspected]
    lower = " or ".join([*lower, "training.learning_rate"])
    more = f"lower {lower}{low}, or set training.clip_gradient_norm=1, and start again."
    if halved:
        return f"Halving the learning rate did not help: {more}"
    return f"To continue at half the learning rate, resume with training.on_non_finite=halve_learning_rate. Or {more}"
