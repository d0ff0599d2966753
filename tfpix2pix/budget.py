"""A size that an export must keep: which quantisation meets it and what it costs, or which narrower network would."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import BITS, EXPORTERS
from tfpix2pix.export.verify import ParityReport
from tfpix2pix.exporting import export_run
from tfpix2pix.models.build import build_generator
from tfpix2pix.run_directory import RunDirectory

NARROWER = (48, 32, 24, 16, 12, 8, 4)  # base filters to suggest
GRAPH_MB, SCALES = 0.05, 1.006  # what a file holds beside weights, about: the graph, and the scales of channels


@dataclass(frozen=True)
class Choice:
    """A quantisation against the budget: its size, and what it costs where it was tried."""

    quantization: str
    size_mb: float  # measured where there is a report, else what its weights take
    meets: bool
    report: ParityReport | None = None
    refused: str | None = None  # why an export that would fit was not kept

    def as_dict(self) -> dict:
        report = self.report and self.report.as_dict()
        return {**vars(self), "report": report}


def export_within(
    run_dir: str | Path, format: str, out: str | Path, target_mb: float, **options: Any
) -> tuple[ParityReport, list[Choice]]:
    """Exports with the most faithful quantisation whose file has at most `target_mb` (of 10⁶ bytes).

    Args:
        options: as of `export_run`, but for `quantize`.

    Returns:
        The report of the export, and all choices down to it.

    Raises:
        UserError: none meets it; says which narrower network would.
    """
    config = RunDirectory(run_dir).config()
    parameters, choices = count_parameters(config), []
    for quantization in EXPORTERS[format].quantizations:
        expected_mb = expected_size_mb(parameters, BITS[quantization])
        if expected_mb > target_mb:
            choices.append(Choice(quantization, expected_mb, meets=False))
            continue
        try:
            report = export_run(run_dir, format, out, quantize=quantization, **options)
        except RunError as error:  # too far from the generator: a coarser one may still do, by other means
            choices.append(Choice(quantization, expected_mb, meets=False, refused=str(error)))
            continue
        meets = report.size_mb <= target_mb
        choices.append(Choice(quantization, report.size_mb, meets, report))
        if meets:
            return report, choices
        _discard(Path(report.path))
    raise UserError(_none_meets(config, target_mb, choices))


def count_parameters(config: Config) -> int:
    """Weights of the configured generator."""
    return build_generator(config, seed=None).count_params()


def expected_size_mb(parameters: int, bits: int) -> float:
    """Of a file with so many weights of so many bits, about."""
    return parameters * bits / 8e6 * SCALES + GRAPH_MB


def _none_meets(config: Config, target_mb: float, choices: list[Choice]) -> str:
    smallest = min(choices, key=lambda choice: choice.size_mb)
    refused = next((choice.refused for choice in choices if choice.refused), None)
    if refused:
        return f"No quantisation within {target_mb:g} MB was faithful enough. {refused}"
    sizes = ", ".join(
        f"{choice.quantization} {row['size, MB']}" for choice, row in zip(choices, as_rows(choices), strict=True)
    )
    fitting = narrower(config, target_mb, BITS[smallest.quantization])
    if fitting:
        filters, size_mb = fitting
        advice = (
            f"Train a narrower network: `--set generator.base_filters={filters}` gives about {size_mb:.1f} MB in "
            f"{smallest.quantization}."
        )
    else:
        advice = "Raise --target-mb, or train a generator of fewer levels or blocks."
    return f"An export must have at most {target_mb:g} MB (--target-mb). Received, in MB: {sizes}. {advice}"


def narrower(config: Config, target_mb: float, bits: int) -> tuple[int, float] | None:
    """The widest of the narrower networks that meets the budget, and its size in MB."""
    for filters in NARROWER:
        if filters >= config.generator.base_filters:
            continue
        changed = config.generator.model_copy(update={"base_filters": filters})
        size_mb = expected_size_mb(count_parameters(config.model_copy(update={"generator": changed})), bits)
        if size_mb <= target_mb:
            return filters, size_mb
    return None


def _discard(path: Path) -> None:
    """Removes an export of this very call that turned out too large."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def as_rows(choices: list[Choice]) -> list[Mapping[str, str]]:
    """The choices for a table."""
    return [
        {
            "quantisation": choice.quantization,
            "size, MB": f"{'' if choice.report else 'about '}{choice.size_mb:.1f}",
            "within": "yes" if choice.meets else "no",
            "PSNR, dB": f"{choice.report.psnr_db:.1f}" if choice.report else "refused" if choice.refused else "",
        }
        for choice in choices
    ]
