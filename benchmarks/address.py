"""Writes the repository's public address into the files that show it: README, notebooks, mkdocs.yml, CITATION.cff.

The address is the one setting `Repository` under `[project.urls]` of pyproject.toml. Without it the files show no
address, and notebooks name pages of the repository as text.

python benchmarks/address.py           # or: make address
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRANCH = "main"
GITHUB = "https://github.com/"
SITE = "https://{}.github.io/{}/try.html"  # the page to draw on, if `make docs` is published as GitHub Pages
COLAB = f"https://colab.research.google.com/github/{{}}/blob/{BRANCH}/notebooks/{{}}.ipynb"
BADGE = "docs/images/open-in-colab.svg"

SETTING = re.compile(r'^Repository *= *"(.*)"', re.MULTILINE)
ADDRESS = re.compile(r"https://[\w.-]+(/[\w.-]+)+(?<!/)(?<!\.git)")
BLOCK = re.compile(r"(<!-- address.*? -->\n).*?(<!-- /address -->\n)", re.DOTALL)
FIELD = re.compile(r'^ADDRESS = "[^"]*"', re.MULTILINE)
PAGE = r"`((?:docs|export|notebooks)/[\w/.-]+\.(?:md|ipynb)(?:#[\w-]+)?)`"  # names a page of the repository
OPEN = re.compile(r"^\[Open in Colab\]\([^)]*\)\n\n?", re.MULTILINE)


def setting(root: Path = ROOT) -> str:
    """Returns the address that pyproject.toml gives, "" without one. Raises ValueError if it cannot be an address."""
    found = SETTING.search((root / "pyproject.toml").read_text(encoding="utf-8"))
    address = found[1] if found else ""
    if found and not ADDRESS.fullmatch(address):
        raise ValueError(
            f"`Repository` in pyproject.toml must be an https address without / or .git at its end. Received "
            f"{address!r}. Write it like https://github.com/OWNER/tfpix2pix, or take the line out."
        )
    return address


def files(root: Path = ROOT) -> dict[Path, Callable[[str, str, str], str]]:
    """Returns each file that shows the address, and the function of (text, address, name) that writes it into it."""
    notebooks = dict.fromkeys(sorted((root / "notebooks").glob("*.ipynb")), notebook)
    return {
        root / "README.md": readme,
        root / "mkdocs.yml": lambda text, address, _: line(text, "repo_url", address, after="site_description"),
        root / "CITATION.cff": lambda text, address, _: line(text, "repository-code", address, after="type"),
        **notebooks,
    }


def written(root: Path = ROOT) -> dict[Path, str]:
    """Returns the text that each file must have, by the address in pyproject.toml."""
    address = setting(root)
    return {path: write(path.read_text(encoding="utf-8"), address, path.stem) for path, write in files(root).items()}


def readme(text: str, address: str, _: str = "") -> str:
    """Fills the block between the comments: the address, and for one on GitHub a badge that opens Colab and a link to
    the page to draw on."""
    colab = colab_link(address, "train_in_colab")
    badge = f"[![Open in Colab]({BADGE})]({colab}) " if colab else ""
    owner_and_name = address.removeprefix(GITHUB).split("/")
    site = f" · [Try it in your browser]({SITE.format(*owner_and_name)})" if colab else ""
    shown = f"{badge}[{address.removeprefix('https://')}]({address}){site}\n" if address else ""
    return BLOCK.sub(lambda found: found[1] + shown + found[2], text)


def line(text: str, key: str, address: str, *, after: str) -> str:
    """Sets a key of a YAML file, on the line after another key; removes it if there is no address."""
    text = re.sub(rf"^{key}: .*\n", "", text, flags=re.MULTILINE)
    return re.sub(rf"^{after}: .*\n", rf"\g<0>{key}: {address}\n", text, flags=re.MULTILINE) if address else text


def notebook(text: str, address: str, name: str) -> str:
    """Sets the form field `ADDRESS`, the links to pages of the repository, and the link that opens Colab."""
    content = json.loads(text)
    for index, cell in enumerate(content["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            source = FIELD.sub(f'ADDRESS = "{address}"', source)
        else:
            source = linked(source, lambda page: f"{address}/blob/{BRANCH}/{page}" if address else "")
            source = with_colab_link(source, colab_link(address, name)) if index == 0 else source
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def linked(markdown: str, link_of: Callable[[str], str]) -> str:
    """Makes links of names such as `docs/data.md#sources`, to `link_of` of the name; "" leaves the name alone."""
    names = re.sub(rf"\[{PAGE}\]\([^)]*\)", r"`\1`", markdown)
    return re.sub(PAGE, lambda found: f"[{found[0]}]({link})" if (link := link_of(found[1])) else found[0], names)


def colab_link(address: str, name: str) -> str:
    """Returns the link that opens a notebook in Colab, "" for an address that Colab cannot open notebooks from."""
    return COLAB.format(address.removeprefix(GITHUB), name) if address.startswith(GITHUB) else ""


def with_colab_link(markdown: str, link: str) -> str:
    title, _, rest = OPEN.sub("", markdown).partition("\n\n")
    return "\n\n".join([title, *([f"[Open in Colab]({link})"] if link else []), rest])


def apply(root: Path = ROOT) -> list[Path]:
    """Writes the address into the files, and returns those that changed."""
    texts = written(root)
    changed = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed


def main() -> None:
    try:
        changed = apply()
    except ValueError as error:
        sys.exit(str(error))
    names = ", ".join(path.relative_to(ROOT).as_posix() for path in changed)
    print(f"{setting() or 'No address'}: {names or 'nothing'} changed.")


if __name__ == "__main__":
    main()
