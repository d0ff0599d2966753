"""Reads weights of pytorch-CycleGAN-and-pix2pix, `latest_net_G.pth` and `latest_net_D.pth`, and the generators of
pix2pixHD.

The residual networks of both have the same names of tensors. They differ in the number of halvings, and those of
pix2pixHD have a bias in every convolution, no dropout, and no scale and offset in instance norms.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.interop.layouts import residual_parts
from tfpix2pix.interop.weights import Convolution, ForeignWeights, Norm, Tensors, Unfit
from tfpix2pix.models.sizes import RESNET_HALVINGS

Names = tuple[str, str | None, bool]  # of a convolution and of its norm, and whether the convolution is transposed


def forward_of(
    convolutions: Sequence[Convolution], traits: Mapping[str, Mapping[str, Any]]
) -> tuple[Callable[[np.ndarray], np.ndarray] | None, str]:
    """Returns the original's forward pass and the program that runs it, or (None, reason) if PyTorch is missing."""
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
        if norm.kind != "batch":
            return functional.instance_norm(x, eps=norm.epsilon)
        mean, variance, gamma, beta = (like(x, array) for array in (norm.mean, norm.variance, norm.gamma, norm.beta))
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

    def residual(x: Any) -> Any:
        parts, images = residual_parts(convolutions), [x]
        for _ in parts[1:]:
            images.append(functional.avg_pool2d(images[-1], 3, 2, 1, count_include_pad=False))
        inside = None
        for part in parts:
            inside = enhanced(images.pop(), part, inside)
        return torch.tanh(apply(functional.pad(inside, (3, 3, 3, 3), "reflect"), convolutions[-1]))

    def enhanced(x: Any, part: Sequence[Convolution], inside: Any) -> Any:
        first, *middle = part
        halvings = sum(layer.transposed for layer in part)
        downs, blocks, ups = middle[:halvings], middle[halvings:-halvings], middle[-halvings:]
        x = functional.relu(apply(functional.pad(x, (3, 3, 3, 3), "reflect"), first))
        for layer in downs:
            x = functional.relu(apply(x, layer, stride=2, padding=1))
        x = x if inside is None else x + inside
        for first_half, second_half in zip(blocks[::2], blocks[1::2], strict=True):
            inside = functional.relu(apply(functional.pad(x, (1, 1, 1, 1), "reflect"), first_half))
            x = x + apply(functional.pad(inside, (1, 1, 1, 1), "reflect"), second_half)
        for layer in ups:
            x = functional.relu(apply(x, layer, stride=2, padding=1, output_padding=1))
        return x

    run = residual if convolutions[0].kernel.shape[0] == 7 else unet

    def forward(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
            return run(batch).numpy().transpose(0, 2, 3, 1)

    return forward, f"PyTorch {torch.__version__}"


WRAPPERS = ("module.", "_orig_mod.")  # prefixes that DataParallel and torch.compile add to names
EPSILON = 1e-5
LEAKY_SLOPE = 0.2
INSTANCE_LEFTOVERS = ("running_mean", "running_var", "num_batches_tracked")  # unused; instance norms before PyTorch 0.4
BLOCK = ".conv_block."
IN_FRONT = 4  # modules of a residual network before its halvings, which are three modules each
DROPOUT_FEWEST_LEVELS = 5


def read(path: Path, statistics: str | None) -> ForeignWeights:
    """Reads the generator of a file. Test mode is that of its test.py: norms use each image's own statistics."""
    tensors = Tensors(load_tensors(path))
    names = list(tensors.arrays)
    if any(name.startswith("model.model.") for name in names):
        convolutions, traits = _unet(tensors)
    elif any(BLOCK in name for name in names):
        convolutions, traits = _residual(tensors)
    elif any(name.startswith(("model.0.", "net.0.")) for name in names):
        raise UserError(
            f"A generator must be given. Received {path}, which holds a discriminator. Name latest_net_G.pth, and add "
            f"this file as `discriminator`."
        )
    else:
        raise Unfit(names[0] if names else "the file", "is there", "model.model.0.weight or model.1.weight")
    tensors.check_all_taken()
    traits["inference"]["statistics"] = statistics or "image"
    original, runtime = forward_of(convolutions, traits)
    return ForeignWeights(convolutions, traits=traits, original=original, runtime=runtime)


def read_discriminator(path: Path) -> list[Convolution]:
    """Reads the discriminator of a file."""
    tensors = Tensors(load_tensors(path))
    if any(name.startswith("net.") for name in tensors.arrays):
        modules = [("net.0", None), ("net.2", "net.3"), ("net.5", None)]
    else:
        hidden = sum(array.ndim == 4 for array in tensors.arrays.values()) - 2
        middle = [(f"model.{2 + 3 * index}", f"model.{3 + 3 * index}") for index in range(max(1, hidden))]
        modules = [("model.0", None), *middle, (f"model.{2 + 3 * max(1, hidden)}", None)]
    convolutions = [_convolution(tensors, *names) for names in modules]
    tensors.check_all_taken()
    return convolutions


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the file's arrays by name, without running anything in it.

    Raises:
        UserError: PyTorch is missing, or the file is damaged, would run code, or holds something else.
    """
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    tensors = {}
    for name, value in loaded.items() if isinstance(loaded, Mapping) else ():
        if not hasattr(value, "shape"):
            break
        for wrapper in WRAPPERS:
            name = str(name).removeprefix(wrapper)
        tensors[name] = value if isinstance(value, np.ndarray) else value.detach().float().numpy()
    else:
        if tensors:
            return tensors
    raise UserError(
        f"A file of weights must hold tensors by name, as torch.save(net.state_dict()) writes them. Received {path}, "
        f"which holds {'other things too' if tensors else 'none'}. Save the network's state_dict alone."
    )


def _torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs PyTorch. Received no module torch. Install it with pip install 'tfpix2pix[pytorch]' "
            f"or save the tensors as .safetensors on a machine that has it."
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error: ")[-1].splitlines()[0][:160]
        raise UserError(
            f"A file of weights must hold only tensors, because no code in it is run. Received {path}, which is "
            f"damaged or holds more ({reason}). Save net.state_dict() with PyTorch, or download the file again."
        ) from error
    except Exception as error:  # the archive, the unpickler and the tensors raise errors of many types
        raise _unreadable(path, error) from error


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except Exception as error:  # SafetensorError, and NumPy's errors for a shape or type
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A file of weights must be whole. Received {path}, which cannot be read: {shortly(error, 160)}. Download "
        f"it again."
    )


def _unet(tensors: Tensors) -> tuple[list[Convolution], dict]:
    levels = 1
    while any(name.startswith(_block(levels)) for name in tensors.arrays):
        levels += 1
    inner = range(1, levels - 1)
    last = _block(levels - 1)
    modules = [
        (f"{_block(0)}0", None, False), *((f"{_block(level)}1", f"{_block(level)}2", False) for level in inner),
        (f"{last}1", None, False), (f"{last}3", f"{last}4", True),
        *((f"{_block(level)}5", f"{_block(level)}6", True) for level in reversed(inner)), (f"{_block(0)}3", None, True),
    ]  # fmt: skip
    convolutions = [_convolution(tensors, *names) for names in modules]
    convolutions[levels + 1 :] = [replace(layer, skip_first=True) for layer in convolutions[levels + 1 :]]
    dropped = list(range(2, levels - DROPOUT_FEWEST_LEVELS + 2))
    return convolutions, _traits({"dropout_layers": dropped} if dropped else {}, dropout=bool(dropped))


def _block(depth: int) -> str:
    """Returns the prefix of the names in a nested block, `model.model.` for the outermost."""
    return "model.model." + "".join(f"{1 if level == 1 else 3}.model." for level in range(1, depth + 1))


def _residual(tensors: Tensors) -> tuple[list[Convolution], dict]:
    inner = _blocks(tensors, "model")
    if not inner:
        raise Unfit("the residual blocks", "are outside the module model", "names such as model.10.conv_block.1.weight")
    dropout = any(f"{BLOCK}6." in name and name.endswith("weight") and array.ndim == 4
                  for name, array in tensors.arrays.items())  # fmt: skip
    halvings, end = (inner[0] - IN_FRONT) // 3, inner[-1] + 1
    modules = _front("model", halvings) + _behind("model", inner, halvings, dropout)
    last, number = f"model.{end + 3 * halvings + 1}", 1
    while any(name.startswith(f"model{number}_1.") for name in tensors.arrays):  # an enhancer of pix2pixHD
        behind = f"model{number}_2"
        blocks = _blocks(tensors, behind)
        modules += _front(f"model{number}_1", 1) + _behind(behind, blocks, 1, dropout)
        last, number = f"{behind}.{len(blocks) + 4}", number + 1
    modules.append((last, None, False))
    instance = "instance" if halvings == RESNET_HALVINGS and number == 1 else "instance_non_affine"
    convolutions = [_convolution(tensors, *names, instance=instance) for names in modules]
    return convolutions, _traits({}, dropout=dropout)


def _blocks(tensors: Tensors, module: str) -> list[int]:
    """Returns the indices of the residual blocks in a module."""
    names = (name.split(".") for name in tensors.arrays if name.startswith(f"{module}.") and BLOCK in name)
    return sorted({int(index) for _, index, *_ in names if index.isdecimal()})


def _front(module: str, halvings: int) -> list[Names]:
    return [(f"{module}.{index}", f"{module}.{index + 1}", False) for index in range(1, 3 * halvings + 2, 3)]


def _behind(module: str, blocks: list[int], doublings: int, dropout: bool) -> list[Names]:
    """Returns the names of the convolutions of the residual blocks, and of the transposed ones that follow."""
    names: list[Names] = []
    second, end = 6 if dropout else 5, blocks[-1] + 1 if blocks else 0
    for index in blocks:
        block = f"{module}.{index}.conv_block."
        names += [(f"{block}1", f"{block}2", False), (f"{block}{second}", f"{block}{second + 1}", False)]
    transposed = range(end, end + 3 * doublings, 3)
    return names + [(f"{module}.{index}", f"{module}.{index + 1}", True) for index in transposed]


def _traits(generator: dict, *, dropout: bool) -> dict:
    noise = {"noise": "dropout", "dropout_rate": 0.5} if dropout else {"noise": "none"}
    return {
        "generator": {"leaky_slope": LEAKY_SLOPE, "skip_activation": "after", **noise, **generator},
        "inference": {"noise": "on" if dropout else "off"},
    }


def _convolution(
    tensors: Tensors, name: str, norm: str | None, transposed: bool = False, *, instance: str = "instance"
) -> Convolution:
    """Takes a convolution and its norm, of the kind `instance` if it has no weights.

    PyTorch's kernels are (out, in, height, width), transposed (in, out, …).
    """
    weight = tensors.take(f"{name}.weight", "a kernel of four dimensions")
    if weight.ndim != 4:
        raise Unfit(f"{name}.weight", f"has {weight.ndim} dimensions", "a kernel of four")
    bias = tensors.maybe(f"{name}.bias")
    kernel = weight.transpose(2, 3, 1, 0)  # (height, width, in, out); transposed (height, width, out, in)
    norm_ = None if norm is None else _norm(tensors, norm, instance, with_bias=bias is not None)
    return Convolution(f"{name}.weight", np.ascontiguousarray(kernel), bias, norm_, transposed)


def _norm(tensors: Tensors, name: str, instance: str, *, with_bias: bool) -> Norm | None:
    """Takes a norm. Instance norms have no weights, but the convolutions before them have a bias."""
    if f"{name}.weight" in tensors:
        tensors.ignore(f"{name}.num_batches_tracked")
        arrays = {key: tensors.maybe(f"{name}.{key}") for key in ("weight", "bias", "running_mean", "running_var")}
        return Norm(f"{name}.weight", "batch", *arrays.values(), epsilon=EPSILON)
    leftovers = [f"{name}.{leftover}" for leftover in INSTANCE_LEFTOVERS if f"{name}.{leftover}" in tensors]
    for leftover in leftovers:
        tensors.ignore(leftover)
    return Norm(name, instance, epsilon=EPSILON) if with_bias or leftovers else None
