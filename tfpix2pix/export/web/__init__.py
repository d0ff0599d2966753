"""Writes a model as a web page that translates in the browser, without a server: a folder, or one file."""

from __future__ import annotations

from pathlib import Path

INDEX, MODEL = "index.html", "model.tflite"
KIND = "web page"  # in the page's tag
TAG = f'<meta name="generator" content="tfpix2pix {KIND}">'.encode()  # as `pages.page_tag` writes it
HEAD_BYTES = 1_000  # which include the tag


def is_folder(path: Path) -> bool:
    """Returns True if a path is a folder with a page and its model."""
    return (path / MODEL).is_file() and _is_page(path / INDEX)


def is_file(path: Path) -> bool:
    """Returns True if a path is a page that holds its model."""
    return path.suffix == ".html" and _is_page(path)


def _is_page(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return TAG in file.read(HEAD_BYTES)
    except OSError:
        return False
