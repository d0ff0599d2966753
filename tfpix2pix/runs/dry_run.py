"""Describes a planned training for `train --dry-run`: its configuration, networks, data and directory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tfpix2pix.config import Config
from tfpix2pix.config.resolve import to_yaml
from tfpix2pix.errors import plural
from tfpix2pix.losses import GAN_LOSSES
from tfpix2pix.models.pyramid import scales_of
from tfpix2pix.models.sizes import receptive_field_of_scale
from tfpix2pix.models.upsampling import SubpixelConv2D
from tfpix2pix.runs.estimate import Networks, needs
from tfpix2pix.runs.plan import Plan
from tfpix2pix.runs.stages import describe as describe_stage
from tfpix2pix.runs.stages import stages_of
from tfpix2pix.training.settings import TrainingConfig

# Types of layers, as the column `then` names them. Other layers have their own names there.
SHORT = {
    "BatchNormalization": "batch norm", "InstanceNormalization": "instance norm", "NoiseDropout": "dropout",
    "Concatenate": "skip", "Activation": "tanh", "ReLU": "ReLU", "LeakyReLU": "LeakyReLU", "Add": "add",
    "GaussianChannel": "Gaussian z", "UpSampling2D": "nearest ×2", "Bilinear": "bilinear ×2", "Blur": "blur",
    "PadToMultiple": "pad", "CropBack": "crop", "Modulation": "modulation", "StyleChannels": "z beside",
    "Halve": "mean to half the size", "ScalarMeans": "scalars", "WithoutScalars": "without scalars",
}  # fmt: skip
KINDS = {
    "Transposed3": "Conv2DTranspose", "SubpixelConv2D": "Conv2D, to subpixels,",
    "DoublingConv2D": "Conv2D, doubling,",
    "ProductConv2D": "Conv2D", "ProductConv2DTranspose": "Conv2DTranspose",
}  # fmt: skip
LEFT_OUT = ("ZeroPadding2D", "ReflectionPad", "Normals")


@dataclass
class Row:
    """Holds a convolution and the layers between it and the next one."""

    name: str
    kind: str
    output: tuple[int | None, ...]  # height, width, channels
    parameters: int = 0  # trainable
    flops: int = 0  # of the convolution, one image, forward; a multiplication and an addition count as two
    receptive_field_px: int = 0  # without skip connections
    then: list[str] = field(default_factory=list)


def rows_of(model: keras.Model) -> list[Row]:
    """Returns the layers of a network of fixed input size, a row for each convolution and the layers after it."""
    rows = [Row("input", "", tuple(model.inputs[0].shape[1:]))]
    number_of: dict[str, int] = {}  # index of the row that a layer belongs to
    reach, jump = 1, 1  # receptive field, and distance between neighbouring outputs, px of the input
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, keras.layers.SpectralNormalization) else layer
        if isinstance(inner, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
            size, stride = inner.kernel_size[0], inner.strides[0]
            reach, jump = reach + (size - 1) * jump, jump * stride
            kind = f"{KINDS.get(type(inner).__name__, type(inner).__name__)} {size}×{size}" + (
                f" /{stride}" if stride > 1 else ""
            )
            rows.append(Row(inner.name, kind, (), flops=_flops(inner, layer), receptive_field_px=reach))
            number_of[layer.name] = len(rows) - 1
            if layer is not inner:
                rows[-1].then.append("spectral norm")
        else:  # branches take turns in `model.layers`, so a layer goes with what it follows
            before = [number_of[name] for name in _names_before(layer)]
            number_of[layer.name] = max(before, default=0)
            if isinstance(layer, keras.layers.InputLayer) or type(layer).__name__ in LEFT_OUT:
                continue
            beside = layer.name == "pair"  # D's input beside the target
            name = "beside the input" if beside else SHORT.get(type(layer).__name__, layer.name)
            rows[number_of[layer.name]].then.append(name)
        row = rows[number_of[layer.name]]
        row.parameters += parameters(layer)
        row.output = tuple(layer.output.shape[1:])
    return rows


def _names_before(layer: Any) -> list[str]:
    """Returns the names of the layers whose outputs a layer takes."""
    return [node.operation.name for inbound in layer._inbound_nodes[:1] for node in inbound.parent_nodes]


def parameters(layer: Any) -> int:
    """Counts the trainable parameters of a layer or network."""
    return sum(math.prod(variable.shape) for variable in layer.trainable_variables)


def _flops(convolution: Any, layer: Any) -> int:
    """Counts FLOPs: 2 × size of the kernel × pixels of the output, or of the input if the convolution enlarges."""
    enlarges = isinstance(convolution, (keras.layers.Conv2DTranspose, SubpixelConv2D))
    _, height, width, _ = (layer.input if enlarges else layer.output).shape
    return 2 * math.prod(convolution.kernel.shape) * height * width


def layer_table(model: keras.Model, *, receptive_field: bool) -> Table:
    """Returns a table of a network's rows, with totals below."""
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


def describe(plan: Plan) -> Group:
    """Describes a planned training: the resolved configuration, the layers of the networks, data and directory."""
    config = plan.config
    pairs = "No data given: set data.dir to check them."
    if plan.sources:
        pairs = "\n".join((f"{plan.division.sentence}.", *plan.division.warnings, *plan.notes))
    networks = Networks.of(config)
    counts = plan.sources and (len(plan.sources["train"]), len(plan.sources["val"]))
    lines = needs(config, networks, plan.directory and plan.directory.path, pairs=counts)
    spec, terms, patch = config.training, config.objective, config.discriminator.receptive_field_px
    weights = ", ".join(f"{name} {weight:g}" for name, weight in terms.weights.items() if weight)
    untrained = "" if GAN_LOSSES[terms.gan_loss].adversarial else f", not trained (gan_loss: {terms.gan_loss})"
    return Group(
        Text(to_yaml(config)),
        Text(f"Generator: {config.generator.kind}, size multiple {config.size_multiple_px} px"),
        layer_table(networks.generator, receptive_field=False),
        *_discriminators(networks.discriminator, patch, untrained),
        Text(
            f"\nMFLOP: convolutions, one image, forward.\n"
            f"Recipe: {config.recipe or 'none named'}.\nLength: {_length(spec)}.\n{_stages(config)}"
            f"Objective: {config.objective_name} ({weights}), "
            f"{terms.gan_loss}, update order {spec.update_order}.\n" + "\n".join((*lines, pairs, _destination(plan)))
        ),
    )


def _destination(plan: Plan) -> str:
    if plan.directory is None:
        return "Nothing was written."
    if plan.resume:
        step = plan.card.step if plan.card else 0
        return f"Would resume {plan.directory.path} from step {step}. Nothing was written."
    return f"Would write {plan.directory.path}. Nothing was written."


def _discriminators(discriminator: keras.Model, patch_px: int, untrained: str) -> Iterator[Text | Table]:
    """Yields a heading, which ends with `untrained`, and a table for each scale."""
    scales = scales_of(discriminator)
    for number, scale in enumerate(scales, 1):
        where = f", scale {number} of {len(scales)}" if len(scales) > 1 else ""
        whole_px = receptive_field_of_scale(patch_px, number)
        there = f" at 1/{2 ** (number - 1)} of the side, {whole_px} px of the whole image" if number > 1 else ""
        yield Text(f"\nDiscriminator{where}: receptive field {patch_px} px{there}{untrained}")
        yield layer_table(scale, receptive_field=True)


def _stages(config: Config) -> str:
    """Returns a line about each stage, nothing for a training of one."""
    stages = stages_of(config)
    return "".join(f"{describe_stage(config, stage)}\n" for stage in stages) if len(stages) > 1 else ""


def _length(spec: TrainingConfig) -> str:
    if spec.epochs is not None:
        if spec.pairs_per_epoch is None:
            return f"{spec.epochs:g} epochs (pairs are counted when there are data)"
        epochs = f"{spec.epochs:g} epoch{'s' * (spec.epochs != 1)}"
        return f"{plural(spec.steps, 'step')}, {epochs} of {plural(spec.pairs_per_epoch, 'pair')}"
    if spec.minutes is None or spec.seconds_per_step is not None:
        return plural(spec.within_minutes().steps, "step")
    return (
        f"{spec.minutes:g} minutes, and at most {spec.steps} steps (the time of a step is measured when the run begins)"
    )
