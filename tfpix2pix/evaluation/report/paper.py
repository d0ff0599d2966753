"""Writes what papers print of an evaluation beside its report: figures as files, and their captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from tfpix2pix.evaluation.figure_files import CANVASES, write_figure
from tfpix2pix.evaluation.folder import CAPTIONS
from tfpix2pix.evaluation.report.density import density_plots
from tfpix2pix.evaluation.report.density_figure import DPI, density_figure
from tfpix2pix.files import write_text
from tfpix2pix.metrics.agreement import Agreement


class PaperFigure(NamedTuple):
    """Holds a figure, the name of its files without suffix, and the sentences of its caption."""

    name: str
    figure: Figure
    caption: Sequence[str]


def agreement_figures(agreements: Iterable[Agreement]) -> list[PaperFigure]:
    """Returns the plots over all pixels, two for each unit of which a pixel counts."""
    plots = [plot for agreement in agreements if agreement.count for plot in density_plots(agreement)]
    return [PaperFigure(plot.name, density_figure(plot), plot.caption) for plot in plots]


def write_for_papers(folder: Path, figures: Sequence[PaperFigure]) -> None:
    """Writes each figure as .png, .svg and .pdf into a folder, and all captions into `captions.md`. Without figures,
    writes nothing.

    Raises:
        RunError: a file cannot be written.
    """
    for name, figure, _ in figures:
        for suffix in CANVASES:
            write_figure(figure, folder / f"{name}{suffix}", DPI)
    if figures:
        captions = [f"**{name}** {' '.join(caption)}" for name, _, caption in figures]
        write_text(folder / CAPTIONS, "\n\n".join(captions) + "\n")
