"""What a configuration builds, as tables to read before training: layers, shapes, parameters, FLOPs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
from rich.table import Table

from tfpix2pix.models.upsampling import SubpixelConv2D

# What stands in the column `then`; layers of other types are called by their type, padding is left out.
SHORT = {
    "BatchNormalization": "batch norm", "InstanceNormalization": "instance norm", "NoiseDropout": "dropout",
    "Concatenate": "skip", "Activation": "tanh", "ReLU": "ReLU", "LeakyReLU": "LeakyReLU", "Add": "add",
    "GaussianChannel": "Gaussian z", "UpSampling2D": "nearest ×2", "Bilinear": "bilinear ×2", "Blur": "blur",
    "PadToMultiple": "pad", "CropBack": "crop",
}  # fmt: skip
KINDS = {
    "Transposed3": "Conv2DTranspose", "SubpixelConv2D": "Conv2D, to subpixels,",
    "DoublingConv2D": "Conv2D, doubling,",
    "ProductConv2D": "Conv2D", "ProductConv2DTranspose": "Conv2DTranspose",
}  # fmt: skip
PADDING = ("ZeroPadding2D", "ReflectionPad")


@dataclass
class Row:
    """One convolution and the layers up to the next."""

    name: str
    kind: str
    output: tuple[int | None, ...]  # height, width, channels
    parameters: int = 0  # trainable
    flops: int = 0  # of the convolution, for one image forward; a multiplication and an addition are two
    receptive_field_px: int = 0  # of a plain stack; skip connections are not followed
    then: list[str] = field(default_factory=list)


def rows_of(model: keras.Model) -> list[Row]:
    """The layers of a network of fixed size in their order, gathered by convolution."""
    rows = [Row("input", "", tuple(model.inputs[0].shape[1:]))]
    reach, jump = 1, 1  # receptive field and distance between neighbouring outputs, px
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, keras.layers.SpectralNormalization) else layer
        if isinstance(inner, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
            size, stride = inner.kernel_size[0], inner.strides[0]
            reach, jump = reach + (size - 1) * jump, jump * stride
            kind = f"{KINDS.get(type(inner).__name__, type(inner).__name__)} {size}×{size}" + (
                f" /{stride}" if stride > 1 else ""
            )
            rows.append(Row(inner.name, kind, (), flops=_flops(inner, layer), receptive_field_px=reach))
            if layer is not inner:
                rows[-1].then.append("spectral norm")
        elif isinstance(layer, keras.layers.InputLayer) or type(layer).__name__ in PADDING:
            continue
        else:
            beside = layer.name == "pair"  # D's input beside the target
            rows[-1].then.append("beside the input" if beside else SHORT.get(type(layer).__name__, layer.name))
        rows[-1].parameters += parameters(layer)
        rows[-1].output = tuple(layer.output.shape[1:])
    return rows


def parameters(layer: Any) -> int:
    """Trainable parameters of a layer or network."""
    return sum(math.prod(variable.shape) for variable in layer.trainable_variables)


def _flops(convolution: Any, layer: Any) -> int:
    """Twice the products of kernel and map: the kernel at every place of the output, or, enlarging, of the input."""
    enlarges = isinstance(convolution, (keras.layers.Conv2DTranspose, SubpixelConv2D))
    _, height, width, _ = (layer.input if enlarges else layer.output).shape
    return 2 * math.prod(convolution.kernel.shape) * height * width


def layer_table(model: keras.Model, *, receptive_field: bool) -> Table:
    """The rows of a network and its totals."""
    rows = rows_of(model)
    table = Table(show_footer=True, box=None, padding=(0, 2, 0, 0))
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("convolution", no_wrap=True)
    table.add_column("output", "", no_wrap=True)
    table.add_column("parameters", f"{sum(row.parameters for row in rows):,}", justify="right")
    table.add_column("MFLOP", f"{sum(row.flops for row in rows) / 1e6:,.1f}", justify="right")
    if receptive_field:
        table.add_column("sees, px", str(rows[-1].receptive_field_px), justify="right")
    table.add_column("then", no_wrap=True)
    for row in rows:
        cells = [row.name, row.kind, "×".join(map(str, row.output)), f"{row.parameters:,}", f"{row.flops / 1e6:,.1f}"]
        table.add_row(*cells, *([str(row.receptive_field_px or 1)] if receptive_field else []), ", ".join(row.then))
    return table
