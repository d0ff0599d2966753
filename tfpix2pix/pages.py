"""The shell of a page that is whole in one file: its style, script, pictures and data are in it; it loads nothing."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from tfpix2pix.errors import UserError

LOADS_NOTHING = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
ADDRESS = re.compile(r"https?://[^\s<>\"&]+[^\s<>\"&.,;:)]")
HEAD_LENGTH = 1_000  # characters, in which the generator of a page is named


def generator(what: str) -> str:
    """The tag by which a page of ours is known again."""
    return f'<meta name="generator" content="tfpix2pix {what}">'


def whole_page(what: str, title: str, body: str, data: Any, style: str, script: str, package: str) -> str:
    """An HTML document.

    Args:
        what: which of our pages it is; ASCII, as `check_page_place` is asked for it.
        title: text.
        body: HTML, what stands in the page's `<body>`.
        data: JSON values, which the script finds in the element `data`.
        style, script: names of files in `package`.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{generator(what)}'
        f'<meta http-equiv="Content-Security-Policy" content="{LOADS_NOTHING}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{asset(package, style)}</style></head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{in_script(data)}</script>\n'
        f"<script>\n{asset(package, script)}</script>\n</body></html>\n"
    )


def check_page_place(path: Path, what: str, advice: str = "Choose another path.") -> None:
    """Raises UserError where a page would replace anything but an earlier one of its kind."""
    try:
        ours = path.is_file() and generator(what) in path.read_text(encoding="utf-8", errors="replace")[:HEAD_LENGTH]
    except OSError:
        ours = False
    if (path.exists() or path.is_symlink()) and not ours:
        raise UserError(f"A page must not overwrite a file. Received {path}, which exists. {advice}")


def data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def in_script(data: Any) -> str:
    """JSON; no text in it can end the script element that it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def definitions(entries: Mapping[str, Any], kind: str = "facts") -> str:
    """A definition list; None is left out."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in entries.items()
        if value is not None
    )
    return f'<dl class="{kind}">{rows}</dl>'


def attribution_line(attribution: str | None) -> str:
    """Whose data a page shows, its addresses as links; "" where nobody said it."""
    if not attribution:
        return ""
    linked = ADDRESS.sub(r'<a href="\g<0>" rel="license noopener">\g<0></a>', escape(attribution))
    return f'<p class="attribution"><small>Data: {linked}</small></p>'


def asset(package: str, name: str) -> str:
    """A file that a package carries."""
    return (files(package) / name).read_text(encoding="utf-8")
