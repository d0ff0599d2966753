"""What goes wrong with GANs, known from the lines of metrics.jsonl: each finding is one sentence with what to try.

A detector is a function of the lines seen so far alone, so a resumed run that reads them again goes on as if it had
never stopped. docs/health.md shows the curves of each finding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Line = Mapping[str, float]

SATURATED_STEPS = 500  # over so many must D be right, or wrong, about nearly all patches
ALWAYS, NEVER = 0.99, 0.01  # shares of patches
LEAST_VARIATION = 0.05  # of translations across inputs, against their targets'
LEAST_BOTTLENECK_VARIATION = 1e-3  # across inputs, against its own size
GAP = 1.5  # held-out L1 against training's
COLLAPSED_MEASUREMENTS, COLLAPSED_STEPS = 2, 500
OVERFITTING_MEASUREMENTS = 3
MEMORY = 0.2  # how far the mean sign of D's logits for held-out real pairs stays below that for training's
MEMORY_MEASUREMENTS = 3


@dataclass(frozen=True)
class Finding:
    """Something found in a run: a name for programs, a sentence for people."""

    name: str
    text: str


class Sustained:
    """Reports once when `condition(line)` has held on every line that concerns it, for long enough.

    Args:
        condition: True, False, or None where the line does not concern it.
        steps: from the first such line to the latest; or
        lines: so many lines.
    """

    def __init__(self, text: str, condition: Callable[[Line], bool | None], *, steps: int = 0, lines: int = 1) -> None:
        self.text, self.condition, self.steps, self.lines = text, condition, steps, lines
        self.since: int | None = None
        self.count, self.before = 0, 0

    def see(self, line: Line) -> str | None:
        """The sentence on the line that makes it long enough, and not again before the condition failed."""
        holds = self.condition(line)
        if holds is None:
            return None
        reported = self._enough()
        self.count = self.count + 1 if holds else 0
        # A line is the mean over the steps since the one before: what it says began there.
        self.since = (self.before if self.since is None else self.since) if holds else None
        self.before = int(line["step"])
        return self.text.format(**line) if holds and self._enough() and not reported else None

    def _enough(self) -> bool:
        return self.since is not None and self.count >= self.lines and self.before - self.since >= self.steps


class OverfittingGap:
    """Condition of overfitting: held-out L1 is above its best, and far above training's."""

    def __init__(self) -> None:
        self.sum, self.count, self.best = 0.0, 0, float("inf")

    def __call__(self, line: Line) -> bool | None:
        if "g/l1" in line:  # training, since the last measurement
            self.sum, self.count = self.sum + line["g/l1"], self.count + 1
        if "val/l1" not in line or not self.count:
            return None
        training, self.sum, self.count = self.sum / self.count, 0.0, 0
        self.best = min(self.best, line["val/l1"])
        return line["val/l1"] > self.best and line["val/l1"] > GAP * training


class AccuracyOverSteps:
    """Condition on the worse of D's two accuracies, its mean over the last `SATURATED_STEPS`."""

    def __init__(self, holds: Callable[[float], bool]) -> None:
        self.holds = holds
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
        return sum(spans) >= SATURATED_STEPS and self.holds(mean)


def _memorised(line: Line) -> bool | None:
    """D calls the real pairs that it was trained on real, and others less so."""
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
        "best checkpoint (--best), add pairs or augmentation (data.jitter_ratio, data.mirror), or set "
        "training.stop_after_worse.",
        OverfittingGap(),
        lines=OVERFITTING_MEASUREMENTS,
    ),
}


ADVERSARIAL = ("d_always_right", "d_always_wrong", "d_memorises")  # where G is trained against D


class Monitor:
    """Sees every line of metrics.jsonl in turn.

    Args:
        before: lines that an earlier part of the run wrote.
        adversarial: whether G is trained against D; where D is only measured, what it is right about tells nothing.
    """

    def __init__(self, before: Iterable[Line] = (), *, adversarial: bool = True) -> None:
        names = [name for name in DETECTORS if adversarial or name not in ADVERSARIAL]
        self.detectors = {name: DETECTORS[name]() for name in names}
        for line in before:
            self.see(line)

    def see(self, line: Line) -> list[Finding]:
        """What is found now, and was not when the line before was seen."""
        texts = {name: detector.see(line) for name, detector in self.detectors.items()}
        return [Finding(name, text) for name, text in texts.items() if text]
