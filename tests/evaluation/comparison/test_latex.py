"""A comparison as a LaTeX table, and as rows of a CSV file."""

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, group, latex_table
from tfpix2pix.evaluation.comparison.latex import escaped
from tfpix2pix.evaluation.comparison.outcome import MARKS
from tfpix2pix.evaluation.folder import write_rows

HARD = np.random.default_rng(0).uniform(0.2, 0.6, 30)
STRANGE = r"[50 %] & a_b \c {d} $#~^<>|`*''--"
PDFLATEX = shutil.which("pdflatex")


@pytest.fixture(scope="module")
def comparison():
    a = scored(STRANGE, {"l1": HARD, "ssim": HARD, "lab_intersection": HARD - 0.8}, whole={"fid": 120.0})
    b = scored("b", {"l1": HARD + 0.1, "psnr_db": HARD}, whole={"fid": float("nan")})
    c = scored("c", {"l1": HARD + np.tile([0.01, -0.01], 15), "ssim": np.full(30, np.nan)})
    return compare([a, b, group([c, scored("d", {"l1": HARD + 0.01})], "seeds")])


def lines(comparison, figures=None) -> list[str]:
    return latex_table(comparison, figures).splitlines()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("lab_l1", r"lab\_l1"),
        ("50 % & more", r"50 \% \& more"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$#~^", r"\$\#\textasciitilde{}\textasciicircum{}"),
        ("[a] *", "{[}a{]} {*}"),
        ("a---b ''", "a-{}-{}-b '{}'"),
        ("l1 ↓ ssim ↑ s →1", r"l1 $\downarrow$ ssim $\uparrow$ s $\to$1"),
        ("a\n b\x1b", r"a b\textbackslash{}x1b"),
        ("caf\udce9 é", r"caf\textbackslash{}xe9 é"),
    ],
)
def test_text_is_printed_as_it_is(text, printed):
    assert escaped(text) == printed


def test_values_have_their_intervals_below(comparison):
    cell = comparison.table["b"]["l1"]
    table = lines(comparison, ["l1", "ssim"])
    row = table.index(next(line for line in table if line.startswith("b & ")))
    assert table[row] == rf"b & {cell.value:.3f} &  \\"
    assert table[row + 1] == rf" & {{\scriptsize {cell.low:.3f} to {cell.high:.3f}}} &  \\"


def test_the_longer_side_goes_down_the_page(comparison):
    assert rf" & {escaped(STRANGE)} & b & seeds \\" in lines(comparison)
    assert r" & l1 $\downarrow$ & fid $\downarrow$ \\" in lines(comparison, ["l1", "fid"])


def test_bold_are_those_that_are_bold_in_markdown(comparison):
    """One rule for both: the best, and those whose paired interval with it includes zero."""
    bold = {name for name, cells in comparison.table.items() if cells["l1"].best}
    table = "\n".join(lines(comparison, ["l1"]))
    marked = {name for name in comparison.table if re.search(re.escape(escaped(name)) + r" & \\textbf", table)}
    assert marked == bold == {STRANGE, "seeds"}
    assert comparison.markdown(["l1"]).count("**") == 2 * len(bold)
    assert MARKS in table and comparison.intervals.replace("%", r"\%").split("(")[0] in table


def test_one_alone_has_no_marks():
    table = latex_table(compare([scored("a", {}, whole={"fid": 120.0})]))
    assert "Bold" not in table and "intervals below" not in table
    assert r"a & 120.0 \\" in table


def test_bold_is_explained_only_beside_intervals(comparison):
    groups = [scored(name, {"l1": HARD + n}, groups=["one"] * 30, group="x") for n, name in enumerate("ab")]
    alone = latex_table(compare(groups))
    assert "Bold" not in alone and "there are no intervals: one group says nothing about others." in alone
    assert "Bold" not in latex_table(comparison, ["fid"]) and "Bold" in latex_table(comparison, ["l1"])


def test_minus_signs_are_long_and_what_is_no_number_is_left_out(comparison):
    table = "\n".join(lines(comparison))
    assert "$-$0.3" in table and "& -" not in table
    assert "nan" not in table


def test_definitions_stand_above_as_comments(comparison):
    comments = [line for line in lines(comparison) if line.startswith("%")]
    assert any(line.startswith("% l1: mean absolute difference") for line in comments)


def test_figures_can_be_chosen(comparison):
    table = latex_table(comparison, ["l1"])
    assert "fid" not in table and "% l1: " in table  # not in the definitions either
    with pytest.raises(UserError, match="A metric must be one of"):
        latex_table(comparison, ["l7"])


@pytest.mark.skipif(PDFLATEX is None, reason="there is no pdflatex")
def test_it_compiles_inside_a_document(comparison, tmp_path):
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\input{wide}\end{document}"
    (tmp_path / "paper.tex").write_text(document)
    (tmp_path / "table.tex").write_text(latex_table(comparison))
    (tmp_path / "wide.tex").write_text(latex_table(comparison, ["l1", "ssim"]))
    command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def read_back(comparison, folder) -> list[dict[str, str]]:
    write_rows(folder / "comparison.csv", comparison.flat_rows())
    with (folder / "comparison.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    return float(text) if text else None


def test_the_rows_of_the_csv_file_are_the_values_of_the_json_file(comparison, tmp_path):
    rows, values = read_back(comparison, tmp_path), json.loads(json.dumps(comparison.to_json()))
    cells = {(key, each["name"]): cell for each in values["evaluations"] for key, cell in each["figures"].items()}
    assert {(row["metric"], row["evaluation"]) for row in rows} == cells.keys()
    for row in rows:
        cell = cells[row["metric"], row["evaluation"]]
        assert [number(row[entry]) for entry in ("value", "low", "high")] == [cell["value"], cell["low"], cell["high"]]
        assert (row["best"] == "1", row["better"]) == (cell["best"], values["better"][row["metric"]])
        difference = values["differences"].get(row["evaluation"], {}).get(row["metric"], {})
        for column, entry in {"difference": "value", "difference_low": "low", "difference_high": "high"}.items():
            assert number(row[column]) == difference.get(entry)
        assert row["verdict"] == difference.get("verdict", "")


def test_the_baseline_has_no_differences(comparison, tmp_path):
    of_baseline = [row for row in read_back(comparison, tmp_path) if row["evaluation"] == STRANGE]
    assert len(of_baseline) == 4
    assert {row["difference"] + row["verdict"] for row in of_baseline} == {""}
