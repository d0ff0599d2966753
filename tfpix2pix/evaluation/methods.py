"""Writes a text for the methods section of a paper from what a run and its evaluation have recorded.

Every sentence is of recorded facts. A fact that is not recorded is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.groups import column_of, groups_by_name
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError, listed, plural
from tfpix2pix.evaluation.folder import PARTS, Record, sizes_sentence
from tfpix2pix.losses import GAN_LOSSES, TERMS
from tfpix2pix.models import GENERATORS
from tfpix2pix.references import cited
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.environment import EnvironmentPeriod, EnvironmentRecord
from tfpix2pix.runs.resuming import DataRecord
from tfpix2pix.size import Size

all_of = partial(listed, most=None)
FITS = {  # data.fit -> how training images were brought to their size
    "resize": "resized to",
    "resize_crop": "resized until they covered, and cropped to,",
    "crop": "crops, at the files' own scale, of",
    "pad": "resized until they lay within, and padded by reflection to,",
}
AUGMENTED = {  # switch of `data` -> how it changes training pairs
    "mirror": "mirrored left to right with probability 0.5",
    "vertical_flip": "flipped top to bottom with probability 0.5",
    "rotate": "turned by 0, 90, 180 or 270 degrees",
}
RULES = {  # rule of a split -> how it chooses the pairs that are held out
    "hash": "by a hash of their names with seed {seed}, a fraction of {held_out_fraction:g} on average",
    "shrinking": "by a hash of their names with seed {seed}, a fraction of up to {held_out_fraction:g}",
    "rank": "by the smallest hashes of their names with seed {seed}, a fraction of {held_out_fraction:g}",
    "folds": "as fold {fold} of {folds}, divided with seed {seed}",
}
SPLITS = {"train": "to train on", "val": "held out (val)", "test": "to test on"}
VERSIONS = {"tfpix2pix": "tfpix2pix", "tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy",
            "python": "Python", "cuda": "CUDA", "cudnn": "cuDNN"}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """Holds what is recorded of an evaluated model, beside the record of the evaluation.

    Attributes:
        card: its card; None: another program's images were evaluated.
        environment: what the run was computed with; empty if it is not recorded.
        data: the pairs that it was trained on; empty if they are not recorded.
        sessions_s: time from the first step to the last log line of each session of the run, s.
    """

    card: ModelCard | None = None
    environment: EnvironmentRecord = field(default_factory=EnvironmentRecord)
    data: DataRecord = field(default_factory=DataRecord)
    sessions_s: tuple[float, ...] = ()

    @classmethod
    def of_run(cls, directory: RunDirectory, card: ModelCard, lines: Sequence[Mapping[str, Any]]) -> Facts:
        """Returns the facts in a run directory. A damaged record counts as none.

        `lines` are those of its metrics.jsonl.
        """
        environment, data = EnvironmentRecord(), DataRecord()
        with suppress(UserError):
            environment = EnvironmentRecord.of(directory)
        with suppress(UserError):
            data = DataRecord.of(directory)
        return cls(card, environment, data, sessions(lines))


def sessions(lines: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Returns the last `time_s` of each session. The time of a resumed run begins at 0 again."""
    times = [line["time_s"] for line in lines if isinstance(line.get("time_s"), (int, float))]
    return tuple(time for time, after in pairwise([*times, -1.0]) if after < time)


def methods_text(
    record: Record, facts: Facts, data: DataConfig | None = None, stored_px: Collection[tuple[int, int] | None] = (),
) -> str:  # fmt: skip
    """Returns the text as Markdown: paragraphs, the definitions of the metrics, and the references.

    Args:
        data: of the evaluated pairs; None: it is not known.
        stored_px: height and width of the files of each evaluated pair; None if they differ or are not known.
    """
    card, paragraphs = facts.card, []
    if card is not None and card.origin is not None:
        paragraphs.append([f"The weights were imported from {card.origin.file} ({card.origin.kind})."])
    elif card is not None:
        paragraphs += [_networks(facts, card), _objective(card), _pairs(facts, card), _images(card.config.data)]
        paragraphs += [_training(facts, card), _environment(facts.environment.periods)]
    paragraphs.append(_evaluation(record, data, stored_px))
    text = "\n\n".join(" ".join(sentences) for sentences in map(list, paragraphs) if sentences)
    metrics = "\n".join(f"- {name}: {sentence}." for name, sentence in record.protocols.items())
    publications = cited(text + metrics + ("Isola et al. 2017" if card else ""))
    parts = ["# Methods", text, "## Metrics", metrics] if metrics else ["# Methods", text]
    if publications:
        parts += ["## References", "\n".join(f"- {publication}" for publication in publications)]
    return "\n\n".join(parts) + "\n"


def _networks(facts: Facts, card: ModelCard) -> Iterator[str]:
    spec, sizes = card.config.generator, facts.environment.networks
    row = GENERATORS[spec.kind]
    has = [f"{spec.base_filters:,} filters in its first layer"]
    if "max_filters_factor" in row.options:
        has.append(f"{spec.base_filters * spec.max_filters_factor:,} at most")
    if "levels" in row.options and (levels := sizes.get("generator", {}).get("levels") or spec.levels):
        has.append(f"{levels} levels")
    if "residual_blocks" in row.options:
        has.append(f"{spec.residual_blocks} residual blocks")
    has += _parameters(sizes, "generator")
    yield f"The generator is {row.title or spec.kind}, with {all_of(has)}."
    noise = {"dropout": f"dropout of rate {spec.dropout_rate:g}", "none": "none"}.get(spec.noise, spec.noise)
    yield f"Its normalisation is {spec.norm}, its upsampling {spec.upsampling}, and its noise {noise}."
    if not GAN_LOSSES[card.config.objective.gan_loss].adversarial:
        return
    judge = card.config.discriminator
    has = [f"{judge.base_filters:,} filters in its first layer", *_parameters(sizes, "discriminator")]
    several = f"{judge.scales} scales of " if judge.scales > 1 else ""
    sees = "the input beside the image" if judge.conditional else "the image alone"
    yield (
        f"The discriminator judges patches of {judge.receptive_field_px} px on {several}the image, with "
        f"{all_of(has)}. It sees {sees}."
    )


def _parameters(sizes: Mapping[str, Mapping[str, int]], network: str) -> list[str]:
    count = sizes.get(network, {}).get("trainable_parameters")
    return [] if count is None else [f"{count:,} trainable parameters"]


def _objective(card: ModelCard) -> Iterator[str]:
    spec = card.config.objective
    terms = [f"{TERMS[name].title or name} (weight {weight:g})" for name, weight in spec.weights.items() if weight]
    yield f"The generator minimises the sum of {all_of(terms)}."
    loss = GAN_LOSSES[spec.gan_loss]
    if loss.adversarial:
        smoothed = f", with labels of {1 - spec.label_smoothing:g} for real pairs" if spec.label_smoothing else ""
        yield (
            f"The adversarial loss is {loss.title or spec.gan_loss}{smoothed}; the discriminator's is multiplied by "
            f"{spec.discriminator_factor:g}."
        )
    if spec.teacher:
        yield f"The model is a student of {spec.teacher}."


def _pairs(facts: Facts, card: ModelCard) -> Iterator[str]:
    if not card.data_periods:
        return
    period, data = card.data_periods[-1], card.config.data
    counts = [f"{count:,} {SPLITS.get(split, split)}" for split, count in period.pairs.items() if count]
    since = f" from step {period.from_step:,} on; earlier steps saw others" if period.from_step else ""
    yield f"The data are pairs of images, {all_of(counts)}{since}."
    if card.attribution:
        yield f"Their origin: {card.attribution.rstrip('.')}."
    recorded = facts.data.periods[-1] if facts.data.periods else None
    if recorded is None:
        return
    division = recorded.division
    groups = {split: count for split, count in (recorded.groups or {}).items() if count}
    numbers = all_of([f"{plural(count, 'group')} {SPLITS.get(split, split)}" for split, count in groups.items()])
    by_rule = ""
    if division and division.get("rule") in RULES:
        with suppress(KeyError):
            by_rule = RULES[division["rule"]].format(**division)
    if by_rule:
        what = f"Groups of pairs (`{data.group}`)" if groups else "Pairs"
        yield f"{what} were held out {by_rule}{f': {numbers}' if groups else ''}."
    elif "division" in recorded.model_fields_set and division is None:
        yield "Folders, a column of a table or the source itself divide the pairs."
    if groups and not by_rule:
        yield f"The pairs are of groups (`{data.group}`): {numbers}."
    if groups and _are_apart(recorded.splits, data):
        yield "No group has pairs in two splits."


def _are_apart(splits: Mapping[str, Mapping[str, str]], data: DataConfig) -> bool:
    """Returns True if the names of the pairs show that no group is in two splits."""
    if data.group is None or column_of(data):
        return False
    try:
        members = [{*groups_by_name(list(names), data.group)} for names in splits.values()]
    except UserError:
        return False
    return sum(map(len, members)) == len(set().union(*members))


def _images(data: DataConfig) -> Iterator[str]:
    size = data.size_px
    yield f"Training images are {FITS.get(data.fit, data.fit)} {size.height} × {size.width} px (height × width)."
    changes = [words for key, words in AUGMENTED.items() if getattr(data, key)]
    if data.jitter_ratio > 1:
        changes.insert(0, f"enlarged by {data.jitter_ratio:g} and cropped at random")
    if data.color_jitter:
        changes.append(f"changed in colour by up to {data.color_jitter:g} ({data.color_jitter_side}s alone)")
    if changes:
        yield f"In training, pairs are {all_of(changes)}."
    sides = zip(("inputs", "targets"), data.classes, (data.input_channels, data.target_channels), strict=True)
    kinds = [
        f"{side} are label maps of {classes} classes" if classes else f"{side} have {_channels(channels)}"
        for side, classes, channels in sides
    ]
    yield f"{all_of(kinds).capitalize()}."
    ranges = [*_ranges(data)]
    if ranges:
        yield f"Mapped to [−1, 1] are {all_of(ranges)}."
        if data.out_of_range == "clip":
            yield "Values beyond are clipped."
    if data.weight:
        yield "In training, pixels count by weights (`data.weight`)."


def _ranges(data: DataConfig) -> Iterator[str]:
    """Yields the ranges of values that are recorded."""
    sides = ((data.inputs, data.ranges[0], "input", ""), (data.targets, data.ranges[1], "target", data.target_unit))
    for parts, value_range, side, unit in sides:
        if parts:
            for part in parts:
                if part.range:
                    yield f"{part.name} from {_span(part.range)}{_unit(getattr(part, 'unit', None))}"
        elif value_range and isinstance(value_range[0], (list, tuple)):
            spans = [f"{_span(channel)}{_unit(unit)}" for channel in value_range]
            yield f"the channels of the {side} from {all_of(spans)}"
        elif value_range:
            yield f"the {side} from {_span(value_range)}{_unit(unit)}"


def _training(facts: Facts, card: ModelCard) -> Iterator[str]:
    config, spec = card.config, card.config.training
    yield (
        f"The weights are those of step {card.step:,} of {spec.steps:,}, with a batch of {spec.batch_size:,} and "
        f"seed {config.seed}."
    )
    d_rate = spec.discriminator_learning_rate
    other = f" ({d_rate:g} for the discriminator)" if d_rate else ""
    schedule = "constant" if spec.learning_rate_schedule == "constant" else f"`{spec.learning_rate_schedule}`"
    yield (
        f"The optimiser is Adam (Kingma & Ba 2015) with a learning rate of {spec.learning_rate:g}{other}, β1 "
        f"{spec.beta_1:g} and β2 {spec.beta_2:g}; the schedule of the rate is {schedule}."
    )
    if spec.clip_gradient_norm:
        yield f"Gradients are clipped to a norm of {spec.clip_gradient_norm:g}."
    if spec.ema_decay:
        yield f"A moving average of the generator's weights has a decay of {spec.ema_decay:g}."
    if spec.precision != "auto":
        yield f"The precision is {spec.precision}."
    if spec.started_from:
        yield f"The training began with the weights of {spec.started_from}."
    if facts.sessions_s:
        parts = f" in {len(facts.sessions_s)} sessions" if facts.sessions_s[1:] else ""
        yield f"The training took {sum(facts.sessions_s):,.0f} s{parts} by its log."


def _environment(periods: Sequence[EnvironmentPeriod]) -> Iterator[str]:
    for period in periods:
        since = f"From step {period.from_step:,} on, the training" if len(periods) > 1 else "The training"
        devices = all_of(list(period.gpus)) or period.cpu
        several = f" ({period.replicas} devices share a batch)" if period.replicas > 1 else ""
        versions = [f"{name} {period.versions[key]}" for key, name in VERSIONS.items() if key in period.versions]
        yield f"{since} was computed on {devices}{several} under {period.system}, with {all_of(versions)}."


def _evaluation(
    record: Record, of_pairs: DataConfig | None, stored_px: Collection[tuple[int, int] | None]
) -> Iterator[str]:
    data, protocol = record.data, record.protocol
    pairs = plural(data.images, "pair") if data.of is None else f"{data.images:,} of {plural(data.of, 'pair')}"
    split = f" of the split {data.split}" if data.split else ""
    groups = f", of {plural(data.groups, 'group')}," if data.groups else ""
    version = f" with tfpix2pix {record.package_version}" if record.package_version else ""
    yield f"{pairs}{split}{groups} {'was' if data.images == 1 else 'were'} evaluated{version}."
    sizes = sizes_sentence(record.to_json()).replace("`", "")
    if protocol.size_px != "own" and {*stored_px} == {Size.of(protocol.size_px)}:
        sizes = sizes.replace(f", {PARTS['resize']}.", ", the size of the files.")
    yield sizes
    if of_pairs is not None and of_pairs.weight:
        yield "The figures count pixels by their weights (`data.weight`)."
    if protocol.noise:
        yield f"Translations are made with noise {protocol.noise} and the statistics `{protocol.statistics}`."
    if protocol.variants:
        yield f"Measures of variety are of {protocol.variants} translations of each image (seed {protocol.seed})."
    if record.protocols:
        yield f"The metrics are {all_of(list(record.protocols))}, as defined below."
    if protocol.replicates and any(metric.low is not None for metric in record.figures.values()):
        resampled = "groups" if data.groups else "images"
        yield (
            f"Intervals cover {100 * protocol.covered:g} %: percentiles of {protocol.replicates:,} bootstrap "
            f"replicates (Chamandy et al. 2012), which resample {resampled} (seed {protocol.seed}) and are centred on "
            f"the value."
        )
    if any(metric.unit for metric in record.figures.values()):
        yield "Plots of agreement follow Bland & Altman 1986."


def _channels(count: int) -> str:
    return plural(count, "channel")


def _span(value_range: Sequence[float]) -> str:
    return f"{value_range[0]:g} to {value_range[1]:g}".replace("-", "−")


def _unit(unit: str | None) -> str:
    return f" {unit}" if unit else ""
