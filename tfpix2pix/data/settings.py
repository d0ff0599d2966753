"""Holds the configuration section `data`: the pairs, and their preparation for the networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfpix2pix.data import (
    COLOR_SPACES,
    LARGEST_SIZE_PX,
    OPENMOJI_SETS,
    OPERATORS,
    SHAPE_PROBABILITIES,
    SOURCES,
    source_row,
)
from tfpix2pix.data.groups import check_division
from tfpix2pix.data.parts import InputParts, channels_of, check_parts
from tfpix2pix.data.rows import Encoding
from tfpix2pix.data.rules import RANGES, check_label_maps, check_ranges, check_rectangle
from tfpix2pix.data.target_parts import TargetParts, check_targets, settings_of_targets
from tfpix2pix.data.value_types import Color, Percentiles, Range, UnitName
from tfpix2pix.data.volume_settings import MOST_NEIGHBOURS, check_slices, with_channels_of_slices
from tfpix2pix.data.weight_settings import PixelWeight, check_weight
from tfpix2pix.section import MAY_CHANGE, Section, row_of, size_between
from tfpix2pix.size import Size
from tfpix2pix.tables import lazy

ONE_HOT = lazy("tfpix2pix.data.encodings", "one_hot")
ENCODED_PARTS = lazy("tfpix2pix.data.encodings", "encoded_parts")
DECODED_PARTS = lazy("tfpix2pix.data.encodings", "decoded_parts")
MOST_LIKELY = lazy("tfpix2pix.data.encodings", "most_likely")
MOST_MEGAPIXELS = 256  # every camera's photograph (up to 200), and 0.8 GB of 8-bit colour
MOST_CLASSES = 256  # a class index is one byte
FIRST_VALUES = {"files": "top", "split_rule": "rank"}  # keys that the first versions did not have, and what they did
# How label maps of one channel are read. A tuple: the value of each class in gray files. `palette_indices`: as runs did
# before they recorded it.
ClassValues = tuple[Annotated[int, Field(ge=0, le=65535)], ...] | Literal["indices", "palette_indices", "colors"]

CLASS_VALUES = ("input_class_values", "target_class_values")


class DataConfig(Section):
    """Configures the pairs, and their preparation for the networks."""

    source: row_of(SOURCES) = "combined"
    """Source of the pairs. `combined`: images with the input in one half. `folders`: two folders with files of the
    same names. `table`: a table of paths. `shards`: TFRecords of these. `photographs`: an operator makes the inputs.
    `sample_photographs`: those in scikit-image. `openmoji`: line and coloured drawings (extra `openmoji`).
    `colored_shapes`: outlines to fill with a random colour, drawn on the fly."""
    dir: Annotated[str | None, MAY_CHANGE] = None
    """Folder of the data, with train/, val/ and test/ inside, or with the images themselves. `table`: the .csv or .tsv
    file. `shards`: the folder that `tfpix2pix data shard` wrote, also on gs://, s3:// or hdfs://."""
    attribution: str | None = None
    """Author and licence of the data, for the model card and every page made from them. null: the source's own."""
    input_side: Literal["left", "right", "top", "bottom"] = "left"
    """`combined`: the half that is the input. For facades, labels to photograph, it is `right`."""
    files: Literal["all", "top"] = "all"
    """Images that a folder gives. `all`: those in its sub-folders too, which are named by their paths. `top`: only
    those directly inside, without .jfif and .jpe; runs of the first versions have this value."""
    input_folder: str = "input"
    """`folders`: name of the folder with the inputs (`A` in other programs)."""
    target_folder: str = "target"
    """`folders`: name of the folder with the targets (`B` in other programs)."""
    inputs: InputParts | None = None
    """`folders`, `table`, `shards`: parts of an input in several files, such as `[{name: labels, classes: 35},
    instances]`, or numbers: `name`, with `kind`, `folder`, `channels`, `range`, `classes` (docs/several-files.md).
    null: one."""
    targets: TargetParts | None = None
    """`folders`, `table`, `shards`: parts of a target in several files, such as `[{name: speed, channels: 1, range: [0,
    40]}, photo]`: names, or `name` with `folder`, `channels`, `range`, `unit`, `depth`, or `classes` for a label map.
    null: one file."""
    weight: PixelWeight | None = None
    """Source of the weight of each pixel, in losses and metrics. A name: the folder or column of gray images, in which
    black counts nowhere and white in full. `alpha`: the targets' alpha channel. `{nodata: -9999}`: 0 if every channel
    of the input or of the target has this value. null: all pixels count."""
    openmoji_set: row_of(OPENMOJI_SETS) = "drawings"
    """`openmoji`: the drawings to use. `drawings`: all, except flags and skin tones. `faces_animals_food`: those with
    lines that say most about their colours. `flags`: the flags, with one rectangle as lines."""
    shape_colors: int = Field(8, ge=2, le=16)
    """`colored_shapes`: number of colours K that a shape may be filled with."""
    shape_probabilities: row_of(SHAPE_PROBABILITIES) = "even"
    """`colored_shapes`: probabilities of the colours. `even`: the same for all, log2 K bits. `uneven`: each half of the
    one before it. `by_shape`: each kind of shape has its own, some nearly always the same colour."""
    shape_pairs: int = Field(4000, ge=1, le=1_000_000)
    """`colored_shapes`: number of pairs to train on."""
    operator: row_of(OPERATORS) = "edges"
    """`photographs`: the operator that makes the input from a photograph: `edges`, `grayscale`, `mask` (transparent
    holes), `downsample`, `blur` or `posterize`."""
    edge_sigma_px: float = Field(1.5, gt=0, le=50)
    """Operator `edges`: standard deviation of the Gaussian that smooths the photograph first, px."""
    edge_quantiles: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.6, 0.8)
    """Operator `edges`: two thresholds, as quantiles of the gradient magnitude. An edge starts above the second and
    continues above the first."""
    edge_thickness_px: int = Field(1, ge=1, le=32)
    """Operator `edges`: thickness of the lines, px."""
    hole_fraction: float = Field(0.25, gt=0, lt=1)
    """Operator `mask`: approximate fraction of the picture that is holes. The holes differ from epoch to epoch."""
    downsample_factor: int = Field(4, ge=2, le=16)
    """Operator `downsample`: factor by which the input is reduced before it is enlarged again."""
    blur_sigma_px: float = Field(2.0, gt=0, le=100)
    """Operator `blur`: standard deviation of the Gaussian, px."""
    posterize_levels: int = Field(4, ge=2, le=128)
    """Operator `posterize`: number of levels that remain in each channel, out of 256."""
    held_out_fraction: float = Field(0.2, ge=0, lt=1)
    """Fraction of the data that is held out if no folders divide it, between 0 and 1. It is a fraction of the files,
    chosen by the seed. `sample_photographs`: a fraction of each photograph's width. `openmoji`: a fraction of the
    groups of near-twins. Two thirds of them become `val` and a third `test`. `colored_shapes`: `val` and `test` have
    this fraction of `shape_pairs` each, drawn in addition. It is not used with `folds`."""
    split_rule: Literal["hash", "shrinking", "rank"] = "hash"
    """How pairs are held out if no folders divide the data. `hash`: those whose name has a hash below
    `held_out_fraction`, so that a pair keeps its split when others are added or removed. `shrinking`: the same for up
    to 200 pairs; of more, the fraction shrinks with the square root of their number, because some hundred pairs measure
    a run well. Then a pair may leave those held out when others are added, but never join them. `rank`: the
    fraction of the names with the smallest hashes, which is exact. Runs of earlier versions were divided by rank."""
    split_seed: int | None = Field(None, ge=0, le=2**31 - 1)
    """Seed of the split if no folders divide the data. null: the run's `seed`. Set it so that runs of several
    seeds hold out the same pairs and can be compared."""
    group: str | None = Field(None, min_length=1)
    """Pairs that stay in one split if no folders divide the data. A pattern with `*` for what differs, such as
    `patient-*_`: pairs are of one group if the beginnings of their names that it matches are equal, each `*` as few
    characters as possible. `table`: a pattern, or the name of a column. null: pairs of one input stay together."""
    folds: int | None = Field(None, ge=2, le=1000)
    """Number of parts for a cross-validation if no folders divide the data: as many runs, of which each holds out
    another part. The parts differ by one group at most. null: `held_out_fraction` decides."""
    fold: int | None = Field(None, ge=1)
    """Part that is held out as `val`, from 1 to `folds`."""
    slice_axis: Literal["axial", "coronal", "sagittal"] = "axial"
    """Direction in which volumes (NIfTI, DICOM) are cut into slices, the images, by their affines."""
    neighbour_slices: int = Field(0, ge=0, le=MOST_NEIGHBOURS)
    """Number n of slices before and after a slice of a volume that its input has too, as channels: 2n + 1 in all. At
    the ends of the volume, the last slice is repeated."""
    image_size_px: size_between(2, LARGEST_SIZE_PX) = 256
    """Height and width of a training image, px: one number for a square, or `[height, width]`. The generator pads it to
    a multiple of its own and crops the result."""
    fit: Literal["resize", "resize_crop", "crop", "pad"] = "resize"
    """Way to fit an image to `image_size_px`. `resize`: resize it without keeping the aspect ratio. `resize_crop`:
    resize until it covers the size, and crop. `crop`: crop at the image's own scale. `pad`: resize until it lies within
    the size, and pad by reflection."""
    jitter_ratio: float = Field(1.0, ge=1, le=4)
    """Random jitter: enlarge the image by this factor, then crop at random (paper: 286/256 = 1.1171875). 1: no jitter.
    It must be 1 with `fit: crop`."""
    mirror: bool = True
    """Mirror input and target together, left to right, with probability 0.5 (training only)."""
    vertical_flip: bool = False
    """Flip input and target together, top to bottom, with probability 0.5 (training only): aerial and microscope
    images."""
    rotate: bool = False
    """Rotate input and target together by 0, 90, 180 or 270 degrees at random (training only)."""
    color_jitter: float = Field(0.0, ge=0, le=1)
    """Largest relative change of brightness, contrast and saturation of one side (training only). 0: no change."""
    color_jitter_side: Literal["input", "target"] = "input"
    """The side that `color_jitter` changes. It should be the photograph."""
    input_channels: int = Field(3, ge=1, le=4096)
    """Number of channels of the input image: 1 gray, 3 RGB, 4 RGBA, or any other."""
    target_channels: int = Field(3, ge=1, le=4096)
    """Number of channels of the target and of the translation."""
    input_range: Range | None = None
    """Input values that are mapped to -1 and 1: two numbers, or two for each channel. null: those of
    `input_percentiles`, or 0 and the largest value of 8 or 16 bits, or 0 and 1 for floats."""
    target_range: Range | None = None
    """Target values that are mapped to -1 and 1. Translations are written in this range."""
    target_unit: UnitName | None = None
    """Unit of the target values, such as HU. `evaluate` then gives errors in it, for which `target_range` must be
    known."""
    input_percentiles: Percentiles | None = None
    """Two percentiles of the input values of the training pairs, such as [0.5, 99.5]. A new run measures them and
    records them as `input_range`. Values outside are clipped."""
    target_percentiles: Percentiles | None = None
    """The same of the target values, for `target_range`."""
    percentiles_of: Literal["all", "channel"] = "all"
    """Values that percentiles are of: `all` channels together, or each `channel`, which then has a range of its own."""
    out_of_range: Literal["stop", "clip"] = "stop"
    """Reaction to values outside the range. `stop`: name the file. `clip`: take the nearest value of the range."""
    alpha: Literal["refuse", "drop"] = "refuse"
    """Treatment of an alpha channel that `input_channels` or `target_channels` does not count."""
    input_classes: int | None = Field(None, ge=2, le=MOST_CLASSES)
    """Number of classes, if the inputs are label maps: class indices from 0 (gray or palette PNG, NPY), pictures in
    `class_colors`, or masks of two values. The generator gets one channel for each class."""
    target_classes: int | None = Field(None, ge=2, le=MOST_CLASSES)
    """Number of classes, if the targets are label maps. Translations are then label maps."""
    class_colors: tuple[Color, ...] | None = None
    """Colour of each class, `[r, g, b]`, `'#rrggbb'` or a name of CSS. Label maps are shown in these colours, and
    pictures are read by the nearest colour, those in palette files too. null: the colours of PASCAL VOC, and no colours
    are read."""
    input_class_values: ClassValues | None = None
    """Values in gray files of input label maps. `indices`: class indices. `colors`: gray levels of `class_colors`.
    `[0, 255]`: the value of each class. `palette_indices`: as `indices`, and of palette files the indices count,
    whatever their colours. null: a new run finds out from its training pairs, and records it."""
    target_class_values: ClassValues | None = None
    """Values in gray files of target label maps, as `input_class_values`."""
    class_names: tuple[str, ...] | None = None
    """Name of each class, in the order of the indices. Exports contain them."""
    ignore_class: int | None = Field(None, ge=0, le=255)
    """Value in label maps that stands for no class (Cityscapes, VOC: 255). It gets no channel and is not scored."""
    input_palette: dict[str, Color] | None = Field(None, min_length=1, max_length=MOST_CLASSES)
    """Colours of the inputs by name, the background first, which `tfpix2pix demo` offers for drawing. Training does not
    use them. Label maps have `class_colors` and `class_names` instead."""
    color_space: row_of(COLOR_SPACES) = "rgb"
    """Colour space of the networks. `rgb`: the images as they are. `lab`: lightness L in, colours a and b out."""
    on_error: Literal["stop", "skip"] = "stop"
    """Reaction to a file that cannot be read or does not fit. `stop`: end the run and name the file. `skip`: leave the
    pair out and count it. Every pair is then read before the run starts."""
    max_megapixels: Annotated[float, MAY_CHANGE] = Field(MOST_MEGAPIXELS, gt=0)
    """Most pixels of an image file, millions. A file whose header claims more is refused before it is decoded, so that
    a small forged file cannot fill the memory. Raise it for aerial images and scans."""
    cache_mb: Annotated[int, MAY_CHANGE] = Field(512, ge=0)
    """Memory for decoded images, MB."""
    cache_files_mb: Annotated[int, MAY_CHANGE] = Field(1024, ge=0)
    """Memory for undecoded files, MB, for data on a slow or remote disk that do not fit decoded."""

    @property
    def size_px(self) -> Size:
        """Returns height and width of a training image, px."""
        return Size.of(self.image_size_px)

    @property
    def jitter_size_px(self) -> Size:
        """Returns the size to which images are resized before the random crop, px."""
        return self.size_px.map(lambda side: round(side * self.jitter_ratio))

    def seed_of_split(self, run_seed: int) -> int:
        """Returns the seed that divides the data of a run."""
        return run_seed if self.split_seed is None else self.split_seed

    @property
    def makes_inputs(self) -> bool:
        """Returns True if an operator, which works on 8 bits, makes the inputs from photographs."""
        return source_row(self.source).makes_inputs

    @property
    def is_given(self) -> bool:
        """Returns True if pairs can be read: from a path, or from a source that brings them."""
        return bool(self.dir) or source_row(self.source).brings_data

    @property
    def terms(self) -> str:
        """Returns the author and licence of the data, or "" if they are not known."""
        return self.attribution or source_row(self.source).attribution

    @property
    def ranges(self) -> tuple[Any, Any]:
        """Returns, for a source's inputs and targets, the values that are mapped to -1 and 1, as `input_range` has them
        (None: the defaults)."""
        return (None, None) if self.makes_inputs else (self.input_range, self.target_range)

    @property
    def clips(self) -> tuple[bool, bool]:
        """Returns, for inputs and targets, whether values outside the range are clipped."""
        return tuple(self.out_of_range == "clip" or bool(getattr(self, key)) for key in RANGES.values())

    @property
    def classes(self) -> tuple[int | None, int | None]:
        """Returns the number of classes of inputs and of targets, None for images."""
        return self.input_classes, self.target_classes

    @property
    def numbers(self) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Returns True for each channel of inputs and of targets that holds numbers of classes or instances, so that
        resizing takes the nearest pixel."""
        sides = zip((self.inputs, self.targets), self.classes, (self.input_channels, self.target_channels), strict=True)
        return tuple(
            tuple(part.row.numbers for part in parts for _ in range(part.stacked_channels))
            if parts
            else (classes is not None,) * channels
            for parts, classes, channels in sides
        )

    @property
    def class_values(self) -> tuple[ClassValues | None, ClassValues | None]:
        """Returns how gray label maps are read, of inputs and of targets; None: not yet decided."""
        return tuple(getattr(self, key) for key in CLASS_VALUES)

    @property
    def encoding(self) -> Encoding:
        """Returns how images are encoded for the networks."""
        encoding = COLOR_SPACES[self.color_space]
        if self.inputs:
            encoding = replace(encoding, encode_input=partial(ENCODED_PARTS, parts=self.inputs))
        if self.targets:
            to_target, decode = partial(ENCODED_PARTS, parts=self.targets), partial(DECODED_PARTS, parts=self.targets)
            encoding = replace(encoding, encode_target=to_target, decode=decode)
        if self.input_classes:
            encoding = replace(encoding, encode_input=partial(ONE_HOT, classes=self.input_classes))
        if self.target_classes:
            to_target = partial(ONE_HOT, classes=self.target_classes)
            encoding = replace(encoding, encode_target=to_target, decode=MOST_LIKELY)
        return encoding

    @property
    def network_channels(self) -> tuple[int, int]:
        """Returns the channels of the generator's input and output. Encodings may change the images' numbers."""
        of_inputs, of_targets = (
            sum(part.network_channels for part in parts or ()) for parts in (self.inputs, self.targets)
        )
        default = (
            of_inputs or self.input_classes or self.input_channels,
            of_targets or self.target_classes or self.target_channels,
        )
        return self.encoding.network_channels or default

    @model_validator(mode="before")
    @classmethod
    def _channels_follow_from_the_files(cls, settings: Any) -> Any:
        if isinstance(settings, dict):
            settings = with_channels_of_slices(settings)
            channels = {f"{side}_channels": 1 for side in ("input", "target") if settings.get(f"{side}_classes")}
            stacked = channels_of(settings["inputs"]) if settings.get("inputs") else None
            of_targets = settings_of_targets(settings.get("targets"))
            return {**channels, **({"input_channels": stacked} if stacked else {}), **of_targets, **settings}
        return settings

    @model_validator(mode="after")
    def _settings_suit_parts(self) -> DataConfig:
        if self.inputs:
            check_parts(self)
        if self.targets:
            check_targets(self)
        check_weight(self)
        check_slices(self)
        return self

    @model_validator(mode="after")
    def _settings_suit_label_maps(self) -> DataConfig:
        check_label_maps(self)
        return self

    @model_validator(mode="after")
    def _settings_suit_the_division(self) -> DataConfig:
        check_division(self)
        return self

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> DataConfig:
        check_ranges(self)
        return self

    @model_validator(mode="after")
    def _rectangles_suit_the_rest(self) -> DataConfig:
        check_rectangle(self)
        return self

    @model_validator(mode="after")
    def _channels_suit_the_operator(self) -> DataConfig:
        if self.makes_inputs and self.operator == "mask" and self.input_channels != 4:
            raise ValueError(
                f"`data.input_channels` must be 4 for the operator mask, which makes transparent holes. Received "
                f"{self.input_channels}. Set it to 4"
            )
        return self

    @model_validator(mode="after")
    def _channels_suit_the_color_space(self) -> DataConfig:
        expected, channels = COLOR_SPACES[self.color_space].image_channels, (self.input_channels, self.target_channels)
        if expected and channels != expected:
            raise ValueError(
                f"`data.color_space: {self.color_space}` must have `data.input_channels: {expected[0]}` and "
                f"`data.target_channels: {expected[1]}`. Received {channels[0]} and {channels[1]}. Set them to these"
            )
        return self


def of_earlier_run(settings: Any) -> Any:
    """Returns the settings of a run or a card, with the keys that the version which wrote them did not have.

    Such a run read no sub-folders, held out pairs by rank, and read the indices of every palette, whatever its colours.
    """
    data = settings.get("data") if isinstance(settings, dict) else None
    if not isinstance(data, dict):
        return settings
    read = {f"{side}_class_values": "palette_indices" for side in ("input", "target") if data.get(f"{side}_classes")}
    return {**settings, "data": {**FIRST_VALUES, **read, **data}}
