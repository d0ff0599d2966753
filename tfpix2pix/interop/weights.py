"""Holds the weights of another implementation: convolutions in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpix2pix.errors import UserError
from tfpix2pix.size import SizePx

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Norm:
    """Holds a norm after a convolution. Arrays that are None count as 0, or as 1 for `gamma` and `variance`."""

    name: str  # of one of its tensors, for error texts
    kind: str  # a row of `NORMS`
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None
    mean: np.ndarray | None = None  # moving averages
    variance: np.ndarray | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        _check_finite(self.name, self.gamma, self.beta, self.mean, self.variance)


@dataclass(frozen=True)
class Convolution:
    """Holds a convolution: its kernel (height, width, in, out), or (height, width, out, in) if it is transposed."""

    name: str  # of its kernel
    kernel: np.ndarray
    bias: np.ndarray | None = None
    norm: Norm | None = None
    transposed: bool = False
    skip_first: bool = False  # its input has the skip connection's map before the decoder's; ours has it after

    def __post_init__(self) -> None:
        _check_finite(self.name, self.kernel, self.bias)


@dataclass(frozen=True)
class ForeignWeights:
    """Holds one or two networks that were read from a file.

    Attributes:
        traits: settings of the configuration that the file or its implementation fixes, by section.
        original: the generator's own forward pass, noise off: (N, H, W, C) in [-1, 1] to the same, in the type of its
            input, float32 or float64; None if the program that runs it is not installed.
        graph: the file's own graph, only in float32, if `original` had to be built from the file's description.
        runtime: the program that runs `original`, or the reason why it cannot be run.
        size_px: side, or height and width, that `original` takes; None: any.
        notes: sentences about parts of the file that were left out.
    """

    generator: Sequence[Convolution]
    discriminator: Sequence[Convolution] | None = None
    traits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    original: Callable[[np.ndarray], np.ndarray] | None = None
    graph: Callable[[np.ndarray], np.ndarray] | None = None
    runtime: str = ""
    size_px: SizePx | None = None
    notes: tuple[str, ...] = ()


Found = ForeignWeights  # its name in earlier versions, which importers outside this package may use


@dataclass(frozen=True)
class Kind:
    """Describes a kind of file: a row of `IMPORTERS`.

    Attributes:
        title: the files that it reads, for help and error texts.
        recognizes: path -> True if it is such a file.
        read: (path, statistics) -> ForeignWeights; `statistics` is `image`, `moving`, or None for the file's own.
        read_discriminator: path -> convolutions, for a file with only a discriminator.
    """

    title: str
    recognizes: Callable[[Path], bool]
    read: Callable[[Path, str | None], ForeignWeights]
    read_discriminator: Callable[[Path], Sequence[Convolution]] | None = None


class Unfit(ValueError):
    """Reports a tensor that does not fit the network: its name, what was received and what was expected."""

    def __init__(self, name: str, received: object, expected: object) -> None:
        super().__init__(f"{name} {received}, where {expected} was expected")

    def of(self, path: Path, network: str = "generator") -> UserError:
        """Returns the error for the user, which names the file."""
        return UserError(
            f"Imported weights must be those of a pix2pix {network}. Received {path}: {self}. docs/interop.md "
            f"lists the networks that can be imported. Set `kind` if the implementation was mistaken."
        )


def _check_finite(name: str, *arrays: np.ndarray | None) -> None:
    """Raises Unfit if an array holds NaN or infinity, because its translations could not be compared."""
    import numpy as np  # here, so that the command line's help, which lists kinds, does not load it

    if not all(array is None or np.isfinite(array).all() for array in arrays):
        raise Unfit(name, "holds NaN or infinity", "a tensor of finite numbers")


def shaped(array: np.ndarray) -> str:
    return f"has shape {tuple(array.shape)}"


class Tensors:
    """Holds the named arrays of a file. They are taken one by one, so that errors can name missing and extra arrays."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays, self.used = dict(arrays), set()

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def take(self, name: str, expected: str = "it") -> np.ndarray:
        """Returns an array as float32. Raises Unfit if it is missing."""
        if name not in self.arrays:
            raise Unfit(name, "is missing", expected)
        import numpy as np

        self.used.add(name)
        return np.asarray(self.arrays[name], np.float32)

    def maybe(self, name: str) -> np.ndarray | None:
        """Returns an array as float32, or None if it is missing."""
        return self.take(name) if name in self.arrays else None

    def ignore(self, name: str) -> None:
        """Marks an array that is not needed as used."""
        self.used.add(name)

    def check_all_taken(self) -> None:
        """Raises Unfit that names the first array which was neither taken nor ignored."""
        if extra := [name for name in self.arrays if name not in self.used]:
            raise Unfit(extra[0], shaped(self.arrays[extra[0]]), "no such tensor")
