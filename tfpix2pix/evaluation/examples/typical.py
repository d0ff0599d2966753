"""Draws the examples of the best, the median and the worst error for papers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfpix2pix.data.settings import DataConfig
from tfpix2pix.evaluation.examples.pairs import Examples
from tfpix2pix.evaluation.examples.panels import Part, columns_of, input_parts_of, row_of, target_parts_of
from tfpix2pix.evaluation.folder import EXAMPLES, Record
from tfpix2pix.evaluation.report.charts import digits
from tfpix2pix.evaluation.report.choosing import image_metrics, metrics_of, order_of, ranking_metric, typical
from tfpix2pix.evaluation.report.density import plain_number
from tfpix2pix.evaluation.report.example_figure import ExampleRow, example_figure, same_scale
from tfpix2pix.evaluation.report.paper import PaperFigure
from tfpix2pix.metrics import title_of

ERROR_IN_UNIT = "unit_mae"


def typical_figures(
    examples: Examples, evaluated: Sequence[int], record: Record, rows: Sequence[Mapping[str, Any]], by: str | None
) -> list[PaperFigure]:
    """Returns a figure of some examples, which are computed again, or one for each part of the targets.

    Args:
        evaluated: index of the example of each row.
        rows: the metrics of every image, beside its `name`.
        by: the metric that ranks examples; None: the mean absolute error of the part in its unit, or the first metric
            of which more or less is better. Without one there is no figure.
    """
    data, original, of_record = examples.data, examples.original(evaluated[0]), record.to_json()
    figures = []
    for part in target_parts_of(data, original):
        key = by or _error_of(part, rows) or ranking_metric(of_record, rows)
        if key is None:
            continue
        chosen = typical(rows, key, order_of(of_record, key))
        inputs = input_parts_of(data, original) if "input" in examples.has else []
        unit = record.figures[key].unit if key in record.figures else ""
        values = {heading: f"{digits(metrics_of(rows[row])[key])} {unit}".strip() for heading, row in chosen.items()}
        drawn = []
        for heading, row in chosen.items():
            example, words = examples[evaluated[row]], f"{heading.lower()}: {values[heading]}"
            drawn.append(row_of(example, inputs, part, data, examples.original(evaluated[row]), words))
        named = [f"{heading.lower()} {rows[row]['name']}, {values[heading]}" for heading, row in chosen.items()]
        caption = [
            _chosen(record, len([row for row in rows if key in metrics_of(row)]), key, named),
            *_how_it_is_shown(data, inputs, part),
            _scale_bars(drawn),
        ]
        name = f"{EXAMPLES}_{part.name}" if part.name else EXAMPLES
        figures.append(PaperFigure(name, example_figure(columns_of(inputs, part), drawn), caption))
    return figures


def _error_of(part: Part, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the mean absolute error of a part in its unit, if images have it."""
    key = f"{ERROR_IN_UNIT}_{part.name}" if part.name else ERROR_IN_UNIT
    return key if part.unit and key in image_metrics(rows) else None


def _chosen(record: Record, count: int, key: str, named: Sequence[str]) -> str:
    """Says which examples are shown and by which metric."""
    split = f" of the split {record.data.split}" if record.data.split else ""
    if len(named) < 3:
        return f"{_all(count)}{split} with {_in_a_sentence(title_of(key))} ({key}): {'; '.join(named)}."
    first, *middle, last = (f"the {name.split(' ')[0]}" for name in named)
    which = f"{', '.join([first, *middle])} and {last}"
    by = f"{_in_a_sentence(title_of(key))} ({key})"
    return f"{which[0].upper()}{which[1:]} of {count:,} examples{split} by {by}: {'; '.join(named)}."


def _all(count: int) -> str:
    return "The one example" if count == 1 else f"All {count:,} examples"


def _in_a_sentence(title: str) -> str:
    """Returns a title of a metric in small letters and without brackets: `mean absolute error, MAE, in …`."""
    title = title.replace(" (", ", ").replace(")", "")
    return title if title[1:2].isupper() or not title[1:2].isalpha() else f"{title[0].lower()}{title[1:]}"


def _how_it_is_shown(data: DataConfig, inputs: Sequence[Part], part: Part) -> Iterator[str]:
    if part.classes:
        yield "In the column of errors, pixels whose class is wrong are coloured, and pixels of no class are gray."
    else:
        of_channels = "" if part.has_one_channel else ", the mean over channels"
        unit = f" in {part.unit}" if part.unit else ""
        yield f"The error is output minus target{unit}{of_channels}; its colours are symmetric about 0."
        if part.bounds and not part.unit:
            yield f"Values of targets lie between {plain_number(part.bounds[0])} and {plain_number(part.bounds[1])}."
    if part.has_values:
        yield "Output and target share one scale of values."
    if part.has_values or not part.classes:
        yield "Values beyond a scale have the colour of its end."
    if data.weight:
        yield "Pixels that do not count are gray in output and error."
    left_out = [other.name for other in data.inputs or () if other.row.in_files and other.name not in
                {shown.name for shown in inputs}]  # fmt: skip
    if left_out and inputs:
        yield f"Parts of the input that are not shown: {', '.join(left_out)}."


def _scale_bars(drawn: Sequence[ExampleRow]) -> str:
    known = [row for row in drawn if row.pixel_mm]
    if not known:
        return "There is no scale bar, because the files do not say the size of their pixels."
    if len(known) < len(drawn):
        return "Rows without a scale bar are of files that do not say the size of their pixels."
    return "The scale bar is for all rows." if same_scale(drawn) else "Each row has its own scale bar."
