"""The parts of an evaluation's page that need no script, as HTML."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg

from tfpix2pix.pages import data_uri, definitions
from tfpix2pix.report.charts import digits, interval_bar, relative_scale
from tfpix2pix.report.choosing import ORDERS
from tfpix2pix.training.curves import curves_figure

KINDS = {"run": "training run", "images": "folder of images"}
CARD_ENTRIES = {  # of the model card -> how it is called in the page
    "name": "Name",
    "objective": "Objective",
    "step": "Training steps",
    "update_order": "Updates",
    "statistics": "Normalisation by statistics of",
    "noise": "Noise",
    "size_multiple_px": "Size multiple, px",
    "fixed_size_px": "Fixed size, px",
    "value_range": "Value range",
    "target_dtype": "Targets",
    "attribution": "Training data",
    "quantization": "Quantisation",
    "package_version": "tfpix2pix",
    "created": "Created",
}


def section(anchor: str, title: str, body: str) -> str:
    """`title` is text, `body` is HTML."""
    heading = f'<h2 id="{anchor}-title">{escape(title)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-title">{heading}{body}</section>'


def head(record: Mapping[str, Any]) -> str:
    data = record["data"]
    images, of = data["images"], data.get("of")
    facts = {
        "Model": KINDS.get(record["kind"], record["kind"]),
        "Step": None if record.get("step") is None else f"{record['step']:,}",
        "Data": data.get("dir"),
        "Split": data.get("split"),
        "Images": f"{images:,}" if of in (None, images) else f"{images:,} of {of:,}",
        "Evaluated": _time(record["created"]),
        "tfpix2pix": record["package_version"],
    }
    notes = "".join(f'<p class="note" role="note">{escape(str(note))}</p>' for note in record.get("notes", ()))
    return (
        f'<header><p class="kicker">Evaluation</p><h1>{escape(str(record["name"]))}</h1>{definitions(facts)}{notes}'
        "</header>"
    )


def navigation(titles: Mapping[str, str]) -> str:
    links = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for anchor, title in titles.items())
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>'


def figures_table(record: Mapping[str, Any]) -> str:
    """A group a metric: its figures, then how they come about."""
    figures, protocol = record["figures"], record["protocol"]
    covered, scale = f"{100 * protocol.get('covered', 0.95):g} %", relative_scale(figures)
    groups = groupby(figures.items(), key=lambda item: item[1]["metric"])
    bodies = "".join(
        _metric(list(group), record.get("protocols", {}).get(metric), scale, covered) for metric, group in groups
    )
    bar = f'<th scope="col" class="wide">relative, ±{_percent(scale)} %</th>' if scale else ""
    note = _intervals(protocol, covered) if scale else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="figures-title"><table class="figures"><thead>'
        '<tr><th scope="col">Figure</th><th scope="col" class="number">Value</th>'
        f'<th scope="col" class="number">{covered} interval</th>{bar}<th scope="col">Better</th></tr></thead>'
        f"{bodies}</table></div>{note}{_not_measured(record.get('not_measured', {}))}{_settings(protocol)}"
    )


def _percent(part: float) -> str:
    return f"{100 * part:.2g}"


def _metric(
    figures: Sequence[tuple[str, Mapping[str, Any]]], protocol: str | None, scale: float | None, covered: str
) -> str:
    rows = []
    for name, each in figures:
        low, high = each.get("low"), each.get("high")
        interval = "–" if low is None or high is None else f"{digits(low)} to {digits(high)}"
        bar = f'<td class="wide">{interval_bar(each, scale)}</td>' if scale else ""
        better = ORDERS.get(each.get("better") or "", ORDERS[""]).words
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td class="number value">{digits(each["value"])}</td>'
            f'<td class="number">{interval}</td>{bar}<td>{better or "–"}</td></tr>'
        )
    if protocol:
        rows.append(f'<tr class="protocol"><td colspan="{5 if scale else 4}"><p>{escape(protocol)}</p></td></tr>')
    return f"<tbody>{''.join(rows)}</tbody>"


def _intervals(protocol: Mapping[str, Any], covered: str) -> str:
    replicates = protocol.get("replicates")
    by = f" by {replicates:,} bootstrap replicates" if replicates else ""
    return (
        f'<p class="small">Intervals of {covered}{by}: how far a figure might be from what it is, had other images of '
        'the same kind been held out. <span class="wide">Bars show them relative to the figure, on one scale.</span>'
        "</p>"
    )


def _not_measured(reasons: Mapping[str, str]) -> str:
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(reason)}</dd></div>" for name, reason in reasons.items())
    return f'<h3>Not measured</h3><dl class="list">{rows}</dl>' if rows else ""


def _settings(protocol: Mapping[str, Any]) -> str:
    entries = {name: _plain(value) for name, value in protocol.items()}
    return f"<details><summary>Settings of this evaluation</summary>{definitions(entries, 'list')}</details>"


def curves(lines: Sequence[Mapping[str, Any]]) -> str:
    """The training curves as a picture; "" where there are none."""
    figure = curves_figure(lines) if lines else None
    if figure is None:
        return ""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    uri = data_uri(buffer.getvalue(), "image/png")
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Training curves"><img class="curves" '
        f'alt="Training and held-out figures over the steps" src="{uri}"></div>'
    )


def model_card(card: Mapping[str, Any]) -> str:
    entries = {title: _plain(card.get(name)) for name, title in CARD_ENTRIES.items()}
    entries["Created"] = _time(entries["Created"]) if entries["Created"] else None
    whole = escape(json.dumps(card, indent=2, ensure_ascii=False, default=str))
    return (
        f"{definitions(entries, 'list')}<details><summary>The whole card as JSON</summary>"
        f'<pre tabindex="0">{whole}</pre></details>'
    )


def _time(created: str) -> str:
    return str(created).replace("T", " ").replace("+00:00", " UTC")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return " to ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else value
