"""Metrics of targets in several files, some of them label maps: each kind sees the channels that it measures."""

import numpy as np
import pytest

from tfpix2pix.config.resolve import make_config
from tfpix2pix.data.target_parts import LabelPart
from tfpix2pix.metrics import METRICS, title_of
from tfpix2pix.metrics.bootstrap import Resampling
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.scoring import Scorer, measure

PARTS = [
    {"name": "land", "kind": "labels", "classes": 3},
    {"name": "speed", "channels": 2, "range": [0, 40]},
    {"name": "use", "kind": "labels", "classes": 5},
]
MAPS = {"land": (0, 3), "use": (3, 5)}  # channel and classes
SCORES = ("pixel_accuracy", "class_accuracy", "class_iou")


def setting(parts=PARTS) -> Setting:
    return Setting.of(make_config({"data": {"source": "folders", "targets": parts}}).data)


def example(seed: int, weighted: bool = False) -> Example:
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        maps = {name: rng.integers(0, classes, (8, 9, 1)) / 127.5 - 1 for name, (_, classes) in MAPS.items()}
        sides.append(np.concatenate([maps["land"], rng.uniform(-1, 1, (8, 9, 2)), maps["use"]], -1))
    weight = rng.integers(0, 2, (8, 9, 1)).astype(np.float32) if weighted else None
    return Example(str(seed), sides[0], None, sides[1], weight=weight)


def images(whole: Example) -> Example:
    return Example(whole.name, whole.translation[..., 1:3], None, whole.target[..., 1:3], weight=whole.weight)


def label_map(whole: Example, name: str) -> Example:
    channel = MAPS[name][0]
    sides = (side[..., channel : channel + 1] for side in (whole.translation, whole.target))
    return Example(whole.name, next(sides), None, next(sides), weight=whole.weight)


def test_the_setting_says_what_the_targets_are():
    assert setting().label_maps == (LabelPart("land", 3, 0), LabelPart("use", 5, 3))
    assert setting().kinds == {True, False}
    assert setting(PARTS[:1]).kinds == setting([PARTS[0], PARTS[2]]).kinds == Setting(classes=3).kinds == {True}
    assert setting(PARTS[1:2]).kinds == Setting().kinds == {False}
    assert setting(PARTS[1:2]).images_of(whole := example(0)) is whole


@pytest.mark.parametrize("weighted", [False, True])
def test_images_and_label_maps_are_measured_as_if_each_were_alone(weighted):
    examples = [example(seed, weighted) for seed in range(4)]
    measured = measure(examples, ["l1", "psnr", "ssim", "sharpness", "segmentation"], setting())
    alone = measure(map(images, examples), ["l1", "psnr", "ssim", "sharpness"], Setting())
    for name, (_, classes) in MAPS.items():
        of_map = measure([label_map(whole, name) for whole in examples], ["segmentation"], Setting(classes=classes))
        alone |= {f"{score}_{name}": value for score, value in of_map.items()}
    alone["class_iou"] = (alone["class_iou_land"] + alone["class_iou_use"]) / 2
    assert measured == pytest.approx(alone)


def test_intervals_are_of_the_same_replicates():
    scorer = Scorer(["segmentation"], setting(), Resampling(50, 0))
    twin = Scorer(["segmentation"], Setting(classes=5), Resampling(50, 0))
    for seed in range(5):
        scorer.update(example(seed))
        twin.update(label_map(example(seed), "use"))
    values, of_use = scorer.replicates()["segmentation"], twin.replicates()["segmentation"]
    assert set(values) == {*(f"{score}_{name}" for score in SCORES for name in MAPS), "class_iou"}
    for score in SCORES:
        np.testing.assert_allclose(values[f"{score}_use"], of_use[score])
    np.testing.assert_allclose(values["class_iou"], (values["class_iou_land"] + values["class_iou_use"]) / 2)


def test_values_of_parts_have_titles():
    assert title_of("class_iou_land") == "Class IoU of land" and title_of("class_iou") == "Class IoU"
    assert title_of("pixel_accuracy_use") == "Per-pixel accuracy of use"
    assert METRICS["segmentation"].suits({True, False}) and not METRICS["segmentation"].suits({False})
    assert METRICS["l1"].suits({True, False}) and METRICS["nearest"].suits({True})
