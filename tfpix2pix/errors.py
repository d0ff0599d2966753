"""Two kinds of error: the user's to mend (exit 2) and a failure of the run (exit 1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class UserError(ValueError):
    """A mistake that the user can mend: one sentence with the rule, what was received and what to do next.

    Of a file of the data, `kind` says what is wrong with it: `unreadable`, `size`, `channels`, `range`, `classes`.
    """

    exit_code = 2

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(escape_controls(message))
        self.kind = kind


class RunError(RuntimeError):
    """A failure while running (a disk that filled up, an export that is not faithful): one sentence, no traceback."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(escape_controls(message))


def escape_controls(text: str) -> str:
    """Writes control characters out, `\\x1b` for Escape, so that a file's or server's text commands no terminal.

    Line ends and tabs stay.
    """
    return CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def shortly(error: BaseException, at_most: int = 200) -> str:
    """Returns the first line of an error's message without its full stop, or the error's class if it says nothing."""
    if isinstance(error, KeyError):
        return f"there is no {error}"[:at_most]
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:at_most].rstrip(".")


def redact_url(url: str) -> str:
    """Removes user, password and query from a URL that is shown or stored."""
    return re.sub(r"^([^/?#]*//)?[^/?#]*@", r"\1", url).partition("?")[0]


def unknown_name(what: str, received: object, known: Iterable[object]) -> str:
    """One sentence that names the known names, and the nearest of them where one is near."""
    names = [str(name) for name in known]
    by_lower_case = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(received).lower(), by_lower_case, n=1)
    hint = f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""
    return f"{what} must be one of: {', '.join(names)}. Received {received!r}.{hint}"


def row(table: Mapping[Any, Any], what: str, name: object) -> Any:
    """`table[name]`; raises ValueError that lists the names where there is none."""
    if name not in table:
        raise ValueError(unknown_name(what, name, table))
    return table[name]


def within(holds: bool, what: str, range_: str, received: object) -> None:
    """Raises ValueError that names the range of a number where it does not hold."""
    if not holds:
        raise ValueError(f"{what} must be {range_}. Received {received}. Choose another.")
