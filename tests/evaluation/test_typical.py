"""The figure of the best, the median and the worst example for papers."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from tfpix2pix.data.settings import DataConfig
from tfpix2pix.evaluation.examples.originals import Original
from tfpix2pix.evaluation.examples.pairs import Examples
from tfpix2pix.evaluation.examples.typical import typical_figures
from tfpix2pix.evaluation.folder import DataRecord, FigureRecord, ProtocolRecord, Record
from tfpix2pix.evaluation.report.choosing import ORDERS, typical
from tfpix2pix.evaluation.report.example_figure import (
    Column,
    ExampleRow,
    example_figure,
    length_in_words,
    scale_bar_mm,
    scales,
)
from tfpix2pix.metrics.example import Example

HU = {"target_channels": 1, "target_range": (-1000.0, 1500.0), "target_unit": "HU"}
GRAY_16 = {"input_channels": 1, "image_size_px": 16}
ERRORS = [0.02, 0.01, 0.08, 0.04, 0.06]  # on [-1, 1]: 25, 12.5, 100, 50, 75 HU
UINT16, UINT8 = np.dtype(np.uint16), np.dtype(np.uint8)


def of_size(dtype, pixel_mm=None, shape=(16, 16)):
    return lambda index: Original((dtype, dtype), shape, pixel_mm)


def examples_of(data, original=lambda index: None, weight=None, size=(16, 16)):
    """Examples of which output minus target is ERRORS[index] everywhere."""

    def compute(index):
        rng = np.random.default_rng(index)
        target = rng.uniform(-0.5, 0.5, (*size, data.target_channels)).astype(np.float32)
        image = rng.uniform(-1, 1, (*size, data.input_channels)).astype(np.float32)
        return Example(f"n{index}", target + np.float32(ERRORS[index]), image, target, weight=weight)

    names = [f"n{index}" for index in range(len(ERRORS))]
    return Examples(names, compute, data, frozenset({"input", "target"}), len(names), original=original)


def record_of(**figures):
    made = {name: FigureRecord(metric=name, value=0.0, low=None, high=None, **more) for name, more in figures.items()}
    protocol = ProtocolRecord(seed=0, size_px=16, fit="resize", replicates=0, covered=0.95)
    data = DataRecord(dir="d", split="test", images=len(ERRORS))
    return Record(format_version=1, name="a", data=data, protocol=protocol, figures=made, protocols={})


IN_HU = record_of(l1={"better": "lower"}, unit_mae={"better": "lower", "unit": "HU"})


def rows_of(keys=("l1", "unit_mae")):
    scales_of = {"l1": 1.0, "unit_mae": 1250.0}
    return [
        {"name": f"n{index}", **{key: error * scales_of[key] for key in keys}} for index, error in enumerate(ERRORS)
    ]


def drawn(data, original=lambda index: None, record=IN_HU, rows=None, **more):
    ((name, figure, caption),) = typical_figures(
        examples_of(data, original, **more), range(len(ERRORS)), record, rows or rows_of(), None
    )
    assert name == "examples"
    return figure, " ".join(caption)


def panels(figure, columns):
    """The panels of each row, without the bars of colours."""
    shown = [axes for axes in figure.axes if axes.images]
    return [shown[start : start + columns] for start in range(0, 3 * columns, columns)]


def test_the_first_the_middle_and_the_last_are_chosen():
    rows = rows_of()
    assert typical(rows, "l1", ORDERS["lower"]) == {"Best": 1, "Median": 3, "Worst": 2}
    assert typical(rows, "l1", ORDERS["higher"]) == {"Best": 2, "Median": 3, "Worst": 1}
    assert typical(rows[:4], "l1", ORDERS["lower"]) == {"Best": 1, "Median": 0, "Worst": 2}  # 1 0 3 2
    assert typical(rows[:2], "l1", ORDERS["lower"]) == {"Best": 1, "Worst": 0}
    assert typical(rows[:1], "l1", ORDERS["lower"]) == {"Best": 0}
    assert typical([*rows, {"name": "x"}], "l1", ORDERS["lower"])["Median"] == 3


def test_values_are_in_the_unit_and_the_error_is_signed():
    figure, caption = drawn(DataConfig(**GRAY_16, **HU), of_size(UINT16))
    for row, index in zip(panels(figure, 4), (1, 3, 2), strict=True):
        image, output, target, error = (axes.images[0] for axes in row)
        expected = examples_of(DataConfig(**GRAY_16, **HU))[index]
        np.testing.assert_allclose(target.get_array(), 250 + 1250 * expected.target[..., 0], rtol=1e-5)
        np.testing.assert_allclose(output.get_array(), 250 + 1250 * expected.translation[..., 0], rtol=1e-5)
        np.testing.assert_allclose(error.get_array(), 1250 * ERRORS[index], rtol=1e-4)
        np.testing.assert_allclose(image.get_array(), 65535 * (expected.input[..., 0] + 1) / 2, rtol=1e-5)
        assert output.get_clim() == target.get_clim()
        assert error.get_clim() == pytest.approx((-100, 100), rel=1e-3) and error.get_cmap().name == "RdBu_r"
    assert "best n1, 12.50 HU; median n3, 50.00 HU; worst n2, 100.0 HU." in caption
    assert caption.startswith("The best, the median and the worst of 5 examples of the split test by mean absolute")
    assert "by mean absolute error, MAE, in the targets' unit (unit_mae): best" in caption
    assert "The error is output minus target in HU; its colours are symmetric about 0." in caption


def test_columns_rows_and_bars_say_what_they_are():
    figure, _ = drawn(DataConfig(**GRAY_16, **HU), of_size(UINT16))
    assert [axes.get_title() for axes in panels(figure, 4)[0]] == ["input", "output", "target", "error"]
    words = [row[0].get_ylabel() for row in panels(figure, 4)]
    assert words == ["best: 12.50 HU", "median: 50.00 HU", "worst: 100.0 HU"]
    bars = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert bars == ["value", "HU", "HU"]


def test_pictures_have_no_scale_and_their_error_is_the_mean_over_channels():
    data = DataConfig(input_channels=3, target_channels=3, image_size_px=16)
    figure, caption = drawn(data, of_size(UINT8), record_of(l1={"better": "lower"}), rows_of(["l1"]))
    for row, index in zip(panels(figure, 4), (1, 3, 2), strict=True):
        _, output, target, error = (np.asarray(axes.images[0].get_array()) for axes in row)
        expected = examples_of(data)[index]
        np.testing.assert_array_equal(target, np.rint((expected.target + 1) * 127.5).astype(np.uint8))
        assert output.dtype == np.uint8
        np.testing.assert_allclose(error, 127.5 * ERRORS[index], rtol=1e-4)
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == ["output − target"]
    assert "the mean over channels" in caption and "Values of targets lie between 0 and 255." in caption


def test_without_known_values_the_error_is_that_of_the_networks_range():
    data = DataConfig(input_channels=1, target_channels=1, image_size_px=16)
    figure, _ = drawn(data, record=record_of(l1={"better": "lower"}), rows=rows_of(["l1"]))
    np.testing.assert_allclose(panels(figure, 4)[0][3].images[0].get_array(), ERRORS[1], rtol=1e-4)
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == ["on [−1, 1]"]


def test_where_no_pixel_counts_output_and_error_are_gray():
    weight = np.ones((16, 16, 1), np.float32)
    weight[:4] = 0
    figure, caption = drawn(
        DataConfig(**GRAY_16, **HU, source="folders", weight="mask"), of_size(UINT16), weight=weight
    )
    _, output, target, error = (axes.images[0] for axes in panels(figure, 4)[0])
    for image in (output, error):
        mask = np.ma.getmaskarray(image.get_array())
        assert mask[:4].all() and not mask[4:].any()
        assert image.get_cmap().get_bad()[:3] == pytest.approx(to_rgb("0.8"))
    assert not np.ma.getmaskarray(target.get_array()).any()
    assert "Pixels that do not count are gray in output and error." in caption


def test_wrong_classes_are_coloured():
    data = DataConfig(input_channels=3, target_channels=1, target_classes=3, image_size_px=16, ignore_class=255)
    true = np.zeros((16, 16, 1), np.uint8)
    true[0] = 2
    true[1] = 255
    output = true.copy()
    output[0, :8] = 1
    signed = [image / np.float32(127.5) - 1 for image in (output, true)]
    example = Example("n", signed[0], np.zeros((16, 16, 3), np.float32), signed[1])
    examples = Examples(["n"], lambda index: example, data, frozenset({"input", "target"}), 1)
    record = record_of(segmentation={"better": "higher"})
    ((_, figure, caption),) = typical_figures(examples, [0], record, [{"name": "n", "segmentation": 0.5}], None)
    error = np.asarray(figure.axes[3].images[0].get_array())
    assert (error[0, :8] == (213, 94, 0)).all() and (error[0, 8:] == 255).all() and (error[2:] == 255).all()
    assert (error[1] == 204).all()
    assert "whose class is wrong are coloured" in " ".join(caption)


def test_each_part_has_a_figure_of_its_own_channels_ranked_by_its_own_error():
    parts = [{"name": "ct", "channels": 1, "range": [-1000, 1500], "unit": "HU"}, {"name": "photo"}]
    data = DataConfig(source="folders", targets=parts, input_channels=3, image_size_px=16)
    record = record_of(l1={"better": "lower"}, unit_mae_ct={"better": "lower", "unit": "HU"})
    rows = [{**row, "unit_mae_ct": 9 - place} for place, row in enumerate(rows_of(["l1"]))]
    of_ct, of_photo = typical_figures(examples_of(data), range(5), record, rows, None)
    assert (of_ct.name, of_photo.name) == ("examples_ct", "examples_photo")
    assert "best n4, 5.000 HU; median n2, 7.000 HU; worst n0, 9.000 HU" in of_ct.caption[0]
    assert "best n1, 0.01000; median n3" in of_photo.caption[0]
    assert "ct, HU" in [axes.get_xlabel() for axes in of_ct.figure.axes]


def test_the_input_has_a_column_for_each_image_and_its_numbers_beside_the_row():
    inputs = [
        {"name": "t1", "channels": 1, "range": [0, 1000]}, {"name": "mask", "kind": "distance", "range": [-8, 8]},
        {"name": "kv", "kind": "scalar", "range": [80, 140]}, {"name": "photo"},
    ]  # fmt: skip
    data = DataConfig(source="folders", inputs=inputs, image_size_px=16, **HU)
    figure, caption = drawn(data)
    assert [axes.get_title() for axes in panels(figure, 5)[0]] == ["t1", "photo", "output", "target", "error"]
    expected = examples_of(data)[1].input
    shown = panels(figure, 5)[0][0].images[0].get_array()
    np.testing.assert_allclose(shown, 500 * (expected[..., 0] + 1), rtol=1e-4, atol=1e-3)
    kv = 80 + 30 * (expected[0, 0, 2] + 1)
    assert panels(figure, 5)[0][0].get_ylabel() == f"best: 12.50 HU\nkv {kv:.5g}"
    assert "Parts of the input that are not shown: mask." in caption


class TestScaleBars:
    @pytest.mark.parametrize(
        ("width_px", "pixel_mm", "length"),
        [(64, 2.0, "50 mm"), (512, 0.65e-3, "100 µm"), (100, 1e-3, "20 µm"), (250, 1e-6, "100 nm"), (100, 125, "5 m")],
    )
    def test_a_bar_has_a_round_length(self, width_px, pixel_mm, length):
        assert length_in_words(scale_bar_mm(width_px, pixel_mm)) == length

    def test_it_is_as_long_as_it_says(self):
        figure, caption = drawn(DataConfig(**GRAY_16, **HU), of_size(UINT16, (2.0, 2.0)))
        first, *others = (row[0] for row in panels(figure, 4))
        ((start, _), (end, _)) = first.lines[0].get_xydata()
        assert [text.get_text() for text in first.texts] == ["10 mm"]
        assert (end - start) * 16 * 2.0 == pytest.approx(10)
        assert "The scale bar is for all rows." in caption
        assert not any(axes.lines for axes in others)

    @pytest.mark.parametrize(
        ("fit", "size", "expected"),
        [("resize", (16, 16), (6, 4)), ("crop", (16, 16), (2, 2)), ("resize_crop", (16, 16), (4, 4)),
         ("pad", (16, 16), (6, 6)), ("resize", (32, 48), (2, 2))],
    )  # fmt: skip
    def test_it_follows_the_way_of_files_to_the_size(self, fit, size, expected):
        """Files of 48 x 32 px, 2 mm a pixel."""
        original = Original((UINT8, UINT8), (32, 48), (2.0, 2.0))
        data = DataConfig(image_size_px=16, fit=fit)
        assert original.pixel_mm_at(*size, data) == pytest.approx(expected)

    def test_without_one_the_caption_says_why(self):
        figure, caption = drawn(DataConfig(**GRAY_16, **HU), of_size(UINT16))
        assert caption.endswith("There is no scale bar, because the files do not say the size of their pixels.")
        assert not any(axes.lines for row in panels(figure, 4) for axes in row)

    def test_rows_of_different_scale_have_a_bar_each(self):
        def original(index):
            return Original((UINT16, UINT16), (16, 16), None if index == 2 else (2.0 + index, 2.0 + index))

        figure, caption = drawn(DataConfig(**GRAY_16, **HU), original)
        assert [len(row[0].lines) for row in panels(figure, 4)] == [1, 1, 0]
        assert "Rows without a scale bar are of files that do not say" in caption

    def test_pixels_that_are_not_square_are_shown_as_they_are(self):
        row = ExampleRow("a", "", [np.ma.zeros((10, 10))], (1.0, 2.0))
        figure = example_figure([Column("x", "x", "y")], [row])
        FigureCanvasAgg(figure).draw()
        box = figure.axes[0].get_window_extent()
        assert box.height / box.width == pytest.approx(2, rel=0.01)


def test_scales_show_nearly_all_values_and_errors_are_symmetric():
    values = np.ma.arange(1000.0).reshape(20, 50)
    columns = [Column("a", "v", "v"), Column("b", "e", "e", True)]
    limits = scales(columns, [ExampleRow("", "", [values, values - 100])])
    assert limits["v"] == pytest.approx((2, 997), abs=0.1)
    assert limits["e"] == pytest.approx((-np.percentile(np.abs(np.arange(1000) - 100), 99.5), 894), abs=1)
    same = np.ma.ones((2, 2))
    assert scales(columns, [ExampleRow("", "", [same, same * 0])]) == {"v": (0, 2), "e": (-1, 1)}
    nothing = np.ma.array(same, mask=True)
    assert scales(columns, [ExampleRow("", "", [nothing, nothing])])["e"] == (-1, 1)


@pytest.mark.parametrize("size", [(16, 16), (16, 80), (90, 16)])
@pytest.mark.parametrize("inputs", [0, 1, 3])
def test_nothing_is_drawn_outside(size, inputs):
    image = np.ma.array(np.random.default_rng(0).normal(0, 1e-4, size))
    columns = [Column(f"i{number}", f"i{number}", "value") for number in range(inputs)]
    columns += [Column("output", "v", "$10^-3$"), Column("target", "v", "$10^-3$"), Column("error", "e", "$m^2$", True)]
    rows = [ExampleRow(word, "kv 80", [image] * len(columns)) for word in ("best: 1.000", "median: 2.000", "worst: 3")]
    figure = example_figure(columns, rows)
    FigureCanvasAgg(figure).draw()
    box = figure.get_tightbbox()
    assert box.x0 >= -0.01 and box.y0 >= 0
    assert box.x1 <= figure.get_figwidth() + 0.01 and box.y1 <= figure.get_figheight()
    assert figure.get_figwidth() <= 7.2 + 1e-6 and figure.get_figheight() <= 9 + 1e-6
