"""What the commands have in common: consoles, options, answers, progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Optional

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tfpix2pix.cli import completion
from tfpix2pix.errors import UserError, escape_controls, unknown_name


class PrintableConsole(Console):
    """A console that passes on no control characters of what it is given, wherever in a table they stand."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)


out_console = PrintableConsole(soft_wrap=True, highlight=False, markup=False)
out_console.width = max(out_console.width, 120)  # tables whole: a narrow terminal wraps them, but cuts nothing
progress_console = PrintableConsole(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Set = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a configuration key. May be repeated.",
        autocompletion=completion.settings,
    ),
]


def answer(as_json: bool, values: dict, text: object) -> None:
    """Prints `values` for a program or `text` for a person."""
    if as_json:
        print(json.dumps(values))
    else:
        out_console.print(text)


def check_choice(option: str, value: str | None, known: Iterable[str]) -> None:
    """Raises UserError where an option has a value it does not know."""
    if value is not None and value not in tuple(known):
        raise UserError(unknown_name(option, value, known))


def load_tensorflow() -> None:
    from tfpix2pix.quiet import load_tensorflow

    load_tensorflow()


def track(what: str) -> Callable[[Iterable, int], Iterable]:
    """Wraps items of a known number in a progress bar, on a terminal."""
    from rich.progress import track as bar

    return lambda items, total: bar(
        items, what, total, console=progress_console, disable=not progress_console.is_terminal
    )
