"""What MkDocs is told beyond mkdocs.yml.

The pages are written to be read on GitHub, where a link goes by the place of a file in the repository. So here
pages are made of files outside docs/ (`PAGES`), other files that pages link to are copied beside them, under
source/, and links are rewritten to match. Formulas become MathML. The command reference is what Typer says of the
program. The Python reference is what docstrings say, by directives that stand in comments.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {  # file in the repository -> page
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "export/README.md": "export/README.md",
    "export/serving/README.md": "export/serving/README.md",
    "export/on_device/README.md": "export/on_device/README.md",
}
ORIGINS = {page: file for file, page in PAGES.items()}
OPTIONAL = ("page.md", "contributing.md", "notebooks/")  # may be missing from the nav
COPIES = "source"  # where files lie that are no pages
CODE = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])", re.DOTALL)
COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
COMMANDS = "<!-- commands -->\n"
DIRECTIVE = re.compile(r"^<!-- (:::.*?)\s*-->$", re.MULTILINE | re.DOTALL)  # of mkdocstrings; GitHub shows no comments
ROW = re.compile(r"^\| (`([\w. ]+)`) \|", re.MULTILINE)
ENTRIES: dict[str, Callable[[str], str]] = {  # page: the anchor of what a row of its tables names
    "commands.md": lambda command: command.replace(" ", "-"),
    "reference.md": lambda name: f"tfpix2pix.{name}",
}
TRY_FOLDER = ROOT / "build" / "try"  # where `make docs` exports the page of the model that comes along
TRY_PAGE = "try.html"
TRY_LINK = f"\n**[Try it in your browser]({TRY_PAGE})**: draw, and a model that runs on this page colours it.\n"
ASKS_HOST = ' data-md-component="source"'  # for it the theme's script asks the repository's host for stars and forks


def on_config(config: MkDocsConfig) -> None:
    config.nav = list(_present(config.nav, Path(config.docs_dir)))


def on_files(files: Files, config: MkDocsConfig) -> None:
    for origin, page in PAGES.items():
        if (ROOT / origin).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / origin)))
    for exported in TRY_FOLDER.glob("*.html"):
        files.append(File.generated(config, TRY_PAGE, abs_src_path=str(exported)))
    for page in list(files.documentation_pages()):
        origin = _origin(page.src_uri)
        for link in _links((ROOT / origin).read_text(encoding="utf-8")):
            target = _target(origin, link)
            uri = target and _uri(target)
            if uri and uri.startswith(f"{COPIES}/") and uri not in files.src_uris:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    uri, origin = page.file.src_uri, _origin(page.file.src_uri)

    def on_site(link: str) -> str:
        target = _target(origin, link)
        return posixpath.relpath(_uri(target), posixpath.dirname(uri)) if target else link

    markdown = _outside_code(markdown, lambda text: LINK.sub(lambda found: on_site(found[0]), text))
    markdown = _outside_code(markdown, lambda text: FORMULA.sub(_mathml, text))
    if uri == "index.md" and any(TRY_FOLDER.glob("*.html")):
        title, _, rest = markdown.partition("\n")
        markdown = f"{title}\n{TRY_LINK}{rest}"
    if uri in ENTRIES:
        markdown = ROW.sub(lambda row: f"| [{row[1]}](#{ENTRIES[uri](row[2])}) |", markdown)
    markdown = DIRECTIVE.sub(r"\n\1\n", markdown)
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, command_reference())
    return COMMENT.sub("\n", markdown)  # a table right below a comment would be no table


def on_post_page(output: str, **_: object) -> str:
    return output.replace(ASKS_HOST, "")


def _mathml(formula: re.Match) -> str:
    """LaTeX as MathML, which browsers show by themselves; GitHub reads the LaTeX."""
    display, inline = formula.groups()
    latex = (display or inline).replace(r"\arg", r"\mathrm{arg}")  # the converter knows no such operator
    mathml = convert(latex, display="block" if display else "inline").replace("|", "&#x7c;")
    return mathml if display else f"<span>{mathml}</span>"  # at the start of a line it would be a block


def command_reference() -> str:
    """Every command as Typer's own generator describes it, without its title; examples as code."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "tfpix2pix.cli", "utils", "docs", "--name", "tfpix2pix"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    _, _, text = done.stdout.partition("\n")
    return re.sub(r"^Example: (.*)$", r"**Example**:\n\n```sh\n\1\n```", text, flags=re.MULTILINE)


def _present(nav: list, docs: Path) -> Iterator:
    """The entries of a nav without the optional ones that are missing, and with the pages of folders."""
    for entry in nav:
        (title, value), *_ = entry.items()
        if isinstance(value, list):
            yield {title: list(_present(value, docs))}
        elif value.endswith("/"):
            if pages := sorted(path.relative_to(docs).as_posix() for path in (docs / value).glob("*.md")):
                yield {title: pages}
        elif value not in OPTIONAL or (ROOT / _origin(value)).is_file():
            yield entry


def _origin(page: str) -> str:
    """The file in the repository of a page."""
    return ORIGINS.get(page, f"docs/{page}")


def _target(origin: str, link: str) -> str | None:
    """The file in the repository that a link of `origin` goes to; None: it goes elsewhere, or nowhere."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return target if not target.startswith("..") and (ROOT / target).is_file() else None


def _uri(target: str) -> str:
    """Where a file of the repository lies on the site."""
    return PAGES.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else f"{COPIES}/{target}")


def _links(markdown: str) -> list[str]:
    found: list[str] = []
    _outside_code(markdown, lambda text: found.extend(LINK.findall(text)) or text)
    return found


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """`markdown` with everything changed that is no code."""
    parts, end = [], 0
    for code in CODE.finditer(markdown):
        parts += [change(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(markdown[end:])])
