"""Opens the network that `objective.perceptual_network` names, and records its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError
from tfpix2pix.files import sha256_of
from tfpix2pix.losses import PERCEPTUAL_NETWORKS
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.start_from import identity_of

KEY = "`objective.perceptual_network`"
GRAPH, DATA = "saved_model.pb", ("variables", "assets")  # of a SavedModel: the files that TensorFlow reads
Network = Callable[[Any], Any] | None  # images -> feature maps, each times its weight; None: no term needs it


def with_perceptual_identity(config: Config, *, accept_changes: bool = False) -> Config:
    """Returns the configuration with the identity of its perceptual network, without TensorFlow.

    Raises:
        UserError: there is no such network, or it is not the one that `objective.perceptual_identity` records and
            `accept_changes` is not set.
    """
    spec = config.objective
    identity = None if spec.perceptual_network in (None, *PERCEPTUAL_NETWORKS) else _identity(spec.perceptual_network)
    if spec.perceptual_identity not in (None, identity) and not accept_changes:
        raise UserError(
            f"A run must have the perceptual network that its configuration records, {spec.perceptual_identity}. "
            f"Received {spec.perceptual_network}{f' with {identity}' if identity else ''}. Name that one, or leave "
            f"`objective.perceptual_identity` out of a new configuration."
        )
    return config.model_copy(update={"objective": spec.model_copy(update={"perceptual_identity": identity})})


def _identity(name: str) -> str:
    path = Path(name).expanduser()
    if RunDirectory(path).is_run():
        return identity_of(RunDirectory(path), f"{KEY} must be")
    if not (path / GRAPH).is_file():
        state = f"has no {GRAPH}" if path.exists() else "does not exist"
        raise UserError(
            f"{KEY} must be {', '.join(PERCEPTUAL_NETWORKS)}, a SavedModel folder or a run directory. Received {name}, "
            f"which {state}. Check the path."
        )
    digest = hashlib.sha256()
    files = [path / GRAPH, *(file for folder in DATA for file in (path / folder).rglob("*"))]
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode(errors="surrogateescape"))
    return f"{path.resolve().name}, sha256 {digest.hexdigest()[:16]}"


def open_perceptual_network(config: Config) -> Network:
    """Opens the perceptual network of a configuration, in float32 whatever the precision; None if no term needs it.

    Raises:
        UserError: it cannot be opened, or does not suit the targets.
    """
    name = config.objective.perceptual_network
    if name is None:
        return None
    from tfpix2pix.losses.perceptual import in_color, saved_network, suiting, unfit
    from tfpix2pix.runs.load import run_engine
    from tfpix2pix.runs.networks import computing_in

    channels, size, path = config.data.target_channels, config.data.size_px, Path(name).expanduser()
    if name in PERCEPTUAL_NETWORKS:
        with computing_in("float32"):
            network = PERCEPTUAL_NETWORKS[name].open()
        return in_color(network) if channels == 1 else network
    if not RunDirectory(path).is_run():
        if config.training.coarse_epochs:  # that stage compares smaller images
            saved_network(path, channels, config.coarse_size)
        return saved_network(path, channels, size)
    data = RunDirectory(path).config().data
    if data.input_classes or data.inputs or data.color_space != "rgb":
        received = "several files" if data.inputs else "label maps" if data.input_classes else "lightness alone"
        raise unfit(path, f"take pictures. Received a run that takes {received}")
    generator = run_engine(RunDirectory(path), noise_input=False).generator
    return suiting(lambda images: generator(images, training=False), path, data.input_channels, channels, size)
