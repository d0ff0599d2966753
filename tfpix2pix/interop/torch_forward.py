"""The generators of pytorch-CycleGAN-and-pix2pix run by PyTorch itself, in their test mode, dropout off.

In the type of the images that they are given, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfpix2pix.interop.found import Convolution


def forward_of(
    convolutions: Sequence[Convolution], traits: Mapping[str, Mapping[str, Any]]
) -> tuple[Callable[[np.ndarray], np.ndarray] | None, str]:
    """(its forward pass, what it runs by); (None, why not) where PyTorch is missing."""
    try:
        import torch
    except ImportError:
        return None, "PyTorch is not installed"
    functional = torch.nn.functional
    by_batch = traits["inference"]["statistics"] == "image"
    slope = traits["generator"]["leaky_slope"]

    def like(x: Any, array: np.ndarray | None) -> Any:
        return None if array is None else torch.from_numpy(array).to(x.dtype)

    def normalized(x: Any, layer: Convolution) -> Any:
        norm = layer.norm
        if norm is None:
            return x
        if norm.kind == "instance":
            return functional.instance_norm(x, eps=norm.epsilon)
        mean, variance, gamma, beta = (like(x, each) for each in (norm.mean, norm.variance, norm.gamma, norm.beta))
        if by_batch:
            mean, variance = None, None
        return functional.batch_norm(x, mean, variance, gamma, beta, training=by_batch, eps=norm.epsilon)

    def apply(x: Any, layer: Convolution, **sizes: int) -> Any:
        weight, bias = like(x, np.ascontiguousarray(layer.kernel.transpose(3, 2, 0, 1))), like(x, layer.bias)
        form = functional.conv_transpose2d if layer.transposed else functional.conv2d
        return normalized(form(x, weight, bias, **sizes), layer)

    def unet(x: Any) -> Any:
        levels, kept = len(convolutions) // 2, []
        for level, layer in enumerate(convolutions[:levels]):
            if level:
                kept.append(x)
                x = functional.leaky_relu(x, slope)
            x = apply(x, layer, stride=2, padding=1)
        for number, layer in enumerate(convolutions[levels:]):
            if number:
                x = torch.cat([kept.pop(), x], 1)
            x = apply(functional.relu(x), layer, stride=2, padding=1)
        return torch.tanh(x)

    def resnet(x: Any) -> Any:
        first, *middle, last = convolutions
        downs, blocks, ups = middle[:2], middle[2:-2], middle[-2:]
        x = functional.relu(apply(functional.pad(x, (3, 3, 3, 3), "reflect"), first))
        for layer in downs:
            x = functional.relu(apply(x, layer, stride=2, padding=1))
        for one, two in zip(blocks[::2], blocks[1::2], strict=True):
            inside = functional.relu(apply(functional.pad(x, (1, 1, 1, 1), "reflect"), one))
            x = x + apply(functional.pad(inside, (1, 1, 1, 1), "reflect"), two)
        for layer in ups:
            x = functional.relu(apply(x, layer, stride=2, padding=1, output_padding=1))
        return torch.tanh(apply(functional.pad(x, (3, 3, 3, 3), "reflect"), last))

    run = resnet if convolutions[0].kernel.shape[0] == 7 else unet

    def forward(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            given = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
            return run(given).numpy().transpose(0, 2, 3, 1)

    return forward, f"PyTorch {torch.__version__}"
