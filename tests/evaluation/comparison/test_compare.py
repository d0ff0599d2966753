"""The table, its marks, and what is written of a comparison."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, group, latex_table
from tfpix2pix.evaluation.comparison.figure import comparison_figure

HARD = np.random.default_rng(0).uniform(0.2, 0.6, 60)
NOISE = np.random.default_rng(1).normal(0, 0.05, 60)


def l1(**values):
    return compare([scored(name, {"l1": scores}) for name, scores in values.items()])


def best(comparison, figure="l1"):
    return [name for name, cells in comparison.table.items() if figure in cells and cells[figure].best]


def test_cells_are_what_the_evaluations_say():
    comparison = l1(a=HARD, b=HARD + 0.1)
    for evaluation in comparison.evaluations:
        cell, said = comparison.table[evaluation.name]["l1"], evaluation.record.figures["l1"]
        assert (cell.value, cell.low, cell.high) == (said.value, said.low, said.high)
        assert cell.members == ()


def test_the_best_is_marked_where_it_is_told_from_the_others():
    assert best(l1(a=HARD + 0.1, b=HARD, c=HARD + 0.2)) == ["b"]


def test_so_is_what_is_not_told_from_it():
    mixed = HARD + NOISE - NOISE.mean() + 0.001
    assert best(l1(a=HARD, b=mixed, c=HARD + 0.2)) == ["a", "b"]


def test_where_nothing_is_told_apart_nothing_is_marked():
    assert best(l1(a=HARD, b=HARD + NOISE - NOISE.mean())) == []
    assert best(l1(a=HARD, b=HARD)) == []
    assert best(l1(a=HARD)) == []


def test_intervals_that_overlap_may_be_told_apart():
    """What pairing is for."""
    comparison = l1(a=HARD, b=HARD + 0.01)
    assert comparison.table["a"]["l1"].high > comparison.table["b"]["l1"].low
    assert best(comparison) == ["a"]


MARKED = {
    "psnr_db": ([10 * HARD, 10 * HARD + 1], ["b"]),
    "sharpness": ([HARD + 0.2, HARD + 0.8], ["b"]),
    "gradient_magnitude": ([HARD, HARD + 0.1], []),
}


@pytest.mark.parametrize("figure", MARKED)
def test_marks_know_what_is_better(figure):
    values, marked = MARKED[figure]
    evaluations = [scored(name, {figure: scores}) for name, scores in zip("ab", values, strict=True)]
    assert best(compare(evaluations), figure) == marked


def test_nothing_is_marked_of_figures_without_intervals():
    comparison = compare([scored(name, {}, whole={"fid": value}) for name, value in {"a": 120.0, "b": 90.0}.items()])
    assert best(comparison, "fid") == []


def test_evaluations_may_have_different_figures():
    a, b = scored("a", {"l1": HARD, "ssim": HARD}), scored("b", {"psnr_db": HARD, "l1": HARD + 0.1})
    comparison = compare([a, b])
    assert list(comparison.figures) == ["l1", "ssim", "psnr_db"]
    assert set(comparison.differences["b"]) == {"l1"}
    heading, of_a, of_b = comparison.rows()
    assert heading == ["", "l1 ↓", "ssim ↑", "psnr_db ↑"]
    assert (of_a[0], of_a[3]) == ("a", "")
    assert (of_b[0], of_b[2]) == ("b", "")


def test_one_alone_is_a_table_without_differences():
    comparison = l1(a=HARD)
    assert comparison.differences == {}
    text = comparison.markdown()
    assert "Difference" not in text and "Bold" not in text and "paired" not in text
    assert comparison.difference_rows()[1:] == []
    assert f"| a | {HARD.mean():.2f}" in text


def test_numbers_have_the_digits_that_their_interval_allows():
    figures = {"l1": np.tile([0.30, 0.34], 50), "psnr_db": np.tile([10.0, 14.0], 50)}
    row = compare([scored("a", figures, replicates=1000, whole={"fid": 1234.567, "kid": 0.0123456})]).rows()[1]
    assert row[1].startswith("0.3200 (0.31") and row[1].count(" to ") == 1
    assert row[2].startswith("12.00 (11.")
    assert row[3:] == ["1235", "0.01235"]


def test_markdown_says_all_that_one_must_know():
    a = scored("a", {"l1": HARD}, notes=["Only half of the pairs."])
    b = group([scored(f"b{seed}", {"l1": HARD + 0.05 + 0.001 * seed}) for seed in range(3)], "b|c")
    text = compare([a, b]).markdown()
    assert "| a | **" in text and "| b\\|c | 0." in text
    assert "95 % intervals: bootstrap over 60 images, 200 replicates" in text
    assert "over training seeds (b\\|c: 3)" in text
    assert "| l1 ↓ | b\\|c | +0.0510 | +0.04" in text and "| worse | 0 % | 100 % |" in text
    assert "- l1: mean absolute difference on [-1, 1] over pixels and channels; mean over images." in text
    assert "- a: runs/a; step 2000, statistics image, noise off" in text
    assert "- b\\|c: mean over 3 trainings: runs/b0, runs/b1, runs/b2; step 2000" in text
    assert "- a: Only half of the pairs." in text


def test_every_row_of_a_table_is_equally_long():
    lines = (
        compare([scored("a | b", {"l1": HARD, "ssim": HARD}), scored("c\nd", {"l1": HARD})]).markdown().split("\n\n")
    )
    for table in (lines[0], lines[3]):
        counts = {line.replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(counts) == 1


def test_the_longer_side_goes_down_the_page():
    evaluations = [scored(name, {"l1": HARD, "ssim": HARD, "psnr_db": HARD}) for name in "ab"]
    assert compare(evaluations).markdown().startswith("|  | a | b |\n")
    assert compare(evaluations).markdown(["ssim"]).startswith("|  | ssim ↑ |\n")


def test_figures_can_be_chosen():
    comparison = compare([scored(name, {"l1": HARD, "ssim": HARD}) for name in "ab"])
    assert comparison.rows(["ssim"])[0] == ["", "ssim ↑"]
    assert "l1" not in comparison.markdown(["ssim"])
    with pytest.raises(UserError, match="Did you mean 'ssim'"):
        comparison.markdown(["sssim"])


def test_json_holds_everything_and_is_json():
    nan = np.full(60, np.nan)
    a = scored("a", {"l1": HARD, "class_iou": nan})
    b = group([scored(f"b{seed}", {"l1": HARD + 0.1 + 0.01 * seed, "class_iou": HARD}) for seed in range(2)], "b")
    text = json.dumps(compare([a, b]).to_json(), allow_nan=False)
    read = json.loads(text)
    assert read["format_version"] == 1
    assert read["baseline"] == "a"
    assert read["protocol"]["size_px"] == 128
    first, second = read["evaluations"]
    assert first["model"] == "runs/a" and first["noise"] == "off" and first["members"] == []
    assert first["figures"]["class_iou"]["value"] is None
    assert [member["model"] for member in second["members"]] == ["runs/b0", "runs/b1"]
    assert second["figures"]["l1"]["members"] == pytest.approx([HARD.mean() + 0.1, HARD.mean() + 0.11])
    assert read["differences"]["b"]["l1"]["verdict"] in ("worse", "open")
    assert read["differences"]["b"]["class_iou"]["value"] is None
    assert read["protocols"].keys() == {"l1", "segmentation"}


def test_none_two_of_one_name_and_no_baseline_are_refused():
    with pytest.raises(UserError, match="^A comparison must have an evaluation"):
        compare([])
    with pytest.raises(UserError, match=r"different names\. Received 'a' twice"):
        compare([scored("a", {"l1": HARD}), scored("a", {"l1": HARD})])
    with pytest.raises(UserError, match=r"one of the 1 evaluations, from 0\. Received 1"):
        compare([scored("a", {"l1": HARD})], baseline=1)


def test_no_tensorflow_is_imported():
    code = (
        "import sys; from tfpix2pix.evaluation.comparison import compare, draw_comparison, group, read_evaluation; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


SPECIMENS = [f"specimen{number // 15}" for number in range(60)]


def test_the_caption_says_that_groups_were_drawn_and_how_many():
    comparison = compare([scored(name, {"l1": HARD}, groups=SPECIMENS, group="^(.*)_") for name in "ab"])
    said = "bootstrap over 4 groups (60 images), 200 replicates"
    assert said in comparison.intervals
    assert said in comparison.markdown() and said in latex_table(comparison)
    assert said in comparison_figure(comparison).get_supxlabel().replace("\n", " ")
    assert comparison.to_json()["data"]["groups"] == 4
    assert "groups" not in l1(a=HARD).markdown()


def test_one_group_tells_nothing_apart():
    comparison = compare(
        [scored(name, {"l1": HARD + n}, groups=["one"] * 60, group="x") for n, name in enumerate("ab")]
    )
    said = "With one held-out group there are no intervals: one group says nothing about others."
    assert comparison.intervals == said
    difference = comparison.differences["b"]["l1"]
    assert (difference.low, difference.verdict) == (None, "")
    assert best(comparison) == []


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"size_px": 64, "fit": "crop"}, "Measured at 64 px, the middle of each image."),
        ({"size_px": 64, "fit": "resize"}, "Measured at 64 px, to which images of another size are resized."),
        ({"size_px": (64, 128), "fit": None}, "Measured at 64x128 px (height x width)."),
        ({"size_px": "own", "fit": None}, "Measured at the files' own size."),
    ],
)
def test_the_caption_says_the_size(protocol, said):
    comparison = compare([scored(name, {"l1": HARD}, **protocol) for name in "ab"])
    assert said in comparison.markdown() and said in latex_table(comparison)
    assert said in comparison_figure(comparison).get_supxlabel().replace("\n", " ")
    assert comparison.to_json()["measured_at"] == said


@pytest.mark.parametrize(
    ("figure", "values", "ends"),
    [
        ("sharpness", [0.1, 3.0], (0, None)),
        ("diversity", [0.0, 0.3], (0, None)),
        ("l1", [0.0, 0.9], (0, None)),
        ("ssim", [0.95, -0.9], (-1, 1)),
    ],
)
def test_intervals_of_values_are_cut_and_those_of_differences_are_not(figure, values, ends):
    """Two seeds that differ much: Student's t reaches far beyond what a value can be."""
    wide = group([scored(f"s{n}", {figure: np.full(9, value)}) for n, value in enumerate(values)], "wide")
    comparison = compare([scored("a", {figure: np.full(9, values[0])}), wide])
    cell, difference = comparison.table["wide"][figure], comparison.differences["wide"][figure]
    assert cell.low == ends[0]
    assert ends[1] is None or cell.high == ends[1]
    center = np.mean(values) - values[0]
    assert difference.low < center - 1 and difference.high > center + 1


def test_the_interval_of_an_older_evaluation_is_cut_too():
    a = scored("a", {"sharpness": HARD})
    old = a.record.figures["sharpness"].model_copy(update={"low": -2.6})
    older = replace(a, record=a.record.model_copy(update={"figures": {"sharpness": old}}))
    assert compare([older]).table["a"]["sharpness"].low == 0


def in_counts(name, **units):
    return scored(name, {"unit_mae": HARD, "unit_mae_dose": HARD, "l1": HARD}, units=units)


def test_headings_and_axes_have_the_unit():
    units = {"unit_mae": "counts", "unit_mae_dose": "J|m $2$"}
    comparison = compare([in_counts(name, **units) for name in "ab"])
    assert comparison.rows()[0] == ["", "unit_mae, counts ↓", "unit_mae_dose, J|m $2$ ↓", "l1 ↓"]
    assert comparison.difference_rows()[1][:2] == ["unit_mae, counts ↓", "b"]
    assert "\n| unit_mae_dose, J\\|m $2$ ↓ | b |" in comparison.markdown()
    table = latex_table(comparison)
    assert r"unit\_mae, counts $\downarrow$ &" in table and r"J\textbar{}m \$2\$" in table
    assert [row["unit"] for row in comparison.flat_rows()] == ["counts"] * 2 + ["J|m $2$"] * 2 + [""] * 2
    assert comparison.to_json()["units"] == units
    labels = [axes.xaxis.label for axes in comparison_figure(comparison).axes]
    assert [label.get_text() for label in labels] == [
        "Mean absolute error (MAE), counts", "Mean absolute error (MAE) of dose, J|m $2$", "",
    ]  # fmt: skip
    assert not any(label.get_parse_math() for label in labels[:2])


def test_values_in_different_units_are_refused():
    with pytest.raises(
        UserError, match=r"in the same unit\. Received unit_mae in HU of 'a' and unit_mae in counts of 'b'"
    ):
        compare([in_counts("a", unit_mae="HU"), in_counts("b", unit_mae="counts")])
    assert compare([in_counts("a"), in_counts("b", unit_mae="HU")]).units == {"unit_mae": "HU"}  # an older record


def two_seeds(name, shifts):
    return group([scored(f"{name}{n}", {"l1": HARD + NOISE / 9 + shift}) for n, shift in enumerate(shifts)], name)


def test_a_sentence_says_that_seeds_leave_a_verdict_open():
    comparison = compare([scored("a", {"l1": HARD}), two_seeds("b", (-0.12, -0.10))])
    text = comparison.markdown()
    assert "| open | 100 % | 0 % |" in text
    assert "Open because of the training seeds (b: 2), even if nearly all images agree: l1 of b. " in text
    assert "two trainings say little about other seeds, so take three or more." in text


def test_nothing_is_said_of_seeds_where_images_leave_it_open_or_nothing_does():
    for shifts in ((-0.111, -0.11), (-NOISE.mean() / 9, 0.0001 - NOISE.mean() / 9)):
        assert "Open because" not in compare([scored("a", {"l1": HARD}), two_seeds("b", shifts)]).markdown()
    assert "Open because" not in l1(a=HARD, b=HARD + NOISE - NOISE.mean()).markdown()


def test_more_seeds_that_differ_have_another_reason():
    comparison = compare([scored("a", {"l1": HARD}), two_seeds("b", (-0.05, -0.10, -0.01))])
    assert "the trainings differ too much to say the same of other seeds." in comparison.markdown()
