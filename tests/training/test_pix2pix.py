"""The step: D first, then G against the new D; noise and losses as functions of (seed, step); `fit` gives the same."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import tiny_config
from tfpix2pix import rng
from tfpix2pix.config import Config
from tfpix2pix.errors import UserError
from tfpix2pix.models.pyramid import Halve, scales_of
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.checkpoints import get_state
from tfpix2pix.training.optimizers import FusedAdam
from tfpix2pix.training.pix2pix import UPDATE_ORDERS


def data(count=1, size=32, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(tf.constant(generator.uniform(-1, 1, (count, size, size, 3)), tf.float32) for _ in range(2))


def weights(model):
    return [v.numpy() for v in model.trainable_variables]


def test_every_weight_moves_and_every_loss_is_finite():
    model = build_model(tiny_config())
    before = weights(model)
    losses = model.train_step(data())
    assert set(losses) == {
        "g/total",
        "g/gan",
        "g/l1",
        "g/l2",
        "d/total",
        "d/real",
        "d/fake",
        "d/real_accuracy",
        "d/fake_accuracy",
    }
    assert all(np.isfinite(float(value)) for value in losses.values())
    assert all((a != b).any() for a, b in zip(before, weights(model), strict=True))
    assert int(model.step) == 1


def test_the_step_equals_the_plain_form():
    """The same update written the long way: two separate forward passes, ordinary tapes."""
    model, plain = build_model(tiny_config()), build_model(tiny_config())
    image, target = data()
    noise = rng.uniform((1, plain.noise_size), rng.at(rng.stream(0, "noise"), 0))
    g, d = plain.generator, plain.discriminator
    with tf.GradientTape() as tape:
        fake = tf.stop_gradient(g([image, noise], training=True))
        real_logits, fake_logits = d([image, target], training=True), d([image, fake], training=True)
        d_loss = plain.objective.discriminator(real_logits, fake_logits)["d/total"]
    FusedAdam_apply(tape.gradient(d_loss, [v.value for v in d.trainable_variables]), d)
    with tf.GradientTape() as tape:
        fake = g([image, noise], training=True)
        g_loss = plain.objective.generator(d([image, fake], training=True), fake, target)["g/total"]
    FusedAdam_apply(tape.gradient(g_loss, [v.value for v in g.trainable_variables]), g)

    losses = model.train_step((image, target))
    np.testing.assert_allclose(losses["d/total"], d_loss, rtol=1e-5)
    np.testing.assert_allclose(losses["g/total"], g_loss, rtol=1e-5)
    for a, b in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_simultaneous_step_takes_both_gradients_from_one_forward_pass():
    """The tutorial's form: one forward pass, both gradients, then both updates; D is the old one for G."""
    config = tiny_config(training={"update_order": "simultaneous"})
    model, plain = build_model(config), build_model(config)
    image, target = data()
    noise = rng.uniform((1, plain.noise_size), rng.at(rng.stream(0, "noise"), 0))
    g, d = plain.generator, plain.discriminator
    with tf.GradientTape(persistent=True) as tape:
        fake = g([image, noise], training=True)
        real_logits, fake_logits = d([image, target], training=True), d([image, fake], training=True)
        d_loss = plain.objective.discriminator(real_logits, fake_logits)["d/total"]
        g_loss = plain.objective.generator(fake_logits, fake, target)["g/total"]
    FusedAdam_apply(tape.gradient(g_loss, [v.value for v in g.trainable_variables]), g)
    FusedAdam_apply(tape.gradient(d_loss, [v.value for v in d.trainable_variables]), d)

    losses = model.train_step((image, target))
    np.testing.assert_allclose(losses["g/total"], g_loss, rtol=1e-5)
    for a, b in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_two_orders_differ_in_the_generators_step_alone():
    first, second = (build_model(tiny_config(training={"update_order": order})) for order in UPDATE_ORDERS)
    a, b = first.train_step(data()), second.train_step(data())
    assert float(a["d/total"]) == pytest.approx(float(b["d/total"]))
    assert float(a["g/gan"]) != pytest.approx(float(b["g/gan"]), rel=1e-4)  # against the new D, against the old
    assert float(a["g/l1"]) == pytest.approx(float(b["g/l1"]))


def test_feature_matching_compares_ds_features_of_the_target_before_its_update_with_the_new_ds_of_the_translation():
    """The step written the long way, for two scales."""
    config = tiny_config(
        objective={"weights": {"feature_matching": 10.0}},
        discriminator={"receptive_field_px": 16, "base_filters": 8, "scales": 2},
    )
    model, plain = build_model(config), build_model(config)
    image, target = data()
    noise = rng.uniform((1, plain.noise_size), rng.at(rng.stream(0, "noise"), 0))
    fake = plain.generator([image, noise], training=True)

    def maps_of(candidate):
        x, maps = image, []
        for scale in scales_of(plain.discriminator):
            network = keras.Model(scale.inputs, [scale.get_layer(f"layer{n}_act").output for n in (1, 2)])
            maps.append([features.numpy() for features in network([x, candidate], training=True)])
            x, candidate = Halve()(x), Halve()(candidate)
        return maps

    real_maps = maps_of(target)
    losses = model.train_step((image, target))
    plain.discriminator.set_weights(model.discriminator.get_weights())
    fake_maps = maps_of(fake)
    expected = np.mean([
        4 / 2 * sum(np.abs(a - b).mean() for a, b in zip(*scale, strict=True))
        for scale in zip(real_maps, fake_maps, strict=True)
    ])  # fmt: skip
    assert float(losses["g/feature_matching"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["g/total"]) == pytest.approx(
        float(losses["g/gan"]) + 100 * float(losses["g/l1"]) + 10 * expected, rel=1e-5
    )


def test_feature_matching_changes_nothing_in_ds_own_step():
    """D is trained as it is without the term."""
    models = [build_model(tiny_config(objective={"weights": {"feature_matching": weight}})) for weight in (0.0, 10.0)]
    for model in models:
        model.train_step(data())
    for a, b in zip(*(model.discriminator.variables for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


def test_d_learns_at_a_rate_of_its_own():
    training = {"learning_rate": 0.01, "discriminator_learning_rate": 0.04, "learning_rate_schedule": "linear_decay"}
    model = build_model(tiny_config(training={**training, "steps": 4}))
    rates = []
    for _ in range(4):
        optimizers = model.generator_optimizer, model.discriminator_optimizer
        rates.append([float(optimizer.learning_rate) for optimizer in optimizers])
        model.train_step(data())
    np.testing.assert_allclose(rates, [[0.01, 0.04]] * 3 + [[0.005, 0.02]])


def test_an_unknown_order_is_refused():
    model = build_model(tiny_config())
    with pytest.raises(ValueError, match="must be one of: alternating, simultaneous. Received 'sometimes'"):
        model.compile(update_order="sometimes")


def test_without_a_gan_loss_the_discriminator_rests():
    model = build_model(tiny_config(objective={"name": "l1", "gan_loss": "none"}))
    before = [v.numpy() for v in model.discriminator.variables]
    losses = tf.function(model.train_step, autograph=False)(data())
    assert set(losses) == {"g/total", "g/l1", "g/l2"}
    for a, b in zip(before, model.discriminator.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_learning_rate_falls_at_the_end():
    config = tiny_config(training={"steps": 4, "learning_rate": 0.01, "learning_rate_schedule": "linear_decay"})
    model = build_model(config)
    rates = []
    for _ in range(4):
        rates.append(float(model.generator_optimizer.learning_rate))
        model.train_step(data())
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.005])


def FusedAdam_apply(gradients, network):
    optimizer = FusedAdam()
    optimizer.build(network.trainable_variables)
    optimizer.apply(gradients, network.trainable_variables)


def test_fit_gives_the_same_numbers_as_the_step():
    x, y = data(4)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(1, drop_remainder=True)
    fitted, stepped = build_model(tiny_config()), build_model(tiny_config())
    fitted.fit(dataset, epochs=2, verbose=0)
    step = tf.function(stepped.train_step, autograph=False)
    for batch in dataset.repeat(2):
        step(batch)
    assert int(fitted.step) == int(stepped.step) == 8
    for a, b in zip(weights(fitted), weights(stepped), strict=True):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_run_other_seed_another():
    def run(seed):
        model = build_model(tiny_config(seed=seed))
        step = tf.function(model.train_step, autograph=False)
        for _ in range(3):
            step(data())
        return get_state(model)["generator"]

    first, again, other = run(0), run(0), run(1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_noise_depends_on_seed_and_step_alone():
    model = build_model(tiny_config())
    first = model.training_noise(2).numpy()
    assert first.shape == (2, model.noise_size)
    np.testing.assert_array_equal(first, model.training_noise(2))
    model.step.assign(1)
    assert (first != model.training_noise(2).numpy()).any()
    assert (first[0] != first[1]).any()


def test_noise_of_another_length_is_refused():
    model = build_model(tiny_config(generator={"noise": "modulation"}))
    with pytest.raises(ValueError, match=r"`noise` must be of shape \(N, 8\). Received the shape \(1, 7\)"):
        model(data()[0], tf.zeros((1, 7)))


def test_l1_alone_learns_one_pair():
    changes = {"objective": {"weights": {"gan": 0.0}}, "training": {"learning_rate": 1e-2}}
    model = build_model(tiny_config(generator={"levels": 5}, **changes))
    step = tf.function(model.train_step, autograph=False)
    first = float(step(data())["g/l1"])
    for _ in range(60):
        last = float(step(data())["g/l1"])
    assert last < 0.5 * first


def test_an_unconditional_discriminator_and_no_dropout_train_too():
    model = build_model(tiny_config(discriminator={"conditional": False}, generator={"dropout_rate": 0.0}))
    assert model.noise_size == 0
    assert np.isfinite(float(model.train_step(data(2))["g/total"]))


def test_a_call_translates_without_dropout_and_without_neighbours():
    model = build_model(tiny_config())
    x, _ = data(3)
    together = model(x).numpy()
    np.testing.assert_array_equal(together, model(x))
    np.testing.assert_allclose(together[1:2], model(x[1:2]), atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), together, atol=1e-5)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_evaluate_measures_the_generators_losses_and_changes_nothing(spectral_norm):
    config = tiny_config(
        discriminator={"spectral_norm": spectral_norm, "scales": 2},
        objective={"weights": {"feature_matching": 10.0}},
    )
    model = build_model(config)
    x, y = data(2)
    before = [v.numpy() for v in model.variables]
    result = model.evaluate(tf.data.Dataset.from_tensors((x, y)), return_dict=True, verbose=0)
    assert result["g/l1"] > 0
    assert result["g/feature_matching"] > 0
    assert all(np.array_equal(a, b) for a, b in zip(before, model.variables, strict=True))


@pytest.mark.slow
def test_at_full_size_two_runs_are_equal_to_the_last_bit():
    """256 px, 64 filters, as the paper: in what order parallel work ends changes nothing."""
    rng = np.random.default_rng(0)
    pair = tuple(tf.constant(rng.uniform(-1, 1, (1, 256, 256, 3)).astype(np.float32)) for _ in range(2))
    states = []
    for _ in range(2):
        model = build_model(Config())
        step = tf.function(model.train_step, autograph=False)
        losses = [float(step(pair)["g/total"]) for _ in range(3)]
        states.append((losses, get_state(model)))
    (losses, state), (same_losses, same_state) = states
    assert losses == same_losses
    for part, arrays in state.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, same_state[part][name], err_msg=name)


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9, "learning_rate_schedule": "linear_decay"}])
def test_keras_saves_it_and_it_goes_on_from_there(tmp_path, changes):
    pair, model = data(), build_model(tiny_config(training=changes))
    model.fit(
        tf.data.Dataset.from_tensors(pair).repeat(2), verbose=0,
        callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "m.keras")],
    )  # fmt: skip
    again = keras.saving.load_model(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    weights_alone = build_model(tiny_config(training=changes))
    weights_alone.load_weights(tmp_path / "m.weights.h5")
    states = [get_state(each) for each in (model, again, weights_alone)]
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(
            np.array_equal(state[part][name], array) for part in state for name, array in states[0][part].items()
        )
    losses, losses_again = model.train_step(pair), again.train_step(pair)
    assert {name: float(value) for name, value in losses.items()} == {n: float(v) for n, v in losses_again.items()}
    for open_it in (p2p.load, lambda path: p2p.import_weights(path, out=tmp_path / "run")):
        with pytest.raises(UserError, match=r"a whole Pix2Pix with .*`from tfpix2pix import Pix2Pix`, then `keras.sav"):
            open_it(tmp_path / "m.keras")


@pytest.mark.slow
def test_another_program_loads_it_as_the_readme_says(tmp_path):
    model = build_model(tiny_config())
    model.save(tmp_path / "m.keras")
    code = "import keras\nfrom tfpix2pix import Pix2Pix\nprint(type(keras.saving.load_model('m.keras')) is Pix2Pix)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
