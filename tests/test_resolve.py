"""From a preset or a file and overrides to a configuration; every mistake is one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError
from tfpix2pix.presets import preset_names, preset_text
from tfpix2pix.resolve import make_config, read_settings, resolve_config, to_yaml


@pytest.mark.parametrize("name", preset_names())
def test_presets_resolve_and_explain_themselves(name):
    assert resolve_config(name).name == name
    header = preset_text(name).split("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "Hardware:" in header
    assert "Data:" in header


@pytest.mark.parametrize("name", preset_names())
def test_yaml_round_trip(name, tmp_path):
    config = resolve_config(name)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert resolve_config(str(path)) == config


@given(seed=st.integers(0, 2**31 - 1), rate=st.floats(1e-8, 1.0), filters=st.integers(1, 512))
def test_any_valid_values_survive_yaml(seed, rate, filters):
    import yaml

    config = make_config({"seed": seed, "training": {"learning_rate": rate}, "generator": {"base_filters": filters}})
    assert make_config(yaml.safe_load(to_yaml(config))) == config


def test_overrides_are_yaml_values_at_dotted_keys():
    overrides = ["training.steps=7", "data.jitter_ratio=1", "data.mirror=false", "name=mine"]
    config = resolve_config("facades", overrides, data_dir="somewhere/with: colon")
    assert config.training.steps == 7
    assert config.data.jitter_size_px == 256
    assert config.data.mirror is False
    assert config.name == "mine"
    assert config.data.dir == "somewhere/with: colon"
    assert config.data.input_side == "right"  # the rest of the preset stays


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("facade", [], r"A preset must be one of: .*facades.* Received 'facade'. Did you mean 'facades'\?"),
        ("nowhere.yaml", [], "must be a readable YAML file. Received nowhere.yaml"),
        ("facades", ["training.stepz=3"], r"A key of `training` must be one of: steps, .*Did you mean 'steps'\?"),
        ("facades", ["trainingsteps=3"], "A key of the configuration must be one of: name, seed, data"),
        ("facades", ["training.steps"], "must read KEY=VALUE. Received 'training.steps'. Write it as"),
        ("facades", ["training.steps=many"], "`training.steps` must be a whole number. Received 'many'"),
        ("facades", ["name=../x"], "`name` must be letters, digits"),
        ("facades", ["training=3"], "`training` must be a mapping of keys"),
        ("facades", ["training.steps=0"], "`training.steps` must be greater than or equal to 1. Received 0"),
        ("facades", ["data.input_side=top"], "`data.input_side` must be 'left' or 'right'. Received 'top'"),
        ("facades", ["name.x=1"], "name is a value"),
        ("facades", ["seed.x=1"], "`seed` must be a valid integer"),
        ("facades", ["discriminator.receptive_field_px=71"], "must be 1, 16, 34, 70, 142 or 286. Received 71"),
        ("facades", ["data.source=combinde"], "`data.source` must be one of: combined, .*Did you mean 'combined'"),
    ],
)
def test_mistakes_are_one_sentence(preset, overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve_config(preset, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "line 1 is not|it is not"), ("- 1", "must be a mapping"), ("", None)]
)
def test_files_that_are_no_configuration(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    if message is None:
        assert make_config(read_settings(str(path))) == Config()
    else:
        with pytest.raises(UserError, match=message):
            read_settings(str(path))
