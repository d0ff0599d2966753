"""Defines the parts of a target that lies in several files: `data.targets`, one part a file.

They are stacked along the channels, as the parts of an input are. The stack holds the values of the files as floats,
and each channel has the range of its part (`data.target_range`). So everything that takes a target of several channels
takes the stack. A label map is one channel of class indices, which becomes a channel for each class in the networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tfpix2pix.data import INPUT_KINDS, SOURCES, source_row
from tfpix2pix.data.parts import MOST_PARTS, USUAL_KIND, InputPart, as_list, rules_of_label_maps
from tfpix2pix.data.value_types import UnitName
from tfpix2pix.section import row_of


class TargetPart(InputPart):
    """Configures one of the files of a target."""

    section: ClassVar[str] = "data.targets"
    kind: row_of(INPUT_KINDS, lambda row: row.read_target is not None) = USUAL_KIND
    """Kind of the part. `image`: a picture or a map of values. `labels`: a label map, of which each class is a channel
    in the networks. `distance`: a mask, of which the distance to its boundary is learned, px."""
    depth: Literal["uint8", "uint16", "float32"] | None = None
    """Type of the values in the files that `translate` writes. null: uint8 without a `range`, else float32. Label maps
    are written as class indices, uint8, and distances as float32."""
    unit: UnitName | None = None
    """Unit of the values, such as m/s. `evaluate` then gives the part's errors in it, for which it needs a `range`."""

    @model_validator(mode="after")
    def _label_maps_have_no_depth(self) -> TargetPart:
        for key in ("depth", "unit"):
            if self.classes and getattr(self, key) is not None:
                raise ValueError(
                    f"`{self.section}` must give the {key} of images only. Received {key} for {self.name!r}, a label "
                    f"map, which is written as class indices. Leave it out"
                )
        return self

    @model_validator(mode="after")
    def _values_below_0_are_floats(self) -> TargetPart:
        is_distance, has_negatives = self.kind == "distance", self.range is not None and self.range[0] < 0
        if self.depth not in (None, "float32") and (is_distance or has_negatives):
            rule = "distances, which are negative outside" if is_distance else f"a range from {self.range[0]:g}"
            raise ValueError(
                f"`{self.section}` must have the depth float32 for {rule}. Received {self.depth} for {self.name!r}. "
                f"Leave it out"
            )
        return self

    @model_validator(mode="after")
    def _a_unit_has_a_range(self) -> TargetPart:
        if self.unit and not self.range:
            raise ValueError(
                f"`{self.section}` must give a range to a part with a unit. Received {self.name!r} with {self.unit!r} "
                f"alone. Write {{name: {self.name}, range: [0, 40], unit: {self.unit}}}, for example"
            )
        return self

    @property
    def dtype(self) -> np.dtype:
        """Returns the type of the values in files."""
        return np.dtype(self.depth or ("float32" if self.range else "uint8"))

    @property
    def bounds(self) -> tuple[float, float]:
        """Returns the values that are mapped to -1 and 1."""
        return self.range or (0.0, float(np.iinfo(self.dtype).max) if self.dtype.kind == "u" else 1.0)


TargetParts = Annotated[
    tuple[TargetPart, ...], Field(min_length=1, max_length=MOST_PARTS), BeforeValidator(as_list)
]  # of `data.targets`


def settings_of_targets(parts: Any) -> dict[str, Any]:
    """Returns the keys of `data` that follow from `targets`, which may not be valid yet: then none do."""
    try:
        made = [
            part if isinstance(part, TargetPart) else TargetPart.model_validate(part) for part in as_list(parts) or ()
        ]
    except (TypeError, ValueError):
        return {}
    ranges = tuple(part.bounds for part in made for _ in range(part.stacked_channels))
    return {"target_channels": len(ranges), "target_range": ranges} if made else {}


def check_targets(data: Any) -> None:
    """Raises ValueError if other keys of a `DataConfig` do not go with its `targets`."""
    parts: Sequence[TargetPart] = data.targets
    names, of_table = [part.name for part in parts], data.source == "table"
    inputs = [part.place for part in data.inputs or ()] or ["input" if of_table else data.input_folder]
    places = [place.strip().lower() if of_table else place for place in (*inputs, *(part.place for part in parts))]
    follow = settings_of_targets(parts)
    sources = " or ".join(name for name in SOURCES if source_row(name).several)
    jitters = data.color_jitter > 0 and data.color_jitter_side == "target"
    each = "because each part has its own,"
    values = "null, because label maps are read as class indices or by `data.class_colors`,"
    allowed_by_key = {  # whether its value is allowed, the allowed values
        "source": (source_row(data.source).several, sources),
        "target_channels": (data.target_channels == follow["target_channels"], "left out"),
        "target_range": (data.target_range == follow["target_range"], f"left out, {each}"),
        "target_percentiles": (data.target_percentiles is None, f"null, {each}"),
        "target_unit": (data.target_unit is None, "null, because each part has its `unit`,"),
        "target_classes": (data.target_classes is None, "null, because each part has its classes,"),
        "target_class_values": (data.target_class_values is None, values),
        "color_space": (data.color_space == "rgb", "rgb"),
        "color_jitter_side": (not jitters, "input"),
        "weight": (data.weight != "alpha", "a folder, a column or a value for no data"),
    }
    rules = [(key, getattr(data, key), *rule) for key, rule in allowed_by_key.items()]
    for key, value, allowed, rule in (*rules, *rules_of_label_maps(data, parts)):
        if not allowed:
            raise ValueError(
                f"`data.{key}` must be {rule} with `data.targets`. Received {value} with {', '.join(names)}. Change "
                f"one of the two"
            )
    for values, what in (([name.lower() for name in names], "name"), (places, "folder or column")):
        if len(set(values)) < len(values) or (of_table and what != "name" and "split" in values):
            raise ValueError(
                f"`data.targets` must give each part a {what} of its own. Received {', '.join(values)}. Rename a part"
            )


def channels_of_targets(data: Any) -> list[tuple[TargetPart, slice]]:
    """Returns the parts of the targets of a `DataConfig`, each with its channels in the stack."""
    parts: Sequence[TargetPart] = data.targets or ()
    ends = accumulate((part.stacked_channels for part in parts), initial=0)
    return [(part, slice(start, end)) for part, (start, end) in zip(parts, pairwise(ends), strict=True)]


class LabelPart(NamedTuple):
    """Holds a label map among the parts of a target: its name, its number of classes, and its channel in the stack."""

    name: str
    classes: int
    channel: int


def label_parts(data: Any) -> tuple[LabelPart, ...]:
    """Returns the label maps among the parts of the targets of a `DataConfig`."""
    return tuple(
        LabelPart(part.name, part.classes, channels.start)
        for part, channels in channels_of_targets(data)
        if part.classes
    )


def split_targets(stack: Any, data: Any) -> dict[str, Any]:
    """Returns the images of a stack, an array or a tensor (…, C), by the names of their parts: the channels as they
    are."""
    return {part.name: stack[..., channels] for part, channels in channels_of_targets(data)}


def as_files(stack: np.ndarray, data: Any) -> Mapping[str, np.ndarray]:
    """Returns the images of a stack, float32 (H, W, C) of the files' values, by the names of their parts, each in its
    own depth: of a label map the class indices."""
    images = {}
    for part, image in zip(data.targets, split_targets(stack, data).values(), strict=True):
        if part.dtype.kind == "u":
            image = np.clip(np.rint(image), 0, np.iinfo(part.dtype).max)
        images[part.name] = image.astype(part.dtype)
    return images
