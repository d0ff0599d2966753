"""Says what a program is doing while it has no progress to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text


@contextmanager
def doing(console: Console, text: str, *, log: bool = True) -> Iterator[None]:
    """Shows `text` while the block runs: beside a spinner that vanishes with it on a terminal, else as a line.

    `log` is whether the line is printed where there is no terminal.
    """
    if console.is_terminal and not (console.is_dumb_terminal or console.is_jupyter):
        with console.status(Text(f"{text} …")) as status:
            status.update(spinner="dots")  # draws at once; the next drawing may have to wait for an import
            yield
        return
    if log:
        console.print(f"{text}.", soft_wrap=True, highlight=False, markup=False)
    yield
