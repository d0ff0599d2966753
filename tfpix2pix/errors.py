"""Holds the two kinds of error: a user's mistake (exit code 2) and a failure of the run (exit code 1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
BYTES = 0xDC00  # added to a byte of a file name that is not UTF-8
MOST_NAMED = 20  # items that failed, in one message


class UserError(ValueError):
    """Reports a mistake that the user can correct: the rule, what was received and what to do next.

    If a file of the data is at fault, `kind` names the fault: `unreadable`, `size`, `channels`, `range`, `classes` or
    `weights`.
    """

    exit_code = 2

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(_in_one_line(message))
        self.kind = kind


class RunError(RuntimeError):
    """Reports a failure of the run, such as a full disk or an unfaithful export, in one sentence without traceback."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(_in_one_line(message))


def first_of(failed: Sequence[tuple[str, Exception]], what: str) -> str:
    """Returns the text of the first error, and the names of the other items that failed.

    Args:
        failed: name and error of each item that failed; at least one.
        what: says what did not happen to the others, as in `could not be translated`.
    """
    others = [name for name, _ in failed[1:]]
    if not others:
        return str(failed[0][1])
    named = ", ".join(others[:MOST_NAMED]) + (", …" if len(others) > MOST_NAMED else "")
    return f"{failed[0][1]} {len(others)} more {what}: {named}."


def escape_controls(text: str) -> str:
    """Replaces control characters by their codes, such as Escape by `\\x1b`. Line ends and tabs stay.

    Text of a file or server must not control the terminal. Bytes of a file name that is not UTF-8 are replaced too,
    because no terminal or page can show them.
    """
    return CONTROL.sub(lambda match: _escape(ord(match.group())), text)


def _in_one_line(message: str) -> str:
    """Returns a message without control characters and without line ends, which a name in it may have."""
    return escape_controls(message).replace("\n", "\\n")


def _escape(code: int) -> str:
    code -= BYTES if 0 < code - BYTES < 0x100 else 0
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortly(error: BaseException, at_most: int = 200) -> str:
    """Returns the first line of an error's message without its full stop, or the error's class without a message."""
    if isinstance(error, KeyError):
        return f"there is no {error}"[:at_most]
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:at_most].rstrip(".")


def redact_url(url: str) -> str:
    """Removes user, password and query from a URL that is shown or stored."""
    return re.sub(r"^([^/?#]*//)?[^/?#]*@", r"\1", url).partition("?")[0]


def unknown_name(noun: str, received: object, known: Iterable[object]) -> str:
    """Returns an error text that lists the known names and, if `received` resembles one of them, suggests it."""
    names = [str(name) for name in known]
    by_lower_case = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(received).lower(), by_lower_case, n=1)
    hint = f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""
    return f"{noun} must be one of: {', '.join(names)}. Received {received!r}.{hint}"


def within(condition: bool, noun: str, range_: str, received: object) -> None:
    """Raises ValueError with the allowed range of `noun` if the condition is false."""
    if not condition:
        raise ValueError(f"{noun} must be {range_}. Received {received}. Choose another.")


def plural(count: int, noun: str) -> str:
    """Returns `1 pair`, or `1,200 pairs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def listed(names: Sequence[str], most: int | None = 4) -> str:
    """Joins names: `a, b and c`, or `a, b and 4 more` if they are more than `most`. No name gives an empty text."""
    shown = [*names[:most], *([f"{len(names[most:])} more"] if most is not None and names[most:] else [])]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
