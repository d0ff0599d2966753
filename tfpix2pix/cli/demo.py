"""`demo`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from tfpix2pix.cli.models import Best, Trust, Weights
from tfpix2pix.cli.shared import load_tensorflow, out_console


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
        typer.Option(help="Folder of paired data, whose held-out inputs the page offers; default: the model's own."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 lets other machines use the page.")
    ] = "127.0.0.1",
    port: Annotated[
        Optional[int], typer.Option(help="Port; default: the first free one from 7860.", min=1, max=65535)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    upload_mb: Annotated[int, typer.Option(help="Largest file that may be dropped, MB.", min=1, max=1024)] = 20,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
) -> None:
    """Serve a page to draw on: paint or drop an input and see what the models make of it. Ctrl-C ends it."""
    from tfpix2pix.recognize import named_path, recognize

    named = [named_path(text, "A model must be given as") for text in models]
    for _, path in named:
        recognize(path)
    load_tensorflow()
    from tfpix2pix.demo.serve import serve

    try:
        serve(
            named, data=data, best=best, weights=weights, trust=trust, host=host, port=port, open_browser=open_,
            upload_mb=upload_mb, ready=lambda address: out_console.print(f"Open {address} (Ctrl-C ends it)"),
        )  # fmt: skip
    except KeyboardInterrupt:
        out_console.print("Closed.")
