"""A comparison as a picture."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tests.evaluation.comparison.helpers import METRIC_OF, scored
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, draw_comparison, group
from tfpix2pix.evaluation.comparison.figure import comparison_figure, short

HARD = np.random.default_rng(0).uniform(0.2, 0.6, 30)


@pytest.fixture(scope="module")
def comparison():
    a = scored("a", {"l1": HARD, "sharpness": HARD, "ssim": HARD}, whole={"fid": 120.0})
    seeds = [
        scored(f"b{seed}", {"l1": HARD + 0.1 + seed / 100, "psnr_db": HARD}, whole={"fid": 99.0}) for seed in range(3)
    ]
    return compare([a, group(seeds, "price $5 to $9")])


def panels(comparison, figures=None):
    return comparison_figure(comparison, figures).axes


def test_a_panel_a_figure_of_the_first_with_what_is_better(comparison):
    all_axes = panels(comparison)
    assert [axes.get_title(loc="left") for axes in all_axes] == ["l1", "sharpness", "ssim", "fid"]
    said = [axes.texts[-1].get_text() for axes in all_axes]
    assert said == ["lower is better", "near 1 is better", "higher is better", "lower is better, no interval"]


def test_figures_can_be_chosen(comparison):
    assert [axes.get_title(loc="left") for axes in panels(comparison, ["psnr_db"])] == ["psnr_db"]
    with pytest.raises(UserError, match="A metric must be one of"):
        panels(comparison, ["psnr"])


def test_twelve_panels_at_most_unless_named(monkeypatch):
    figures = {f"semantic_{number}": HARD for number in range(15)}
    for figure in figures:
        monkeypatch.setitem(METRIC_OF, figure, "semantic")
    comparison = compare([scored("a", figures)])
    assert len(panels(comparison)) == 12
    assert len(panels(comparison, list(figures))) == 15


def test_values_intervals_members_and_the_baseline_stand_where_they_should(comparison):
    axes = panels(comparison)[0]
    drawn = [tuple(map(tuple, line.get_data())) for line in axes.lines]
    for row, name in enumerate(("a", "price $5 to $9")):
        cell = comparison.table[name]["l1"]
        assert ((cell.value,), (row,)) in drawn
        assert ((cell.low, cell.high), (row, row)) in drawn
    assert any(x == cell.members for x, _ in drawn)
    assert axes.lines[0].get_xdata()[0] == comparison.table["a"]["l1"].value
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top


def test_what_was_not_measured_is_said(comparison):
    (axes,) = panels(comparison, ["psnr_db"])
    assert axes.texts[0].get_text() == "not measured"


def test_names_stand_left_of_the_first_column_as_they_are(comparison):
    named = [[label.get_text() for label in axes.get_yticklabels() if label.get_text()] for axes in panels(comparison)]
    assert named == [["a", "price $5 to $9"], [], [], []]
    assert not any(label.get_parse_math() for label in panels(comparison)[0].get_yticklabels())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("L1 + cGAN", "L1 + cGAN"),
        ("pytorch-CycleGAN-and-pix2pix", "pytorch-CycleGAN-\nand-pix2pix"),
        ("a name that goes on and on and on", "a name that goes\non and on an…"),
        ("x" * 40, f"{'x' * 18}\n{'x' * 11}…"),
    ],
)
def test_long_names_are_broken_and_cut(name, shown):
    assert short(name) == shown


def test_a_png_1200_px_wide_the_same_each_time(comparison, tmp_path):
    for name in ("a.png", "b.png"):
        draw_comparison(comparison, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").width == 1200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_an_svg_the_same_each_time_with_text_as_text(comparison, tmp_path):
    for name in ("a.svg", "b.svg"):
        draw_comparison(comparison, tmp_path / name)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    said = {"".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"l1", "fid", "lower is better", "price $5 to $9"} <= said
    assert "dc:date" not in text


def test_a_pdf_the_same_each_time_with_fonts_that_journals_take(comparison, tmp_path):
    for name in ("a.pdf", "b.PDF"):
        draw_comparison(comparison, tmp_path / name, ["l1"])
    content = (tmp_path / "a.pdf").read_bytes()
    assert content == (tmp_path / "b.PDF").read_bytes()
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
    assert b"/TrueType" in content or b"/CIDFontType2" in content
    assert b"/Type3" not in content and b"CreationDate" not in content


def test_nothing_is_drawn_outside(comparison):
    figure = comparison_figure(comparison)
    FigureCanvasAgg(figure).draw()
    box = figure.get_tightbbox()
    assert box.x0 >= 0 and box.y0 >= 0
    assert box.x1 <= figure.get_figwidth() and box.y1 <= figure.get_figheight()


def test_another_suffix_and_nothing_to_show_are_refused(comparison, tmp_path):
    with pytest.raises(UserError, match=r"^A picture must be \.png, \.svg or \.pdf\. Received .*a\.eps"):
        draw_comparison(comparison, tmp_path / "a.eps")
    with pytest.raises(UserError, match="^A picture must have a metric to show"):
        draw_comparison(compare([scored("a", {})]), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
