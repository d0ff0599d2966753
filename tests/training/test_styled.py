"""Steps with an encoder of styles: which translation each term sees, what trains whom, saving and resuming."""

import base64
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import make_combined, run_cli, tiny_config, write_image
from tests.training.test_pix2pix import data
from tfpix2pix import rng
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import read_image
from tfpix2pix.data.opening import open_source
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.errors import UserError
from tfpix2pix.inference.batching import drawn_noise
from tfpix2pix.losses.style import Style, style_kl, style_recovery
from tfpix2pix.models.encoder import LARGEST_MEAN, LOG_VARIANCES, build_style_encoder, noise_of
from tfpix2pix.models.noise import normals_of
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.checkpoints import Checkpoints, set_state
from tfpix2pix.training.styled import StyledPix2Pix

WEIGHTS = {"l1": 10, "style_kl": 0.1, "style_recovery": 0.5}
SMALL = {"noise": "modulation", "norm": "instance"}


def config(weights=WEIGHTS, generator=None, **changes):
    return tiny_config(
        objective={"weights": weights, "encoder_filters": 4}, generator={**SMALL, **(generator or {})}, **changes
    )


def moved(model, before):
    return max(float(np.abs(a - b).max()) for a, b in zip(model, before, strict=True))


def values(variables):
    return [v.numpy() for v in variables]


def test_the_terms_equal_their_twins():
    rng_ = np.random.default_rng(0)
    encoding, drawn, recovered = (rng_.normal(size=(5, count)).astype(np.float32) for count in (6, 3, 3))
    style = Style(*map(tf.constant, (encoding, drawn, recovered)))
    nats = 0.0
    for row in encoding.astype(np.float64):
        for mean, log_variance in zip(row[:3], row[3:], strict=True):
            nats += 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1) / len(encoding)
    assert float(style_kl(style)) == pytest.approx(nats, rel=1e-5)
    assert float(style_recovery(style)) == pytest.approx(np.abs(drawn - recovered).mean(), rel=1e-5)
    assert float(style_kl(Style(tf.zeros((2, 6)), style.drawn, style.recovered))) == 0.0


def test_the_divergence_is_that_of_many_draws():
    """KL is the mean of log q - log p over draws from q."""
    mean, log_variance = 1.5, -1.0
    z = mean + np.exp(log_variance / 2) * np.random.default_rng(1).standard_normal(400_000)
    log_q = -0.5 * ((z - mean) ** 2 / np.exp(log_variance) + log_variance)
    encoding = tf.constant([[mean, log_variance]], tf.float32)
    nats = float(style_kl(Style(encoding, encoding, encoding)))
    assert nats == pytest.approx(float(np.mean(log_q + 0.5 * z**2)), abs=0.01)


def test_noise_of_a_style_makes_the_style_again():
    style = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    style[0] = 0  # the mean style
    noise = noise_of(style)
    assert noise.dtype == np.float32
    assert 0 <= noise.min() <= noise.max() < 1
    np.testing.assert_allclose(normals_of(tf.constant(noise), 8), style, atol=2e-5)


def test_the_encoder_gives_bounded_means_and_variances_of_rectangles_too():
    encoder = build_style_encoder((16, 40), target_channels=2, dimensions=4, base_filters=4)
    for variable in encoder.trainable_variables:
        variable.assign(variable * 100)
    encoding = encoder(tf.random.stateless_uniform((3, 16, 40, 2), [0, 0], -1, 1)).numpy()
    assert encoding.shape == (3, 8)
    assert np.abs(encoding[:, :4]).max() <= LARGEST_MEAN
    assert LOG_VARIANCES[0] <= encoding[:, 4:].min() <= encoding[:, 4:].max() <= LOG_VARIANCES[1]


def test_terms_of_the_target_see_the_translation_by_its_own_style():
    """The generator's ordinary input of noise makes the same two translations, from the noise of the two styles."""
    model, (image, target) = build_model(config()), data(2)
    size = model.noise_size
    noise, more = (rng.uniform((2, size), rng.at(rng.stream(0, name), 0)) for name in ("noise", "style"))
    encoding = model.encoder(target).numpy()
    found = encoding[:, :size] + np.exp(encoding[:, size:] / 2) * normals_of(more, size).numpy()
    by_found = model.generator([image, tf.constant(noise_of(found))], training=True)
    by_drawn = model.generator([image, noise], training=True)
    expected = {
        "g/l1": np.abs(by_found - target).mean(),
        "g/style_recovery": np.abs(model.encoder(by_drawn).numpy()[:, :size] - normals_of(noise, size)).mean(),
    }
    losses = model.train_step((image, target))
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-4), name


def test_the_recovery_of_a_style_trains_the_generator_alone():
    model = build_model(config({"l1": 0, "gan": 0, "style_recovery": 1}))
    encoder, generator = values(model.encoder.trainable_variables), values(model.generator.trainable_variables)
    model.train_step(data(2))
    assert moved(values(model.encoder.trainable_variables), encoder) == 0
    assert moved(values(model.generator.trainable_variables), generator) > 0


def test_the_divergence_trains_the_encoder_alone():
    model = build_model(config({"l1": 0, "gan": 0, "style_kl": 1}))
    for variable in model.encoder.trainable_variables:
        variable.assign(variable * 10)
    encoder, generator = values(model.encoder.trainable_variables), values(model.generator.trainable_variables)
    first = float(model.train_step(data(2))["g/style_kl"])
    assert moved(values(model.encoder.trainable_variables), encoder) > 0
    assert moved(values(model.generator.trainable_variables), generator) == 0
    assert float(model.train_step(data(2))["g/style_kl"]) < first


def test_a_generator_learns_two_colors_of_one_input_by_their_styles():
    """One input, a black and a white target: by L1 alone the answer is gray; by the styles of the targets, each."""
    model = build_model(config({"l1": 10, "style_kl": 0.01}, training={"learning_rate": 2e-3, "batch_size": 2}))
    image = tf.zeros((2, 32, 32, 3))
    target = tf.constant([-0.8, 0.8])[:, tf.newaxis, tf.newaxis, tf.newaxis] * tf.ones((2, 32, 32, 3))
    step = tf.function(model.train_step, autograph=False)
    for _ in range(150):
        losses = step((image, target))
    assert float(losses["g/l1"]) < 0.4  # 0.8 for gray
    means = model.encoder(target).numpy()[:, : model.noise_size]
    translations = model(image, tf.constant(noise_of(means))).numpy().mean(axis=(1, 2, 3))
    assert translations[0] < -0.4 < 0.4 < translations[1]


def test_validation_is_without_the_terms_of_styles():
    assert not {"g/style_kl", "g/style_recovery"} & set(build_model(config()).test_step(data(2)))


def test_the_model_is_saved_whole(tmp_path):
    model = build_model(config())
    model.train_step(data(2))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is StyledPix2Pix
    for a, b in zip(values(again.encoder.variables), values(model.encoder.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = (m.train_step(data(2)) for m in (model, again))
    assert {k: float(v) for k, v in first.items()} == pytest.approx({k: float(v) for k, v in second.items()}, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_order": "simultaneous"}, "`update_order` with an encoder"),
        ({"micro_batches": 2}, "`micro_batches` with an encoder"),
        (
            {"objective": p2p.Objective(weights={"gan": 1.0, "mode_seeking": 1.0})},
            "The terms of `objective` with an enc",
        ),
    ],
)
def test_what_an_encoder_does_not_go_with_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_model(config()).compile(**arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator": {"noise": "dropout"}},
            "`generator.noise` must be modulation if `objective.weights.style_kl` is",
        ),
        ({"training": {"update_order": "simultaneous"}}, "`training.update_order` must be alternating if"),
        ({"training": {"recompute_levels": 1}}, "`training.recompute_levels` must be 0 if"),
        ({"weights": {**WEIGHTS, "diversity_sensitive": 8}}, "`objective.weights.diversity_sensitive` must be 0 if"),
    ],
)
def test_keys_that_contradict_the_terms_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.fixture(scope="module")
def styled_run(tmp_path_factory, quiet):
    """Data, and a run of four steps on them with an encoder."""
    folder = tmp_path_factory.mktemp("styled")
    make_combined(folder / "data" / "train", count=2)
    make_combined(folder / "data" / "val", count=1)
    return p2p.train(config(data={"dir": str(folder / "data")}), run_dir=folder / "run", console=quiet)


def test_a_run_resumes_bit_for_bit(styled_run, tmp_path, quiet):
    data_dir = styled_run.directory.config().data.dir
    p2p.train(config(data={"dir": data_dir}, training={"steps": 2}), run_dir=tmp_path / "run", console=quiet)
    parts = p2p.train(run_dir=tmp_path / "run", resume=True, overrides=("training.steps=4",), console=quiet)
    states = [Checkpoints(run.directory.checkpoints).load()[1] for run in (styled_run, parts)]
    assert "encoder" in states[0]
    assert all(
        np.array_equal(array, states[1][part][name]) for part in states[0] for name, array in states[0][part].items()
    )


def test_another_seed_draws_other_styles():
    losses = [build_model(config(seed=seed)).train_step(data(2)) for seed in (0, 1)]
    assert float(losses[0]["g/style_recovery"]) != float(losses[1]["g/style_recovery"])


def test_the_card_has_the_styles_of_training_targets(styled_run):
    config, card = styled_run.directory.config(), styled_run.card
    _, state = Checkpoints(styled_run.directory.checkpoints).load()
    model = build_model(config)
    set_state(model, state)
    batches = evaluation_batches(open_source(config.data, "train", 0), config.data)
    found = np.concatenate([model.noise_of_targets(target) for _, target in batches])
    np.testing.assert_allclose(card.noise_of_styles, found, atol=1e-6)


def test_the_noise_of_a_seed_is_one_of_the_styles_in_every_format(styled_run, tmp_path):
    translator = p2p.load(styled_run.path)
    noise = translator.noise(200, seed=5)
    styles = translator.card.noise_of_styles
    assert {tuple(vector) for vector in noise} == {tuple(style) for style in styles}  # two
    places = [int(u * len(styles)) for u in rng.uniform((200, 1), rng.stream(5, "translate")).numpy()[:, 0]]
    np.testing.assert_array_equal(noise, styles[places])
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    expected = translator(image, noise="on", seed=3).astype(int)
    for format in ("saved_model", "tflite"):
        report = p2p.export_run(styled_run.path, format, tmp_path, noise="on")
        assert np.abs(p2p.load(report.path)(image, noise="on", seed=3).astype(int) - expected).max() <= 1


def test_a_card_without_styles_draws_uniform_noise(styled_run):
    card = styled_run.card.model_copy(update={"styles": ""})
    np.testing.assert_array_equal(drawn_noise(card, 3, 7), rng.uniform((3, 8), rng.stream(7, "translate")))


def test_a_translation_like_an_image_has_its_style(styled_run, tmp_path):
    """The way round: the encoder's mean, as noise, through the run and through an export."""
    translator, data = p2p.load(styled_run.path), styled_run.directory.config().data
    image, reference = open_source(data, "train", 0).read(0)
    large = np.repeat(np.repeat(reference, 2, axis=0), 2, axis=1)  # as large as any: it is resized
    noise = translator.style_of(large)
    np.testing.assert_allclose(noise, translator.style_of(reference), atol=0.02)
    result = translator(image, like=reference)
    np.testing.assert_array_equal(result, translator.translate(image, translator.style_of(reference)))
    assert np.any(result != translator(image, noise="off"))
    exported = p2p.load(p2p.export_run(styled_run.path, "saved_model", tmp_path).path)
    other = exported.translate(image, translator.style_of(reference))
    assert np.abs(other.astype(int) - result).max() <= 1
    with pytest.raises(UserError, match="`like` must go with the directory of a run that was trained with"):
        exported(image, like=reference)


@pytest.mark.parametrize(
    ("styles", "why"),
    [("%%", "styles must be float32 in base64"), ("AAAA", "styles must be"), ("AACAPw==" * 8, "base64"),
     (base64.b64encode(np.ones(8, "<f4").tobytes()).decode(), "styles must be noise in")],
)  # fmt: skip
def test_a_card_with_other_styles_is_refused(styled_run, styles, why):
    card = json.loads(styled_run.card.to_json())
    with pytest.raises(UserError, match=f"must carry a model card that tfpix2pix .* reads. .*{why}"):
        ModelCard.from_json(json.dumps({**card, "styles": styles}), "A file")


def test_files_are_translated_in_the_style_of_a_file(styled_run, tmp_path):
    data = styled_run.directory.config().data
    image, reference = open_source(data, "train", 0).read(0)
    for name, array in (("image", image), ("reference", reference)):
        write_image(tmp_path / f"{name}.png", array)
    code, _, err = run_cli(
        "translate", styled_run.path, tmp_path / "image.png", "--like", tmp_path / "reference.png",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    translator = p2p.load(styled_run.path)
    expected = translator.translate(image, translator.style_of(reference))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "image.png"), expected)


@pytest.mark.parametrize("options", [("--noise", "on"), ("--samples", "2"), ("--between", "0,1"), ("--uncertainty",)])
def test_a_style_of_a_file_is_the_only_noise(styled_run, tmp_path, options):
    write_image(tmp_path / "image.png", np.zeros((32, 32, 3), np.uint8))
    image = tmp_path / "image.png"
    code, _, err = run_cli("translate", styled_run.path, image, "--like", image, *options, "--out", tmp_path / "out")
    assert code == 2
    assert "like must be the only noise. Received --" in err
    assert not (tmp_path / "out").exists()
