"""The plots over all pixels as files for papers."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.evaluation.report.test_density import agreement
from tfpix2pix.evaluation.report.density import density_plots
from tfpix2pix.evaluation.report.density_figure import density_figure
from tfpix2pix.evaluation.report.paper import agreement_figures, write_for_papers
from tfpix2pix.metrics.agreement import Agreement
from tfpix2pix.metrics.example import Example, Unit

SVG = "{http://www.w3.org/2000/svg}"
BLUE = np.array([47, 111, 196])


def figures(made):
    return [density_figure(plot) for plot in density_plots(made)]


def test_a_pixel_lies_at_its_target_and_translation():
    made = Agreement(Unit("HU", -1000.0, 1500.0))
    made.update(Example("a", np.full((1, 1, 1), 0.75), target=np.full((1, 1, 1), -0.5)))
    (image,) = figures(made)[0].axes[0].images
    colors = np.asarray(image.get_array())
    assert colors.shape == (128, 128, 3)
    ((row, column),) = np.argwhere((colors != 255).any(axis=-1))
    np.testing.assert_array_equal(colors[row, column], BLUE)  # the fullest bin
    left, right, bottom, top = image.get_extent()
    assert left + (column + 0.5) / 128 * (right - left) == pytest.approx(-1000 + 0.25 * 2500, abs=2500 / 128)
    assert bottom + (row + 0.5) / 128 * (top - bottom) == pytest.approx(-1000 + 0.875 * 2500, abs=2500 / 128)
    assert image.origin == "lower"


def test_darker_bins_hold_more_as_the_bar_says():
    made = agreement()
    axes, bar = figures(made)[0].axes
    colors = np.asarray(axes.images[0].get_array())[..., 0].T
    full = made.scatter == made.scatter.max()
    assert (colors[full] == BLUE[0]).all() and (colors[made.scatter == 0] == 255).all()
    assert bar.get_ylim() == pytest.approx((0, made.scatter.max()))
    assert [label.get_text() for label in bar.get_yticklabels()] == ["1", "10", "100"]
    single = 47 + (255 - 47) * (1 - (0.16 + 0.84 * np.log(2) / np.log(1 + made.scatter.max())))
    assert colors[made.scatter == 1] == pytest.approx(single, abs=1)


def test_lines_and_points_stand_at_their_values():
    made = agreement()
    identity = figures(made)[0].axes[0].lines[0]
    np.testing.assert_array_equal(identity.get_xydata(), [[-1000, -1000], [1500, 1500]])
    *levels, points = figures(made)[1].axes[0].lines
    low, high = made.limits()
    assert sorted(line.get_ydata()[0] for line in levels) == [low, made.mean_difference(), high]
    np.testing.assert_allclose(points.get_xydata(), list(made.group_points().values()))
    assert len(figures(agreement(groups=("",)))[1].axes[0].lines) == 3


@pytest.mark.parametrize("unit", [Unit("HU", -1000.0, 1500.0), Unit("$10^-3$", 0.0, 1e-6), Unit("m/s", -1e6, 1e6)])
def test_nothing_is_drawn_outside_or_as_a_formula(unit):
    made = Agreement(unit)
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (32, 32, 1))
    many = np.full(target.shape, 1e5)  # so that numbers of pixels are long
    made.update(Example("a", target + rng.normal(0, 0.1, target.shape), target=target, weight=many))
    for figure in figures(made):
        FigureCanvasAgg(figure).draw()
        box = figure.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.get_figwidth() and box.y1 <= figure.get_figheight()
        assert figure.axes[0].get_xlabel().endswith(unit.name)
        assert not figure.axes[0].xaxis.label.get_parse_math()


def test_each_is_written_in_three_formats_the_same_each_time_with_its_caption(tmp_path):
    made = agreement()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_for_papers(tmp_path / name, agreement_figures([made, Agreement(made.unit)]))
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    suffixes = (".png", ".svg", ".pdf")
    assert written.keys() == {"captions.md", *(f"{n}{s}" for n in ("scatter", "bland_altman") for s in suffixes)}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    root = ElementTree.fromstring(written["bland_altman.svg"])
    said = {"".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")}
    assert {"translation − target, HU", "mean of translation and target, HU", "pixels in a bin"} <= said
    assert any(text.startswith("+1.96 SD: ") for text in said)
    assert len(list(root.iter(f"{SVG}image"))) == 2  # the density and the bar of colours; all else is lines and text
    assert b"/Type3" not in written["scatter.pdf"] and written["scatter.pdf"].startswith(b"%PDF")
    captions = written["captions.md"].decode().split("\n\n")
    assert captions[0].startswith("**scatter** Translation against target, 12,288 pixels: r 0.99")
    assert captions[1].startswith("**bland_altman** Bland–Altman plot, 12,288 pixels: mean difference 2")


def test_files_of_a_part_have_its_name(tmp_path):
    made = Agreement(Unit("m/s", 0.0, 40.0, "speed"))
    made.update(Example("a", np.zeros((2, 2, 1)), target=np.zeros((2, 2, 1))))
    assert [figure.name for figure in agreement_figures([made])] == ["scatter_speed", "bland_altman_speed"]


def test_nothing_is_written_without_a_unit(tmp_path):
    write_for_papers(tmp_path, agreement_figures([]))
    assert list(tmp_path.iterdir()) == []
