"""The configuration: every field explained, checked against the tables, and impossible combinations refused early."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.conftest import tiny_config
from tfpix2pix.config import Config, Section
from tfpix2pix.losses import OBJECTIVES, TERMS


def sections(model: type[Section] = Config, prefix: str = ""):
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation, f"{prefix}{name}.")


@pytest.mark.parametrize(("key", "field"), list(sections()))
def test_every_field_has_help_and_a_default(key, field):
    assert field.description, key
    assert not field.is_required(), key


def test_lengths_and_durations_say_their_unit():
    for key, field in sections():
        if any(word in key for word in ("size", "receptive_field")) and "batch" not in key:
            assert key.endswith("_px") and "px" in field.description, key


def test_defaults_are_the_papers():
    config = Config()
    assert config.size_multiple_px == 256  # eight halvings
    assert config.objective_name == "l1+cgan"
    assert config.generator.base_filters == 64
    assert config.generator.dropout_rate == 0.5
    assert config.discriminator.receptive_field_px == 70
    assert config.objective.weights == {"gan": 1, "l1": 100}
    assert (config.training.learning_rate, config.training.beta_1, config.training.beta_2) == (2e-4, 0.5, 0.999)
    assert config.training.batch_size == 1
    assert config.inference.statistics == "image"


@pytest.mark.parametrize("name", TERMS)
def test_every_term_may_have_a_weight_and_leaves_the_others_theirs(name):
    more = {"teacher": "it"} if TERMS[name].needs_teacher else {}
    more |= {"perceptual_network": "vgg19"} if TERMS[name].needs_network else {}
    generator = {"noise": "modulation"} if TERMS[name].needs_encoder else {}
    config = {"objective": {"weights": {name: 7}, **more}, "generator": generator}
    objective = Config.model_validate(config).objective
    assert objective.weights == {**Config().objective.weights, name: 7}


def test_a_term_that_a_program_adds_has_a_weight_too(monkeypatch):
    monkeypatch.setitem(TERMS, "mine", replace(TERMS["l1"], about="Mine."))
    assert Config.model_validate({"objective": {"weights": {"mine": 3}}}).objective.weights["mine"] == 3


@pytest.mark.parametrize("objective", [
    {"lambda_gan": 0.5, "lambda_l1": 10, "lambda_l2": 0}, {"weights": {"gan": 0.5}, "lambda_l1": 10},
    {"name": "cgan", "lambda_gan": 0.5, "lambda_l1": 10},
])  # fmt: skip
def test_keys_of_older_files_are_read_as_weights(objective):
    assert Config.model_validate({"objective": objective}).objective.weights == {"gan": 0.5, "l1": 10}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"generator": {"levels": 9}},
            "`generator.levels` must .* 8 times at most for `data.image_size_px` = 256. Received 9. Use 8, or .*512",
        ),
        ({"generator": {"kind": "resnet", "levels": 3}}, "left out for the resnet .* Set `generator.residual_blocks`"),
        ({"data": {"image_size_px": 300}, "discriminator": {"receptive_field_px": 71}}, "1, 16, 34, 70, 142 or 286"),
        (
            {"objective": {"name": "gan", "gan_loss": "none"}},
            "must train a discriminator if `objective.weights.gan` is not 0. Received none .* hinge, or .*: l1, l2",
        ),
        (
            {"objective": {"gan_loss": "none", "weights": {"gan": 0, "feature_matching": 1}}},
            "must train a discriminator if `objective.weights.feature_matching` is not 0",
        ),
        (
            {"objective": {"weights": {"l7": 1}}},
            "must be one of: gan, l1, l2, feature_matching, teacher_l1, .*, perceptual.* Received 'l7'",
        ),
        ({"objective": {"weights": {"l1": -1}}}, "greater than or equal to 0"),
        (
            {"objective": {"weights": {"l1": 1}, "lambda_l1": 2}},
            "one weight. Received 1 and 2. Leave lambda_l1",
        ),
        ({"discriminator": {"scales": 4}}, "less than or equal to 3"),
        (
            {"data": {"image_size_px": 32}, "discriminator": {"receptive_field_px": 34, "scales": 3}},
            r"= 32 here, 8 px at scale 3 of 3. Received 34. Use 1, 16, fewer `discriminator.scales`, or larger images",
        ),
        ({"objective": {"weights": {"gan": 0, "l1": 0}}}, "at least one term a weight. Received 0 for all"),
        ({"objective": None}, r"must be a name \(l1, .*\) or a mapping of weights. Received None"),
        ({"objective": "L1+cGAN"}, r"Received 'L1\+cGAN'. Did you mean 'l1\+cgan'\?"),
        (
            {"objective": {"weights": {"diversity_sensitive": 8}}, "generator": {"noise": "none"}},
            "`objective.weights.diversity_sensitive` must be 0 for a generator without noise. Received 8 with",
        ),
        (
            {"objective": {"weights": {"mode_seeking": 1}}, "generator": {"dropout_rate": 0}},
            "Received 1 with `generator.noise: dropout` and `generator.dropout_rate: 0`. Change one of them",
        ),
        (
            {"objective": {"weights": {"teacher_l1": 1, "mode_seeking": 2}, "teacher": "it"}},
            "`objective.weights.mode_seeking` must be 0 for a student, .* Received 2. Leave it out",
        ),
        (
            {"inference": {"noise": "on"}, "generator": {"noise": "none"}},
            "must be off for a generator without noise. Received on",
        ),
        ({"inference": {"noise": "on"}, "generator": {"dropout_rate": 0}}, "must be off for a generator without noise"),
        ({"generator": {"dropout_layers": [9]}}, r"decoder's layers, 1 to 7. Received \[9\]"),
        ({"data": {"source": "photographs", "operator": "mask"}}, "must be 4 for the operator mask.*Received 3"),
        ({"objective": "wgan"}, "must be one of: l1, gan, cgan, l1\\+gan, l1\\+cgan, l2. Received 'wgan'"),
        (
            {"objective": "gan", "discriminator": {"conditional": True}},
            "conditional` must be false for the objective gan. Received True",
        ),
        ({"objective": {"gan_loss": "hinge", "label_smoothing": 0.1}}, "must be 0 for a loss without labels"),
        ({"data": {"color_space": "lab"}}, "must have `data.input_channels: 1` .* Received 3 and 3"),
        ({"data": {"jitter_ratio": 0.9}}, "greater than or equal to 1"),
        (
            {"data": {"image_size_px": 16}},
            "not exceed the padded image, of `data.image_size_px` = 16 here. Received 70. Use 1, 16, 34, or larger",
        ),
        (
            {"generator": {"kind": "unett"}},
            "must be one of: unet, encoder_decoder, resnet, .* Received 'unett'. Did you mean",
        ),
        ({"objective": {"gan_loss": "wgan"}}, "must be one of: vanilla, lsgan, hinge, none. Received 'wgan'"),
        ({"training": {"learning_rate": float("nan")}}, "finite"),
    ],
)
def test_impossible_settings_are_refused_with_what_would_fit(settings, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(settings)


def test_a_config_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        tiny_config().seed = 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_by_name_is_its_weights(name):
    by_name, in_section = (
        Config.model_validate({"objective": name}),
        Config.model_validate({"objective": {"name": name}}),
    )
    assert by_name == in_section
    assert by_name.objective_name == name
    again = Config.model_validate(by_name.model_dump(mode="json"))  # what config.yaml holds: weights, no name
    assert again == by_name


def test_the_papers_objectives():
    weights = {name: Config.model_validate({"objective": name}) for name in OBJECTIVES}
    given = {
        name: (*(c.objective.weights.get(term, 0) for term in ("gan", "l1", "l2")), c.discriminator.conditional)
        for name, c in weights.items()
    }
    assert given == {
        "l1": (0, 100, 0, True), "gan": (1, 0, 0, False), "cgan": (1, 0, 0, True), "l1+gan": (1, 100, 0, False),
        "l1+cgan": (1, 100, 0, True), "l2": (0, 0, 100, True),
    }  # fmt: skip


def test_a_named_objective_with_a_weight_of_its_own():
    config = Config.model_validate({"objective": {"name": "l1+gan", "weights": {"l1": 10}, "gan_loss": "lsgan"}})
    assert (config.objective.weights, config.objective.gan_loss) == ({"gan": 1, "l1": 10}, "lsgan")
    assert config.objective_name == "l1+gan"


def test_weights_without_a_name_are_called_by_their_terms():
    assert Config.model_validate({"objective": {"weights": {"l2": 1}}}).objective_name == "l1+l2+cgan"


def test_channels_of_the_networks_follow_the_color_space():
    assert Config().data.network_channels == (3, 3)
    lab = Config.model_validate({"data": {"color_space": "lab", "input_channels": 1}})
    assert lab.data.network_channels == (1, 2)
