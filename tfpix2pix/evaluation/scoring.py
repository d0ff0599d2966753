"""Examples in, figures with intervals out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.evaluation import METRICS
from tfpix2pix.evaluation.bootstrap import Resampling, interval
from tfpix2pix.evaluation.example import Example, Setting


@dataclass(frozen=True)
class Figure:
    """One figure over all images."""

    metric: str  # the row of METRICS that it is of
    value: float
    low: float | None = None  # 95 % interval; None: it has none
    high: float | None = None

    @property
    def better(self) -> str:
        return METRICS[self.metric].better


class Scorer:
    """Sees examples one by one; `figures` are those of all that it has seen.

    Args:
        names: rows of `METRICS`.
        resampling: None for figures without intervals.
    """

    def __init__(self, names: Sequence[str], setting: Setting, resampling: Resampling | None = None) -> None:
        self.accumulators = {name: METRICS[name].make(setting) for name in names}
        self.resampling = resampling or Resampling(replicates=0)
        self.count = 0

    def see(self, example: Example) -> dict[str, float]:
        """Counts an example; its own figures, by name."""
        weights, own = self.resampling.weights(example.name), {}
        for accumulator in self.accumulators.values():
            own.update(accumulator.update(example, weights))
        self.count += 1
        return own

    def replicates(self) -> dict[str, dict[str, np.ndarray]]:
        """metric -> figure -> (1 + replicates,): the figure, then its replicates; (1,) where it has none."""
        return {name: accumulator.result() for name, accumulator in self.accumulators.items()}

    def figures(self, replicates: Mapping[str, Mapping[str, np.ndarray]] | None = None) -> dict[str, Figure]:
        """Figures with their intervals; `replicates`, where they are at hand: some take seconds to compute."""
        found = {}
        for metric, values in (replicates or self.replicates()).items():
            for name, each in values.items():
                limits = interval(each) if self.count > 1 else None  # one image says nothing of others
                most = METRICS[metric].most
                limits = [limit if most is None else min(limit, most) for limit in limits or ()]
                found[name] = Figure(metric, float(each[0]), *limits)
        return found


def measure(examples: Iterable[Example], names: Sequence[str], setting: Setting) -> dict[str, float]:
    """The figures of `examples` alone, of those rows of `METRICS` among `names` that suit them: images or label maps.

    What a run measures while it trains: no intervals, nothing kept.
    """
    label_maps = bool(setting.classes)
    scorer = Scorer([name for name in names if METRICS[name].suits(label_maps)], setting)
    for example in examples:
        scorer.see(example)
    return {name: figure.value for name, figure in scorer.figures().items()}
