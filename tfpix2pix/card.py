"""The model card: what an artefact is, carried by every run and every export, so that loading needs no flags."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfpix2pix._version import __version__
from tfpix2pix.config import Config
from tfpix2pix.config.section import NAME
from tfpix2pix.errors import UserError

FILE_NAME = "model_card.json"
MOST_PX = 65_536  # a side, of any card that is not a forgery
MOST_NOISE = 2**30


class Origin(BaseModel):
    """Where imported weights are from."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    kind: str
    """Implementation that wrote them: a row of `IMPORTERS`."""
    file: str
    """Name of the file or folder."""
    sha256: str | None = None
    """Of the file; null of a folder."""
    max_abs_error: float | None = None
    """Largest difference to the original's own forward pass on photographs, on [-1, 1]; null: not compared."""
    runtime: str = ""
    """What the original ran by, or why it was not compared."""


class DataPeriod(BaseModel):
    """The pairs that a run's steps saw, from a step on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    from_step: Annotated[int, Field(ge=0)]
    """The first of these steps, counted from 0."""
    pairs: dict[str, int]
    """Number of pairs, by split."""
    digest: str
    """Digest of their names and files; equal data have equal digests."""


class ModelCard(BaseModel):
    """Architecture, conventions, modes, provenance and figures of one trained generator."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=())

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME, max_length=100)]
    """Name of the model."""
    config: Config
    """The resolved configuration of the run that trained it."""
    step: Annotated[int, Field(ge=0)]
    """Training steps behind the weights."""
    value_range: tuple[float, float] = (-1.0, 1.0)
    """Of float images, input and output."""
    size_multiple_px: Annotated[int, Field(ge=1, le=MOST_PX)]
    """The network's own size multiple; images of other sizes are padded to it and cropped back, in the graph."""
    statistics: Literal["image", "moving"]
    """What batch normalisation uses."""
    noise: Literal["off", "on"]
    """Whether noise is fed to the generator unless a call says otherwise."""
    attribution: str = ""
    """Who made the data that it was trained on, and by which licence; "" where nobody said it."""
    target_dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    """Depth of the targets it was trained on, in which `translate` writes."""
    noise_size: Annotated[int, Field(ge=0, le=MOST_NOISE)] = 0
    """Values of noise an image takes; 0 where the model has no noise input."""
    fixed_size_px: Annotated[int, Field(ge=1, le=MOST_PX)] | None = None
    """Height and width of the input of a static export; null: any."""
    image_dtype: Literal["float32", "uint8"] = "float32"
    """Of the image tensors of a static export and of `serving_default`: in `value_range`, or pixels from 0 to 255."""
    quantization: str = "none"
    """Type of an export's weights: none is float32."""
    objective: str = "l1+cgan"
    """The terms that it was trained for, as the paper names them."""
    update_order: Literal["alternating", "simultaneous"] = "alternating"
    """`alternating`: D was updated first, then G against the new D; `simultaneous`: both from one forward pass."""
    data_periods: tuple[DataPeriod, ...] = ()
    """Which steps saw which data: more than one period if the run was resumed on changed data."""
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Held-out figures: `untrained` and `trained`, by metric."""
    metrics_images: int = 0
    """How many held-out pairs the figures are of."""
    origin: Origin | None = None
    """Of imported weights; null: trained here."""
    package_version: str = __version__
    """tfpix2pix that wrote the weights."""
    created: str = Field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    """When, UTC."""

    @classmethod
    def of(cls, config: Config, step: int, **more: Any) -> ModelCard:
        """The card of a configuration's generator after `step` steps, as the run uses it."""
        return cls(
            name=config.name,
            config=config,
            step=step,
            size_multiple_px=config.size_multiple_px,
            statistics=config.inference.statistics,
            noise=config.inference.noise,
            objective=config.objective_name,
            update_order=config.training.update_order,
            attribution=config.data.terms,
            **more,
        )

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, origin: object) -> ModelCard:
        """The card in `text`; raises UserError that names `origin` where it is none."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise UserError(
                f"{origin} must carry a model card that tfpix2pix {__version__} reads. Received one in which "
                f"{where} does not fit ({first['msg']}). Export it again, or install the version that wrote it."
            ) from error
