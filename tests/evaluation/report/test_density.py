"""The plots of all pixels in a report: where things stand in them, and what is said below them."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.report.browser import Tab, started
from tests.evaluation.report.test_evaluation_page import EVIL, make, words
from tfpix2pix.evaluation.report.density import density_chart, density_plots
from tfpix2pix.metrics.agreement import Agreement
from tfpix2pix.metrics.example import Example, Unit

HU = Unit("HU", -1000.0, 1500.0)
BIAS, SPREAD = 0.02, 0.01  # on [-1, 1]: 25 and 12.5 HU


def density_charts(made: Agreement) -> list[dict]:
    return [density_chart(plot) for plot in density_plots(made)]


def agreement(groups=("a", "b", EVIL), outliers=0, bias=BIAS) -> Agreement:
    made = Agreement(HU)
    for seed, group in enumerate(groups):
        rng = np.random.default_rng(seed)
        target = rng.uniform(-0.5, 0.5, (64, 64, 1))
        translation = target + rng.normal(bias, SPREAD, target.shape)
        translation[0, :outliers] = target[0, :outliers] + 0.4
        made.update(Example(str(seed), translation, target=target, group=group))
    return made


def picture_of(chart) -> np.ndarray:
    """The density as it is drawn, uint8 (rows, columns, 4)."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(chart["image"].partition(",")[2]))))


def difference_at(chart, percent) -> float:
    """The difference in HU at a height of the plot, by two of its ticks."""
    low, high = chart["y"]["ticks"][0], chart["y"]["ticks"][-1]
    values = [float(tick["words"].replace("−", "-")) for tick in (low, high)]
    return float(np.poly1d(np.polyfit([float(low["at"]), float(high["at"])], values, 1))(100 - float(percent)))


def test_the_scatter_plot_has_targets_across_and_translations_upwards():
    made = Agreement(HU)
    made.update(Example("a", np.full((1, 1, 1), 0.75), target=np.full((1, 1, 1), -0.5)))
    alpha = picture_of(density_charts(made)[0])[..., 3]
    row, column = np.argwhere(alpha)[0]
    assert (column / 128, 1 - row / 128) == pytest.approx((0.25, 0.875), abs=0.01)
    assert np.count_nonzero(alpha) == 1


def test_the_caption_of_the_scatter_plot_has_r_and_r2():
    made = agreement()
    caption = " ".join(density_charts(made)[0]["caption"])
    assert f"12,288 pixels: r {made.correlation()['pearson_r']:.4f}, R² {made.correlation()['r2']:.4f}." in caption
    assert "Bins of 19.53 × 19.53 HU." in caption


def test_lines_stand_at_the_mean_and_at_the_limits_of_agreement():
    made = agreement()
    chart = density_charts(made)[1]
    heights = [difference_at(chart, line["y1"]) for line in chart["lines"]]
    assert heights == pytest.approx([made.mean_difference(), *made.limits()], abs=0.5)
    assert made.limits() == pytest.approx((25 - 1.96 * 12.5, 25 + 1.96 * 12.5), abs=1)
    assert re.search(r"mean difference 2\d\.\d+ HU, limits of agreement .+ HU \(± 1\.96 SD", chart["caption"][0])


def test_the_plot_shows_the_errors_there_are_not_the_whole_range():
    """Errors of 1 % of the range fill a good part of the plot."""
    chart = density_charts(agreement())[1]
    rows = np.flatnonzero(picture_of(chart)[..., 3].any(axis=1))
    assert (rows.max() - rows.min()) / len(picture_of(chart)) > 0.4


def test_pixels_lie_at_the_height_of_their_difference():
    made = agreement(bias=0.05)
    chart = density_charts(made)[1]
    alpha = picture_of(chart)[..., 3].astype(float)
    heaviest = np.argmax(alpha.sum(axis=1)) + 0.5
    assert difference_at(chart, 100 * heaviest / len(alpha)) == pytest.approx(62.5, abs=12.5)


def test_what_differs_more_is_drawn_at_the_edge_and_said():
    chart = density_charts(agreement(outliers=3))[1]
    assert re.search(r"0\.073 % differ by more than \d+\.?\d* HU and are drawn at the edge", chart["caption"][-1])
    assert picture_of(chart)[0, :, 3].any()
    flat, image = Agreement(HU), np.zeros((4, 4, 1))
    flat.update(Example("a", image + 0.1, target=image))
    assert not any("edge" in sentence for sentence in density_charts(flat)[1]["caption"])


def test_groups_are_points_at_their_means():
    made = agreement()
    chart = density_charts(made)[1]
    assert len(chart["points"]) == 3
    for point, (mean, difference) in zip(chart["points"], made.group_points().values(), strict=True):
        assert float(point["x"]) == pytest.approx(100 * (mean + 1000) / 2500, abs=0.01)
        assert difference_at(chart, point["y"]) == pytest.approx(difference, abs=0.5)
    assert "Points are the means of 3 groups." in chart["caption"]
    assert density_charts(agreement(groups=("",)))[1]["points"] == []
    assert "The point is the mean of the one group." in density_charts(agreement(groups=("a", "a")))[1]["caption"]


def test_captions_say_whether_pixels_count_by_weights():
    made, image = Agreement(HU), np.zeros((4, 4, 1))
    made.update(Example("a", image, target=image))
    assert not any("weights" in sentence for chart in density_charts(made) for sentence in chart["caption"])
    made.update(Example("b", image, target=image, weight=np.full((4, 4, 1), 0.5)))
    assert all("Pixels count by their weights." in chart["caption"] for chart in density_charts(made))
    assert "24 pixels" in density_charts(made)[0]["caption"][0]


def test_equal_images_can_be_drawn():
    made, image = Agreement(HU), np.zeros((4, 4, 1))
    made.update(Example("a", image, target=image))
    scatter, bland_altman = density_charts(made)
    assert "r –, R² –" in scatter["caption"][0] and "mean difference 0.000 HU" in bland_altman["caption"][0]


def test_the_largest_differences_can_be_drawn():
    made = Agreement(HU)
    made.update(Example("a", np.array([[[1.0], [-1.0]]]), target=np.array([[[-1.0], [1.0]]])))
    chart = density_charts(made)[1]
    assert (difference_at(chart, 0), difference_at(chart, 100)) == pytest.approx((2500, -2500), abs=1)


def test_only_a_report_of_targets_with_a_unit_has_the_plots(tmp_path):
    said = words(make(tmp_path, agreements=[agreement()]).read_text("utf-8"))
    assert "translation − target, HU" in said and "Agreement" in said
    for nothing in ([], [Agreement(HU)]):
        assert "Agreement" not in words(make(tmp_path, agreements=nothing).read_text("utf-8"))


@pytest.fixture(scope="module")
def chromium():
    with started() as browser:
        yield browser


@pytest.mark.parametrize("width_px", [1280, 360])
def test_the_plots_fit_and_request_nothing(chromium, tmp_path, width_px):
    path = make(tmp_path, agreements=[agreement()])
    with Tab(chromium, path, width_px=width_px) as tab:
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width_px
        for area in tab.locator(".area").all():
            box = area.bounding_box()
            assert box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 200
            assert area.locator("img").evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 128
        assert tab.locator(".levels").first.is_visible()
        assert EVIL in tab.locator(".area title").first.text_content()
        assert tab.loaded() == [] and tab.errors == []
