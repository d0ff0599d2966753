"""Builds the blocks of every network: convolutions with the paper's initialisation, and norms."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from tfpix2pix.models import BIASES, NORMS
from tfpix2pix.models.norms import NORM_EPSILON, BatchNormalization, InstanceNormalization
from tfpix2pix.models.products import ProductConv2D
from tfpix2pix.tables import row

LEAKY_SLOPE = 0.2
MAX_FILTERS_FACTOR = 8  # 64 base filters grow to 512
INIT_STDDEV = 0.02  # kernels N(0, 0.02), norm scales N(1, 0.02); paper §3.3


def seed_of(seed: int, name: str) -> int:
    """Returns the seed for the random numbers of a name, from the network's seed."""
    return zlib.crc32(f"{seed}/{name}".encode())


def initializer(seed: int | None, name: str, mean: float = 0.0) -> Any:
    """Returns an initialiser N(mean, 0.02) that depends only on (seed, layer name).

    For `seed=None` returns zeros, for weights that are loaded later.
    """
    if seed is None:
        return "zeros"
    return keras.initializers.RandomNormal(mean, INIT_STDDEV, seed=seed_of(seed, name))


def batch_norm(name: str, seed: int | None, epsilon: float, statistics: str) -> layers.Layer:
    """Returns a norm by the batch in training, and by `statistics` at inference."""
    gamma = initializer(seed, name, mean=1.0)
    return BatchNormalization(statistics, epsilon, gamma_initializer=gamma, name=name)


def instance_norm(name: str, seed: int | None, epsilon: float, statistics: str) -> layers.Layer:
    """Returns a norm by each image's own statistics, in training too. `statistics` is ignored."""
    return InstanceNormalization(epsilon, gamma_initializer=initializer(seed, name, mean=1.0), name=name)


def instance_norm_non_affine(name: str, seed: int | None, epsilon: float, statistics: str) -> layers.Layer:
    """Returns an instance norm without scale and offset, which has no weights. Seed and `statistics` are ignored."""
    return InstanceNormalization(epsilon, center=False, scale=False, name=name)


def no_norm(name: str, seed: int | None, epsilon: float, statistics: str) -> None:
    """Returns None. The arguments are ignored."""
    return None


class Blocks:
    """Builds the named layers of a network, which share its settings.

    Layer names are keys of checkpoints, so another name changes the format.

    Args:
        seed: seed of the initial weights; None leaves them zero.
        norm: a row of `NORMS`.
        epsilon: number that the norm adds to the variance.
        statistics: statistics that `batch` norm uses at inference.
        bias: a row of `BIASES`.
        spectral_norm: divide every kernel by its largest singular value (Miyato et al., ICLR 2018).
        after_norm: (map, name of the convolution) -> map, applied where a norm is, and there for `none` too.
    """

    def __init__(
        self,
        seed: int | None,
        norm: str,
        *,
        epsilon: float = NORM_EPSILON,
        statistics: str = "image",
        bias: str = "unnormalized",
        spectral_norm: bool = False,
        after_norm: Callable[[Any, str], Any] = lambda x, name: x,
    ) -> None:
        self.seed, self.norm, self.epsilon, self.statistics = seed, norm, epsilon, statistics
        self.make_norm, self.has_bias = row(NORMS, "`norm`", norm), row(BIASES, "`bias`", bias)
        self.spectral_norm, self.after_norm = spectral_norm, after_norm

    def convolution(
        self, x: Any, kind: type, filters: int, name: str, *, normalized: bool = True, last: bool = False,
        then: layers.Layer | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Applies a convolution of any kind, the layer `then` if set, and the norm. `last` has a bias and no norm."""
        has_place = normalized and not last
        normalized = has_place and self.norm != "none"
        kwargs.setdefault("kernel_initializer", initializer(self.seed, name))
        use_bias = last or self.norm == "none" or self.has_bias(normalized)
        layer = kind(filters, use_bias=use_bias, name=name, **kwargs)
        x = (SeededSpectralNormalization(layer, self.seed) if self.spectral_norm else layer)(x)
        x = x if then is None else then(x)
        norm = self.make_norm(f"{name}_norm", self.seed, self.epsilon, self.statistics) if normalized else None
        x = x if norm is None else norm(x)
        return self.after_norm(x, name) if has_place else x

    def conv(
        self, x: Any, filters: int, name: str, *, stride: int, kernel: int = 4, small: bool = False, **kwargs: Any
    ) -> Any:
        """Applies a k×k convolution with the Torch code's padding of 1 on every side (0 for k = 1), then the norm.

        `small`: the result is a map of at most `products.LARGEST_SIDE_PX`, for kernels of 4×4 and stride 2.
        """
        if kernel > 1 and (stride == 1 or kernel % 2):  # in other cases `same` pads 1 before and 1 after, too
            x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
            padding = "valid"
        else:
            padding = "same"
        sizes = {"kernel_size": kernel, "strides": stride, "padding": padding}
        return self.convolution(x, ProductConv2D if small else layers.Conv2D, filters, name, **sizes, **kwargs)


@keras.saving.register_keras_serializable("tfpix2pix")
class SeededSpectralNormalization(layers.SpectralNormalization):
    """Normalises as Keras's layer does, but starts the power iteration from (seed, layer name), so that it repeats."""

    def __init__(self, layer: layers.Layer, seed: int | None = 0, **kwargs: Any) -> None:
        super().__init__(layer, name=f"{layer.name}_spectral", **kwargs)
        self.seed = seed

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        start = keras.initializers.RandomNormal(stddev=1.0, seed=seed_of(self.seed or 0, self.name))
        self.vector_u.assign(start(self.vector_u.shape))
