"""Imports weights of other implementations as a run directory, after a comparison with the original's forward pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter, ValidationError

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard, Origin
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import LARGEST_SIZE_PX
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import sha256_of, whole_directory
from tfpix2pix.inference.parity import (
    LEVELS,
    Distance,
    distance,
    drawings,
    in_words,
    photographs,
    translations_in_float64,
)
from tfpix2pix.interop import IMPORTERS
from tfpix2pix.interop.kinds import checkpoint_prefix, kind_of
from tfpix2pix.interop.layouts import discriminator as as_discriminator
from tfpix2pix.interop.layouts import generator as as_generator
from tfpix2pix.interop.weights import ForeignWeights, Unfit
from tfpix2pix.models.noise import noise_size
from tfpix2pix.models.sizes import PATCHGANS, logits_px, padded_size
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.load import run_engine
from tfpix2pix.runs.networks import build_discriminator, build_generator
from tfpix2pix.section import as_name, size_between
from tfpix2pix.size import Size, SizePx
from tfpix2pix.training.checkpoints import Checkpoints, State, assign

TOLERANCE = 1e-4  # largest difference from the original's output, on [-1, 1]
AS_ORIGINAL = 2.0  # allowed error of the file's float32 graph, as a multiple of the original layers' float32 error
ILL_CONDITIONED = 1e-2  # float32 error of the original, on [-1, 1]; images with a larger one are left out
KINDS = {
    "unet": "U-Net", "encoder_decoder": "encoder-decoder", "resnet": "residual network",
    "global": "global generator of pix2pixHD", "local_enhancer": "local enhancer of pix2pixHD",
}  # fmt: skip
RESNET_PX = {6: 128}  # residual blocks -> its authors' training size; 256 for other numbers


@dataclass(frozen=True)
class ImportReport:
    """Describes an imported model.

    Attributes:
        kind: row of `IMPORTERS`.
        path: the run directory.
        architecture: the generator, in words.
        parameters: number of trainable parameters of the generator.
        receptive_field_px: of the discriminator; None: the file has no discriminator.
        statistics, noise: how the run translates.
        max_abs_error: largest difference of a translation from that of the original in float64, on [-1, 1], on
            photographs and drawings; None: not compared.
        max_error_levels: the same in levels of 255.
        psnr_db: over all these images.
        original_max_abs_error: the same error of the original in float32.
        runtime: the program that ran the original, or the reason why it was not compared.
        notes: sentences about parts of the file that were left out.
    """

    kind: str
    path: str
    architecture: str
    parameters: int
    receptive_field_px: int | None
    statistics: str
    noise: str
    max_abs_error: float | None
    max_error_levels: float | None
    psnr_db: float | None
    original_max_abs_error: float | None
    runtime: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "notes": list(self.notes)}


def import_weights(
    file: str | Path,
    *,
    out: str | Path,
    kind: str | None = None,
    discriminator: str | Path | None = None,
    statistics: str | None = None,
    dropout: bool | None = None,
    size_px: SizePx | None = None,
    name: str | None = None,
) -> ImportReport:
    """Writes a run directory with the generator of `file`, and with its discriminator if there is one.

    Args:
        file: a file of weights, a checkpoint (folder, prefix or .index), a SavedModel folder or a model.json.
        out: the run directory to create.
        kind: a row of `IMPORTERS`; None: detected from the file's name and first bytes.
        discriminator: a file with D, for kinds that keep it in a separate file (`latest_net_D.pth`).
        statistics: statistics of the batch norms, `image` or `moving`; None: those of the original's test mode.
        dropout: whether a U-Net of PyTorch was trained with dropout. Its weights do not show it; None: yes.
        size_px: side, or (height, width), of the training images, px; None: those of the file's model, or the smallest
            that a U-Net's levels allow.
        name: name of the model; None: the file's name.

    Raises:
        UserError: the file does not exist, is damaged or of an unknown kind, or a tensor does not belong to a
            pix2pix network, whose text names the first such tensor; or the network does not take `size_px`.
        RunError: the translations differ from the original's, both computed in float64. Nothing has been written then.
    """
    path, directory = Path(file).expanduser(), RunDirectory(out)
    kind, size_px = kind_of(path, kind), _checked(size_px)
    directory.check_free(resume=False, fresh=False, instead="Choose another `out`.")
    try:
        weights = IMPORTERS[kind].read(path, statistics)
        network, arrays = as_generator(weights.generator)
    except Unfit as error:
        raise error.of(path) from error
    critic = _discriminator(kind, path, discriminator, weights, network["channels"])
    config = _config(weights, network, critic and critic[0], dropout, size_px, name or _name_of(path))
    generator = build_generator(config, seed=None)
    state: State = {"generator": _assigned(generator, arrays, "generator")}
    if critic:
        state["discriminator"] = _assigned(build_discriminator(config, seed=None), critic[1], "discriminator")
    origin = Origin(kind=kind, file=path.name, sha256=sha256_of(path) if path.is_file() else None)
    card = ModelCard.of(config, 0, noise_size=noise_size(generator), origin=origin)
    if directory.path.is_dir():  # empty, which `check_free` has checked
        directory.path.rmdir()
    with whole_directory(directory.path) as temporary:
        written = RunDirectory(temporary)
        written.write_config(config)
        Checkpoints(written.checkpoints).save(0, state)
        written.write_card(card)
        ours, originals = _compare(written, weights, path) or (None, None)
        error = ours and ours.max_abs_error
        compared = origin.model_copy(update={"max_abs_error": error, "runtime": weights.runtime})
        written.write_card(card.model_copy(update={"origin": compared}))
    return ImportReport(
        kind, str(directory.path), _in_words(config), sum(int(np.prod(v.shape)) for v in generator.trainable_variables),
        config.discriminator.receptive_field_px if critic else None, config.inference.statistics,
        config.inference.noise, error, ours and error * LEVELS, ours and ours.psnr_db,
        originals and originals.max_abs_error, weights.runtime, weights.notes,
    )  # fmt: skip


def _discriminator(
    kind: str, path: Path, file: str | Path | None, weights: ForeignWeights, channels: tuple[int, int]
) -> tuple[dict, dict] | None:
    """Returns the settings and arrays of D, or None if there is no discriminator."""
    reader = IMPORTERS[kind].read_discriminator
    convolutions = weights.discriminator
    if file is not None:
        path = Path(file).expanduser()
        if reader is None:
            raise UserError(
                f"`discriminator` must go with `kind` pytorch: files of other kinds hold both networks. Received it "
                f"with {kind}. Leave it out."
            )
        if not path.is_file():
            raise UserError(f"`discriminator` must be a file. Received {path}, which does not exist. Check the path.")
    try:
        if file is not None:
            convolutions = reader(path)
        return as_discriminator(convolutions, channels) if convolutions else None
    except Unfit as error:
        raise error.of(path, "discriminator") from error


def _config(
    weights: ForeignWeights, network: dict, critic: dict | None, dropout: bool | None, size_px: SizePx | None, name: str
) -> Config:
    """Returns the configuration of a run with these networks."""
    settings = {section: dict(values) for section, values in weights.traits.items()}
    channels = network["channels"]
    generator = {**settings.get("generator", {}), **{key: value for key, value in network.items() if key != "channels"}}
    smallest = RESNET_PX.get(generator.get("residual_blocks"), 256) if generator["kind"] == "resnet" else 256
    smallest = 2 ** generator["levels"] if "levels" in generator else smallest
    image_size_px = size_px or weights.size_px or smallest
    if dropout is False:
        generator["noise"] = "none"
        settings.setdefault("inference", {})["noise"] = "off"
    data = {"input_channels": channels[0], "target_channels": channels[1], "image_size_px": image_size_px}
    judge = {**settings.get("discriminator", {}), **(critic or _receptive_field_for(image_size_px))}
    try:
        return make_config({**settings, "name": name, "data": data, "generator": generator, "discriminator": judge})
    except UserError as error:
        if size_px is None:
            raise
        raise UserError(str(error).replace("`data.image_size_px`", "`size_px`")) from None


def _checked(size_px: SizePx | None) -> SizePx | None:
    """Returns a size as configurations hold it. Raises UserError if it is not the size of an image."""
    if size_px is None:
        return None
    try:
        return TypeAdapter(size_between(2, LARGEST_SIZE_PX)).validate_python(size_px)
    except ValidationError:
        raise UserError(
            f"`size_px` must be one number for a square or (height, width) for a rectangle, each a whole number from 2 "
            f"to {LARGEST_SIZE_PX}. Received {size_px!r}. Give 256 or (512, 1024), for example."
        ) from None


def _receptive_field_for(size_px: SizePx) -> dict[str, int]:
    """Returns the setting of the default receptive field, or of the largest that gives such an image a logit."""
    usual = Config().discriminator.receptive_field_px
    fitting = [px for px in PATCHGANS if px <= usual and logits_px(min(Size.of(size_px)), px) >= 1]
    return {"receptive_field_px": max(fitting, default=usual)}


def _assigned(network: keras.Model, arrays: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """Assigns `arrays` to the network's variables. Returns the variables by name."""
    variables = {v.path: v for v in network.variables}
    # Leaves out zeros for biases that neither the file nor the network has.
    present = {name: array for name, array in arrays.items() if name in variables or np.any(array)}
    assign(variables, present, part)
    return {name: np.asarray(variable) for name, variable in variables.items()}


def _compare(directory: RunDirectory, weights: ForeignWeights, path: Path) -> tuple[Distance, Distance] | None:
    """Returns the distances of the imported generator and of the original, both in float32, from the original in
    float64, or None if the original cannot be run.

    The check compares both in float64, so that rounding does not affect it. Images on which the original in float32
    is off by more than `ILL_CONDITIONED` are left out, such as blank paper through instance norms.

    Raises:
        RunError: the two are further apart than the tolerance.
    """
    if weights.original is None:
        return None
    view = run_engine(directory)
    config, data = view.card.config, view.card.config.data
    size_px = weights.size_px or padded_size(data.size_px, config.size_multiple_px)  # originals do not pad
    images = [*photographs(size_px, data.input_channels), *drawings(size_px, data.input_channels)]
    ours = translations_in_float64(view, ((image, None) for image in images))
    reference = [weights.original(image.astype(np.float64)) for image in images]
    originals = [weights.original(image) for image in images]
    errors = distance(originals, reference).largest
    kept = [index for index, error in enumerate(errors) if error <= ILL_CONDITIONED] or [0]
    images, ours, reference, originals = ([values[i] for i in kept] for values in (images, ours, reference, originals))
    _check(distance(ours, reference), path)
    if weights.graph:
        of_layers = max(distance(originals, ours).largest)
        _check(distance([weights.graph(image) for image in images], ours), path, of_layers)
    return distance([view(image, None) for image in images], reference), distance(originals, reference)


def _check(measured: Distance, path: Path, of_layers: float | None = None) -> None:
    """Raises RunError if the distance exceeds the tolerance. With `of_layers`, the float32 error of the same layers,
    twice that error is allowed too."""
    worst, allowed = measured.max_abs_error, f"{TOLERANCE:g} on [-1, 1]"
    if of_layers is None:
        how = "both computed in float64, so rounding is not the cause"
    else:
        how = f"where float32 explains {of_layers:.3g}"
    if not worst <= max(TOLERANCE, AS_ORIGINAL * (of_layers or 0.0)):  # this form raises for NaN, too
        raise RunError(
            f"Imported weights must translate as the original does, within {allowed}. Received a largest difference of "
            f"{in_words(worst, measured.psnr_db)} for {path}, {how}: the original computes something else with tensors "
            f"of these shapes. Such weights cannot be imported. docs/interop.md lists those that can."
        )


def _name_of(path: Path) -> str:
    """Makes a model's name from the file's name, or from the folder's for `facades_label2photo/latest_net_G.pth`."""
    stem = checkpoint_prefix(path).name if not path.is_file() else path.stem
    usual = re.fullmatch(r"(latest|\d+)_net_G|model|saved_model|\d+", stem)
    name = path.resolve().parent.name if usual else stem
    return as_name(name) or "imported"


def _in_words(config: Config) -> str:
    spec = config.generator
    depth = f"{spec.levels} levels" if spec.levels else f"{spec.residual_blocks} residual blocks"
    if spec.enhancers:
        depth += f", {spec.enhancers} enhancers of {spec.enhancer_blocks}"
    kind = KINDS[spec.kind]
    channels = f"{config.data.input_channels} to {config.data.target_channels} channels"
    return f"{kind}, {depth}, {spec.base_filters} filters, {spec.norm} norm, {channels}"
