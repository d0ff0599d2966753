"""A training state on disk: `checkpoints/step-000300/`, whole or not there at all, verified when read.

State is both networks, both optimisers and the step; everything random is a function of the step. Each part is one
safetensors file of named arrays, so that a translator reads the generator alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import whole_directory

MANIFEST = "checkpoint.json"
State = dict[str, dict[str, np.ndarray]]  # part -> variable name -> value


class Checkpoints:
    """The checkpoints of one run, newest last; keeps the `keep_last` newest."""

    def __init__(self, directory: Path, keep_last: int = 2) -> None:
        self.directory, self.keep_last = directory, keep_last

    def steps(self) -> list[int]:
        """Steps at which there is a checkpoint, ascending."""
        return sorted(int(path.parent.name.removeprefix("step-")) for path in self.directory.glob(f"step-*/{MANIFEST}"))

    def save(self, step: int, state: State) -> Path:
        """Writes the state of `step`, then removes what `keep_last` leaves no room for."""
        path = self._path(step)
        if path.exists():  # a finished run that is resumed with nothing to do
            return path
        with whole_directory(path) as temporary:
            for part, arrays in state.items():
                try:
                    save_file(arrays, temporary / f"{part}.safetensors")
                except SafetensorError as error:  # such as a full disk, which it does not raise as OSError
                    raise OSError(str(error)) from error
            hashes = {file.name: _sha256(file) for file in sorted(temporary.iterdir())}
            (temporary / MANIFEST).write_text(json.dumps({"step": step, "sha256": hashes}, indent=2))
        for old in self.steps()[: -self.keep_last]:
            shutil.rmtree(self._path(old))
        return path

    def load(self, parts: list[str] | None = None) -> tuple[int, State]:
        """(step, state) of the newest whole checkpoint; `parts` alone where given. A damaged one is passed over.

        Raises:
            UserError: there is no checkpoint.
            RunError: there are some, and each is damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return step, self._load(self._path(step), parts)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                warnings.warn(
                    f"The checkpoint {self._path(step)} is damaged ({error}); trying the one before.", stacklevel=2
                )
        if steps:
            raise RunError(f"Every checkpoint in {self.directory} is damaged. Train again with --fresh.")
        raise UserError(f"{self.directory} must hold a checkpoint. Received none. Train first, or give another run.")

    def _load(self, path: Path, parts: list[str] | None) -> State:
        hashes = json.loads((path / MANIFEST).read_text())["sha256"]
        names = [f"{part}.safetensors" for part in parts] if parts else list(hashes)
        for name in names:
            if _sha256(path / name) != hashes[name]:
                raise ValueError(f"{name} is not what was written")
        return {name.removesuffix(".safetensors"): load_file(path / name) for name in names}

    def _path(self, step: int) -> Path:
        return self.directory / f"step-{step:06d}"


def state_variables(model) -> dict[str, dict[str, object]]:
    """The variables that are a `Pix2Pix` model's training state, by part and name."""
    return {
        "generator": {v.path: v for v in model.generator.variables},
        "discriminator": {v.path: v for v in model.discriminator.variables},
        "generator_optimizer": _by_short_path(model.generator_optimizer.variables),
        "discriminator_optimizer": _by_short_path(model.discriminator_optimizer.variables),
        "training": {"step": model.step},
    }


def get_state(model) -> State:
    """The training state of a `Pix2Pix` model as arrays."""
    return {
        part: {name: np.asarray(v) for name, v in variables.items()}
        for part, variables in state_variables(model).items()
    }


def set_state(model, state: State) -> None:
    """Sets a `Pix2Pix` model to `state`, whose parts and names must be the model's own."""
    for part, variables in state_variables(model).items():
        assign(variables, state[part], part)


def assign(variables: dict[str, object], arrays: dict[str, np.ndarray], what: str) -> None:
    """Assigns `arrays` to `variables` of the same names and shapes; raises UserError naming the first that differs."""
    different = [
        name for name in sorted(variables.keys() | arrays.keys()) if _shape(variables, name) != _shape(arrays, name)
    ]
    if different:
        name = different[0]
        raise UserError(
            f"A checkpoint must fit the configured {what}: {name} has shape {_shape(variables, name)} here and "
            f"{_shape(arrays, name)} in the checkpoint. Use the configuration it was trained with."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _shape(named: dict[str, object], name: str) -> tuple[int, ...] | None:
    return tuple(named[name].shape) if name in named else None


def _by_short_path(variables) -> dict[str, object]:
    """Optimisers' variables without the optimiser's own name, which counts instances in the process."""
    return {v.path.partition("/")[2]: v for v in variables}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
