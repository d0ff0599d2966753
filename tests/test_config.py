"""The configuration: every field explained, checked against the tables, and impossible combinations refused early."""

import pytest
from pydantic import ValidationError

from tests.conftest import tiny_config
from tfpix2pix.config import Config, Section
from tfpix2pix.losses import RECONSTRUCTION_LOSSES


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
    assert config.levels == 8
    assert config.generator.base_filters == 64
    assert config.generator.dropout_rate == 0.5
    assert config.discriminator.receptive_field_px == 70
    assert config.objective.lambda_l1 == 100
    assert (config.training.learning_rate, config.training.beta_1, config.training.beta_2) == (2e-4, 0.5, 0.999)
    assert config.training.batch_size == 1
    assert config.inference.statistics == "image"


def test_every_reconstruction_loss_has_its_weight():
    assert set(Config().objective.lambdas()) == set(RECONSTRUCTION_LOSSES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": {"image_size_px": 300}}, "Received 300. Use 256 or 320, or `levels: 2`"),
        (
            {"data": {"image_size_px": 96}, "generator": {"levels": 6}},
            "multiple of 64 .* Use 64 or 128, or `levels: 5`",
        ),
        ({"data": {"jitter_ratio": 0.9}}, "greater than or equal to 1"),
        (
            {"data": {"image_size_px": 64}},
            "must be at most `data.image_size_px` = 64. Received 70. Use 1, 16, 34, or larger",
        ),
        (
            {"generator": {"kind": "unett"}},
            "must be one of: unet, encoder_decoder. Received 'unett'. Did you mean",
        ),
        ({"objective": {"gan_loss": "wgan"}}, "must be one of: vanilla, lsgan, hinge. Received 'wgan'"),
        ({"training": {"learning_rate": float("nan")}}, "finite"),
    ],
)
def test_impossible_settings_are_refused_with_what_would_fit(settings, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(settings)


def test_a_config_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        tiny_config().seed = 1
