"""Measures variety in bits where the truth is known: the fill colours of outlines (`data.source: colored_shapes`).

What counts is the variety for one input. A translator that answers every input in its own way, but always in the same
way, has no bits, however many colours occur in all. So the entropy H(colour | input) is estimated for each input over
its variants, and then averaged over inputs. How well the frequencies of the colours agree with the truth is another
question, which needs many samples: it is asked of all variants of one kind of shape together.
"""

from __future__ import annotations

import math

import numpy as np

from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.images import ratio

CLEAR = 0.75  # least fraction of the pixels inside a shape that must be near to a colour
VARIANTS_A_COLOR = 2  # with fewer, the entropy of one input is too biased to be reported
LEAST_PROBABILITY = 0.01  # of a colour that should occur
LEAST_SHARE = 0.001  # of all translations that have a colour, for the colour to be present
SMOOTHING = 0.5  # added to each count before the divergence, which would be infinite if a colour is missing
SAME = 1 / 127.5  # one level of 255, on [-1, 1]
NO_COLOR = -1


class Entropy:
    """Measures how much of the known variety of colours a translator's noise brings, with K colours:

    - `entropy_bits`: mean over inputs of s·H, with s the share of an input's variants that have a colour, and H the
      entropy of the colours of these. It is H(colour | input, whether there is one): mush has no bits. H is the
      plug-in estimate + (m - 1) / (2 n ln 2) bits, with m colours among n variants (Miller, "Note on the bias of
      information estimates", 1955). Left out if there are fewer than 2 K variants; at most log2 K.
    - `entropy_true_bits`: mean over inputs of the true entropy.
    - `entropy_pooled_bits`: as `entropy_bits`, but H and s of all variants of a kind of shape together: the variety
      over inputs and noise. If it is larger, the translator chooses by the input.
    - `entropy_kl_bits`: mean over kinds of shapes, weighted by inputs, of KL(truth ‖ translator) over the colours and
      `no colour`, whose true probability is 0. The translator's probabilities are (count + ½) / (n + (K + 1) / 2).
    - `colors_present`: number of colours with a true probability of 1 % or more over all inputs that 1 in 1,000 or more
      of all translations have; `colors_possible`: number of colours with such a probability.
    - `no_color`: fraction of translations of which no colour is near to three quarters of the pixels inside the shape.
    - `outline_l1`, `paper_l1`: mean absolute difference from the input on [-1, 1] on the outline, and on the paper
      around the shape, mean over variants and inputs.

    Inside are the pixels that are paper in the input and not in the target, around are those that are equal in both.
    Pixels that mix outline and colour are neither.
    """

    def __init__(self, setting: Setting) -> None:
        self.truth = setting.truth
        self.kinds = list(self.truth.probabilities)
        self.probabilities = np.stack([self.truth.probabilities[kind] for kind in self.kinds])  # (kinds, K)
        self.true_bits = np.array([self.truth.entropy_bits(kind) for kind in self.kinds])
        self.samples: np.ndarray | float = 0.0  # (replicates, kinds, K + 1): variants of each colour, and without one
        self.inputs: np.ndarray | float = 0.0  # (replicates, kinds)
        self.totals: dict[str, np.ndarray] = {}  # sums over inputs of what each has alone, (replicates,)
        self.counts: dict[str, np.ndarray] = {}

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        image = np.asarray(example.input, np.float64)
        paper, target = image.min(axis=-1) >= 1 - SAME, np.asarray(example.target, np.float64)
        unchanged = np.abs(target - image).max(axis=-1) <= SAME
        inside, outline, around = paper & ~unchanged, ~paper & unchanged, paper & unchanged
        if not inside.any():
            return {}
        colors = [color_of(variant[inside], self.truth.colors, self.truth.near) for variant in example.variants]
        size = len(self.truth.colors)
        counts = np.bincount(np.where(np.array(colors) == NO_COLOR, size, colors), minlength=size + 1)
        of_kind = np.arange(len(self.kinds)) == self.kinds.index(self.truth.kind_of(example.name))
        self.inputs = self.inputs + weights[:, np.newaxis] * of_kind
        self.samples = self.samples + weights[:, np.newaxis, np.newaxis] * of_kind[:, np.newaxis] * counts
        values = {"no_color": float(counts[-1] / counts.sum())}
        if len(colors) >= VARIANTS_A_COLOR * size:
            values["entropy_bits"] = float(clear_bits(counts))
        difference = np.abs(example.variants - image)
        for name, where in (("outline_l1", outline), ("paper_l1", around)):
            if where.any():
                values[name] = float(difference[:, where].mean())
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + weights * value
            self.counts[name] = self.counts.get(name, 0.0) + weights
        return values

    def result(self) -> dict[str, np.ndarray]:
        if not np.ndim(self.inputs):
            return {}
        shares = ratio(self.inputs, self.inputs.sum(axis=-1, keepdims=True))  # (replicates, kinds)
        means = {name: ratio(total, self.counts[name]) for name, total in self.totals.items()}
        samples = self.samples.sum(axis=1)  # (replicates, K + 1)
        expected = (shares @ self.probabilities) >= LEAST_PROBABILITY
        present = ratio(samples[..., :-1], samples.sum(axis=-1, keepdims=True)) >= LEAST_SHARE
        most_bits = math.log2(len(self.truth.colors))
        bits = {"entropy_bits": np.minimum(means.pop("entropy_bits"), most_bits)} if "entropy_bits" in means else {}
        return {
            **bits,
            "entropy_true_bits": shares @ self.true_bits,
            "entropy_pooled_bits": np.minimum(np.sum(shares * clear_bits(self.samples), axis=-1), most_bits),
            "entropy_kl_bits": np.sum(shares * divergence_bits(self.probabilities, self.samples), axis=-1),
            "colors_present": np.sum(expected & present, axis=-1).astype(np.float64),
            "colors_possible": np.sum(expected, axis=-1).astype(np.float64),
            **means,
        }


def color_of(pixels: np.ndarray, colors: np.ndarray, near: float) -> int:
    """Returns the number of the colour that `CLEAR` of the pixels or more are near to, or `NO_COLOR`.

    Pixels are counted one by one, because the mean of red and yellow patches would be orange.

    Args:
        pixels: (P, 3) in [-1, 1].
        colors: (K, 3), of which no two are nearer to each other than twice `near`.
        near: Euclidean distance.
    """
    squares = np.square(pixels[:, np.newaxis] - colors).sum(axis=-1)  # (P, K)
    shares = np.mean(squares < near**2, axis=0)
    return int(shares.argmax()) if shares.max() >= CLEAR else NO_COLOR


def clear_bits(counts: np.ndarray) -> np.ndarray:
    """Returns the share of samples with a colour times the Miller-Madow entropy of these, bits.

    `counts` are (…, K + 1), the samples of each colour and those without one.
    """
    colored = counts[..., :-1]
    return np.nan_to_num(ratio(colored.sum(axis=-1), counts.sum(axis=-1))) * miller_madow_bits(colored)


def miller_madow_bits(counts: np.ndarray) -> np.ndarray:
    """Returns the entropy of the distribution that counts (…, K) were drawn from, bits, 0 without any.

    The plug-in estimate is too small by about (m - 1) / (2 n ln 2), for n samples of m different values. Source:
    Miller, "Note on the bias of information estimates", 1955.
    """
    counts = np.asarray(counts, np.float64)
    number = counts.sum(axis=-1)
    shares = np.nan_to_num(ratio(counts, number[..., np.newaxis]))
    plug_in = -np.sum(shares * np.log2(np.where(shares > 0, shares, 1.0)), axis=-1)
    bias = np.maximum(np.count_nonzero(counts, axis=-1) - 1, 0) / np.maximum(2 * math.log(2) * number, 1e-12)
    return np.where(number > 0, plug_in + bias, 0.0)


def divergence_bits(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns KL(probabilities ‖ the distribution that counts were drawn from), bits, after adding `SMOOTHING` to each
    count.

    Args:
        probabilities: (…, K).
        counts: (…, K + 1), of the K values and of another one, which has probability 0.
    """
    smoothed = np.asarray(counts, np.float64) + SMOOTHING
    estimated = (smoothed / smoothed.sum(axis=-1, keepdims=True))[..., :-1]
    known = np.where(probabilities > 0, probabilities, 1.0)
    return np.sum(probabilities * (np.log2(known) - np.log2(estimated)), axis=-1)
