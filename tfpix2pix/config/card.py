"""Defines the model card, which every run and export contains. It holds all that is needed to load the model."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tfpix2pix._version import __version__
from tfpix2pix.config import Config
from tfpix2pix.data.settings import of_earlier_run
from tfpix2pix.errors import UserError, shortly
from tfpix2pix.safe_files import parse_json
from tfpix2pix.section import LONGEST_NAME, NAME, size_between
from tfpix2pix.size import Size

FILE_NAME = "model_card.json"
MOST_PX = 65_536  # largest side in a card; a card with a larger one is taken for a forgery
MOST_NOISE = 2**30
LONGEST_STYLES = 2**20  # characters


class Origin(BaseModel):
    """Records the origin of imported weights."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    kind: str
    """Implementation that wrote the weights: a row of `IMPORTERS`."""
    file: str
    """Name of the file or folder."""
    sha256: str | None = None
    """SHA-256 of the file; null for a folder."""
    max_abs_error: float | None = None
    """Largest difference from the original's own forward pass on photographs, on [-1, 1]; null: not compared."""
    runtime: str = ""
    """Program that ran the original, or the reason why it was not compared."""


class DataPeriod(BaseModel):
    """Records the pairs that a run's steps saw, from one step on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    from_step: Annotated[int, Field(ge=0)]
    """First of these steps, counted from 0."""
    pairs: dict[str, int]
    """Number of pairs, by split."""
    digest: str
    """Digest of their names and files. Equal data have equal digests."""


class ModelCard(BaseModel):
    """Records the architecture, conventions, modes, provenance and metrics of one trained generator."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=())

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]
    """Name of the model."""
    config: Annotated[Config, BeforeValidator(of_earlier_run)]
    """Resolved configuration of the run that trained it."""
    step: Annotated[int, Field(ge=0)]
    """Number of training steps of the weights."""
    value_range: tuple[float, float] = (-1.0, 1.0)
    """Range of float images, input and output."""
    size_multiple_px: Annotated[int, Field(ge=1, le=MOST_PX)]
    """The network's size multiple. Images of other sizes are padded to it and cropped back, in the graph."""
    statistics: Literal["image", "moving"]
    """Statistics that batch normalisation uses."""
    noise: Literal["off", "on"]
    """Default of calls: `on` feeds noise to the generator."""
    attribution: str = ""
    """Author and licence of the training data; "" if they are not known."""
    target_dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    """Depth of the training targets, in which `translate` writes."""
    stretch: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How many times as much training images were stretched in height as in width to `data.image_size_px`; 1: they kept
    their shapes, or it is not known."""
    noise_size: Annotated[int, Field(ge=0, le=MOST_NOISE)] = 0
    """Number of noise values for an image; 0 if the model has no noise input."""
    styles: Annotated[str, Field(max_length=LONGEST_STYLES)] = ""
    """Noise of the styles that an encoder found in training targets, in base64: float32, `noise_size` for each. The
    noise of a seed is one of them. "": the noise of a seed is uniform in [0, 1)."""
    fixed_size_px: size_between(1, MOST_PX) | None = None
    """Side of the input of a static export, or its height and width; null: any."""
    image_dtype: Literal["float32", "uint8"] = "float32"
    """Type of the image tensors of a static export and of `serving_default`: `float32` in `value_range`, or `uint8`
    from 0 to 255."""
    quantization: str = "none"
    """Type of an export's weights: none is float32."""
    objective: str = "l1+cgan"
    """Terms that the generator was trained for, as the paper names them."""
    update_order: Literal["alternating", "simultaneous"] = "alternating"
    """`alternating`: D was updated first, then G against the new D; `simultaneous`: both from one forward pass."""
    data_periods: tuple[DataPeriod, ...] = ()
    """Data that the steps saw: more than one period if the run was resumed on changed data."""
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Held-out metrics by name, `untrained` and `trained`."""
    metrics_images: int = 0
    """Number of held-out pairs that were measured."""
    origin: Origin | None = None
    """Origin of imported weights; null: trained here."""
    package_version: str = __version__
    """Version of tfpix2pix that wrote the weights."""
    created: str = Field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    """Time of creation, UTC."""

    @model_validator(mode="after")
    def _styles_are_noise(self) -> ModelCard:
        try:
            values = self.noise_of_styles
        except ValueError as error:
            raise ValueError(f"styles must be float32 in base64, {self.noise_size} for each: {error}") from None
        if values.size and not (values.min() >= 0 and values.max() < 1):
            raise ValueError("styles must be noise in [0, 1)")
        return self

    @property
    def noise_of_styles(self) -> np.ndarray:
        """Returns the noise of the styles, float32 (styles, noise_size)."""
        values = np.frombuffer(base64.b64decode(self.styles, validate=True), "<f4")
        return values.reshape(-1, self.noise_size) if values.size else values.reshape(0, self.noise_size)

    @property
    def static_size_px(self) -> Size | None:
        """Returns height and width of the input of a static export, or None if it takes any."""
        return None if self.fixed_size_px is None else Size.of(self.fixed_size_px)

    @classmethod
    def of(cls, config: Config, step: int, styles: np.ndarray | None = None, **more: Any) -> ModelCard:
        """Makes the card of a configuration's generator after `step` steps.

        `styles` are the noise of styles, float32 (styles, noise_size) in [0, 1); None without an encoder.
        """
        return cls(
            styles="" if styles is None else base64.b64encode(styles.astype("<f4").tobytes()).decode(),
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
        """Reads a card. Raises UserError that names `origin` if `text` is not a card."""
        try:
            return cls.model_validate(parse_json(text))
        except ValueError as error:  # ValidationError is one too
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": shortly(error)}
            key = ".".join(map(str, first["loc"])) or "the whole"
            raise UserError(
                f"{origin} must carry a model card that tfpix2pix {__version__} reads. Received one in which "
                f"{key} does not fit ({first['msg']}). Export it again, or install the version that wrote it."
            ) from error
