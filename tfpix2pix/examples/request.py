"""What shall be evaluated, as it is asked for; looks at names only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfpix2pix.data.images import list_images
from tfpix2pix.errors import UserError
from tfpix2pix.foreign import read_json_lines
from tfpix2pix.recognize import is_model, model_at, recognize
from tfpix2pix.run_directory import RunDirectory

OWN = "own"  # a size: the files'
IMAGES = "images"  # a kind: another program's


@dataclass(frozen=True)
class Noise:
    """Of the translations: `on` or `off`, and how many variants an image has beside its translation."""

    mode: str | None = None  # None: as the model card says
    variants: int = 0
    seed: int = 0

    def seed_of(self, name: str) -> int:
        """Every image has noise of its own, which does not depend on the others."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{name}".encode()).digest()[:4], "little") >> 1


@dataclass(frozen=True)
class Request:
    """What shall be evaluated, on which pairs and how.

    Args:
        model: a run directory, SavedModel, .tflite, .keras or .onnx file, or a folder of another program's images.
        data: folder of the pairs, in place of the one in a model's card.
        config: a preset or .yaml file that says how pairs are read, for a folder of images; None: as the folder looks.
        overrides: changes of the configuration, `data.key=value`, as --set takes them.
        size: `own`, or px: at which size to compare; None: a model at the size that it was trained at, images at their
            own.
        outputs: of a folder of images: how its files are named, `*` standing for the pair's name.
        targets: how their targets are named, or the folder that they are in.
        inputs: the same of their inputs.
        segmenter: a photo→labels model.
        segmenter_range: what one of other origin takes as black and white.
        labels: folder of the true label maps, where the segmenter's own pairs do not have them.
        features: `inception`, or a SavedModel that gives features.
        features_range: what one of other origin takes as black and white.
        trust: open models, segmenters and feature networks that can do more than compute.
    """

    model: str | Path
    data: str | None = None
    split: str = "val"
    config: str | None = None
    overrides: Sequence[str] = ()
    size: str | None = None
    noise: Noise = Noise()
    best: bool = False
    weights: str | None = None
    outputs: str | None = None
    targets: str | None = None
    inputs: str | None = None
    segmenter: str | Path | None = None
    segmenter_range: tuple[float, float] | None = None
    labels: str | Path | None = None
    features: str | None = None
    features_range: tuple[float, float] | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        for name in ("model", "segmenter", "labels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())

    @property
    def size_px(self) -> int | None:
        """The size asked for; None: none, or the images' own.

        Raises:
            UserError: it is no size.
        """
        if self.size in (None, OWN):
            return None
        if not self.size.isdigit() or int(self.size) < 1:
            raise UserError(
                f"--size must be a number of pixels, or own. Received {self.size!r}. Write --size 256, say."
            )
        return int(self.size)

    def metrics_lines(self) -> list[Mapping[str, Any]]:
        """What a run logged, for its curves; nothing of what is no run."""
        return read_json_lines(RunDirectory(model_at(self.model)).metrics_file, "step")


def kind_of(request: Request) -> str:
    """`images`, or what `recognize` says; raises UserError where it is neither."""
    if not is_model(request.model) and request.model.is_dir() and list_images(request.model):
        of_models = {"--best": request.best, "--weights": request.weights, "--noise": request.noise.mode}
        for option in (name for name, given in of_models.items() if given):
            raise UserError(
                f"{option} is of models. Received it for {request.model}, a folder of images. Leave it out."
            )
        return IMAGES
    kind = recognize(request.model, also=", or a folder of images")
    for option in ("config", "outputs", "targets", "inputs"):
        if getattr(request, option):
            raise UserError(
                f"--{option} goes with a folder of images. Received it for {request.model}, which is not one. Leave it "
                f"out."
            )
    return kind
