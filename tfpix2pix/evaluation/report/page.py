"""Writes an evaluation as one HTML page: pictures, the best and the worst among them, then metrics and the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfpix2pix.destinations import check_writable
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import density_file
from tfpix2pix.evaluation.report.charts import digits, histogram
from tfpix2pix.evaluation.report.choosing import (
    by_name,
    check_by,
    extremes,
    image_metrics,
    metrics_of,
    order_of,
    ranking_metric,
    spread,
)
from tfpix2pix.evaluation.report.density import density_chart, density_plots
from tfpix2pix.evaluation.report.pictures import ERROR_MOST, Pictures, color_bar
from tfpix2pix.evaluation.report.sections import curves, metrics_table, model_card, readable_time, summary
from tfpix2pix.files import whole_file, write_text
from tfpix2pix.metrics import title_of
from tfpix2pix.metrics.agreement import Agreement
from tfpix2pix.pages import check_page_place, render_page

__all__ = ["Beside", "Pictures", "check_by", "write_report"]

KIND = "evaluation"
TEMPLATE = "evaluation/report/report.html"
MODES = {  # role of a picture -> its name in the switch
    "target": "target",
    "input": "input",
    "error": "error map",
    "nearest": "nearest training target",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Beside:
    """Holds what a page shows beside pictures and metrics, where there is any."""

    lines: Sequence[Mapping[str, Any]] = ()  # of the run's `metrics.jsonl`, for its training curves
    card: Mapping[str, Any] | None = None  # the model card, JSON values
    agreements: Sequence[Agreement] = ()  # of translations and targets, for each of their units


def write_report(
    path: Path,
    record: Mapping[str, Any],
    rows: Sequence[Row],
    pictures: Callable[[int], Pictures],
    *,
    by: str | None = None,
    shown: int = 24,
    beside: Beside = Beside(),
) -> None:
    """Writes the page to `path`, whole or not at all.

    Args:
        record: the content of `metrics.json`.
        rows: the metrics of every image, beside its `name`. Values that are not finite numbers are left out.
        pictures: index of a row -> its pictures. It is called once for each image that is shown.
        by: the metric of single images that ranks them from best to worst. None takes the first metric of the record
            of which more or less is better.
        shown: number of images in the gallery, evenly over the names, beside the best, median and worst.
        beside: training curves, model card and plots of all pixels.

    Raises:
        UserError: no image has the metric `by`, `shown` is negative, something else lies at `path`, or its folder
            cannot be written. No picture has been made then.
        RunError: the page cannot be written.
    """
    check_page_place(path, KIND)
    check_writable(path.parent)
    if shown < 0:
        raise UserError(f"`shown` must be 0 or more. Received {shown}. Choose another number.")
    by = ranking_metric(record, rows, by)
    groups = extremes(rows, by, order_of(record, by)) if by else {}
    chosen = {*spread(rows, shown), *(index for group in groups.values() for index in group)}
    indices = [index for index in by_name(rows) if index in chosen]
    images = [
        {"name": str(rows[index]["name"]), "metrics": metrics_of(rows[index]), **pictures(index).embedded()}
        for index in indices
    ]
    modes = {role: name for role, name in MODES.items() if any(role in image for image in images)}
    keys = image_metrics(rows)
    counted = [agreement for agreement in beside.agreements if agreement.count]
    titles = {key: title_of(key) for key in keys}
    page = render_page(
        TEMPLATE,
        KIND,
        f"Evaluation of {record['name']}",
        data={
            "images": images,
            "by": by,
            "modes": modes,
            "titles": titles,
            "better": {key: record["figures"].get(key, {}).get("better") or "" for key in keys},
        },
        record=record,
        summary=summary(record),
        created=readable_time(record["created"]),
        ranking=_ranking(record, rows, by, groups, {index: place for place, index in enumerate(indices)}, images),
        modes=modes,
        error_scale={"colors": color_bar(), "most": f"{ERROR_MOST:g}"},
        gallery=_gallery(images, len(rows), bool(by), record["protocol"].get("training")),
        sorts=[{"key": key, "title": titles[key], "order": order_of(record, key).last_first} for key in keys],
        metrics=metrics_table(record),
        agreement=[density_chart(plot) for agreement in counted for plot in density_plots(agreement)],
        densities=[density_file(agreement.unit) for agreement in counted],
        curves=curves(beside.lines),
        card=model_card(beside.card) if beside.card else None,
    )
    with whole_file(path) as temporary:
        write_text(temporary, page)


def _ranking(
    record: Mapping[str, Any],
    rows: Sequence[Row],
    by: str | None,
    groups: Mapping[str, Sequence[int]],
    places: Mapping[int, int],
    images: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Returns the best, median and worst images with their metrics, and the histogram of the metric that ranks them.

    `places` are positions of the shown rows in the page's data, `images`, by which its script fills in the pictures.
    None without a metric that ranks images.
    """
    if by is None or not groups:
        return None
    first, *middle, last = groups if len(groups) > 1 else (*groups, "")
    listed = ", ".join([first, *map(str.lower, middle)])
    return {
        "heading": f"{listed} and {last.lower()}" if last else listed,
        "title": title_of(by),
        "key": by,
        "better": order_of(record, by).words,
        "groups": {
            heading: [_card(rows[index], places[index], by, images) for index in indices]
            for heading, indices in groups.items()
        },
        "histogram": histogram(title_of(by), [metrics_of(row)[by] for row in rows if by in metrics_of(row)]),
    }


def _card(row: Row, place: int, by: str, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the texts beside an image: the metric that ranks it, and the others."""
    metrics, facts = metrics_of(row), images[place]["facts"]
    others = [
        {"title": title_of(key), "key": key, "value": digits(value)} for key, value in metrics.items() if key != by
    ]
    return {"place": place, "name": str(row["name"]), "value": digits(metrics[by]), "others": others, "facts": facts}


def _gallery(images: Sequence[Mapping[str, Any]], total: int, ranked: bool, training: str | None = None) -> list[str]:
    """Returns the sentences that say which images the gallery shows, and which `training` targets were looked at."""
    count = len(images)
    if count == total:
        sentences = [f"All {count:,} images." if count != 1 else "The only image."]
    else:
        sentences = [f"{count:,} of {total:,} images, spread evenly over the names{', and those above' * ranked}."]
    if any("nearest" in image for image in images):
        sentences.append(
            f"The nearest training target is the one whose picture, reduced to 32×32 px, differs least from the "
            f"output's, of {training}."
        )
    if any(image["variants"] for image in images):
        sentences.append("Open an image to see its translations with different noise.")
    if images and not any("target" in image for image in images):
        sentences.append("There are no targets.")
        if any("input" in image for image in images):
            sentences.append("Outputs are compared with their inputs.")
        sentences.append("Only metrics that need no target were computed.")
    return sentences
