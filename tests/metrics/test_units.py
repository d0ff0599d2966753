"""Errors in the unit of the targets, against NumPy and SciPy over all pixels of all images."""

import numpy as np
import pytest
from scipy import stats

from tfpix2pix.config.resolve import make_config
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.evaluation.evaluate import units_of
from tfpix2pix.metrics import METRICS, title_of
from tfpix2pix.metrics.bootstrap import Resampling
from tfpix2pix.metrics.example import Example, Setting, Unit
from tfpix2pix.metrics.scoring import Scorer, measure

HU = Unit("HU", -1000.0, 3000.0)
NAMES = ["unit_errors", "unit_bias", "correlation"]


def examples(weighted: bool = False) -> list[Example]:
    """Three images of different sizes, in [-1, 1]."""
    made = []
    for seed, side in enumerate((8, 12, 20)):
        rng = np.random.default_rng(seed)
        target = rng.uniform(-0.9, 0.8, (side, side, 1))
        weight = (rng.uniform(0, 1, (side, side, 1)) > 0.5).astype(np.float32) if weighted else None
        made.append(Example(str(seed), target * 0.8 + rng.normal(0, 0.1, target.shape), target=target, weight=weight))
    return made


def in_unit(image: np.ndarray) -> np.ndarray:
    return HU.low + (image + 1) / 2 * (HU.high - HU.low)


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_equal_their_twins_over_all_pixels_that_count(weighted):
    made = examples(weighted)
    kept = [np.ones(one.target.shape, bool) if one.weight is None else one.weight > 0 for one in made]
    x = np.concatenate([in_unit(one.translation[inside]) for one, inside in zip(made, kept, strict=True)])
    y = np.concatenate([in_unit(one.target[inside]) for one, inside in zip(made, kept, strict=True)])
    measured = measure(made, NAMES, Setting(units=(HU,)))
    assert measured == {
        "unit_mae": pytest.approx(np.abs(x - y).mean()),
        "unit_rmse": pytest.approx(np.sqrt(np.mean((x - y) ** 2))),
        "unit_bias": pytest.approx(np.mean(x - y)),
        "pearson_r": pytest.approx(stats.pearsonr(x, y).statistic),
        "r2": pytest.approx(1 - np.sum((x - y) ** 2) / np.sum((y - y.mean()) ** 2)),
    }


def test_replicates_are_those_of_images_drawn_again():
    made, resampling = examples(), Resampling(50, seed=1)
    scorer = Scorer(["unit_errors"], Setting(units=(HU,)), resampling)
    for one in made:
        scorer.update(one)
    replicates = scorer.replicates()["unit_errors"]["unit_mae"]
    counts = np.stack([resampling.weights(one.name)[1:] for one in made])
    drawn = int(np.flatnonzero(counts.sum(axis=0) > 1)[0])
    repeated = [one for one, times in zip(made, counts[:, drawn], strict=True) for _ in range(int(times))]
    assert replicates[1 + drawn] == pytest.approx(measure(repeated, ["unit_errors"], Setting(units=(HU,)))["unit_mae"])


def test_a_constant_target_has_errors_and_no_correlation():
    one = Example("a", np.full((4, 4, 1), 0.5), target=np.full((4, 4, 1), 0.25))
    measured = measure([one], NAMES, Setting(units=(HU,)))
    assert measured.keys() == {"unit_mae", "unit_rmse", "unit_bias"}
    assert measured["unit_bias"] == pytest.approx(500)


def test_the_unit_of_data_is_that_of_its_range():
    data = DataConfig(target_channels=1, target_range=(-1000, 3000), target_unit="HU")
    assert units_of(data) == (HU,)
    assert units_of(DataConfig()) == ()


PARTS = [
    {"name": "speed", "channels": 2, "range": [-40, 40], "unit": "m/s"},
    "photo",
    {"name": "height", "channels": 1, "range": [0, 4095], "depth": "uint16", "unit": "m"},
]


def test_each_part_of_the_targets_has_its_unit_and_its_figures():
    data = DataConfig(source="folders", targets=PARTS)
    units = units_of(data)
    assert [(unit.name, unit.low, unit.high, unit.part) for unit in units] == [
        ("m/s", -40, 40, "speed"),
        ("m", 0, 4095, "height"),
    ]
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (3, 6, 6, 6))
    translation = np.clip(target + rng.normal(0, 0.1, target.shape), -1, 1)
    made = [Example(str(n), x, target=y) for n, (x, y) in enumerate(zip(translation, target, strict=True))]
    measured = measure(made, NAMES, Setting(units=units))
    expected = {}
    for name, channels, low, high in (("speed", [0, 1], -40, 40), ("height", [5], 0, 4095)):
        x, y = (low + (image[..., channels].ravel() + 1) / 2 * (high - low) for image in (translation, target))
        expected |= {
            f"unit_mae_{name}": pytest.approx(np.abs(x - y).mean()),
            f"unit_rmse_{name}": pytest.approx(np.sqrt(np.mean((x - y) ** 2))),
            f"unit_bias_{name}": pytest.approx(np.mean(x - y)),
            f"pearson_r_{name}": pytest.approx(stats.pearsonr(x, y).statistic),
            f"r2_{name}": pytest.approx(1 - np.sum((x - y) ** 2) / np.sum((y - y.mean()) ** 2)),
        }
    assert measured == expected
    assert title_of("unit_mae_speed") == "Mean absolute error (MAE) of speed, in its unit"
    assert all(title_of(name) != name for name in measured)


@pytest.mark.parametrize("changes", [{}, {"target_range": (0, 1), "target_classes": 3}])
def test_a_unit_without_a_range_is_refused(changes):
    with pytest.raises(Exception, match=r"target_unit|target_range"):
        make_config({"data": {"target_unit": "HU", **changes}})


def test_values_in_a_unit_are_told_by_the_names_of_their_parts():
    units = (Unit("m/s", 0, 1, "speed", slice(0, 1)), Unit("kn", 0, 1, "wind_speed", slice(1, 2)), Unit("HU", 0, 1))
    errors, bias, correlation = (METRICS[name] for name in ("unit_errors", "unit_bias", "correlation"))
    assert errors.unit_of("unit_mae_speed", units) == "m/s"
    assert errors.unit_of("unit_rmse_wind_speed", units) == "kn"
    assert bias.unit_of("unit_bias", units) == "HU"
    assert correlation.unit_of("pearson_r_speed", units) == correlation.unit_of("r2", units) == ""
    assert errors.unit_of("unit_mae_speed", ()) == METRICS["l1"].unit_of("l1", units) == ""
