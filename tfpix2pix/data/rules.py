"""Checks that settings of label maps, of ranges of values and of rectangles go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfpix2pix.data import source_row
from tfpix2pix.errors import UserError

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig

LARGEST = 1e38  # of a range; the difference of two is a float32
RANGES = {"input_range": "input_percentiles", "target_range": "target_percentiles"}  # and what they are measured by


def check_label_maps(data: DataConfig) -> None:
    """Raises ValueError if other keys of a `DataConfig` do not go with its `input_classes` or `target_classes`."""
    for side, classes, values in zip(("input", "target"), data.classes, data.class_values, strict=True):
        if classes is None:
            continue
        names, colors = data.class_names or (), data.class_colors or ()
        levels = values if isinstance(values, tuple) else tuple(range(classes))
        jitter = data.color_jitter if data.color_jitter_side == side else 0.0
        rules = (  # key, whether its value is allowed, the allowed values
            (f"{side}_channels", getattr(data, f"{side}_channels") == 1, "1"),
            (f"{side}_range", getattr(data, f"{side}_range") is None, "null"),
            ("color_space", data.color_space == "rgb", "rgb"),
            ("source", not data.makes_inputs, "a source of pairs in files"),
            ("color_jitter", jitter == 0, f"0, or `data.color_jitter_side` must not be {side},"),
            (
                "class_colors",
                not colors or len(set(colors)) == len(colors) == classes,
                f"{classes} different colours",
            ),
            (f"{side}_class_values", len(set(levels)) == len(levels) == classes, f"{classes} different values"),
            (
                f"{side}_class_values",
                values != "colors" or colors,
                "other than colors, without `data.class_colors`",
            ),
            ("class_names", not names or len(names) == classes, f"{classes} labels"),
            ("ignore_class", data.ignore_class is None or data.ignore_class >= classes, f"{classes} or more"),
            (
                "ignore_class",
                data.ignore_class not in levels,
                "another value than those of `data." + f"{side}_class_values`",
            ),
        )
        for key, allowed, rule in rules:
            if not allowed:
                value = getattr(data, key)
                received = f"{len(value)} of them" if key in ("class_colors", "class_names") else value
                if key == "class_colors" and len(value) == classes:
                    received = f"{next(list(color) for color in value if value.count(color) > 1)} twice"
                raise ValueError(
                    f"`data.{key}` must be {rule} with `data.{side}_classes: {classes}`. Received {received}. "
                    f"Change one of the two"
                )


def check_one_range(data: DataConfig, what: str) -> None:
    """Raises UserError if channels have ranges of their own, which `what` does not take."""
    for key in RANGES:
        value = getattr(data, key)
        if value and isinstance(value[0], tuple):
            raise UserError(
                f"{what} must have a model with one range for all channels. Received one with `data.{key}` of "
                f"{len(value)} ranges. Use `tfpix2pix translate`, or export it in another format."
            )


def check_ranges(data: DataConfig) -> None:
    """Raises ValueError if a range, percentiles or the targets' unit are not valid, or do not go with other keys."""
    for side, (key, by) in enumerate(RANGES.items()):
        value, percentiles = getattr(data, key), getattr(data, by)
        if percentiles and not percentiles[0] < percentiles[1]:
            raise ValueError(
                f"`data.{by}` must be two percentiles, the smaller first. Received {list(percentiles)}. Exchange "
                f"them, or take two that differ"
            )
        if percentiles and (data.classes[side] or data.makes_inputs or (side == 0 and data.inputs)):
            raise ValueError(
                f"`data.{by}` must be null for label maps, inputs in several files and photographs with an operator. "
                f"Received {list(percentiles)}. Leave it out"
            )
        by_channel = bool(value) and isinstance(value[0], tuple)
        channels = (data.input_channels, data.target_channels)[side]
        if by_channel and (len(value) != channels or data.makes_inputs):
            raise ValueError(
                f"`data.{key}` must have a range for each of the {channels} channels, of pairs in files. Received "
                f"{len(value)} with `data.source: {data.source}`. Give as many, or two numbers for all channels"
            )
        for low, high in value if by_channel else [value] if value else ():
            if not (abs(low) <= LARGEST and abs(high) <= LARGEST):  # nor NaN
                raise ValueError(
                    f"`data.{key}` must be two numbers of at most {LARGEST:g}. Received {[low, high]}. Set it to the "
                    f"smallest and the largest value of your data"
                )
            if not low < high:
                way_out = "Exchange them" if low > high else "Set the values that become black and white"
                raise ValueError(
                    f"`data.{key}` must be two different numbers, the smaller first. Received {[low, high]}. {way_out}"
                )
    if data.target_unit and data.target_range and isinstance(data.target_range[0], tuple):
        raise ValueError(
            f"`data.target_unit` must go with one range for all channels. Received {data.target_unit!r} with "
            f"{len(data.target_range)} ranges. Leave it out, or give two numbers"
        )
    if data.target_unit and data.target_percentiles and data.percentiles_of == "channel" and data.target_channels > 1:
        raise ValueError(
            f"`data.target_unit` must go with one range for all channels. Received {data.target_unit!r} with "
            f"`data.percentiles_of: channel` for {data.target_channels} channels. Leave one of the two out"
        )
    has_range = (data.target_range or data.target_percentiles) and not data.target_classes
    if data.target_unit and not has_range:
        raise ValueError(
            f"`data.target_unit` must come with `data.target_range` or `data.target_percentiles`, of images. Received "
            f"{data.target_unit!r} without. Set the values that become black and white"
        )


def check_rectangle(data: DataConfig) -> None:
    """Raises ValueError if `image_size_px` is a rectangle and another key of a `DataConfig` needs a square."""
    if data.size_px.is_square:
        return
    rules = (  # what asks for squares, if it is set, and what to do
        (f"source: {data.source}`, which draws", source_row(data.source).drawn, "choose another source"),
        ("rotate: true`, whose right angles need", data.rotate, "set it to false"),
    )
    for reason, is_set, way_out in rules:
        if is_set:
            raise ValueError(
                f"`data.image_size_px` must be one number with `data.{reason} squares. Received "
                f"{list(data.size_px)}. Give the side of a square, or {way_out}"
            )
