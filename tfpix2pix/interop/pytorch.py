"""Weights of pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth` and `latest_net_D.pth`.

Its modules are nested (`model.model.1.model.3.…`) and numbered with what has no weights counted too, so that a tensor's
name says where it is. Names checked against its models/networks.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.interop.found import Convolution, Found, Norm, Tensors, Unfit

WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
EPSILON = 1e-5
LEAKY_SLOPE = 0.2
INSTANCE_LEFTOVERS = ("running_mean", "running_var", "num_batches_tracked")  # of instance norms before PyTorch 0.4
FIRST_BLOCK = 10  # of a residual network: three convolutions with norm and activation come before
DROPOUT_FEWEST_LEVELS = 5


def read(path: Path, statistics: str | None) -> Found:
    """The generator of a file; test mode as in its test.py: norms by each image's own statistics."""
    tensors = Tensors(load_tensors(path))
    names = list(tensors.arrays)
    if any(name.startswith("model.model.") for name in names):
        convolutions, traits = _unet(tensors)
    elif any(".conv_block." in name for name in names):
        convolutions, traits = _resnet(tensors)
    elif any(name.startswith(("model.0.", "net.0.")) for name in names):
        raise UserError(
            f"A generator must be given. Received {path}, which holds a discriminator. Give latest_net_G.pth, and this "
            f"one by --discriminator."
        )
    else:
        raise Unfit(names[0] if names else "the file", "is there", "model.model.0.weight or model.1.weight")
    tensors.check_all_taken()
    traits["inference"]["statistics"] = statistics or "image"
    from tfpix2pix.interop.torch_forward import forward_of

    original, runtime = forward_of(convolutions, traits)
    return Found(convolutions, traits=traits, original=original, runtime=runtime)


def read_discriminator(path: Path) -> list[Convolution]:
    tensors = Tensors(load_tensors(path))
    if any(name.startswith("net.") for name in tensors.arrays):
        places = [("net.0", None), ("net.2", "net.3"), ("net.5", None)]
    else:
        hidden = sum(array.ndim == 4 for array in tensors.arrays.values()) - 2
        middle = [(f"model.{2 + 3 * index}", f"model.{3 + 3 * index}") for index in range(max(1, hidden))]
        places = [("model.0", None), *middle, (f"model.{2 + 3 * max(1, hidden)}", None)]
    convolutions = [_convolution(tensors, *place) for place in places]
    tensors.check_all_taken()
    return convolutions


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Name -> array. Nothing in the file is run.

    Raises:
        UserError: PyTorch is missing, or the file is damaged, wants to run code, or holds something else.
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
            f"Reading {path} needs PyTorch. Received none here. Install it by pip install 'tfpix2pix[pytorch]', or "
            f"save the tensors as .safetensors where it is."
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = str(error).split("WeightsUnpickler error: ")[-1].splitlines()[0][:160]
        raise UserError(
            f"A file of weights must hold tensors alone, for nothing in it is run. Received {path}, which is damaged "
            f"or asks for more ({what}). Save net.state_dict() with PyTorch, or fetch the file again."
        ) from error
    except Exception as error:  # the archive, the unpickler and the tensors have errors of their own for each damage
        raise _unreadable(path, error) from error


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except Exception as error:  # SafetensorError, and what NumPy says of a shape or type
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A file of weights must be whole. Received {path}, which cannot be read: {shortly(error, 160)}. Fetch it "
        f"again."
    )


def _unet(tensors: Tensors) -> tuple[list[Convolution], dict]:
    levels = 1
    while any(name.startswith(_block(levels)) for name in tensors.arrays):
        levels += 1
    inner = range(1, levels - 1)
    last = _block(levels - 1)
    places = [
        (f"{_block(0)}0", None, False), *((f"{_block(level)}1", f"{_block(level)}2", False) for level in inner),
        (f"{last}1", None, False), (f"{last}3", f"{last}4", True),
        *((f"{_block(level)}5", f"{_block(level)}6", True) for level in reversed(inner)), (f"{_block(0)}3", None, True),
    ]  # fmt: skip
    convolutions = [_convolution(tensors, *place) for place in places]
    convolutions[levels + 1 :] = [replace(each, skip_first=True) for each in convolutions[levels + 1 :]]
    dropped = list(range(2, levels - DROPOUT_FEWEST_LEVELS + 2))
    return convolutions, _traits({"dropout_layers": dropped} if dropped else {}, dropout=bool(dropped))


def _block(depth: int) -> str:
    """The prefix of the modules of a nested block: of the outermost, `model.model.`."""
    return "model.model." + "".join(f"{1 if level == 1 else 3}.model." for level in range(1, depth + 1))


def _resnet(tensors: Tensors) -> tuple[list[Convolution], dict]:
    blocks = len({name.split(".")[1] for name in tensors.arrays if ".conv_block." in name})
    dropout = any(".conv_block.6." in name and name.endswith("weight") and array.ndim == 4
                  for name, array in tensors.arrays.items())  # fmt: skip
    second = 6 if dropout else 5
    places: list[tuple[str, str | None, bool]] = [
        (f"model.{index}", f"model.{index + 1}", False) for index in (1, 4, 7)
    ]
    for index in range(FIRST_BLOCK, FIRST_BLOCK + blocks):
        block = f"model.{index}.conv_block."
        places += [(f"{block}1", f"{block}2", False), (f"{block}{second}", f"{block}{second + 1}", False)]
    end = FIRST_BLOCK + blocks
    places += [(f"model.{index}", f"model.{index + 1}", True) for index in (end, end + 3)]
    places.append((f"model.{end + 7}", None, False))
    return [_convolution(tensors, *place) for place in places], _traits({}, dropout=dropout)


def _traits(generator: dict, *, dropout: bool) -> dict:
    noise = {"noise": "dropout", "dropout_rate": 0.5} if dropout else {"noise": "none"}
    return {
        "generator": {"leaky_slope": LEAKY_SLOPE, "skip_activation": "after", **noise, **generator},
        "inference": {"noise": "on" if dropout else "off"},
    }


def _convolution(tensors: Tensors, name: str, norm: str | None, transposed: bool = False) -> Convolution:
    """Kernels of PyTorch are (out, in, height, width), transposed ones (in, out, height, width)."""
    weight = tensors.take(f"{name}.weight", "a kernel of four dimensions")
    if weight.ndim != 4:
        raise Unfit(f"{name}.weight", f"has {weight.ndim} dimensions", "a kernel of four")
    bias = tensors.maybe(f"{name}.bias")
    kernel = weight.transpose(2, 3, 1, 0)  # (height, width, in, out); transposed (height, width, out, in)
    found = None if norm is None else _norm(tensors, norm, with_bias=bias is not None)
    return Convolution(f"{name}.weight", np.ascontiguousarray(kernel), bias, found, transposed)


def _norm(tensors: Tensors, name: str, *, with_bias: bool) -> Norm | None:
    """Batch norms have weights; instance norms none, and their convolutions a bias in place of them."""
    if f"{name}.weight" in tensors:
        tensors.ignore(f"{name}.num_batches_tracked")
        arrays = {key: tensors.maybe(f"{name}.{key}") for key in ("weight", "bias", "running_mean", "running_var")}
        return Norm(f"{name}.weight", "batch", *arrays.values(), epsilon=EPSILON)
    leftovers = [f"{name}.{leftover}" for leftover in INSTANCE_LEFTOVERS if f"{name}.{leftover}" in tensors]
    for leftover in leftovers:
        tensors.ignore(leftover)
    return Norm(name, "instance", epsilon=EPSILON) if with_bias or leftovers else None
