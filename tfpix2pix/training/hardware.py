"""Chooses precision and XLA by what the machine has: `training.precision: auto` and `training.xla: auto`."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tensorflow as tf

from tfpix2pix.errors import UserError

Capability = tuple[int, int]  # compute capability of a GPU, (7, 5) for a T4
UNKNOWN: Capability = (0, 0)


@dataclass(frozen=True)
class Hardware:
    """Holds what the choice depends on.

    Attributes:
        gpus: name and compute capability of each GPU, `UNKNOWN` if TensorFlow does not tell.
        cpu_flags: flags of the CPU, empty if the system is not Linux.
    """

    gpus: tuple[tuple[str, Capability], ...] = ()
    cpu_flags: frozenset[str] = frozenset()

    @property
    def capability(self) -> Capability | None:
        """Returns the compute capability of the weakest GPU, None without a GPU."""
        return min((capability for _, capability in self.gpus), default=None)

    @property
    def name(self) -> str:
        """Returns the name of the weakest GPU with its compute capability, or `this CPU`."""
        if not self.gpus:
            return "this CPU"
        name, capability = min(self.gpus, key=lambda gpu: gpu[1])
        known = "unknown" if capability == UNKNOWN else "{}.{}".format(*capability)
        return f"{name} (compute capability {known})"


@dataclass(frozen=True)
class Choice:
    """Holds what `auto` chooses on some devices.

    Attributes:
        devices: the devices, as docs/training.md names them.
        fits: returns True for such devices.
        precision: row of `PRECISIONS`.
        reason: why, as a predicate of the device: `has no tensor cores`.
        xla: compile the step with XLA.
        xla_reason: why, or why not.
    """

    devices: str
    fits: Callable[[Hardware], bool]
    precision: str
    reason: str
    xla: bool
    xla_reason: str


def gpu_from(lowest: Capability) -> Callable[[Hardware], bool]:
    """Returns a function that is True if every GPU has at least this compute capability."""
    return lambda hardware: hardware.capability is not None and hardware.capability >= lowest


def cpu_with(*flags: str) -> Callable[[Hardware], bool]:
    """Returns a function that is True on a CPU that has one of the flags. Without flags, any CPU will do."""
    return lambda hardware: hardware.capability is None and (not flags or bool(hardware.cpu_flags & set(flags)))


NOT_MEASURED = "nobody has measured it on such a GPU, which `python benchmarks/gpu.py` does"
SEVERAL = "it compiles the step of one device"
SLOWER = "its convolutions are slower on a CPU"

# The first row that fits decides. A measurement by benchmarks/gpu.py changes `xla` and `xla_reason` of a GPU's row.
CHOICES: tuple[Choice, ...] = (
    Choice("GPUs of compute capability 8.0 and up (A100, L4, RTX 30)", gpu_from((8, 0)),
           "bfloat16", "has tensor cores for bfloat16", False, NOT_MEASURED),
    Choice("GPUs of compute capability 7.0 to 7.5 (V100, T4, RTX 20)", gpu_from((7, 0)),
           "float16", "has tensor cores for float16 and none for bfloat16", False, NOT_MEASURED),
    Choice("other GPUs", gpu_from(UNKNOWN),
           "float32", "has no tensor cores, or TensorFlow does not know them", False, NOT_MEASURED),
    Choice("CPUs with AVX512-BF16 or AMX", cpu_with("avx512_bf16", "amx_bf16"),
           "bfloat16", "has instructions for bfloat16", False, SLOWER),
    Choice("other CPUs", cpu_with(),
           "float32", "has no instructions for bfloat16 that TensorFlow could use", False, SLOWER),
)  # fmt: skip


def choice_for(hardware: Hardware) -> Choice:
    """Returns the row of `CHOICES` for a machine."""
    return next(choice for choice in CHOICES if choice.fits(hardware))


def this_hardware() -> Hardware:
    """Returns the GPUs that TensorFlow sees, and the flags of the CPU."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    gpus = [(each.get("device_name", "GPU"), tuple(each.get("compute_capability", UNKNOWN))) for each in details]
    return Hardware(tuple(gpus), frozenset(_cpu_flags()))


def resolve_precision(name: str) -> str:
    """Returns a row of `PRECISIONS` other than `auto`, for which `CHOICES` decides."""
    return choice_for(this_hardware()).precision if name == "auto" else name


def resolve_xla(wish: bool | Literal["auto"], replicas: int) -> bool:
    """Returns True if the step is to be compiled with XLA. For `auto`, `CHOICES` decides, and one device is needed.

    Raises:
        UserError: XLA is configured for several replicas, which cannot sum gradients inside a compiled step.
    """
    if wish == "auto":
        return replicas == 1 and choice_for(this_hardware()).xla
    if wish and replicas > 1:
        raise UserError(
            f"`training.xla` compiles the step of one device. Received true on {replicas} devices. Set it to false, or "
            f"`training.strategy` to one."
        )
    return wish


def explain(precision: str, xla: bool | Literal["auto"], hardware: Hardware, replicas: int = 1) -> str:
    """Returns a line about what `auto` chooses, and why. It is empty if neither value is `auto`."""
    choice = choice_for(hardware)
    sentences = []
    if precision == "auto":
        sentences.append(f"Precision is {choice.precision} (`auto`): {hardware.name} {choice.reason}.")
    if xla == "auto":
        one = replicas == 1
        on = one and choice.xla
        sentences.append(f"XLA is {'on' if on else 'off'} (`auto`): {choice.xla_reason if one else SEVERAL}.")
    return " ".join(sentences)


def cpu_name() -> str:
    """Returns the model of the CPU, or its architecture if the system does not tell."""
    names = _of_cpu("model name")
    if not names and sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        names = [subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()]
    return next(filter(None, names), "") or platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    """Returns the flags of the CPU, empty if the system is not Linux."""
    return {flag for flags in _of_cpu("flags") for flag in flags.split()}


def _of_cpu(key: str) -> list[str]:
    """Returns the values of a key for each core, empty if the system is not Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
