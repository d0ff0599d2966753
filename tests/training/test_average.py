"""A run that keeps the average of its generator's weights: what uses it, and how to have the others."""

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config
from tfpix2pix.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def averaged(tiny_run, tmp_path_factory, quiet):
    """A finished run with an average. Read it."""
    data = {"dir": str(tiny_run.path.with_name("pairs"))}
    config = least_config(data=data, training={"ema_decay": 0.9, "learning_rate": 0.01})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("averaged") / "run", console=quiet)


def test_translations_and_exports_use_it_unless_told_otherwise(averaged, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    average, trained = (p2p.load(averaged.path, weights=weights)(image) for weights in ("average", "trained"))
    np.testing.assert_array_equal(p2p.load(averaged.path)(image), average)
    assert (average != trained).any()
    for weights, expected in ((None, average), ("trained", trained)):
        report = p2p.export_run(averaged.path, "saved_model", tmp_path / str(weights), weights=weights)
        np.testing.assert_array_equal(p2p.load(report.path)(image), expected)


def test_figures_are_of_it(averaged):
    """The card's L1 is what the average gives on the held-out pairs, not the generator of the last step."""
    from tfpix2pix.data.opening import open_sources
    from tfpix2pix.data.pipeline import evaluation_batches

    config = averaged.card.config
    pairs = list(evaluation_batches(open_sources(config.data, config.seed)["val"], config.data))
    errors = {}
    for weights in ("average", "trained"):
        translator = p2p.load(averaged.path, weights=weights)
        errors[weights] = np.mean([np.mean(np.abs(translator(x.numpy()) - y.numpy())) for x, y in pairs])
    assert averaged.card.metrics["trained"]["l1"] == pytest.approx(errors["average"], abs=1e-5)
    assert errors["average"] != pytest.approx(errors["trained"], abs=1e-5)
    assert {"generator", "average"} <= set(Checkpoints(averaged.directory.checkpoints).load()[1])


def test_a_run_without_it_says_so(smoke_run):
    with pytest.raises(p2p.UserError, match=r"must be one of: trained\. .*keeps no average \(`training.ema_decay`\)"):
        p2p.load(smoke_run.path, weights="average")
    with pytest.raises(p2p.UserError, match="must be one of: trained"):
        p2p.export_run(smoke_run.path, "saved_model", smoke_run.path / "never", weights="averaged")
