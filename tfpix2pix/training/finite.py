"""Numbers that are not finite: noticed before anything is saved or measured with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class NotFinite(Exception):
    """Losses or weights that are nan or infinite after `step`."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def check_losses(step: int, losses: Mapping[str, np.ndarray]) -> None:
    """Raises NotFinite, naming the losses and the steps, where one of the latest call's, ending at `step`, is not."""
    bad = {name: np.flatnonzero(~np.isfinite(values)) for name, values in losses.items()}
    bad = {name: places for name, places in bad.items() if len(places)}
    if not bad:
        return
    count = len(next(iter(losses.values())))
    first = step - count + 1 + int(min(places[0] for places in bad.values()))
    named = ", ".join(f"{name} {losses[name][places[0]]}" for name, places in bad.items())
    span = f"step {first}" if first == step else f"steps {first} to {step}"
    raise NotFinite(f"Losses must be finite numbers. Received {named} in {span}.", step)


def check_weights(model, step: int) -> None:
    """Raises NotFinite where a weight of a `Pix2Pix` model's networks is not a finite number."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    for name, network in networks.items():
        if not bool(_finite([v.value for v in network.variables])):
            raise NotFinite(f"Weights must be finite numbers. Received others in the {name} after step {step}.", step)


def _finite(values: list[tf.Variable]) -> tf.Tensor:
    # The sum of a product with zero is zero unless something is not finite: no array of booleans is made.
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tf.reduce_sum(value * 0.0))) for value in values])


def advice(precision: str, halved: bool) -> str:
    """What to try; `halved` where a lower learning rate has been tried as often as makes sense."""
    low = "" if precision == "float32" else ", set training.precision=float32"
    more = f"lower training.learning_rate{low}, or set training.clip_gradient_norm=1, and start again."
    if halved:
        return f"It was so after halvings of the learning rate too: {more}"
    return f"To go on at half the learning rate: --resume --set training.on_non_finite=halve_learning_rate. Or {more}"
