"""An examination as one HTML page that holds its pictures and loads nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from tfpix2pix import pages
from tfpix2pix.config import Config
from tfpix2pix.data.pairs import Source
from tfpix2pix.doctor.examination import open_all
from tfpix2pix.doctor.findings import Examination, Finding
from tfpix2pix.doctor.looks import viewer
from tfpix2pix.doctor.wording import by_kind, where
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file
from tfpix2pix.pages import attribution_line, data_uri, generator

WHAT = "data check"
THUMBNAIL_PX = 160  # of either side of a pair
MOST_SHOWN = 24  # findings of a kind with pictures; the others stand below by name
MOST_PAIRS = 4  # pictures of a finding: copies of one pair may be many
BARS_SHOWN = 12

STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --faint: #888; --accent: #3b7dd8; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
h3 { font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .25rem 0; overflow-wrap: anywhere; } .faint { color: var(--faint); }
.verdict { font-size: 1.1rem; margin: .75rem 0; padding: .75rem 1rem; border-left: 4px solid #d29922; }
.verdict, .note { background: var(--soft); border-radius: 4px; } .clean { border-color: #3fa45b; }
.note { border-left: 4px solid var(--accent); padding: .5rem 1rem; margin: .75rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: .75rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .75rem; }
.card p { font-size: .9rem; } .card img { display: block; max-width: 100%; margin-top: .5rem; border-radius: 4px; }
.count { background: var(--soft); border-radius: 1em; padding: 0 .6em; font-weight: normal; }
.bar { display: grid; grid-template-columns: minmax(0, 11rem) 1fr 3.5rem; gap: .75rem; align-items: center; }
.bar i { display: block; background: var(--accent); height: .7rem; border-radius: 3px; min-width: 2px; }
.bar b { font-weight: normal; text-align: right; }
"""


def write_html(examination: Examination, config: Config, path: Path) -> None:
    """Writes the page to `path`, whole or not at all. Pairs in findings are read again for their pictures.

    Raises:
        UserError: something else lies there.
        RunError: it cannot be written.
    """
    check_page_place(path)
    pictures = painter(config) if examination.findings else lambda found: []
    sections = [_kind(findings, pictures) for findings in by_kind(examination)]
    verdict = f'<p class="verdict{"" if examination.findings else " clean"}">{escape(examination.verdict)}</p>'
    name = config.data.dir or config.data.source
    counts = ", ".join(f"{split}: {count}" for split, count in examination.pairs.items())
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{generator(WHAT)}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Data check: {escape(name)}</title><style>{STYLE}</style></head><body>"
        f'<h1>Data check</h1><p class="faint">{escape(name)} · {escape(examination.read_as)} · '
        f"{escape(counts)}</p>{verdict}"
        + "".join(f'<p class="note">{escape(note)}</p>' for note in examination.notes)
        + "".join(sections)
        + _histograms("Sizes of files", examination.sizes)
        + _histograms("Kinds of files", examination.channels)
        + attribution_line(config.data.terms)
        + "</body></html>\n"
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def check_page_place(path: Path) -> None:
    """Raises UserError where a page would replace anything but an earlier one."""
    pages.check_page_place(path, WHAT, "Change --html.")


def painter(config: Config) -> Callable[[Finding], list[str]]:
    """finding -> the pictures of its pairs that can be read, as data URIs: input left, target right."""
    sources: Mapping[str, Source] = open_all(config)
    views = viewer(config, THUMBNAIL_PX)

    def pictures(found: Finding) -> list[str]:
        painted = []
        for split, index in found.pairs[:MOST_PAIRS]:
            try:
                image, target = views(sources[split].read(index))
            except UserError:
                continue
            gap = np.full((image.shape[0], 4, 3), 128, np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(np.concatenate([image, gap, target], axis=1)).save(buffer, "JPEG", quality=85)
            painted.append(data_uri(buffer.getvalue(), "image/jpeg"))
        return painted

    return pictures


def _kind(findings: list[Finding], pictures: Callable[[Finding], list[str]]) -> str:
    """Of one kind: what to do, then a card a finding, then names alone."""
    rest = ""
    if findings[MOST_SHOWN:]:
        names = ", ".join(where(found) for found in findings[MOST_SHOWN:])
        summary = f"{len(findings) - MOST_SHOWN} more"
        rest = f"<details><summary>{summary}</summary><p>{escape(names)}</p></details>"
    return (
        f'<h2>{escape(findings[0].kind)} <span class="count">{len(findings)}</span></h2>'
        f'<p class="faint">{escape(findings[0].advice)}</p><div class="cards">'
        + "".join(_card(found, pictures(found)) for found in findings[:MOST_SHOWN])
        + f"</div>{rest}"
    )


def _card(found: Finding, pictures: list[str]) -> str:
    images = "".join(f'<img src="{uri}" alt="input and target" loading="lazy">' for uri in pictures)
    return f'<div class="card"><h3>{escape(where(found))}</h3><p>{escape(found.message)}</p>{images}</div>'


def _histograms(title: str, roles: Mapping[str, Mapping[str, int]]) -> str:
    """Bars, a group a role."""
    parts = []
    for role, counts in roles.items():
        most, total = max(counts.values()), sum(counts.values())
        parts.append(f'<h3 class="faint">{escape(role)}, {total} files</h3>')
        for value, count in list(counts.items())[:BARS_SHOWN]:
            bar = f'<span><i style="width:{100 * count / most:.1f}%"></i></span>'
            parts.append(f'<div class="bar"><span>{escape(value)}</span>{bar}<b>{count}</b></div>')
        if counts and len(counts) > BARS_SHOWN:
            parts.append(f'<p class="faint">and {len(counts) - BARS_SHOWN} other</p>')
    return f"<h2>{title}</h2>{''.join(parts)}" if parts else ""
