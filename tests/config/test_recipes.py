"""Recipes: what they may set, how they lie under a file's keys and over a preset's, and what a run records of them."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import tfpix2pix as p2p
from tests.conftest import tiny_config
from tfpix2pix.config import RECIPES, Config, preset_names
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.recipe import merged, recipe_keys, recipe_settings
from tfpix2pix.config.resolve import choices_of, describe_keys, make_config, resolve_config, to_yaml
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import flat
from tfpix2pix.runs.resuming import to_resume

# What every preset resolved to before there were recipes; objectives are in the words of that time.
BEFORE = json.loads((Path(__file__).parent / "resolved_presets.json").read_text(encoding="utf-8"))

NO_WEIGHT = 0.0  # of a term that an objective does not name


def values(config: Config) -> dict[str, object]:
    """Every key but the recipe's name."""
    return dict(flat(config.model_copy(update={"recipe": None}).model_dump(mode="json")))


def write(path: Path, settings: dict) -> str:
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(path)


# What the package brings


@pytest.mark.parametrize("name", BEFORE["presets"])
def test_presets_train_as_before_there_were_recipes(name):
    before = make_config(merged(BEFORE["defaults"], BEFORE["presets"][name]))
    assert values(resolve_config(name)) == values(before)


def test_the_defaults_are_as_before_there_were_recipes():
    assert values(Config()) == values(make_config(BEFORE["defaults"]))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_explain_themselves(name):
    header = RECIPES[name].split("\ngenerator:")[0].split("\nrecipe:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for heading in ("What", "Expected", "Source", "Hardware"):
        assert f"\n# {heading}: " in header


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_every_preset_and_leaves_its_data_size_and_length(preset, name):
    plain, config = resolve_config(preset), resolve_config(preset, recipe=name)
    assert config.recipe == name
    may_change = {*recipe_keys(Config), "discriminator.conditional"}
    changed = {key for key, value in values(config).items() if values(plain).get(key, NO_WEIGHT) != value}
    assert {key for key in changed if not key.startswith("objective.")} <= may_change
    assert config.data == plain.data
    assert (config.training.steps, config.training.batch_size) == (plain.training.steps, plain.training.batch_size)


def test_a_recipe_changes_what_it_says():
    config = resolve_config("facades", recipe="best")
    for key, value in flat(recipe_settings("best", Config)):
        if key != "objective.name":  # becomes weights
            assert dict(flat(config.model_dump(mode="json")))[key] == value, key


def test_the_papers_recipe_has_a_value_for_every_key_that_a_recipe_may_set():
    """So that it makes any preset the paper's."""
    said = set(dict(flat(recipe_settings("paper", Config))))
    by_the_objectives_name = {"discriminator.conditional"}
    weights = {key for key in recipe_keys(Config) if key.startswith(("objective.lambda_", "objective.weights"))}
    assert said - {"objective.name"} == set(recipe_keys(Config)) - weights - by_the_objectives_name


def test_the_papers_recipe_is_the_defaults():
    assert values(Config(recipe="paper")) == values(Config())


@pytest.mark.parametrize("name", ["torch", "tutorial"])
def test_presets_of_other_implementations_are_facades_with_their_recipe(name):
    kept = {"name": name, "training.steps": resolve_config(name).training.steps}
    facades = resolve_config("facades", ["data.input_palette=null"], recipe=name)
    assert {**values(facades), **kept} == values(resolve_config(name))
    assert resolve_config(name).recipe == name


# Precedence


def test_a_given_recipe_lies_over_the_preset_and_set_over_the_recipe():
    assert resolve_config("inpainting").generator.upsampling == "resize"  # the preset's own key, over its recipe's
    assert resolve_config("inpainting", recipe="paper").generator.upsampling == "transposed"
    config = resolve_config("inpainting", ["generator.upsampling=subpixel"], recipe="paper")
    assert (config.generator.upsampling, config.recipe) == ("subpixel", "paper")


def test_a_given_recipe_replaces_the_one_that_the_preset_names():
    config = resolve_config("tutorial", recipe="torch")
    assert values(config) == {
        **values(resolve_config("torch")), "name": "tutorial", "training.steps": 40_000,
    }  # fmt: skip
    assert resolve_config("torch", ["recipe=null"]) == resolve_config(
        "facades", ["recipe=null", "name=torch", "data.input_palette=null"]
    )


def test_set_recipe_is_the_option_whatever_stands_before_it():
    by_option = resolve_config("facades", ["training.beta_1=0.6"], recipe="torch")
    assert resolve_config("facades", ["training.beta_1=0.6", "recipe=torch"]) == by_option
    assert resolve_config("facades", ["recipe=best", "training.beta_1=0.6", "recipe=torch"]) == by_option


def test_keys_of_a_file_lie_over_the_recipe_that_it_names(tmp_path):
    settings = {"recipe": "torch", "objective": {"lambda_l1": 10}, "training": {"learning_rate_schedule": "cosine"}}
    path = write(tmp_path / "mine.yaml", settings)
    config = resolve_config(path)
    assert config.training.learning_rate_schedule == "cosine"
    assert config.generator.dropout_layers == (2, 3, 4)
    assert config.objective_name == "l1+cgan"
    assert resolve_config(path, ["training.beta_1=0.6"]).training.beta_1 == 0.6
    over = resolve_config(path, recipe="torch")
    assert over.training.learning_rate_schedule == "linear_decay"


def test_a_named_objective_decides_all_weights_of_what_lies_beneath(tmp_path):
    path = write(tmp_path / "mine.yaml", {"objective": {"lambda_l1": 3, "lambda_l2": 7, "label_smoothing": 0.1}})
    assert resolve_config(path, recipe="paper").objective == Config().objective
    path = write(tmp_path / "other.yaml", {"recipe": "tutorial", "objective": "gan"})
    config = resolve_config(path)
    assert (config.objective_name, config.objective.discriminator_factor) == ("gan", 1.0)
    assert resolve_config(path, recipe="paper").objective_name == "l1+cgan"


def test_a_config_of_python_takes_a_recipe_beneath_its_own_keys():
    config = Config(recipe="torch", training=p2p.Config().training.model_copy(update={"beta_1": 0.6}))
    assert config.generator.dropout_layers == (2, 3, 4)
    with pytest.raises(ValidationError, match="A recipe must be one of: best, .* Did you mean 'torch'"):
        Config(recipe="trch")


# The record


def test_a_resolved_configuration_records_the_name_and_is_not_resolved_again(tmp_path, monkeypatch):
    config = resolve_config("facades", ["generator.dropout_layers=[1]"], recipe="torch")
    text = to_yaml(config)
    assert yaml.safe_load(text)["recipe"] == {"applied": "torch"}
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    # A later recipe of the name says something else, also of keys that the record does not know.
    monkeypatch.setattr(RECIPES, "text", lambda name: "training: {beta_1: 0.9, ema_decay: 0.9}\n")
    assert resolve_config(str(path)) == config
    record = yaml.safe_load(text)
    del record["training"]["ema_decay"]
    assert make_config(record) == config
    card = ModelCard.of(config, 3)
    assert ModelCard.from_json(card.to_json(), "card").config == config
    assert resolve_config("facades", recipe="torch").training.beta_1 == 0.9


def test_a_recipe_over_a_resolved_configuration_is_applied(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(resolve_config("facades")), encoding="utf-8")
    assert resolve_config(str(path), recipe="torch") == resolve_config("facades", recipe="torch")


def test_the_name_alone_does_not_keep_a_run_from_going_on():
    before = tiny_config()
    assert to_resume(before, before.model_copy(update={"recipe": "paper"})).recipe == "paper"
    with pytest.raises(UserError, match="generator.dropout_layers .* -> .*training.learning_rate_schedule"):
        to_resume(before, Config.model_validate({**before.model_dump(), "recipe": None}).model_copy(
            update={section: getattr(tiny_config(recipe="torch"), section) for section in ("generator", "training")}
        ))  # fmt: skip


def test_keys_and_completion_know_recipes():
    meanings = {key: meaning for key, _, meaning in describe_keys()}
    assert meanings["recipe"].endswith(f"One of: {', '.join(RECIPES)}.")
    assert choices_of("recipe") == tuple(RECIPES)


# A user's own, and mistakes


def test_a_recipe_may_be_a_file_and_be_based_on_another(tmp_path):
    mine = write(tmp_path / "mine.yaml", {"recipe": "torch", "training": {"ema_decay": 0.99}})
    config = resolve_config("facades", recipe=mine)
    torch = resolve_config("facades", ["training.ema_decay=0.99"], recipe="torch")
    assert values(config) == values(torch)
    assert config.recipe == mine
    Path(mine).unlink()
    assert make_config(yaml.safe_load(to_yaml(config))) == config  # a record needs no file


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training": {"steps": 3}},
            "must not set `training.steps`: the length of the training decides it. Received 3",
        ),
        ({"training": {"minutes": 3}}, "`training.minutes`: the length of the training decides it"),
        ({"training": {"batch_size": 4}}, "`training.batch_size`: the length of the training decides it"),
        ({"training": {"precision": "float32"}}, "`training.precision`: the machine decides it"),
        ({"training": {"log_every_steps": 3}}, "`training.log_every_steps`: what a run reports and keeps decides it"),
        ({"data": {"mirror": False}}, "`data`: the task decides it. Received .'mirror': False."),
        ({"generator": {"base_filters": 8}}, "`generator.base_filters`: the size of images and networks decides it"),
        ({"discriminator": {"receptive_field_px": 16}}, "the size of images and networks decides it. Received 16"),
        ({"generator": {"upsamplin": "resize"}}, "A key of `generator` must be one of.* Did you mean 'upsampling'"),
        ({"generator": {"upsampling": "resise"}}, "`generator.upsampling` must be .*Received 'resise'"),
        ({"recipe": "bset"}, "A recipe must be one of: .* Received 'bset'. Did you mean 'best'"),
        ({"recipe": "mine.yaml"}, "A recipe must not be based on itself. Received mine.yaml on mine.yaml. Remove"),
        (["resize"], "A recipe must be a mapping of keys to values. Received mine.yaml, a list."),
    ],
)
def test_what_is_not_a_recipes_to_set_is_refused_in_one_sentence(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    write(Path("mine.yaml"), settings)
    for resolve in (
        lambda: resolve_config("facades", recipe="mine.yaml"),
        lambda: resolve_config(write(Path("config.yaml"), {"recipe": "mine.yaml"})),
    ):
        with pytest.raises(UserError, match=message) as caught:
            resolve()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "bset",
            "A recipe must be one of: best, diverse, paper, pix2pixhd, torch, tutorial. Received 'bset'. Did you mean "
            "'best'",
        ),
        ("nowhere.yaml", "A recipe must be a readable YAML file. Received nowhere.yaml: No such file"),
        ("facades", "A recipe must be one of: .* Received 'facades'"),
    ],
)
def test_an_unknown_recipe_is_one_sentence(name, message):
    with pytest.raises(UserError, match=message):
        resolve_config("facades", recipe=name)


def test_a_recipe_does_not_go_with_a_config(tmp_path):
    with pytest.raises(UserError, match="`recipe` and `overrides` must go with a preset or a file. Received a Config"):
        p2p.train(tiny_config(), run_dir=tmp_path / "run", recipe="best")
