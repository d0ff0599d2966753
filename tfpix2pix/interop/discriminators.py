"""Which PatchGAN a list of convolutions is, and where each of its tensors goes."""

from __future__ import annotations

from collections.abc import Sequence

from tfpix2pix.interop.found import Convolution, Unfit, shaped
from tfpix2pix.interop.generators import Arrays, Place, Settings, arrays, norms_and_biases
from tfpix2pix.models.patches import PATCHGANS


def discriminator(convolutions: Sequence[Convolution], channels: tuple[int, int]) -> tuple[Settings, Arrays]:
    """The settings of section `discriminator` and its arrays by our names.

    Args:
        channels: of the generator's input and output, which tell whether D sees the input.

    Raises:
        Unfit: naming the first tensor that is not as in a PatchGAN.
    """
    if not convolutions:
        raise Unfit("discriminator", "has no convolutions", "a PatchGAN")
    first = convolutions[0].kernel
    sees, base, side = first.shape[2], first.shape[3], first.shape[0]
    conditional = sees == sum(channels)
    if sees not in (sum(channels), channels[1]):
        expected = f"{sum(channels)} channels of input and target, or {channels[1]} of the target"
        raise Unfit(convolutions[0].name, shaped(first), expected)
    fields = {len(hidden): px for px, hidden in PATCHGANS.items() if (hidden[0].kernel == 1) == (side == 1)}
    if len(convolutions) - 1 not in fields:
        counts = ", ".join(str(count + 1) for count in fields)
        raise Unfit(convolutions[-1].name, f"is of convolution {len(convolutions)}", f"one of {counts} in all")
    field_px = fields[len(convolutions) - 1]
    places, below = [], sees
    for index, (factor, kernel, _) in enumerate(PATCHGANS[field_px]):
        out = base * factor
        places.append(Place(f"layer{index + 1}", (kernel, kernel, below, out), normalized=index > 0))
        below = out
    places.append(Place("logits", (side, side, below, 1), normalized=False))
    settings = {"receptive_field_px": field_px, "base_filters": base, "conditional": conditional}
    found = arrays(convolutions, places)
    return {**settings, **norms_and_biases(convolutions, places)}, found
