"""`demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from tfpix2pix.cli.models import Best, Weights
from tfpix2pix.cli.shared import load_tensorflow, out_console
from tfpix2pix.errors import UserError


def demo(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Run directories, SavedModel folders, .tflite, .keras or .onnx files; several are shown side by side, "
            "by name where given as NAME=PATH.",
        ),
    ],
    data: Annotated[
        Optional[str],
        typer.Option(help="Folder of paired data whose held-out inputs to begin with; default: the model's own."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines use the page.")
    ] = "127.0.0.1",
    port: Annotated[
        Optional[int], typer.Option(help="Port; default: the first free one from 7860.", min=1, max=65535)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    upload_mb: Annotated[int, typer.Option(help="Largest file that may be dropped, MB.", min=1, max=1024)] = 20,
    best: Best = False,
    weights: Weights = None,
) -> None:
    """Serve a page to draw on: paint or drop an input and see what the models make of it. Ctrl-C ends it."""
    from tfpix2pix.recognize import recognize

    named = [_named(text) for text in models]
    for _, path in named:
        recognize(path)
    load_tensorflow()
    from tfpix2pix.demo.serve import serve

    try:
        serve(
            named, data=data, best=best, weights=weights, host=host, port=port, open_browser=open_,
            upload_mb=upload_mb, ready=lambda address: out_console.print(f"Open {address} (Ctrl-C ends it)"),
        )  # fmt: skip
    except KeyboardInterrupt:
        out_console.print("Closed.")


def _named(text: str) -> tuple[str | None, Path]:
    """`PATH` or `NAME=PATH`; a path that exists is one, whatever is in it."""
    name, equals, path = text.partition("=")
    if not equals or Path(text).expanduser().exists():
        return None, Path(text).expanduser()
    if not name or not path:
        raise UserError(f"A model must be given as NAME=PATH or PATH. Received {text!r}. Add what is missing.")
    return name, Path(path).expanduser()
