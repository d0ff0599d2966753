"""What readers of other implementations' weights give: convolutions in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError


@dataclass(frozen=True)
class Norm:
    """A norm after a convolution; what it does not have is 0, or 1, as where it begins."""

    name: str  # of one of its tensors, for messages
    kind: str  # `batch` or `instance`
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None
    mean: np.ndarray | None = None  # moving averages
    variance: np.ndarray | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        _check_finite(self.name, self.gamma, self.beta, self.mean, self.variance)


@dataclass(frozen=True)
class Convolution:
    """A convolution: kernel (height, width, in, out), or (height, width, out, in) of a transposed one."""

    name: str  # of its kernel
    kernel: np.ndarray
    bias: np.ndarray | None = None
    norm: Norm | None = None
    transposed: bool = False
    skip_first: bool = False  # it takes the skip connection's map before the decoder's; ours after

    def __post_init__(self) -> None:
        _check_finite(self.name, self.kernel, self.bias)


@dataclass(frozen=True)
class Found:
    """One or two networks of a file.

    Attributes:
        traits: settings of the configuration that the file tells, or its implementation fixes, by section.
        original: the generator's own forward pass, noise off: (N, H, W, C) in [-1, 1] to the same, in the type that it
            is given, float32 or float64; None where what runs it is not installed.
        graph: the file's own graph, in float32 alone, where `original` had to be built from its description.
        runtime: what `original` runs by, or what is missing for it.
        size_px: height and width that `original` takes; None: any.
        notes: what was passed over.
    """

    generator: Sequence[Convolution]
    discriminator: Sequence[Convolution] | None = None
    traits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    original: Callable[[np.ndarray], np.ndarray] | None = None
    graph: Callable[[np.ndarray], np.ndarray] | None = None
    runtime: str = ""
    size_px: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A row of `IMPORTERS`.

    Attributes:
        title: what it reads, for help and messages.
        recognizes: whether a path is one.
        read: (path, statistics) -> Found; `statistics` is `image`, `moving` or None, as the file says.
        read_discriminator: path -> convolutions, of a file that holds a discriminator alone.
    """

    title: str
    recognizes: Callable[[Path], bool]
    read: Callable[[Path, str | None], Found]
    read_discriminator: Callable[[Path], Sequence[Convolution]] | None = None


class Unfit(ValueError):
    """A tensor that is not what the network needs: its name, what it is and what was expected."""

    def __init__(self, name: str, received: object, expected: object) -> None:
        super().__init__(f"{name} {received}, where {expected} was expected")

    def of(self, path: Path, network: str = "generator") -> UserError:
        return UserError(
            f"Imported weights must be those of a pix2pix {network}. Received {path}, whose {self}. docs/interop.md "
            f"lists the networks that can be imported; --from says of which implementation a file is."
        )


def _check_finite(name: str, *arrays: np.ndarray | None) -> None:
    """Raises Unfit if one of the arrays holds NaN or infinity: no translation could be compared."""
    if not all(array is None or np.isfinite(array).all() for array in arrays):
        raise Unfit(name, "holds NaN or infinity", "a tensor of finite numbers")


def shaped(array: np.ndarray) -> str:
    return f"has shape {tuple(array.shape)}"


class Tensors:
    """Named arrays of a file, taken one by one, so that what is missing or left over is known by name."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays, self.taken = dict(arrays), set()

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def take(self, name: str, expected: str = "it") -> np.ndarray:
        if name not in self.arrays:
            raise Unfit(name, "is missing", expected)
        self.taken.add(name)
        return np.asarray(self.arrays[name], np.float32)

    def maybe(self, name: str) -> np.ndarray | None:
        return self.take(name) if name in self.arrays else None

    def ignore(self, name: str) -> None:
        self.taken.add(name)

    def check_all_taken(self) -> None:
        """Raises Unfit that names the first tensor which nothing asked for."""
        if left := [name for name in self.arrays if name not in self.taken]:
            raise Unfit(left[0], shaped(self.arrays[left[0]]), "no such tensor")
