"""Computes metrics over many examples, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bootstrap import Resampling, interval
from tfpix2pix.metrics.example import Example, Setting


@dataclass(frozen=True)
class Figure:
    """Holds one value of a metric over all images."""

    metric: str  # the row of METRICS that computes it
    value: float
    low: float | None = None  # 95 % interval; None: without an interval
    high: float | None = None

    @property
    def better(self) -> str:
        """Returns which values are better: `higher`, `lower`, `near 1`, or ``."""
        return METRICS[self.metric].better


class Scorer:
    """Counts examples one by one, and computes metrics over all of them. Examples of one group are resampled together.

    Args:
        names: rows of `METRICS`.
        resampling: resampling for intervals; None for metrics without them.
    """

    def __init__(self, names: Sequence[str], setting: Setting, resampling: Resampling | None = None) -> None:
        self.setting, self.accumulators = setting, {name: METRICS[name].make(setting) for name in names}
        self.resampling = resampling or Resampling(replicates=0)
        self.count = 0
        self.uncounted: list[str] = []  # names of the examples that are left out
        self.groups: set[str] = set()

    def update(self, example: Example) -> dict[str, float]:
        """Counts an example, and returns the values of this example alone, by name.

        An example without a pixel that counts is left out.
        """
        if example.weight is not None and not example.weight.any():
            self.uncounted.append(example.name)
            return {}
        weights, values = self.resampling.weights(example.group or example.name), {}
        images = self.setting.images_of(example)
        for name, accumulator in self.accumulators.items():
            values.update(accumulator.update(example if METRICS[name].of_channels else images, weights))
        self.count += 1
        self.groups.update([example.group] if example.group else [])
        return values

    def replicates(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns metric -> name -> (1 + replicates,): the value and its replicates, or (1,) without these."""
        return {name: accumulator.result() for name, accumulator in self.accumulators.items()}

    def figures(self, replicates: Mapping[str, Mapping[str, np.ndarray]] | None = None) -> dict[str, Figure]:
        """Returns the values of all metrics with their intervals.

        Pass `replicates` if they are known already, because some take seconds to compute.
        """
        figures = {}
        for metric, results in (replicates or self.replicates()).items():
            for name, values in results.items():
                several = len(self.groups) != 1 if self.groups else self.count > 1
                limits = interval(values) if several else None  # one image, or one group, shows no variation
                limits = [METRICS[metric].bounded(limit) for limit in limits or ()]
                figures[name] = Figure(metric, float(values[0]), *limits)
        return figures


def measure(examples: Iterable[Example], names: Sequence[str], setting: Setting) -> dict[str, float]:
    """Returns the metrics of `examples` without intervals, as runs measure them during training.

    Leaves out the rows of `METRICS` among `names` that do not suit the examples, which are images or label maps.
    """
    scorer = Scorer([name for name in names if METRICS[name].suits(setting.kinds)], setting)
    for example in examples:
        scorer.update(example)
    return {name: figure.value for name, figure in scorer.figures().items()}
