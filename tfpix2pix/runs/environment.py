"""Records what a run was computed with: its networks' sizes, the versions of packages, the system and the devices."""

from __future__ import annotations

import json
import math
import platform
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict

from tfpix2pix._version import __version__
from tfpix2pix.config import Config
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.estimate import Networks
from tfpix2pix.safe_files import parse_json, read_regular_file
from tfpix2pix.training.hardware import cpu_name, this_hardware


class EnvironmentPeriod(BaseModel):
    """Holds what the steps from one on were computed with. It names neither the machine nor its folders."""

    model_config = ConfigDict(frozen=True)

    from_step: int
    versions: dict[str, str]  # of tfpix2pix, Python, TensorFlow, Keras, NumPy, and with a GPU of CUDA and cuDNN
    system: str  # name, release and processor architecture
    cpu: str  # model of the CPU
    gpus: tuple[str, ...]  # model of each GPU that TensorFlow sees
    replicas: int  # number of devices that share a batch


class EnvironmentRecord(BaseModel):
    """Holds the file `environment.json` of a run directory."""

    format_version: Literal[1] = 1
    networks: dict[str, dict[str, int]] = {}  # network -> `trainable_parameters`, and of the generator `levels`
    periods: tuple[EnvironmentPeriod, ...] = ()

    @classmethod
    def of(cls, directory: RunDirectory) -> EnvironmentRecord:
        """Reads the record of a run. A run of an older version has no file, so its record is empty.

        Raises:
            UserError: the file is damaged, or of another version of the format.
        """
        if not directory.environment.exists():
            return cls()
        try:
            return cls.model_validate(parse_json(read_regular_file(directory.environment)))
        except (UserError, ValueError, OSError) as error:
            raise UserError(
                f"A run's environment.json must be a whole record of format version 1. Received "
                f"{directory.environment}, which is not. Move it away to continue: a new one is begun."
            ) from error

    def resumed(self, step: int, networks: dict[str, dict[str, int]], replicas: int) -> EnvironmentRecord:
        """Returns the record of the run that goes on from `step` here. An environment as before adds no period."""
        now = this_environment(step, replicas)
        kept = [period for period in self.periods if period.from_step <= step]
        if not kept or kept[-1].model_copy(update={"from_step": step}) != now:
            kept = [*(period for period in kept if period.from_step < step), now]
        return EnvironmentRecord(networks=networks, periods=tuple(kept))

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def this_environment(from_step: int, replicas: int) -> EnvironmentPeriod:
    """Returns what steps from `from_step` on are computed with here, on `replicas` devices."""
    gpus = tuple(name for name, _ in this_hardware().gpus)
    versions = {
        "tfpix2pix": __version__, "python": platform.python_version(), "tensorflow": tf.__version__,
        "keras": keras.__version__, "numpy": np.__version__,
    }  # fmt: skip
    if gpus:
        built: dict[str, Any] = tf.sysconfig.get_build_info()
        versions |= {name: built[f"{name}_version"] for name in ("cuda", "cudnn") if f"{name}_version" in built}
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return EnvironmentPeriod(
        from_step=from_step, versions=versions, system=system, cpu=cpu_name(), gpus=gpus, replicas=replicas
    )


def sizes_of(networks: Networks, config: Config) -> dict[str, dict[str, int]]:
    """Returns the number of trainable parameters of each network, and of the generator the number of halvings."""
    every = {"generator": networks.generator, "discriminator": networks.discriminator, "encoder": networks.encoder}
    sizes = {
        name: {"trainable_parameters": sum(math.prod(variable.shape) for variable in network.trainable_variables)}
        for name, network in every.items()
        if network is not None
    }
    sizes["generator"]["levels"] = config.size_multiple_px.bit_length() - 1  # a size multiple is 2^levels
    return sizes
