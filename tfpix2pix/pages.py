"""Renders HTML pages as single files. Style, script, pictures and data are inside, and nothing is requested.

A page is a Jinja2 template that extends `pages.html`, the shell of all pages. A template `report.html` may have the
files `report.css` and `report.js` beside it: its style, which follows the shared `pages.css`, and its script. Text is
escaped in every template, and an undefined name is an error.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tfpix2pix.errors import UserError, escape_controls

# A page requests nothing and runs only its own script. {script} is the hash of that script, or 'none'.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script}; base-uri 'none'; "
    "form-action 'none'"
)
ADDRESS = re.compile(r"https?://[^\s<>\"&]+[^\s<>\"&.,;:)]")
HEAD_LENGTH = 1_000  # characters, which include the tag of a page


@cache
def environment() -> Environment:
    """Returns the templates of the package, by their paths in it: `evaluation/report/report.html`."""
    templates = Environment(
        loader=PackageLoader("tfpix2pix", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    templates.globals["attribution_line"] = lambda attribution: Markup(attribution_line(attribution))
    return templates


def render_page(template: str, kind: str, title: str, *, data: Any = None, **values: Any) -> str:
    """Returns an HTML document.

    Args:
        template: path of a template in the package.
        kind: kind of the page in its tag, ASCII. `check_page_place` recognises the page by it.
        title: text of the browser's tab.
        data: JSON values, which the script reads from the element `data`; None for a page without data.
        values: names that the template uses.
    """
    script = _beside(template, ".js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment().get_template(template).render(
        page_tag=page_tag(kind),
        policy=Markup(POLICY.format(script=f"'sha256-{digest}'" if script else "'none'")),
        title=title,
        style=Markup(_beside("pages.html", ".css") + _beside(template, ".css")),
        script=Markup(script),
        data=data,
        **values,
    )  # fmt: skip
    return escape_controls(page)  # of names of files


def page_tag(kind: str) -> Markup:
    """Returns the HTML tag that marks a page as written by this package."""
    return Markup('<meta name="generator" content="tfpix2pix {}">').format(kind)


def check_page_place(path: Path, kind: str, advice: str = "Choose another path.") -> None:
    """Raises UserError if a page would replace anything but an earlier page of its kind."""
    try:
        head = path.read_text(encoding="utf-8", errors="replace")[:HEAD_LENGTH] if path.is_file() else ""
    except OSError:
        head = ""
    if (path.exists() or path.is_symlink()) and page_tag(kind) not in head:
        raise UserError(f"A page must not overwrite a file. Received {path}, which exists. {advice}")


def data_uri(content: bytes, media_type: str) -> str:
    """Returns a file's content as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def attribution_line(attribution: str | None) -> str:
    """Returns a paragraph of HTML with the author and licence of a page's data, and its addresses as links.

    Returns "" without an attribution.
    """
    if not attribution:
        return ""
    escaped = str(escape(attribution))  # as Markup it would escape the links, too
    linked = ADDRESS.sub(r'<a href="\g<0>" rel="license noopener">\g<0></a>', escaped)
    return f'<p class="attribution"><small>Data: {linked}</small></p>'


def asset(package: str, name: str) -> str:
    """Returns the text of a file in a package."""
    return (files(package) / name).read_text(encoding="utf-8")


def _beside(template: str, suffix: str) -> str:
    """Returns the text of the file beside a template that has its name and `suffix`, or "" without such a file."""
    file = files("tfpix2pix").joinpath(*f"{template.removesuffix('.html')}{suffix}".split("/"))
    return file.read_text(encoding="utf-8") if file.is_file() else ""
