"""Writes figures as files for screens and for papers: .png, .svg and .pdf. The same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file

CANVASES = {  # suffix -> canvas, and the entries of the file that would differ each time
    ".png": (FigureCanvasAgg, {}),
    ".svg": (FigureCanvasSVG, {"Date": None}),
    ".pdf": (FigureCanvasPdf, {"CreationDate": None}),
}
# Text stays text, in fonts that journals take (TrueType, not Type 3), and names in the file are not random.
SETTINGS = {"svg.hashsalt": "tfpix2pix", "svg.fonttype": "none", "pdf.fonttype": 42}


def check_suffix(path: str | Path) -> None:
    """Raises UserError if a figure cannot be written to a path, by its suffix."""
    if Path(path).suffix.lower() not in CANVASES:
        raise UserError(f"A picture must be .png, .svg or .pdf. Received {path}. Change its suffix.")


def write_figure(figure: Figure, path: str | Path, dpi: float) -> None:
    """Writes a figure to a .png file with `dpi` pixels an inch, or to an .svg or .pdf file.

    Raises:
        UserError: the suffix is unknown.
        RunError: the file cannot be written.
    """
    check_suffix(path)
    path = Path(path)
    suffix = path.suffix.lower()
    canvas, metadata = CANVASES[suffix]
    with whole_file(path) as temporary, matplotlib.rc_context(SETTINGS):
        canvas(figure).print_figure(temporary, format=suffix[1:], metadata=metadata, dpi=dpi)
