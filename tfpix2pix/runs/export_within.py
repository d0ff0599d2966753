"""Exports within a size limit: by the most faithful quantisation that fits, or advice on a narrower network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.export.verify import ParityReport
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.export import export_run
from tfpix2pix.runs.networks import build_generator

NARROWER = (48, 32, 24, 16, 12, 8, 4)  # base filters to suggest
GRAPH_MB, SCALES = 0.05, 1.006  # approximate share of a file beside its weights: the graph, the channels' scales


@dataclass(frozen=True)
class Choice:
    """Holds the size of a quantisation, whether it meets the limit, and the report of its export if there is one."""

    quantization: str
    size_mb: float  # measured if there is a report, else computed from the weights
    meets: bool
    report: ParityReport | None = None
    refused: str | None = None  # why an export that fits was not kept

    def as_dict(self) -> dict:
        """Returns the fields, for JSON."""
        report = self.report and self.report.as_dict()
        return {**vars(self), "report": report}


def export_within(
    run_dir: str | Path, format: str, out: str | Path, target_mb: float, **options: Any
) -> tuple[ParityReport, list[Choice]]:
    """Exports with the most faithful quantisation that gives a file of at most `target_mb` (of 10⁶ bytes).

    Args:
        options: as for `export_run`, without `quantize`.

    Returns:
        The report of the export, and every quantisation down to it.

    Raises:
        UserError: no quantisation meets the limit. The message names a narrower network that would.
    """
    config = RunDirectory.trained(run_dir).config()
    parameters, choices = count_parameters(config), []
    for quantization, row in EXPORTERS[format].quantizations.items():
        expected_mb = EXPORTERS[format].size_mb(expected_size_mb(parameters, row.bits))
        if expected_mb > target_mb:
            choices.append(Choice(quantization, expected_mb, meets=False))
            continue
        try:
            report = export_run(run_dir, format, out, quantize=quantization, **options)
        except RunError as error:  # too far from the generator; a coarser quantisation may be nearer
            choices.append(Choice(quantization, expected_mb, meets=False, refused=str(error)))
            continue
        meets = report.size_mb <= target_mb
        choices.append(Choice(quantization, report.size_mb, meets, report))
        if meets:
            return report, choices
        _discard(Path(report.path))
    raise UserError(_none_meets(config, format, target_mb, choices))


def count_parameters(config: Config) -> int:
    """Returns the number of weights of the configured generator."""
    return build_generator(config, seed=None).count_params()


def expected_size_mb(parameters: int, bits: int) -> float:
    """Returns the approximate size of a model's file, MB, from the number of weights and the bits of each."""
    return parameters * bits / 8e6 * SCALES + GRAPH_MB


def _none_meets(config: Config, format: str, target_mb: float, choices: list[Choice]) -> str:
    smallest = min(choices, key=lambda choice: choice.size_mb)
    refused = next((choice.refused for choice in choices if choice.refused), None)
    if refused:
        return f"An export within {target_mb:g} MB must be faithful. Received only unfaithful ones. {refused}"
    sizes = ", ".join(
        f"{choice.quantization} {row['size, MB']}" for choice, row in zip(choices, as_rows(choices), strict=True)
    )
    exporter = EXPORTERS[format]
    fitting = narrower(config, target_mb, exporter.quantizations[smallest.quantization].bits, exporter.size_mb)
    if fitting:
        filters, size_mb = fitting
        advice = (
            f"Train a narrower network by `tfpix2pix distill`: `--set generator.base_filters={filters}` gives about "
            f"{size_mb:.1f} MB in {smallest.quantization}."
        )
        advice += " Its own `target_mb` finds the widest that fits." if format == "tflite" else ""
    elif exporter.size_mb(0.0) > target_mb:
        advice = f"Raise `target_mb`: the page has {exporter.size_mb(0.0):.1f} MB without any model."
    else:
        advice = "Raise `target_mb`, or train a generator of fewer levels or blocks."
    return f"An export must have at most {target_mb:g} MB (`target_mb`). Received, in MB: {sizes}. {advice}"


def narrower(
    config: Config, target_mb: float, bits: int, size_of: Callable[[float], float] = float
) -> tuple[int, float] | None:
    """Returns the base filters of the widest narrower network that meets the limit, and its size in MB.

    Args:
        size_of: size of an export, MB, from that of its model (`Format.size_mb`).
    """
    for filters in NARROWER:
        if filters >= config.generator.base_filters:
            continue
        changed = config.generator.model_copy(update={"base_filters": filters})
        parameters = count_parameters(config.model_copy(update={"generator": changed}))
        size_mb = size_of(expected_size_mb(parameters, bits))
        if size_mb <= target_mb:
            return filters, size_mb
    return None


def _discard(path: Path) -> None:
    """Removes an export of this call that is too large."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def as_rows(choices: list[Choice]) -> list[Mapping[str, str]]:
    """Returns the choices as rows of a table."""
    return [
        {
            "quantisation": choice.quantization,
            "size, MB": f"{'' if choice.report else 'about '}{choice.size_mb:.1f}",
            "within": "yes" if choice.meets else "no",
            "PSNR, dB": f"{choice.report.psnr_db:.1f}" if choice.report else "refused" if choice.refused else "",
        }
        for choice in choices
    ]
