"""Writes checkpoints, `checkpoints/step-000300/`, whole or not at all, and verifies them when they are read.

The state is the networks, both optimisers and the step. Everything random is a function of the step. Each part is a
safetensors file of named arrays, so that a translator reads the generator alone.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import remove_leftovers, sha256_of, whole_directory
from tfpix2pix.safe_files import parse_json

MANIFEST = "checkpoint.json"
NOTES = "notes.json"  # the best score so far, and sums of losses since the last log
SUFFIX = ".safetensors"
# Raised when a damaged checkpoint is read.
DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)
State = dict[str, dict[str, np.ndarray]]  # part -> variable name -> value
AVERAGE = "average"  # the part with the moving average of the generator's weights
ENCODER = "encoder"  # the part with the encoder of styles
TRANSLATING = ("generator", AVERAGE, ENCODER)  # parts that the best checkpoint holds: nobody trains on from it
Notes = dict[str, Any]  # JSON


class Checkpoints:
    """Keeps the checkpoints of a run: the `keep_last` newest, multiples of `keep_every_steps`, and the best."""

    def __init__(self, directory: Path, keep_last: int = 2, keep_every_steps: int | None = None) -> None:
        self.directory, self.keep_last, self.keep_every_steps = directory, keep_last, keep_every_steps

    def steps(self) -> list[int]:
        """Returns the steps of all checkpoints, ascending."""
        return [_step_of(path) for path in self._folders("step") if (path / MANIFEST).is_file()]

    def save(self, step: int, state: State, notes: Notes | None = None) -> Path:
        """Writes the state of `step`, then removes the checkpoints that are not kept."""
        path = self._path(step)
        if not path.exists():  # a finished run that is resumed has this checkpoint already
            self._write(path, step, state, notes)
        for old in self.steps()[: -self.keep_last]:
            if not self.keep_every_steps or old % self.keep_every_steps:
                shutil.rmtree(self._path(old))
        return path

    def save_best(self, step: int, state: State) -> Path:
        """Writes the state of `step`, of parts in `TRANSLATING`, as the best so far, then removes the previous best."""
        before, path = self._bests(), self.directory / f"best-{step:06d}"
        if path not in before:
            self._write(path, step, state)
        for old in before:
            if old != path:
                shutil.rmtree(old)
        return path

    def load_best(self, parts: Sequence[str] | None = None) -> tuple[int, State]:
        """Returns (step, state) of the best checkpoint.

        Raises:
            UserError: there is no best checkpoint, or it is damaged.
        """
        for path in reversed(self._bests()):
            try:
                return _step_of(path), self._load(path, parts)
            except DAMAGES as error:
                raise UserError(
                    f"The best checkpoint must be whole. Received {path}: {error}. Leave `best` out to use the newest."
                ) from error
        raise UserError(
            f"A best checkpoint needs a run with held-out pairs. Received none in {self.directory}. Leave `best` out."
        )

    def _bests(self) -> list[Path]:
        return [path for path in self._folders("best") if (path / MANIFEST).is_file()]

    def _folders(self, kind: str) -> list[Path]:
        """Returns the folders `<kind>-<step>` by step, without copies of sync programs such as `… (1)`."""
        named = (path for path in self.directory.glob(f"{kind}-*") if re.fullmatch(f"{kind}-[0-9]+", path.name))
        return sorted(named, key=_step_of)

    def _write(self, path: Path, step: int, state: State, notes: Notes | None = None) -> None:
        with whole_directory(path) as temporary:
            for part, arrays in state.items():
                try:
                    save_file(arrays, temporary / f"{part}{SUFFIX}")
                except SafetensorError as error:  # a full disk, among others
                    raise OSError(str(error)) from error
            (temporary / NOTES).write_text(json.dumps(notes or {}))
            hashes = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
            (temporary / MANIFEST).write_text(json.dumps({"step": step, "sha256": hashes}, indent=2))

    def load(self, parts: Sequence[str] | None = None) -> tuple[int, State]:
        """Returns (step, state) of the newest whole checkpoint. Damaged ones are skipped, with a warning.

        Args:
            parts: names of the parts to read; None: all.

        Raises:
            UserError: there is no checkpoint.
            RunError: all checkpoints are damaged.
        """
        paths = self._folders("step")
        if copies := sorted(set(self.directory.glob("step-*")) - set(paths)):
            warnings.warn(f"{copies[0]} is ignored: a checkpoint's name is step- and a number alone.", stacklevel=2)
        for path in reversed(paths):
            try:
                return _step_of(path), self._load(path, parts)
            except DAMAGES as error:
                next_step = "The one before it is tried" if path != paths[0] else "It is the earliest one"
                warnings.warn(f"The checkpoint {path} is damaged ({error}). {next_step}.", stacklevel=2)
        if paths:
            best = " The best one may be whole: `translate --best` and `export --best` use it." if self._bests() else ""
            raise RunError(
                f"Every checkpoint in {self.directory} is damaged.{best} To train again, choose another run directory, "
                f"or replace this one by `train --fresh`."
            )
        raise UserError(f"{self.directory} must hold a checkpoint. Received none. Train first, or give another run.")

    def newest_digest(self, part: str) -> tuple[int, str]:
        """Returns the step of the newest checkpoint and the SHA-256 of one of its parts, as its manifest has it.

        Raises:
            UserError: there is no checkpoint, or its manifest is damaged.
        """
        if not self.steps():
            raise UserError(
                f"{self.directory} must hold a checkpoint. Received none. Train first, or give another run."
            )
        step = self.steps()[-1]
        try:
            return step, str(parse_json((self._path(step) / MANIFEST).read_text())["sha256"][f"{part}{SUFFIX}"])
        except DAMAGES as error:
            raise UserError(
                f"A checkpoint must be whole. Received {self._path(step)} with a damaged {MANIFEST}: {error}. Remove "
                f"that folder to use the one before."
            ) from error

    def parts(self) -> set[str]:
        """Returns the names of the parts that any checkpoint holds."""
        return {file.stem for path in self._folders("step") for file in path.glob(f"*{SUFFIX}")}

    def notes(self, step: int) -> Notes:
        """Reads the notes beside the state of `step`, which `load` has verified."""
        return parse_json((self._path(step) / NOTES).read_text())

    def any(self) -> bool:
        """Returns True if there is a checkpoint, whole or damaged."""
        return bool(self._folders("step"))

    def clear_after(self, step: int) -> None:
        """Prepares to resume from `step`: removes leftovers of killed processes, and renames damaged later checkpoints,
        so that whole ones can be written there."""
        remove_leftovers(self.directory)
        for path in self._folders("step"):
            if _step_of(path) > step:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)

    def _load(self, path: Path, parts: Sequence[str] | None) -> State:
        hashes = parse_json((path / MANIFEST).read_text())["sha256"]
        if any(Path(name).name != name for name in hashes):
            raise ValueError(f"{MANIFEST} names files elsewhere")
        names = [f"{part}{SUFFIX}" for part in parts] if parts else list(hashes)
        for name in names:
            if sha256_of(path / name) != hashes[name]:
                raise ValueError(f"{name} is not what was written")
        return {name.removesuffix(SUFFIX): load_file(path / name) for name in names if name.endswith(SUFFIX)}

    def _path(self, step: int) -> Path:
        return self.directory / f"step-{step:06d}"


def _step_of(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def state_variables(model) -> dict[str, dict[str, object]]:
    """Returns the variables of a `Pix2Pix` model's training state, by part and name."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    if model.average is not None:
        networks[AVERAGE] = model.average
    if model.encoder is not None:
        networks[ENCODER] = model.encoder
    optimizers = {
        "generator_optimizer": model.generator_optimizer,
        "discriminator_optimizer": model.discriminator_optimizer,
    }
    return {
        **{part: {v.path: v for v in network.variables} for part, network in networks.items()},
        **{part: _by_short_path(optimizer.variables) for part, optimizer in optimizers.items()},
        "training": {v.name: v for v in model.own_variables},
    }


def get_state(model, parts: Sequence[str] | None = None) -> State:
    """Returns the training state of a `Pix2Pix` model as arrays. `parts`: those of `state_variables`; None: all."""
    return {
        part: {name: np.asarray(v) for name, v in variables.items()}
        for part, variables in state_variables(model).items()
        if parts is None or part in parts
    }


def set_state(model, state: State) -> None:
    """Sets a `Pix2Pix` model to `state`, which must have the model's parts and names."""
    for part, variables in state_variables(model).items():
        assign(variables, state[part], part)


@contextmanager
def holding(model, state: State) -> Iterator[None]:
    """Sets some parts of a `Pix2Pix` model to those of `state` in the block, and then back.

    Meanwhile `state` holds the model's own, so that memory holds each of them once.
    """
    _exchange(model, state)
    try:
        yield
    finally:
        _exchange(model, state)


def _exchange(model, state: State) -> None:
    variables = state_variables(model)
    for part, arrays in state.items():
        for name, variable in variables[part].items():
            value, arrays[name] = arrays[name], np.asarray(variable)
            variable.assign(value)


def assign(variables: dict[str, object], arrays: dict[str, np.ndarray], part: str) -> None:
    """Assigns `arrays` to `variables` of the same names and shapes. Raises UserError for the first that differs.

    `part` names the variables in the error, such as `generator`.
    """
    different = [
        name for name in sorted(variables.keys() | arrays.keys()) if _shape(variables, name) != _shape(arrays, name)
    ]
    if different:
        name = different[0]
        raise UserError(
            f"A checkpoint must fit the configured {part}: {name} has shape {_shape(variables, name)} here and "
            f"{_shape(arrays, name)} in the checkpoint. Use the configuration of its training."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _shape(named: dict[str, object], name: str) -> tuple[int, ...] | None:
    return tuple(named[name].shape) if name in named else None


def _by_short_path(variables) -> dict[str, object]:
    """Returns variables by path, without the optimiser's name, which counts the instances in the process."""
    return {v.path.partition("/")[2]: v for v in variables}
