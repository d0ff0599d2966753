"""Holds what commands share: options, output, progress, and errors that name options."""

from __future__ import annotations

import functools
import inspect
import json
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, Optional

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tfpix2pix.cli import completion
from tfpix2pix.data import LARGEST_SIZE_PX
from tfpix2pix.engines import ENGINES
from tfpix2pix.errors import RunError, UserError, escape_controls, unknown_name
from tfpix2pix.size import Size, SizePx


class PrintableConsole(Console):
    """Prints text without its control characters, in tables too."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)


out_console = PrintableConsole(soft_wrap=True, highlight=False, markup=False)
out_console.width = max(out_console.width, 120)  # a narrower terminal wraps tables, but cuts nothing off
progress_console = PrintableConsole(stderr=True)

ARGUMENT = re.compile(
    r"(?<!of )(?<!key )`([\w.]+)`"
)  # not "the key `seed`" or "a key of `weights`", which are configuration keys

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Set = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a configuration key. Can be repeated.",
        autocompletion=completion.settings,
    ),
]


def answer(as_json: bool, values: dict, text: object) -> None:
    """Prints `values` as JSON, for programs, or `text`, for people."""
    if as_json:
        print(json.dumps(values))
    else:
        out_console.print(text)


def choice(names: Collection[str], help: str) -> Any:
    """Returns an option that takes one of `names`: help lists them, and the shell completes them.

    `names` may be a table: a row that is added later can be chosen too. Typer's own choices have no suggestion for a
    misspelled value, and no class to derive from in all versions.
    """

    def check(option: typer.CallbackParam, value: Optional[str]) -> Optional[str]:
        if value is not None and value not in names:
            raise UserError(unknown_name(option.opts[0], value, names))
        return value

    return typer.Option(metavar="|".join(names), help=help, callback=check, autocompletion=completion.one_of(names))


def size_of_option(text: str) -> SizePx:
    """Returns the size that --size names. Raises UserError if the text does not name one."""
    size = Size.parse(text)
    if size is None or min(size) < 1 or max(size) > LARGEST_SIZE_PX:
        raise UserError(
            f"--size must be 1 to {LARGEST_SIZE_PX} px, as 256 for a square or 512x1024 (height x width) for a "
            f"rectangle. Received {text}. Change it."
        )
    return size.value


def names_options(**others: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command so that errors and warnings name the option, --size, in place of the argument, `size`.

    Args:
        others: arguments that the command does not have -> the options that set them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {name.rstrip("_") for name in inspect.signature(command).parameters}
        options = {**{name: f"--{name.replace('_', '-')}" for name in names}, **others}

        def with_options(text: object) -> str:
            return ARGUMENT.sub(lambda match: options.get(match[1], match[0]), str(text))

        @functools.wraps(command)
        def run(*args: object, **kwargs: object) -> None:
            show = warnings.showwarning
            warnings.showwarning = lambda message, *about: show(with_options(message), *about)
            try:
                command(*args, **kwargs)
            except (UserError, RunError) as error:
                error.args = (with_options(error),)
                raise
            finally:
                warnings.showwarning = show

        return run

    return decorate


def track(description: str) -> Callable[[Iterable, int], Iterable]:
    """Returns a function that wraps (items, their number) in a progress bar on a terminal."""
    from rich.progress import track as bar

    return lambda items, total: bar(
        items, description, total, console=progress_console, disable=not progress_console.is_terminal
    )


Noise = Annotated[
    Optional[str],
    choice(("on", "off"), "Noise of the translations; default: as in the model card."),
]
Weights = Annotated[
    Optional[str],
    choice(
        ("average", "trained"),
        "Weights of a run with training.ema_decay: their average (default), or those of the last step.",
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
EngineOption = Annotated[
    str,
    choice(
        ENGINES,
        "local: this process; beam: the workers of an Apache Beam pipeline, which goes on where it was killed. "
        "Default: local.",
    ),
]
EngineOptions = Annotated[
    Optional[list[str]],
    typer.Option(
        "--engine-option",
        metavar="KEY=VALUE",
        help="Option of the pipeline with --engine beam, such as runner=FlinkRunner. Can be repeated.",
    ),
]
