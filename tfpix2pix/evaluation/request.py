"""Describes what to evaluate and how, and recognizes the model or folder of images by names only."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from tfpix2pix.data import LARGEST_SIZE_PX, SPLITS
from tfpix2pix.data.images import list_images
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.files import as_bytes
from tfpix2pix.runs.recognize import Recognized, find_model, recognize
from tfpix2pix.section import size_between
from tfpix2pix.size import SizePx

NATIVE, TRAINING = "own", "training"  # the size of the files themselves, and the one that a model was trained at
IMAGES = "images"  # the kind of a folder of another program's images
OF_IMAGES = ("config", "outputs", "targets", "inputs")  # arguments that say how a folder of images is read
STRICT = ConfigDict(extra="forbid", protected_namespaces=())
Class = TypeVar("Class", bound=type)


class Rule(NamedTuple):
    """Completes the sentence of an argument that does not fit."""

    must_be: str
    advice: str


def raises_user_errors(cls: Class) -> Class:
    """Decorates a pydantic dataclass to raise UserError for an argument that does not fit. Its types have a `Rule`."""
    validate = cls.__init__

    @functools.wraps(validate)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            validate(self, *args, **kwargs)
        except ValidationError as error:
            raise UserError(_sentence(cls, error.errors()[0])) from None

    cls.__init__ = init
    return cls


def _sentence(cls: type, error: dict[str, Any]) -> str:
    """Returns a sentence about one of pydantic's errors."""
    names = [field.name for field in dataclasses.fields(cls)]
    first, *inner = error["loc"]  # a name, or the number of a positional argument
    name = names[first] if isinstance(first, int) and first < len(names) else first
    if isinstance(name, int):
        return f"{cls.__name__} must have {len(names)} arguments at most. Received more. Leave the others out."
    if name not in names:
        return unknown_name(f"An argument of {cls.__name__}", name, names)
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, UserError):
        return str(reason)
    rule = next(mark for mark in cls.__pydantic_fields__[name].metadata if isinstance(mark, Rule))
    received = "none" if error["type"] == "missing" and not inner else repr(error["input"])
    return f"`{name}` must be {rule.must_be}. Received {received}. {rule.advice}"


def _text(path: Any) -> Any:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _one_of(name: str, known: tuple[str, ...]) -> AfterValidator:
    """Returns a validator that refuses unknown values."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise UserError(unknown_name(f"`{name}`", value, known))
        return value

    return AfterValidator(check)


ExpandedPath = Annotated[Path, AfterValidator(Path.expanduser)]
Text = Annotated[str, BeforeValidator(_text)]  # a Path becomes its text

# The types of arguments, each with its rule.
Model = Annotated[
    ExpandedPath, Rule("the path of a model or of a folder of images", "Give a run directory, for example.")
]
Pairs = Annotated[Text | None, Rule("the path of a folder of pairs", "Give the folder that holds the splits.")]
Split = Annotated[str, _one_of("split", tuple(SPLITS)), Rule("the name of a split", "Give 'val', for example.")]
ConfigName = Annotated[Text | None, Rule("a preset or a .yaml file", "Give 'facades', for example.")]
Overrides = Annotated[tuple[str, ...], Rule("a list of KEY=VALUE", "Give ['data.fit=crop'], for example.")]
Size = Annotated[
    size_between(1, LARGEST_SIZE_PX) | Literal["own", "training"] | None,
    Rule(f"a number of pixels up to {LARGEST_SIZE_PX}, own or training", "Give 256, for example."),
]
Mode = Annotated[str | None, _one_of("mode", ("on", "off")), Rule("on or off", "Choose one of the two.")]
Variants = Annotated[int, Field(ge=0), Rule("a number of translations, 0 or more", "Give 4, for example.")]
Seed = Annotated[int, Rule("a whole number", "Give 0, for example.")]
Weights = Annotated[str | None, Rule("average or trained", "Choose one of the two.")]
Pattern = Annotated[Text | None, Rule("a pattern of file names", "Give '*_fake_B', for example.")]
PatternOrFolder = Annotated[Text | None, Rule("a pattern of file names, or a folder", "Give '*_real_B', for example.")]
Segmenter = Annotated[ExpandedPath | None, Rule("the path of a model", "Give a run directory, for example.")]
LabelMaps = Annotated[ExpandedPath | None, Rule("the path of a folder of label maps", "Give that folder.")]
Features = Annotated[Text | None, Rule("inception, or the path of a SavedModel", "Choose one of the two.")]
Range = Annotated[
    tuple[float, float] | None, Rule("two numbers, the values of black and white", "Give (-1, 1), for example.")
]
Switch = Annotated[bool, Rule("True or False", "Choose one of the two.")]


@raises_user_errors
@dataclass(frozen=True, config=STRICT)
class NoiseOptions:
    """Describes the noise of translations, and the number of variants of each image beside its translation.

    Args:
        mode: `on` or `off`; None: as in the model card.
        variants: number of translations of each image with different noise.
        seed: seed of the noise, the resampling and the patches.

    Raises:
        UserError: an argument does not fit.
    """

    mode: Mode = None
    variants: Variants = 0
    seed: Seed = 0

    def seed_of(self, name: str) -> int:
        """Returns the seed of an image's noise, which does not depend on the other images."""
        return int.from_bytes(hashlib.sha256(as_bytes(f"{self.seed}/{name}")).digest()[:4], "little") >> 1


@raises_user_errors
@dataclass(frozen=True, config=STRICT)
class Request:
    """Describes what to evaluate, on which pairs and how. `resolve` looks at the path of the model.

    Attributes:
        model: a run directory, SavedModel, .tflite, .keras or .onnx file, or a folder of another program's images.
        data: folder of the pairs, in place of the one in a model's card.
        split: `train`, `val` or `test`.
        config: a preset or .yaml file that says how pairs are read, for a folder of images; None: detected from it.
        overrides: changes of the configuration, `data.key=value`, as --set takes them.
        size: size at which images are compared: px, or (height, width); `own`: that of the files; `training`: the one
            that a model was trained at; None: that of `training`, with some metrics at the files' own size beside it,
            or for a folder of images their own.
        noise: `NoiseOptions` of a model's translations, or a mapping of its arguments, `{"variants": 4}`.
        best: translate with the checkpoint that did best on held-out pairs, in place of the newest.
        weights: `average` or `trained`, for a run with `training.ema_decay`.
        outputs: pattern of the images' names in a folder; `*` stands for the pair's name.
        targets: pattern of their targets' names, or the folder of the targets.
        inputs: pattern of their inputs' names, or the folder of the inputs.
        segmenter: a photo→labels model, for the FCN score.
        segmenter_range: values of black and white that a SavedModel of other origin expects as a segmenter.
        labels: folder of the true label maps, if the segmenter's own pairs do not have them.
        features: `inception`, or a SavedModel that computes features, for FID and KID.
        features_range: values of black and white that a SavedModel of other origin expects for its features.
        trust: open models, segmenters and feature networks that can do more than compute.

    Raises:
        UserError: an argument does not fit.
    """

    model: Model
    data: Pairs = None
    split: Split = "val"
    config: ConfigName = None
    overrides: Overrides = ()
    size: Size = None
    noise: Annotated[NoiseOptions, Rule("NoiseOptions or a mapping", "Give {'mode': 'on'}, for example.")] = (
        NoiseOptions()
    )
    best: Switch = False
    weights: Weights = None
    outputs: Pattern = None
    targets: PatternOrFolder = None
    inputs: PatternOrFolder = None
    segmenter: Segmenter = None
    segmenter_range: Range = None
    labels: LabelMaps = None
    features: Features = None
    features_range: Range = None
    trust: Switch = False

    @property
    def size_px(self) -> SizePx | None:
        """Returns the size as one number or two, or None if the request does not give any."""
        return None if self.size in (NATIVE, TRAINING) else self.size


@dataclasses.dataclass(frozen=True)
class ResolvedRequest:
    """Holds a request and its recognized model."""

    request: Request
    model: Recognized  # of kind `images`: a folder of another program's images


def resolve(request: Request | ResolvedRequest) -> ResolvedRequest:
    """Recognizes the model of a request.

    Raises:
        UserError: it is neither a model nor a folder of images, or an argument does not go with it.
    """
    if isinstance(request, ResolvedRequest):
        return request
    return _fitting(request, _recognize(request.model))


def resolve_for(request: Request, path: Path) -> ResolvedRequest:
    """Resolves a request for another model. Arguments that say how a folder of images is read are dropped for a model.

    Raises:
        UserError: as for `resolve`.
    """
    model = _recognize(path)
    dropped = {} if model.kind == IMAGES else dict.fromkeys(OF_IMAGES)
    return _fitting(dataclasses.replace(request, model=path, **dropped), model)


def _recognize(path: Path) -> Recognized:
    model = find_model(path)
    if model is None and path.is_dir() and list_images(path):
        return Recognized(IMAGES, path)
    return model or recognize(path, also=", or a folder of images")


def _fitting(request: Request, model: Recognized) -> ResolvedRequest:
    """Raises UserError if an argument does not go with the kind of the model."""
    if model.kind == IMAGES:
        values = {"best": request.best, "weights": request.weights, "noise": request.noise.mode}
        values |= {"size": request.size == TRAINING}
        rule, reason = "a model", "a folder of images"
    else:
        values = {name: getattr(request, name) for name in OF_IMAGES}
        rule, reason = "a folder of images", "which is a model"
    for name in (name for name, value in values.items() if value):
        raise UserError(f"`{name}` must go with {rule}. Received it for {request.model}, {reason}. Leave it out.")
    return ResolvedRequest(request, model)
