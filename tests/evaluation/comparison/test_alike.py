"""Only evaluations of the same images by the same protocol are compared."""

import re

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, group

VALUES = np.linspace(0.2, 0.6, 12)
SEGMENTER = {"model": "runs/segmenter", "step": 4000, "classes": 12}


def evaluation(name, **changes):
    return scored(name, {"l1": VALUES}, **changes)


def refusal(*evaluations):
    with pytest.raises(UserError) as caught:
        compare(evaluations)
    return str(caught.value)


DIFFERENT = {
    "size_px": ({"size_px": 256}, "size_px 128 of 'a' and size_px 256 of 'b'. Evaluate both at one `size`."),
    "own size": ({"size_px": "own", "fit": None}, "size_px 128 of 'a' and size_px own of 'b'."),
    "fit": ({"fit": "crop"}, "fit resize of 'a' and fit crop of 'b'."),
    "seed": ({"seed": 1}, "seed 0 of 'a' and seed 1 of 'b'. Evaluate both with the same `seed`."),
    "replicates": ({"replicates": 50}, "replicates 200 of 'a' and replicates 50 of 'b'."),
    "split": ({"split": "test"}, "split val of 'a' and split test of 'b'. Evaluate both on one `split`."),
}


@pytest.mark.parametrize("key", DIFFERENT)
def test_what_differs_is_named(key):
    changes, said = DIFFERENT[key]
    assert said in refusal(evaluation("a"), evaluation("b", **changes))


def test_other_images_are_refused():
    others = [f"x{number}" for number in range(12)]
    assert "None are common to both" in refusal(evaluation("a"), evaluation("b", names=others))


def test_images_that_are_partly_the_same_are_refused_with_what_to_do():
    fewer = scored("b", {"l1": VALUES[:9]})
    assert refusal(evaluation("a"), fewer) == (
        "Evaluations that are compared must be of the same images. Received 12 images (009, 010, 011 only there) of "
        "'a' and 9 images of 'b'. 9 are common to both: evaluate both on the same pairs. Runs of other "
        "seeds hold them out if `data.split_seed` is the same."
    )


def test_the_third_is_looked_at_too():
    assert "'c'" in refusal(evaluation("a"), evaluation("b"), evaluation("c", seed=3))


def test_others_are_compared_with_each_other_too():
    """The first says nothing of its split, or was measured without a segmenter."""
    first = evaluation("a", split=None)
    assert "split val of 'b' and split test of 'c'" in refusal(first, evaluation("b"), evaluation("c", split="test"))
    seen = [evaluation(name, segmenter={**SEGMENTER, "step": step}) for name, step in {"b": 1, "c": 2}.items()]
    assert "step 1" in refusal(first, *seen)


def test_members_of_a_group_must_be_alike():
    with pytest.raises(UserError, match="seed 0 of 'a' and seed 1 of 'b'"):
        group([evaluation("a"), evaluation("b", seed=1)], "both")


def test_networks_that_figures_are_measured_through_must_be_the_same():
    semantic = {"semantic_class_iou": VALUES}
    one, same, other = (
        scored(name, semantic, segmenter={**SEGMENTER, **changes})
        for name, changes in {"a": {}, "b": {"model": "./runs//segmenter"}, "c": {"step": 8000}}.items()
    )
    compare([one, same, evaluation("without")])
    assert "step 4000" in refusal(one, other) and "step 8000" in refusal(one, other)
    assert re.search(r"same `segmenter`\.$", refusal(one, other))


def test_what_is_compared_may_differ():
    """How a model was used, and images of another program, which have no split."""
    theirs = evaluation("b", split=None, folder=None, noise="on", statistics=None, variants=0)
    comparison = compare([evaluation("a"), theirs])
    assert comparison.differences["b"]["l1"].value == 0
    assert comparison.notes == ()


def test_data_folders_of_different_names_are_told_of():
    copied = evaluation("b", folder="/elsewhere/facades")
    assert compare([evaluation("a"), copied]).notes == ()
    (note,) = compare([evaluation("a"), evaluation("c", folder="data/maps")]).notes
    assert "facades (a), maps (c)" in note


def test_metrics_that_changed_are_told_of():
    changed = evaluation("b")
    changed.record.protocols["l1"] = "something else"
    (note,) = compare([evaluation("a"), changed]).notes
    assert "l1" in note
