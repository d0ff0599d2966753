"""Starts the networks of a run from the weights of an earlier run: `training.start_from`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError, listed
from tfpix2pix.models import GENERATORS
from tfpix2pix.models.settings import GeneratorConfig
from tfpix2pix.models.sizes import ENHANCERS
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.training.checkpoints import AVERAGE, Checkpoints, state_variables

LEAST_SHARE = 0.5  # of the smaller generator's arrays: with fewer, the two have another architecture or another width
DISCRIMINATOR = "discriminator"
MOST_NAMED = 6  # layers in a sentence


def identity_of(directory: RunDirectory, needed: str = "Weights must be those of") -> str:
    """Returns the name, step and digest of a run's newest weights, as another run's configuration records them.

    Args:
        needed: beginning of the error, such as "A teacher must be".

    Raises:
        UserError: the folder is not a run, or the run has not been trained.
    """
    if not directory.is_run():
        raise UserError(f"{needed} a run directory. Received {directory.path}. Give a run that was trained.")
    config = directory.config()
    step, sha256 = Checkpoints(directory.checkpoints).newest_digest(_translating(config))
    return f"{config.name}, step {step}, sha256 {sha256[:16]}"


def with_start(config: Config) -> Config:
    """Returns the configuration with the identity of the weights that `training.start_from` names.

    Raises:
        UserError: they are not the weights of a run, belong to a global generator of another width, or are not those
            that `training.started_from` records.
    """
    spec = config.training
    if spec.start_from is None:
        return config
    directory = RunDirectory.trained(spec.start_from)
    identity = identity_of(directory, "`training.start_from` must be")
    _check_width(config.generator, directory)
    if spec.started_from not in (None, identity):
        raise UserError(
            f"A run must start from the weights that its configuration records, {spec.started_from}. Received "
            f"{spec.start_from} with {identity}. Name a folder with those, or leave `training.started_from` out."
        )
    return config.model_copy(update={"training": spec.model_copy(update={"started_from": identity})})


def start_from(model: Any, directory: RunDirectory) -> tuple[str, ...]:
    """Sets a `Pix2Pix` model's networks to a run's newest weights, array by array if name and shape agree.

    The generator takes the run's averaged weights if it keeps an average. The discriminator takes its own, if the run
    has one. The optimisers stay new.

    Returns:
        A sentence about each network: how many of its arrays were taken, and which layers are new.

    Raises:
        UserError: fewer than half of the smaller generator's arrays fit. The model is unchanged then.
    """
    config, checkpoints = directory.config(), Checkpoints(directory.checkpoints)
    part = _translating(config)
    stored = checkpoints.parts()
    step, state = checkpoints.load([name for name in (part, DISCRIMINATOR) if name in stored])
    variables = state_variables(model)
    targets = {"generator": state[part], AVERAGE: state[part], DISCRIMINATOR: state.get(DISCRIMINATOR, {})}
    fitting = {
        name: [key for key, variable in variables[name].items() if _fits(variable, arrays.get(key))]
        for name, arrays in targets.items()
        if name in variables
    }
    share = len(fitting["generator"]) / min(len(variables["generator"]), len(state[part]))
    if share < LEAST_SHARE:
        raise UserError(
            f"`training.start_from` must be a run with a generator like this one. Received {directory.path}, "
            f"which fits {len(fitting['generator'])} of these {len(variables['generator'])} arrays: "
            f"{_unlike(config, variables['generator'], state[part])}. Give a run of the same architecture and width."
        )
    for name, keys in fitting.items():
        for key in keys:
            variables[name][key].assign(targets[name][key])
    where = f"{config.name}, step {step}"
    return tuple(
        _sentence(name, where, keys, variables[name], targets[name])
        for name, keys in fitting.items()
        if name != AVERAGE
    )


def _check_width(ours: GeneratorConfig, directory: RunDirectory) -> None:
    """Raises UserError if both runs have a global generator, and the two differ in width."""
    theirs = directory.config().generator
    here, there = global_filters(ours), global_filters(theirs)
    if here is None or there is None or here == there:
        return
    scales = here // ours.base_filters
    fits = f"Set `generator.base_filters` to {there // scales}, or give" if there % scales == 0 else "Give"
    raise UserError(
        f"`training.start_from` must be a run whose global generator is as wide as the one here: `base_filters` of a "
        f"global, doubled for each enhancer around it. Received {directory.path}, a {theirs.kind} with {there} filters "
        f"in it, for {here} here. {fits} another run."
    )


def global_filters(spec: GeneratorConfig) -> int | None:
    """Returns the number of filters in the first layer of a global generator, alone or inside of enhancers; None for
    other generators."""
    if spec.kind == "global":
        return spec.base_filters
    return spec.base_filters * 2 ** (spec.enhancers or ENHANCERS) if GENERATORS[spec.kind].coarse else None


def _translating(config: Config) -> str:
    """Returns the part of a run's checkpoints that translates."""
    return "generator" if config.training.ema_decay is None else AVERAGE


def _fits(variable: Any, array: Any) -> bool:
    return array is not None and tuple(variable.shape) == tuple(array.shape)


def _sentence(name: str, where: str, keys: list[str], variables: dict[str, Any], arrays: dict[str, Any]) -> str:
    if not keys:
        return f"The {name} is new: {where} has none that fits."
    new = list(_layers(key for key in variables if key not in keys))
    count = f"all {len(variables)}" if not new else f"{len(keys)} of {len(variables)}"
    unused = list(_layers(key for key in arrays if key not in variables))
    return f"The {name} starts with {count} arrays of {where}" + "".join(
        (
            f"; new here: {listed(new, MOST_NAMED)}" if new else "",
            f"; not used: {listed(unused, MOST_NAMED)}" if unused else "",
            ".",
        )
    )


def _unlike(config: Config, variables: dict[str, Any], arrays: dict[str, Any]) -> str:
    """Returns the first array of the same name and another shape, or the kind of the other network."""
    for key, variable in variables.items():
        if key in arrays and not _fits(variable, arrays[key]):
            return f"{key} has shape {tuple(arrays[key].shape)} there and {tuple(variable.shape)} here"
    return f"that one is a {config.generator.kind} of other layers"


def _layers(keys: Iterable[str]) -> Iterator[str]:
    """Yields the names of the layers of these arrays, once each."""
    return iter(dict.fromkeys(key.split("/")[0] for key in keys))
