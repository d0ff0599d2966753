"""Writes the metrics of a comparison as a LaTeX table, to be read into a paper by `\\input`. It needs booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tfpix2pix.errors import escape_controls
from tfpix2pix.evaluation.comparison.outcome import MARKS, Comparison
from tfpix2pix.evaluation.comparison.table import LEGEND, Cell, column, decimals_for, heading, interval_text

# Every character that LaTeX does not print as it is, or takes for an argument at the start of a row.
ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{character: f"{{{character}}}" for character in "[]*`"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "→": r"$\to$",
        "−": "$-$",
        "…": r"\ldots{}",
        "\N{NO-BREAK SPACE}": "~",
    }
)
LABEL = "tab:comparison"
CAPTION = "Values, with their intervals below."


def latex_table(comparison: Comparison, figures: Sequence[str] | None = None) -> str:
    """Returns a `table` environment: values with their intervals, the best bold by the rule that the caption states.

    The longer of evaluations and metrics goes down the page. The definitions of the metrics stand above as comments.

    Args:
        figures: metrics to show; None: all.

    Raises:
        UserError: no evaluation has one of `figures`.
    """
    chosen, names = comparison.chosen(figures), list(comparison.table)
    decimals = {key: decimals_for(column(comparison.table, key)) for key in chosen}
    cells = [[_cell(comparison.table[name].get(key), decimals[key]) for key in chosen] for name in names]
    heads, others = (
        [escaped(name) for name in names],
        [escaped(heading(key, chosen[key], comparison.units)) for key in chosen],
    )
    if len(others) > len(heads):
        heads, others, cells = others, heads, [list(row) for row in zip(*cells, strict=True)]
    rows = [_row(head, of_row) for head, of_row in zip(heads, cells, strict=True)]
    caption = [LEGEND, comparison.caption]
    if any(low for of_row in cells for _, low in of_row):
        caption = [CAPTION, LEGEND, *([MARKS] if len(names) > 1 else []), comparison.caption]
    protocols = comparison.protocols_of(chosen)
    definitions = [f"% {_in_a_line(f'{metric}: {sentence}')}." for metric, sentence in protocols.items()]
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs}.",
            *definitions,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(' '.join(caption))}}}",
            rf"\label{{{LABEL}}}",
            r"\medskip",
            rf"\begin{{tabular}}{{l{'c' * len(others)}}}",
            r"\toprule",
            rf"{' & '.join(['', *others])} \\",
            r"\midrule",
            "\n\\addlinespace\n".join(rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Returns text that LaTeX prints as it is, in one line. Control characters are printed as their codes.

    Letters beyond ASCII stay: pdfLaTeX prints those of European languages, LuaLaTeX those of its font.
    """
    return re.sub(r"(['-])(?=\1)", r"\1{}", _in_a_line(text).translate(ESCAPES))  # -- would be printed as a dash


def _in_a_line(text: str) -> str:
    return escape_controls(" ".join(text.split()))


def _cell(cell: Cell | None, decimals: int) -> tuple[str, str]:
    """Returns the value and the interval of a cell, which may be ""."""
    if cell is None or not math.isfinite(cell.value):
        return "", ""
    value = _number(f"{cell.value:.{decimals}f}")
    return rf"\textbf{{{value}}}" if cell.best else value, _number(interval_text(cell, decimals))


def _number(text: str) -> str:
    return text.replace("-", "$-$")


def _row(head: str, cells: Sequence[tuple[str, str]]) -> str:
    """Returns a line of values and, if one has an interval, a smaller one of intervals."""
    lines = [[head, *(value for value, _ in cells)]]
    if any(interval for _, interval in cells):
        lines.append(["", *(rf"{{\scriptsize {interval}}}" if interval else "" for _, interval in cells)])
    return "\n".join(rf"{' & '.join(line)} \\" for line in lines)
