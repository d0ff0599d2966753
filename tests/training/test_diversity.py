"""Steps with terms of the noise: the variant's noise, what it changes and what it leaves."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import make_combined, others_slow, tiny_config
from tests.training.test_pix2pix import FusedAdam_apply, data, weights
from tfpix2pix import rng
from tfpix2pix.losses.diversity import noise_distance
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.checkpoints import Checkpoints, get_state
from tfpix2pix.training.health import advice
from tfpix2pix.training.pix2pix import UPDATE_ORDERS

WEIGHTS = {"l1": 10, "diversity_sensitive": 8, "mode_seeking": 1}


def config(weights=WEIGHTS, objective=None, **changes):
    return tiny_config(objective={"weights": weights, **(objective or {})}, **changes)


def after(config, steps=1, batch=None):
    model = build_model(config)
    step = tf.function(model.train_step, autograph=False)
    losses = [{name: float(value) for name, value in step(batch or data()).items()} for _ in range(steps)]
    return model, losses


def test_the_variants_noise_depends_on_seed_and_step_and_is_another():
    model = build_model(config())
    first = model.training_noise(2, model.variant_key).numpy()
    assert (first != model.training_noise(2).numpy()).mean() > 0.99
    np.testing.assert_array_equal(first, model.training_noise(2, model.variant_key))
    model.step.assign(1)
    assert (first != model.training_noise(2, model.variant_key).numpy()).mean() > 0.99
    other_seed = build_model(config(seed=1))
    assert (first != other_seed.training_noise(2, other_seed.variant_key).numpy()).mean() > 0.99


def test_the_step_equals_the_plain_form():
    """Two forward passes written out, with the two noises by name; the second is a constant."""
    model, plain = build_model(config()), build_model(config())
    image, target = data(2)
    first, second = (
        rng.uniform((2, plain.noise_size), rng.at(rng.stream(0, name), 0)) for name in ("noise", "variant")
    )
    g, d = plain.generator, plain.discriminator
    variant = tf.constant(g([image, second], training=True).numpy()), noise_distance(first, second)
    with tf.GradientTape(persistent=True) as tape:
        fake = g([image, first], training=True)
        real_logits = d([image, target], training=True)
        fake_logits = d([image, tf.stop_gradient(fake)], training=True)
        d_loss = plain.objective.discriminator(real_logits, fake_logits)["d/total"]
    FusedAdam_apply(tape.gradient(d_loss, [v.value for v in d.trainable_variables]), d)
    with tf.GradientTape() as tape:
        fake = g([image, first], training=True)
        expected = plain.objective.generator(d([image, fake], training=True), fake, target, variant=variant)
    FusedAdam_apply(tape.gradient(expected["g/total"], [v.value for v in g.trainable_variables]), g)

    losses = model.train_step((image, target))
    for name in ("g/total", "g/diversity_sensitive", "g/mode_seeking"):
        assert float(losses[name]) == pytest.approx(float(expected[name]), rel=1e-4), name
    assert float(losses["g/diversity_sensitive"]) < 0
    for a, b in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("order", UPDATE_ORDERS)
def test_the_step_of_d_and_the_moving_averages_are_those_without_the_terms(order):
    """The first step has other losses with the term, and leaves other weights in G."""
    training = {"update_order": order}
    (plain, _), (model, _) = (after(config(w, training=training)) for w in ({"l1": 10}, WEIGHTS))
    for a, b in zip(plain.discriminator.variables, model.discriminator.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    moving = [(a, b) for a, b in zip(plain.generator.variables, model.generator.variables, strict=True)
              if "moving" in a.path]  # fmt: skip
    assert moving
    assert all(np.array_equal(a, b) for a, b in moving)
    assert any((a != b).any() for a, b in zip(weights(plain), weights(model), strict=True))


def test_two_runs_are_bit_equal():
    (first, losses), (again, again_losses) = (after(config(), 3) for _ in range(2))
    assert losses == again_losses
    assert losses[0]["g/diversity_sensitive"] != losses[1]["g/diversity_sensitive"]
    states = get_state(first), get_state(again)
    assert all(
        np.array_equal(array, states[1][part][name]) for part in states[0] for name, array in states[0][part].items()
    )


@pytest.mark.parametrize("order", UPDATE_ORDERS)
def test_recomputed_levels_change_nothing_but_the_last_digits(order):
    (plain, expected), (model, losses) = (
        after(config(training={"update_order": order, "recompute_levels": levels})) for levels in (0, 2)
    )
    assert losses[0] == pytest.approx(expected[0], rel=1e-4)
    for a, b in zip(model.generator.non_trainable_variables, plain.generator.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "noise"),
    others_slow([(p, n) for p in ("bfloat16", "float16") for n in ("dropout", "gaussian")], ("float16", "gaussian")),
)
def test_in_16_bits_the_first_steps_are_those_of_float32(precision, noise):
    changes = {"generator": {"noise": noise}}
    (_, expected), (model, losses) = (
        after(config(training={"precision": name}, **changes), 5) for name in ("float32", precision)
    )
    assert losses[0]["g/diversity_sensitive"] == pytest.approx(expected[0]["g/diversity_sensitive"], rel=0.1)
    assert all(np.isfinite(value) for line in losses for value in line.values())
    assert all(np.isfinite(v).all() for v in model.generator.variables)


def test_the_term_makes_the_translations_of_one_image_differ():
    """Twenty steps on one pair: with the term the noise moves the image more than without."""

    def ratio(weights):
        deep = {"levels": 5}  # three levels have less to vary
        model, _ = after(config(weights, generator=deep, training={"learning_rate": 1e-3}), 20)
        image, _ = data()
        first, second = model.training_noise(1), model.training_noise(1, model.variant_key)
        return float(tf.reduce_mean(tf.abs(model(image, first) - model(image, second))))

    assert ratio(WEIGHTS) > 1.5 * ratio({"l1": 10})


def test_a_dead_noise_does_not_end_the_training():
    """The noise reaches nothing at first: mode_seeking is at its largest, and the weights stay finite and move on."""
    model = build_model(config({"l1": 10, "mode_seeking": 1}, generator={"noise": "gaussian"}))
    kernel = model.generator.trainable_variables[0]
    dead = kernel.numpy()
    dead[:, :, -1] = 0  # of the channel of noise
    kernel.assign(dead)
    step = tf.function(model.train_step, autograph=False)
    losses = [{name: float(value) for name, value in step(data()).items()} for _ in range(30)]
    assert losses[0]["g/mode_seeking"] == pytest.approx(1e5)
    assert losses[-1]["g/mode_seeking"] < 1e3
    assert losses[-1]["g/l1"] < losses[0]["g/l1"]


def test_losses_without_noise_are_without_the_terms():
    model = build_model(config())
    losses = model.test_step(data())
    assert not {"g/diversity_sensitive", "g/mode_seeking"} & set(losses)


def test_a_generator_without_noise_is_refused():
    """`compile` checks what no configuration has checked."""
    networks = p2p.build_unet(32, base_filters=8, noise="none"), p2p.build_patchgan(16, base_filters=8)
    model = p2p.Pix2Pix(*networks)
    with pytest.raises(ValueError, match="`generator` must have a noise input for mode_seeking of `objective`. Receiv"):
        model.compile(objective=p2p.Objective(weights={"l1": 1.0, "mode_seeking": 1.0}))


def test_advice_after_numbers_that_are_not_finite_names_their_weights():
    assert "lower training.learning_rate, or" in advice("float32", False, {"l1": 100.0, "mode_seeking": 0.0})
    assert "lower objective.weights.style_kl or training" in advice("float32", False, {"l1": 100.0, "style_kl": 0.1})
    assert "lower objective.weights.l1 or training" in advice("float32", False, {"l1": 1e30, "gan": 1.0})
    more = advice("float32", True, WEIGHTS)
    assert "lower objective.weights.diversity_sensitive or objective.weights.mode_seeking or training.learn" in more


@pytest.fixture(scope="module")
def diverse_run(tmp_path_factory, quiet):
    """Data, and a run of four steps on them with terms of the noise."""
    folder = tmp_path_factory.mktemp("diverse")
    make_combined(folder / "data" / "train", count=2)
    make_combined(folder / "data" / "val", count=1)
    return p2p.train(config(data={"dir": str(folder / "data")}), run_dir=folder / "run", console=quiet)


def test_the_terms_are_in_the_metrics(diverse_run):
    lines = [json.loads(line) for line in (diverse_run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line.get("g/diversity_sensitive", 0) < 0 < line["g/mode_seeking"]] == [
        2,
        4,
    ]
    assert diverse_run.card.objective == "l1+diversity_sensitive+mode_seeking+cgan"


def test_a_run_resumes_bit_for_bit(diverse_run, tmp_path, quiet):
    data_dir = diverse_run.card.config.data.dir or diverse_run.directory.config().data.dir
    p2p.train(config(data={"dir": data_dir}, training={"steps": 2}), run_dir=tmp_path / "run", console=quiet)
    parts = p2p.train(run_dir=tmp_path / "run", resume=True, overrides=("training.steps=4",), console=quiet)
    states = [Checkpoints(run.directory.checkpoints).load()[1] for run in (diverse_run, parts)]
    assert all(
        np.array_equal(array, states[1][part][name]) for part in states[0] for name, array in states[0][part].items()
    )
