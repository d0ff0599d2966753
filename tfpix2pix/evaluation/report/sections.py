"""Prepares the parts of a report that are not pictures, as values for its template."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg

from tfpix2pix.evaluation.folder import sizes_sentence
from tfpix2pix.evaluation.report.charts import digits, interval_bar, relative_scale
from tfpix2pix.evaluation.report.choosing import ORDERS
from tfpix2pix.metrics import title_of
from tfpix2pix.pages import data_uri
from tfpix2pix.training.curves import curves_figure

KINDS = {"run": "training run", "images": "folder of images"}
CARD_ENTRIES = {  # key of the model card -> its name on the page
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


def summary(record: Mapping[str, Any]) -> list[str]:
    """Describes what was evaluated in short texts: the model, its step, the number of images and their origin."""
    data = record["data"]
    images, total = data["images"], data.get("of")
    count = f"{images:,}" if total in (None, images) else f"{images:,} of {total:,}"
    split = f"split {data['split']}" if data.get("split") else None
    parts = [
        KINDS.get(record["kind"], record["kind"]),
        None if record.get("step") is None else f"step {record['step']:,}",
        f"{count} {'image' if count == '1' else 'images'}",
        " of ".join(map(str, filter(None, (split, data.get("dir"))))),
    ]
    return [part for part in parts if part]


def metrics_table(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record's metrics, grouped by the rule that they are computed by, and the settings of the evaluation.

    Every metric has its title, key, value, interval, the bar of its interval (`charts.interval_bar`) and which values
    are better.
    """
    metrics, protocol, protocols = record["figures"], record["protocol"], record.get("protocols", {})
    own = record.get("at_own_size") and record["at_own_size"]["figures"]
    scale = relative_scale(metrics.values())
    return {
        "covered": f"{100 * protocol.get('covered', 0.95):g} %",
        "scale": f"{100 * scale:.2g}" if scale else None,
        "sizes": sizes_sentence(record),
        "at_own_size": bool(own),
        "replicates": protocol.get("replicates"),
        "group": protocol.get("group"),
        "groups": [
            {"metrics": [_metric(key, metric, scale, own) for key, metric in group], "protocol": protocols.get(name)}
            for name, group in groupby(metrics.items(), key=lambda item: item[1]["metric"])
        ],
        "not_measured": [
            {"title": title_of(key), "key": key, "reason": reason}
            for key, reason in record.get("not_measured", {}).items()
        ],
        "settings": _plain_entries(protocol),
    }


def _metric(key: str, metric: Mapping[str, Any], scale: float | None, own: Mapping[str, Any] | None) -> dict[str, Any]:
    low, high, unit = metric.get("low"), metric.get("high"), f" {metric['unit']}" if metric.get("unit") else ""
    return {
        "title": title_of(key),
        "key": key,
        "value": digits(metric["value"]) + unit,
        "interval": "–" if low is None or high is None else f"{digits(low)} to {digits(high)}",
        "bar": interval_bar(metric, scale),
        "own": digits(own[key]["value"]) + unit if own and key in own else "–",
        "better": ORDERS.get(metric.get("better") or "", ORDERS[""]).words or "–",
    }


def curves(lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns the training curves as a data URI, or "" if there is nothing to draw."""
    figure = curves_figure(lines) if lines else None
    if figure is None:
        return ""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return data_uri(buffer.getvalue(), "image/png")


def model_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the main entries of a model card by their names on the page, and the whole card as JSON text."""
    entries = _plain_entries({title: card.get(key) for key, title in CARD_ENTRIES.items()})
    if "Created" in entries:
        entries["Created"] = readable_time(entries["Created"])
    return {"entries": entries, "whole": json.dumps(card, indent=2, ensure_ascii=False, default=str)}


def readable_time(created: str) -> str:
    """Returns a time in ISO 8601 as people write it: `2026-11-26 10:00:00 UTC`."""
    return str(created).replace("T", " ").replace("+00:00", " UTC")


def _plain_entries(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries that are not None, with mappings and sequences as text."""
    return {name: _plain(value) for name, value in entries.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return " to ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else value
