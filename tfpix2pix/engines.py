"""Holds the engines of jobs that go through many inputs: this process, or a cluster by Apache Beam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.errors import UserError
from tfpix2pix.tables import lazy

LOCAL = "local"


def _no_options(options: list[str]) -> None:
    if options:
        raise UserError(
            f"`engine_options` must go with an `engine` that takes some. Received {options[0]!r} for {LOCAL}. Add "
            f"`engine` beam."
        )


@dataclass(frozen=True)
class EngineRow:
    """Describes an engine: a row of `ENGINES`.

    Attributes:
        check: raises UserError if the engine does not know an option, `KEY=VALUE` or `KEY`, or if what it needs is not
            installed.
        run: (open, parts, options, folder) -> the answers to all parts. Each worker calls `open()` once, which returns
            a function from a part's number to plain data. `folder` is one that all workers reach. None: the caller
            goes through its inputs itself.
    """

    check: Callable[[list[str]], Any]
    run: Callable[..., list[Any]] | None = None


ENGINES = {
    LOCAL: EngineRow(check=_no_options),
    "beam": EngineRow(check=lazy("tfpix2pix.beam", "options_of"), run=lazy("tfpix2pix.beam", "run")),
}
