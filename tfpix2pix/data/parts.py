"""Defines the parts of an input that lies in several files: `data.inputs`, one part a file or a number.

An example is an instance map beside a label map (pix2pixHD: Wang et al., CVPR 2018, §3.3), another a wind speed beside
a terrain. Parts are stacked to one image along its channels, in the order of `data.inputs`. So everything that takes an
input takes the stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from tfpix2pix.data import INPUT_KINDS, SOURCES, source_row
from tfpix2pix.data.rows import InputKind
from tfpix2pix.errors import UserError
from tfpix2pix.section import Section, row_of

PART_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"  # of a tensor of a served model, too
LONGEST_PART_NAME = 40
MOST_PARTS = 16
TAKEN = ("target", "split", "noise", "image")  # columns of a table, and tensors of a served model
USUAL_KIND = "image"
LARGEST_ID = 2**24  # of an instance in float32, which does not hold every larger whole number
Number = Annotated[float, Field(ge=-1e38, le=1e38)]


class InputPart(Section):
    """Configures one of the files of an input, or a number beside them."""

    section: ClassVar[str] = "data.inputs"
    name: str = Field(pattern=PART_NAME, max_length=LONGEST_PART_NAME)
    """Name of the part: in `translate --input NAME=PATH` and in the signatures of a served model."""
    kind: row_of(INPUT_KINDS) = USUAL_KIND
    """Kind of the part. `image`: a picture. `labels`: a label map. `instances`: an instance map, whose boundaries the
    networks see. `distance`: a mask, which becomes the distance to its boundary. `scalar`: a number, which becomes a
    channel of one value. If the name of a part is that of a kind, the part is of that kind."""
    folder: str | None = None
    """Folder of the files, for `folders`, or their column, for `table`. For a scalar: its column, of the table or of
    `scalars.csv`. null: the name."""
    channels: int | None = Field(None, ge=1, le=4096)
    """Number of channels of an image. null: 3."""
    range: tuple[Number, Number] | None = None
    """Values of an image or a scalar, or distances in px, that are mapped to -1 and 1. null, for images alone: 0 and
    the largest value of 8 or 16 bits, or 0 and 1 for floats."""
    classes: int | None = Field(None, ge=2, le=256)
    """Number of classes of a label map, which is read by `data.class_colors` or as class indices."""

    @property
    def row(self) -> InputKind:
        """Returns the row of the part's kind."""
        return INPUT_KINDS[self.kind]

    @property
    def place(self) -> str:
        """Returns the folder or column of the files."""
        return self.folder or self.name

    @property
    def stacked_channels(self) -> int:
        """Returns the number of channels of the part in the stack."""
        return self.channels or self.row.channels

    @property
    def network_channels(self) -> int:
        """Returns the number of channels that the networks see of the part."""
        return self.classes or self.stacked_channels

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, settings: Any) -> Any:
        settings = {"name": settings} if isinstance(settings, str) else settings
        if isinstance(settings, dict) and settings.get("name") in INPUT_KINDS:
            return {"kind": settings["name"], **settings}
        return settings

    @model_validator(mode="after")
    def _settings_suit_the_kind(self) -> InputPart:
        for key in ("channels", "range", "classes"):
            if getattr(self, key) is not None and key not in self.row.settings:
                raise ValueError(
                    f"`{self.section}` must give the {key} of parts of another kind only. Received {key} for "
                    f"{self.name!r}, of the kind {self.kind}. Leave it out"
                )
        key, example = self.row.needs or ("name", "")
        if getattr(self, key) is None:
            needed = f"the number of {key}" if key == "classes" else f"the {key}"
            noun = "a label map" if self.kind == "labels" else f"a {self.kind}"
            raise ValueError(
                f"`{self.section}` must give {needed} of {noun}. Received {self.name!r} without it. Write {{name: "
                f"{self.name}, kind: {self.kind}, {key}: {example}}}, for example"
            )
        if self.range and not self.range[0] < self.range[1]:
            raise ValueError(
                f"`{self.section}` must give a range as two numbers, the smaller first. Received {list(self.range)} "
                f"for {self.name!r}. Set the values that become black and white"
            )
        if self.name.lower() in TAKEN:
            raise ValueError(
                f"`{self.section}` must have other names than {', '.join(TAKEN)}. Received {self.name!r}. Rename the "
                f"part"
            )
        return self


def as_list(value: Any) -> Any:
    """Returns one part, a name or a mapping with a name, as a list of it."""
    return [value] if isinstance(value, str) or (isinstance(value, dict) and "name" in value) else value


InputParts = Annotated[
    tuple[InputPart, ...], Field(min_length=1, max_length=MOST_PARTS), BeforeValidator(as_list)
]  # of `data.inputs`


def check_one_file(data: Any, what: str) -> None:
    """Raises UserError if a `DataConfig` has inputs or targets in several files, which `what` does not take."""
    check_one_target(data, f"{what} must have a model with", "Use `tfpix2pix translate`, or export it as a SavedModel")
    if data.inputs:
        names = " and ".join(part.name for part in data.inputs)
        raise UserError(
            f"{what} must have a model with inputs of one file. Received one with `data.inputs`: {names}. Use "
            f"`tfpix2pix translate`, or export it as a SavedModel."
        )


def check_one_target(data: Any, rule: str, advice: str) -> None:
    """Raises UserError if a `DataConfig` has targets in several files. The sentence begins with `rule`."""
    if data.targets:
        names = " and ".join(part.name for part in data.targets)
        raise UserError(f"{rule} targets of one file. Received `data.targets`: {names}. {advice}.")


def channels_of(parts: Any) -> int | None:
    """Returns the number of channels of the stack of `parts`, which may not be valid yet; None if they are not."""
    try:
        made = [part if isinstance(part, InputPart) else InputPart.model_validate(part) for part in as_list(parts)]
    except (TypeError, ValueError):
        return None
    return sum(part.stacked_channels for part in made)


def scalar_channels(data: Any) -> tuple[int, ...]:
    """Returns the channels of the scalars of a `DataConfig`, among those that the networks see."""
    parts, ends = data.inputs or (), list(accumulate(part.network_channels for part in data.inputs or ()))
    return tuple(end - 1 for part, end in zip(parts, ends, strict=True) if not part.row.in_files)


def rules_of_label_maps(data: Any, parts: Sequence[InputPart]) -> list[tuple[str, Any, bool, str]]:
    """Returns the rules of a `DataConfig` that follow from the label maps among parts: key, value, whether it is
    allowed, and the allowed values."""
    labels, colors, names = [part for part in parts if part.classes], data.class_colors or (), data.class_names or ()
    first, most = (labels[0].classes, max(part.classes for part in labels)) if labels else (0, 0)
    return [
        (
            "class_colors",
            f"{len(colors)} of them",
            not colors or all(len(set(colors)) == len(colors) == part.classes for part in labels),
            f"{first} different colours",
        ),
        (
            "class_names",
            f"{len(names)} of them",
            not names or all(len(names) == part.classes for part in labels),
            f"{first} labels",
        ),
        (
            "ignore_class",
            data.ignore_class,
            data.ignore_class is None or data.ignore_class >= most,
            f"{most} or more",
        ),
    ]


def check_parts(data: Any) -> None:
    """Raises ValueError if other keys of a `DataConfig` do not go with its `inputs`."""
    parts: Sequence[InputPart] = data.inputs
    names, places = ([getattr(part, key) for part in parts] for key in ("name", "place"))
    of_table = data.source == "table"
    taken = ("target", "split") if of_table else (data.target_folder,)
    of_numbers = [part.name for part in parts if not part.row.in_files]
    sources = " or ".join(name for name in SOURCES if source_row(name).several)
    jitters = data.color_jitter > 0 and data.color_jitter_side == "input"
    channels = channels_of(parts)
    rules = (  # key, its value, whether it is allowed, the allowed values
        ("source", data.source, source_row(data.source).several, sources),
        ("input_channels", data.input_channels, data.input_channels == channels, f"left out or {channels}"),
        ("input_classes", data.input_classes, data.input_classes is None, "null, because each part has its classes,"),
        (
            "input_class_values",
            data.input_class_values,
            data.input_class_values is None,
            "null, because gray label maps are read as class indices or by `data.class_colors`,",
        ),
        ("input_range", data.input_range, data.input_range is None, "null, because each part has its range,"),
        ("color_space", data.color_space, data.color_space == "rgb", "rgb"),
        ("color_jitter_side", data.color_jitter_side, not jitters, "target"),
        *rules_of_label_maps(data, parts),
    )
    for values, what, any_case in ((names, "name", True), (places, "folder or column", of_table)):
        if len({value.strip().lower() if any_case else value for value in values}) < len(values):
            ignored = ", whatever its capitals" if any_case else ""
            raise ValueError(
                f"`data.inputs` must give each part a {what} of its own{ignored}. Received {', '.join(values)}. Rename "
                f"a part"
            )
    for part, place in zip(parts, places, strict=True):
        not_these = taken if of_table or part.row.in_files else ("name", "split")
        if (place if not of_table and part.row.in_files else place.strip().lower()) in not_these:
            raise ValueError(
                f"`data.inputs` must have other folders or columns than {' and '.join(not_these)}. Received {place!r}. "
                f"Rename it"
            )
    if len(of_numbers) == len(parts):
        raise ValueError(
            f"`data.inputs` must have a part in files, because a number has no size. Received "
            f"{' and '.join(of_numbers)}. Add an image"
        )
    for key, value, allowed, rule in rules:
        if not allowed:
            raise ValueError(
                f"`data.{key}` must be {rule} with `data.inputs`. Received {value} with {', '.join(names)}. Change one "
                f"of the two"
            )
