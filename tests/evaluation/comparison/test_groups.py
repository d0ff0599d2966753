"""Several trainings of one variant as one evaluation."""

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored, write
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, group, read_evaluation

IMAGES = np.random.default_rng(0).uniform(0.2, 0.6, 20)
MEMBERS = [
    scored(f"seed{seed}", {"l1": IMAGES + shift}, whole={"fid": 100 + seed}) for seed, shift in enumerate((0, 0.03))
]


def test_figures_rows_and_replicates_are_means_over_members():
    both = group(MEMBERS, "unet")
    assert both.name == "unet"
    assert both.figures["l1"].value == pytest.approx(IMAGES.mean() + 0.015)
    np.testing.assert_allclose(both.rows["l1"], IMAGES + 0.015)
    np.testing.assert_allclose(both.replicates["l1"], MEMBERS[0].replicates["l1"] + 0.015)
    assert both.figures["fid"] == MEMBERS[0].figures["fid"].model_copy(
        update={"value": 100.5, "low": None, "high": None}
    )


def test_each_members_value_is_kept():
    cell = compare([group(MEMBERS, "unet")]).table["unet"]["l1"]
    assert cell.members == (pytest.approx(IMAGES.mean()), pytest.approx(IMAGES.mean() + 0.03))


def test_of_one_it_is_that_one():
    one = group(MEMBERS[:1], "unet")
    assert (one.name, one.members) == ("unet", ())
    assert one.record is MEMBERS[0].record
    assert one.replicates is MEMBERS[0].replicates


def test_images_count_whatever_the_seeds():
    """Equal trainings: the interval is that of one."""
    twins = group([MEMBERS[0], scored("twin", {"l1": IMAGES})], "twins")
    for limit in ("low", "high"):
        assert getattr(twins.figures["l1"], limit) == pytest.approx(getattr(MEMBERS[0].figures["l1"], limit))


def test_seeds_widen_the_interval_where_they_differ():
    widths = []
    for shift in (0, 0.01, 0.1):
        of = group([MEMBERS[0], scored("b", {"l1": IMAGES + shift}), scored("c", {"l1": IMAGES - shift})], "g").figures[
            "l1"
        ]
        widths.append(of.high - of.low)
    assert widths[0] < widths[1] < widths[2]


def test_no_interval_exceeds_what_the_figure_can_be():
    members = [scored(f"s{i}", {"ssim": np.full(5, value)}) for i, value in enumerate((0.99, 0.7))]
    figure = group(members, "g").figures["ssim"]
    assert figure.value == pytest.approx(0.845)
    assert figure.high == 1.0


def test_figures_that_not_all_members_have_are_left_out_and_told_of():
    without = scored("c", {"psnr_db": IMAGES, "l1": IMAGES}, notes=["small"])
    both = group([MEMBERS[0], without], "g")
    assert set(both.figures) == {"l1"}
    assert both.record.notes == ["fid, psnr_db left out, because not all members have them.", "small"]


def test_one_image_has_no_interval_however_many_seeds():
    figure = group([scored("a", {"l1": [0.2]}), scored("b", {"l1": [0.4]})], "g").figures["l1"]
    assert (figure.value, figure.low) == (pytest.approx(0.3), None)


def test_a_replicate_without_any_image_is_left_out():
    pair = [0.2, 0.4]
    both = group([scored("a", {"l1": pair}), scored("b", {"l1": pair})], "g")
    assert np.isnan(both.replicates["l1"]).any()
    assert both.figures["l1"].low == pytest.approx(0.2, abs=0.02)


def test_none_and_the_same_twice_are_refused(tmp_path):
    with pytest.raises(UserError, match="^A group must have an evaluation"):
        group([], "g")
    folder = write(tmp_path / "a", MEMBERS[0])
    with pytest.raises(UserError, match=r"^The members of 'g' must be different trainings\. Received .* twice\."):
        group([read_evaluation(folder), read_evaluation(folder / ".." / "a")], "g")
