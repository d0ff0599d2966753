"""Estimates what a training takes, before it begins: disk and memory, from its networks.

Disk is counted: checkpoints hold the variables of the networks and of the optimisers, and sample grids have a known
size. Memory is computed by a formula whose constants were fitted to the figures of `benchmarks/memory.py`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError, plural
from tfpix2pix.losses import TERMS, Term
from tfpix2pix.models.pyramid import scales_of
from tfpix2pix.runs.networks import build_discriminator, build_encoder, build_generator
from tfpix2pix.runs.session import FIRST_SAMPLES, SAMPLE_ROWS
from tfpix2pix.training.hardware import resolve_precision
from tfpix2pix.training.samples import CAPTION_HEIGHT_PX, CAPTIONS, GAP_PX

WEIGHT_BYTES = 4  # float32, on the disk and in memory
LINE_BYTES = 1_000  # of a step that is logged, in metrics.jsonl and in TensorBoard
OTHER_BYTES = 1_000_000  # configuration, card, curves
HISTOGRAM_BYTES = 800  # of a variable, beside each sample grid

# Fitted to docs/performance/large-images.json: 11 % too low to 16 % too high, with `recompute_levels` up to 29 %.
TENSORFLOW_BYTES = 640e6  # on the CPU
PROGRAM_BYTES = 80e6  # compiled step and buffers
BYTES_OF_A_PARAMETER = 16  # weight, gradient and two moments of Adam
MAPS = 0.9  # of the bytes of all layers' outputs, D's twice: what is in memory at the same time
MAPS_OF_16_BITS = 0.6  # the same, where maps have two bytes
RECOMPUTED = 0.7  # part of the maps that is left with `training.recompute_levels`


@dataclass(frozen=True)
class Networks:
    """Holds the networks of the last stage of a training, of which memory and checkpoints are the largest."""

    generator: keras.Model
    discriminator: keras.Model
    encoder: keras.Model | None = None

    @classmethod
    def of(cls, config: Config) -> Networks:
        """Builds the networks without initial weights."""
        styled = any(term.needs_encoder for term in _terms(config))
        return cls(
            build_generator(config, seed=None), build_discriminator(config, seed=None),
            build_encoder(config, seed=None) if styled else None,
        )  # fmt: skip

    @property
    def translating(self) -> list[keras.Model]:
        """Returns the networks that a translation needs."""
        return [network for network in (self.generator, self.encoder) if network is not None]


@dataclass(frozen=True)
class Disk:
    """Holds the largest number of bytes that the files of a run take at any time."""

    checkpoint: int  # one, with its optimisers
    checkpoints: int  # number at a time, the one that is being written included
    best: int  # the best checkpoint and the one that replaces it; 0 without validation
    samples: int  # number of sample grids
    sample: int  # one grid and its copy in TensorBoard, not compressed, and histograms of the weights
    others: int  # logs, configuration, card and curves

    @property
    def total(self) -> int:
        """Returns the sum, in bytes."""
        return self.checkpoint * self.checkpoints + self.best + self.samples * self.sample + self.others


def disk_of(config: Config, networks: Networks, *, validated: bool) -> Disk:
    """Counts the bytes of a run's files when they are most.

    Args:
        validated: there are held-out pairs, so the run keeps its best checkpoint.
    """
    spec = config.training
    trained = [*networks.translating, networks.discriminator]
    average = _bytes_of(networks.generator.variables) if spec.ema_decay else 0
    moments = 2 * sum(_bytes_of(network.trainable_variables) for network in trained)
    checkpoint = sum(_bytes_of(network.variables) for network in trained) + average + moments
    best = sum(_bytes_of(network.variables) for network in networks.translating) + average
    written = -(-spec.steps // spec.checkpoint_every_steps)
    kept = spec.keep_last + 1 + (_kept_for_good(config) if spec.keep_every_steps else 0)
    kept = kept if spec.checkpoint_every_minutes else min(kept, written)
    measured = validated and spec.validation_images and config.best_metric
    height, width = config.data.size_px
    grid = (CAPTION_HEIGHT_PX + SAMPLE_ROWS * (height + GAP_PX)) * len(CAPTIONS) * (width + GAP_PX) * 3
    early = sum(step < min(spec.sample_every_steps, spec.steps) for step in FIRST_SAMPLES)
    histograms = HISTOGRAM_BYTES * sum(len(network.variables) for network in trained)
    return Disk(
        checkpoint, kept, 2 * best if measured else 0,
        samples=1 + early + -(-spec.steps // spec.sample_every_steps),
        sample=2 * grid + histograms,
        others=OTHER_BYTES + LINE_BYTES * -(-spec.steps // spec.log_every_steps),
    )  # fmt: skip


def _kept_for_good(config: Config) -> int:
    spec = config.training
    every = spec.keep_every_steps
    return spec.steps // (every if spec.checkpoint_every_minutes else math.lcm(every, spec.checkpoint_every_steps))


def memory_of(config: Config, networks: Networks, *, on_gpu: bool, replicas: int = 1) -> int:
    """Returns the bytes that the step takes at most, on the CPU with TensorFlow itself, or on each GPU.

    Frozen networks (a teacher, a perceptual network) and cached pairs are not among them.
    """
    spec = config.training
    trained = [*networks.translating, networks.discriminator]
    parameters = sum(math.prod(variable.shape) for network in trained for variable in network.trainable_variables)
    translations = 2 if any(term.needs_encoder or term.needs_noise for term in _terms(config)) else 1
    maps = translations * _outputs(networks.generator)
    maps += 2 * sum(_outputs(scale) for scale in scales_of(networks.discriminator))
    maps += _outputs(networks.encoder) if networks.encoder else 0
    images = spec.batch_size / replicas / spec.micro_batches
    factor = MAPS if resolve_precision(spec.precision) == "float32" else MAPS_OF_16_BITS
    factor *= RECOMPUTED if spec.recompute_levels else 1.0
    fixed = PROGRAM_BYTES + (0 if on_gpu else TENSORFLOW_BYTES)
    return round(fixed + BYTES_OF_A_PARAMETER * parameters + factor * WEIGHT_BYTES * maps * images)


def _outputs(network: keras.Model) -> int:
    """Returns the number of values in the outputs of a network's layers, of one image."""
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    return sum(
        math.prod(tensor.shape[1:]) for layer in layers for tensor in keras.tree.flatten(layer.output)
        if None not in tensor.shape[1:]
    )  # fmt: skip


def _bytes_of(variables: Iterable[keras.Variable]) -> int:
    return WEIGHT_BYTES * sum(math.prod(variable.shape) for variable in variables)


def needs(
    config: Config, networks: Networks, folder: Path | None, *, pairs: tuple[int, int] | None, replicas: int = 1
) -> list[str]:
    """Returns what a training takes, in plain lines: how often it sees a pair, its disk and memory,
    and whether the disk suffices.

    Args:
        folder: the run directory; None: the disk is not looked at.
        pairs: number of training and of held-out pairs; None if they are not known.
        replicas: number of devices that share a batch.

    Raises:
        UserError: the disk cannot hold one checkpoint.
    """
    spec, lines = config.training, []
    if pairs and (spec.minutes is None or spec.seconds_per_step):  # else the number of steps is not known
        times = spec.steps * spec.batch_size / pairs[0]
        lines.append(f"In {plural(spec.steps, 'step')} every training pair is seen {_times(times)}.")
    disk = disk_of(config, networks, validated=bool(pairs is None or pairs[1]))
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    memory = size_text(memory_of(config, networks, on_gpu=on_gpu, replicas=replicas))
    frozen = any(term.needs_network or term.needs_teacher for term in _terms(config))
    lines.append(
        f"Disk: up to {size_text(disk.total)} (checkpoints: {disk.checkpoints} × {size_text(disk.checkpoint)}). "
        f"Memory: about {memory}{' on each GPU' * on_gpu}{' beside the frozen network of the objective' * frozen}, "
        f"and up to {size_text(1e6 * config.data.cache_mb)} for decoded pairs."
    )
    note = check_disk(disk, folder) if folder else None
    return [*lines, *filter(None, [note])]


def _terms(config: Config) -> list[Term]:
    """Returns the terms of the objective that are trained for."""
    return [TERMS[name] for name, weight in config.objective.weights.items() if weight]


def _times(times: float) -> str:
    if times < 1:
        return f"{times:.1g} times on average"
    shown = f"{times:.2g}" if times < 10 else f"{times:,.0f}"
    return "once" if shown == "1" else f"{shown} times"


def check_disk(disk: Disk, folder: Path) -> str | None:
    """Returns a sentence if the free disk does not suffice for a run in `folder`; None if it does.

    What the run directory holds already is part of the run, or is replaced by it, so it counts as free.

    Raises:
        UserError: the disk cannot hold one checkpoint.
    """
    nearest = folder.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free + _held(folder)
    if free < disk.checkpoint:
        raise UserError(
            f"The disk must have room for a checkpoint of {size_text(disk.checkpoint)}. Received {size_text(free)} "
            f"that are free at {folder}. Choose another `run_dir`, free some space, or lower "
            f"`generator.base_filters` and `discriminator.base_filters`."
        )
    if free >= disk.total:
        return None
    return (
        f"The disk may become full: the run takes up to {size_text(disk.total)}, and {size_text(free)} are free at "
        f"{folder}. Lower `training.keep_last`, raise `training.sample_every_steps`"
        f"{' and `training.keep_every_steps`' if disk.checkpoints > 3 else ''}, or choose another `run_dir`."
    )


def _held(folder: Path) -> int:
    """Returns the bytes of the files below a folder, or 0 if it does not exist."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def size_text(size_bytes: float) -> str:
    """Returns a number of bytes as text: `18 kB`, `686 MB`, `2.1 GB`. The units are 1,000 of the one before."""
    for unit, of_bytes in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= of_bytes:
            amount = size_bytes / of_bytes
            return f"{amount:.1f} {unit}" if unit != "MB" and amount < 100 else f"{amount:.0f} {unit}"
    return f"{size_bytes / 1e3:.0f} kB"
