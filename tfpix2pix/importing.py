"""Weights of other implementations become a run directory, compared with the original's own forward pass before it
takes its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpix2pix.artefacts import run_engine
from tfpix2pix.card import ModelCard, Origin
from tfpix2pix.config import Config
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import sha256_of, whole_directory
from tfpix2pix.interop import IMPORTERS
from tfpix2pix.interop.discriminators import discriminator as as_discriminator
from tfpix2pix.interop.found import Found, Unfit
from tfpix2pix.interop.generators import generator as as_generator
from tfpix2pix.interop.recognize import checkpoint_prefix, kind_of
from tfpix2pix.models.build import build_discriminator, build_generator, noise_size
from tfpix2pix.models.patches import PATCHGANS, logits_px
from tfpix2pix.parity import LEVELS, Distance, distance, drawings, in_words, photographs, translations_in_float64
from tfpix2pix.resolve import make_config
from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.training.checkpoints import Checkpoints, State, assign

TOLERANCE = 1e-4  # largest difference to the original's output, on [-1, 1]
AS_ORIGINAL = 2.0  # the file's own float32 graph may be so many times as far off as the original's layers in float32
ILL_CONDITIONED = 1e-2  # of the original in float32 from itself in float64, on [-1, 1]
RESNET_PX = {6: 128}  # training size by residual blocks, as its authors have it; others 256


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Attributes:
        kind: row of `IMPORTERS`.
        path: the run directory.
        architecture: the generator, in words.
        parameters: trainable ones of the generator.
        receptive_field_px: of the discriminator; None: none was there.
        statistics, noise: how the run translates.
        max_abs_error: largest difference of a translation from that of the original in float64, on [-1, 1], on
            photographs and drawings; None: not compared.
        max_error_levels: the same in levels of 255.
        psnr_db: over all these images.
        original_max_abs_error: what the original in float32 is off by.
        runtime: what the original ran by, or why it was not compared.
        notes: what was passed over.
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
    size_px: int | None = None,
    name: str | None = None,
) -> ImportReport:
    """Writes a run directory with the generator of `file`, and the discriminator where there is one.

    Args:
        file: a file of weights, a checkpoint (folder, prefix or .index), a SavedModel folder or a model.json.
        out: the run directory to create.
        kind: a row of `IMPORTERS`; None: as the file's name and first bytes say.
        discriminator: a file that holds D, where its kind keeps it apart (`latest_net_D.pth`).
        statistics: `image` or `moving`, what batch norms use; None: as the original's own test mode does.
        dropout: whether a U-Net of PyTorch was trained with dropout, which weights do not tell; None: yes.
        size_px: height and width that it was trained at; None: those of the file's model, or the smallest that a
            U-Net's levels allow.
        name: of the model; None: of the file.

    Raises:
        UserError: no such file or kind, a damaged one, or one whose tensors are no pix2pix network's; names the first.
        RunError: the translations differ from the original's, both computed in float64. Nothing has been written then.
    """
    path, directory = Path(file).expanduser(), RunDirectory(out)
    kind = kind_of(path, kind)
    directory.check_free(resume=False, fresh=False, instead="Choose another --out.")
    try:
        found = IMPORTERS[kind].read(path, statistics)
        network, arrays = as_generator(found.generator)
    except Unfit as error:
        raise error.of(path) from error
    critic = _discriminator(kind, path, discriminator, found, network["channels"])
    config = _config(found, network, critic and critic[0], dropout, size_px, name or _name_of(path))
    generator = build_generator(config, seed=None)
    state: State = {"generator": _filled(generator, arrays, "generator")}
    if critic:
        state["discriminator"] = _filled(build_discriminator(config, seed=None), critic[1], "discriminator")
    origin = Origin(kind=kind, file=path.name, sha256=sha256_of(path) if path.is_file() else None)
    card = ModelCard.of(config, 0, noise_size=noise_size(generator), origin=origin)
    if directory.path.is_dir():  # empty, as was checked
        directory.path.rmdir()
    with whole_directory(directory.path) as temporary:
        written = RunDirectory(temporary)
        written.write_config(config)
        Checkpoints(written.checkpoints).save(0, state)
        written.write_card(card)
        ours, originals = _compare(written, found, path) or (None, None)
        error = ours and ours.max_abs_error
        compared = origin.model_copy(update={"max_abs_error": error, "runtime": found.runtime})
        written.write_card(card.model_copy(update={"origin": compared}))
    return ImportReport(
        kind, str(directory.path), _in_words(config), sum(int(np.prod(v.shape)) for v in generator.trainable_variables),
        config.discriminator.receptive_field_px if critic else None, config.inference.statistics,
        config.inference.noise, error, ours and error * LEVELS, ours and ours.psnr_db,
        originals and originals.max_abs_error, found.runtime, found.notes,
    )  # fmt: skip


def _discriminator(
    kind: str, path: Path, file: str | Path | None, found: Found, channels: tuple[int, int]
) -> tuple[dict, dict] | None:
    """The settings and arrays of D, where there is one."""
    reader, where = IMPORTERS[kind].read_discriminator, path
    convolutions = found.discriminator
    if file is not None:
        where = Path(file).expanduser()
        if reader is None:
            raise UserError(
                f"--discriminator goes with --from pytorch: checkpoints of other kinds hold both networks. Received it "
                f"with {kind}. Leave it out."
            )
        if not where.is_file():
            raise UserError(f"--discriminator must be a file. Received {where}, which does not exist. Check the path.")
    try:
        if file is not None:
            convolutions = reader(where)
        return as_discriminator(convolutions, channels) if convolutions else None
    except Unfit as error:
        raise error.of(where, "discriminator") from error


def _config(
    found: Found, network: dict, critic: dict | None, dropout: bool | None, size_px: int | None, name: str
) -> Config:
    settings = {section: dict(values) for section, values in found.traits.items()}
    channels = network["channels"]
    generator = {**settings.get("generator", {}), **{key: value for key, value in network.items() if key != "channels"}}
    smallest = 2 ** generator["levels"] if "levels" in generator else RESNET_PX.get(generator["residual_blocks"], 256)
    size_px = size_px or found.size_px or smallest
    if dropout is False:
        generator["noise"] = "none"
        settings.setdefault("inference", {})["noise"] = "off"
    data = {"input_channels": channels[0], "target_channels": channels[1], "image_size_px": size_px}
    judge = {**settings.get("discriminator", {}), **(critic or _that_fits(size_px))}
    return make_config({**settings, "name": name, "data": data, "generator": generator, "discriminator": judge})


def _that_fits(size_px: int) -> dict[str, int]:
    """The usual discriminator, or the largest that an image of this size has a logit of."""
    usual = Config().discriminator.receptive_field_px
    fitting = [px for px in PATCHGANS if px <= usual and logits_px(size_px, px) >= 1]
    return {"receptive_field_px": max(fitting, default=usual)}


def _filled(network: keras.Model, arrays: Mapping[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """The network's variables with `arrays` in them, by name."""
    variables = {v.path: v for v in network.variables}
    # Biases that are nowhere in the file, nor in the network.
    given = {name: array for name, array in arrays.items() if name in variables or np.any(array)}
    assign(variables, given, what)
    return {name: np.asarray(variable) for name, variable in variables.items()}


def _compare(directory: RunDirectory, found: Found, path: Path) -> tuple[Distance, Distance] | None:
    """How far the imported generator and the original, each in float32, are from the original in float64.

    None if the original cannot be run. Both in float64 decide: there rounding has no part. An image tells nothing, and
    is left out, if the original in float32 is `ILL_CONDITIONED` off on it: blank paper through instance norms.

    Raises:
        RunError: the two are further apart than the tolerance.
    """
    if found.original is None:
        return None
    view = run_engine(directory)
    data = view.card.config.data
    size_px = found.size_px or data.image_size_px
    images = [*photographs(size_px, data.input_channels), *drawings(size_px, data.input_channels)]
    ours = translations_in_float64(view, ((image, None) for image in images))
    reference = [found.original(image.astype(np.float64)) for image in images]
    originals = [found.original(image) for image in images]
    told = [at for at, off in enumerate(distance(originals, reference).largest) if off <= ILL_CONDITIONED] or [0]
    images, ours, reference, originals = ([some[at] for at in told] for some in (images, ours, reference, originals))
    _check(distance(ours, reference), path)
    if found.graph:
        of_layers = max(distance(originals, ours).largest)
        _check(distance([found.graph(image) for image in images], ours), path, of_layers)
    return distance([view(image, None) for image in images], reference), distance(originals, reference)


def _check(off: Distance, path: Path, of_layers: float | None = None) -> None:
    """Raises RunError beyond the tolerance, or twice of what the same layers are off in float32, where that counts."""
    worst, allowed = off.max_abs_error, f"{TOLERANCE:g} on [-1, 1]"
    if of_layers is None:
        how = "both computed in float64, so this is no rounding"
    else:
        how = f"where float32 explains {of_layers:.3g}"
    if not worst <= max(TOLERANCE, AS_ORIGINAL * (of_layers or 0.0)):  # NaN is beyond it, too
        raise RunError(
            f"Imported weights must translate as the original does, within {allowed}. Received a largest difference of "
            f"{in_words(worst, off.psnr_db)} for {path}, {how}: the original computes something else with tensors of "
            f"these shapes. It cannot be imported; docs/interop.md lists what can."
        )


def _name_of(path: Path) -> str:
    """A name for the model from the file's: of `facades_label2photo/latest_net_G.pth` the folder's."""
    stem = checkpoint_prefix(path).name if not path.is_file() else path.stem
    usual = re.fullmatch(r"(latest|\d+)_net_G|model|saved_model|\d+", stem)
    name = path.resolve().parent.name if usual else stem
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_")
    return name or "imported"


def _in_words(config: Config) -> str:
    spec = config.generator
    depth = f"{spec.residual_blocks} residual blocks" if spec.kind == "resnet" else f"{spec.levels} levels"
    kind = {"unet": "U-Net", "encoder_decoder": "encoder-decoder", "resnet": "residual network"}[spec.kind]
    channels = f"{config.data.input_channels} to {config.data.target_channels} channels"
    return f"{kind}, {depth}, {spec.base_filters} filters, {spec.norm} norm, {channels}"
