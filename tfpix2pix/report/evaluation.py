"""An evaluation as one HTML page: its figures, and pictures to look at, the best and the worst among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfpix2pix.destinations import check_writable
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file
from tfpix2pix.pages import attribution_line, check_page_place, whole_page
from tfpix2pix.report.charts import digits, histogram
from tfpix2pix.report.choosing import (
    by_name,
    check_by,
    chosen_figure,
    extremes,
    figures_of,
    image_figures,
    order_of,
    spread,
)
from tfpix2pix.report.pictures import ERROR_MOST, Pictures, color_bar
from tfpix2pix.report.sections import curves, figures_table, head, model_card, navigation, section

__all__ = ["Pictures", "check_by", "write_report"]

WHAT = "evaluation"
MODES = {"target": "target", "input": "input", "error": "error map"}  # role -> what the switch calls it


def write_report(
    path: Path,
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    pictures: Callable[[int], Pictures],
    *,
    by: str | None = None,
    lines: Sequence[Mapping[str, Any]] = (),
    card: Mapping[str, Any] | None = None,
    shown: int = 24,
) -> None:
    """Writes the page to `path`, whole or not at all.

    Args:
        record: the content of `metrics.json`.
        rows: the figures of every image, beside its `name`; what is no finite number is none.
        pictures: index of a row -> its pictures; called once for each image that is shown.
        by: the figure of the images that says which are best and worst; None: the first of the record of which more or
            less is better.
        lines: of the run's `metrics.jsonl`, for its training curves.
        card: the model card, JSON values.
        shown: images in the gallery, evenly over the names, beside the best, median and worst.

    Raises:
        UserError: no image has the figure `by`, `shown` is negative, something else lies at `path`, or its folder
            cannot be written; no picture has been made then.
        RunError: the page cannot be written.
    """
    check_page_place(path, WHAT)
    check_writable(path.parent)
    if shown < 0:
        raise UserError(f"--shown must be 0 or more. Received {shown}. Choose another.")
    by = chosen_figure(record, rows, by)
    groups = extremes(rows, by, order_of(record, by)) if by else {}
    among = {*spread(rows, shown), *(index for group in groups.values() for index in group)}
    indices = [index for index in by_name(rows) if index in among]
    images = [
        {"name": str(rows[index]["name"]), "figures": figures_of(rows[index]), **pictures(index).embedded()}
        for index in indices
    ]
    places = {index: place for place, index in enumerate(indices)}
    modes = {role: said for role, said in MODES.items() if any(role in image for image in images)}
    parts = {
        "figures": ("Figures", figures_table(record)),
        "training": ("Training", curves(lines)),
        "extremes": (_listed(groups, by), _extremes(rows, by, groups, places, modes)),
        "gallery": ("Gallery", _gallery(record, rows, images, by)),
        "card": ("Model card", model_card(card) if card else ""),
    }
    parts = {anchor: part for anchor, part in parts.items() if part[1]}
    body = (
        f'<a class="skip" href="#main">Skip to the content</a><div class="page">{head(record)}'
        + navigation({anchor: title for anchor, (title, _) in parts.items()})
        + '<main id="main" tabindex="-1">'
        + "".join(section(anchor, title, html) for anchor, (title, html) in parts.items())
        + f"{attribution_line(record['data'].get('attribution'))}</main></div>{_large_view(modes)}"
    )
    data = {
        "images": images,
        "by": by,
        "modes": modes,
        "better": {name: record["figures"].get(name, {}).get("better") or "" for name in image_figures(rows)},
    }
    page = whole_page(WHAT, f"Evaluation of {record['name']}", body, data, "report.css", "report.js", __package__)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _listed(groups: Iterable[str], by: str | None) -> str:
    first, *others = groups or [""]
    *middle, last = map(str.lower, others or [""])
    return f"{', '.join([first, *middle])}{' and ' if last else ''}{last} by {by}"


def _extremes(
    rows: Sequence[Mapping[str, Any]],
    by: str | None,
    groups: Mapping[str, Sequence[int]],
    places: Mapping[int, int],
    modes: Mapping[str, str],
) -> str:
    """The distribution of the figure, and cards whose pictures the script puts in; "" without a figure."""
    if not groups:
        return ""
    values = [figures_of(row)[by] for row in rows if by in figures_of(row)]
    cards = "".join(
        f'<h3>{heading}</h3><div class="cards">'
        + "".join(_card(rows[index], places[index]) for index in indices)
        + "</div>"
        for heading, indices in groups.items()
    )
    return f"{histogram(by, values)}{_switch(modes, 'page')}{cards}"


def _card(row: Mapping[str, Any], place: int) -> str:
    name = escape(str(row["name"]))
    return (
        f'<article class="card" data-image="{place}" aria-label="Image {name}"><div class="compare"></div>'
        f'<p class="title"><button type="button" class="open" aria-label="Open {name} in large">{name}</button></p>'
        f"{_small_figures(row)}</article>"
    )


def _small_figures(row: Mapping[str, Any]) -> str:
    pairs = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{digits(value)}</dd></div>" for name, value in figures_of(row).items()
    )
    return f'<dl class="small-figures">{pairs}</dl>'


def _switch(modes: Mapping[str, str], where: str) -> str:
    """What the output is compared with; there are two of it, which the script holds together."""
    if not modes:
        return ""
    choices = "".join(
        f'<label><input type="radio" name="mode-{where}" value="{role}"><span>{said}</span></label>'
        for role, said in modes.items()
    )
    legend = (
        '<p class="scale" hidden><span>error 0</span>'
        f'<i style="background:{color_bar()}"></i><span>{ERROR_MOST:g} or more</span><span class="said">mean absolute '
        "difference over channels on [−1, 1], one scale for all images</span></p>"
    )
    return (
        f'<div class="modes" hidden><fieldset class="switch"><legend>Compare output with</legend>{choices}</fieldset>'
        f"{legend if 'error' in modes else ''}</div>"
    )


def _gallery(
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
    by: str | None,
) -> str:
    count = len(images)
    options = "".join(
        f'<option value="{escape(name)}">{escape(name)}, {order_of(record, name).last_first}</option>'
        for name in image_figures(rows)
    )
    which = f"{count:,} of {len(rows):,} images: spread evenly over the names{', and those above' if by else ''}."
    if count == len(rows):
        which = f"All {count:,} images." if count != 1 else "The only image."
    if any(image["variants"] for image in images):
        which += " The large view of an image also shows its translations by different noise."
    return (
        f'<p class="lead">{which} <span id="in-a-row"></span>{_no_targets(images)}</p>'
        '<noscript><p class="note">The pictures need JavaScript. The figures do not.</p></noscript>'
        '<form class="tools" role="search" aria-label="Gallery" hidden>'
        f'<label>Sort by <select id="sort"><option value="">name</option>{options}</select></label>'
        '<label>Name contains <input type="search" id="filter" autocomplete="off" spellcheck="false"></label>'
        '<output id="count" role="status"></output></form><ul class="thumbnails" id="thumbnails"></ul>'
    )


def _no_targets(images: Sequence[Mapping[str, Any]]) -> str:
    if not images or any("target" in image for image in images):
        return ""
    beside = "Outputs are compared with their inputs, and only" if any("input" in each for each in images) else "Only"
    return f" There are no targets. {beside} figures without a reference were measured."


def _large_view(modes: Mapping[str, str]) -> str:
    return (
        '<dialog id="large" aria-labelledby="large-name"><div class="top"><h2 id="large-name" tabindex="-1" autofocus>'
        '</h2><span id="large-place" role="status"></span>'
        '<button type="button" id="previous" aria-label="Previous image">←</button>'
        '<button type="button" id="next" aria-label="Next image">→</button>'
        '<button type="button" id="close" aria-label="Close">×</button></div>'
        f'{_switch(modes, "large")}<div class="compare"></div><dl class="small-figures"></dl>'
        '<div class="strip" id="all"></div><div id="by-noise"><h3></h3><div class="strip"></div></div></dialog>'
    )
