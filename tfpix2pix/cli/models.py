"""What `translate` and `export` have in common: how a model is named and which of its weights are meant."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from tfpix2pix.cli import completion

Noise = Annotated[
    Optional[str],
    typer.Option(help="Noise, `on` or `off`; default: as the model card says.", autocompletion=completion.switch),
]
Weights = Annotated[
    Optional[str],
    typer.Option(
        help="Weights of a run with training.ema_decay: `average` (default), or `trained`, those of the last step."
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open a SavedModel or .keras file that can do more than compute: read and write files, run code.",
    ),
]
Best = Annotated[
    bool, typer.Option("--best", help="Use the checkpoint that was best on held-out pairs; default: the newest.")
]
