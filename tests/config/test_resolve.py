"""From a preset or a file and overrides to a configuration; every mistake is one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfpix2pix.config import Config, preset_names, preset_text
from tfpix2pix.config.resolve import describe_keys, make_config, read_settings, resolve_config, to_yaml
from tfpix2pix.errors import UserError
from tfpix2pix.losses import TERMS, WEIGHTS


@pytest.mark.parametrize("name", preset_names())
def test_presets_resolve_and_explain_themselves(name):
    assert resolve_config(name).name == name
    header = preset_text(name).split("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for heading in ("Data", "Recipe", "Expected", "Source", "Hardware"):
        assert f"\n# {heading}: " in header


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
    assert config.data.jitter_size_px == (256, 256)
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
        ("facades", ["trainingsteps=3"], "A key of the configuration must be one of: name, recipe, seed, data"),
        ("facades", ["training.steps"], "must read KEY=VALUE. Received 'training.steps'. Write it as"),
        ("facades", ["training.steps=many"], "`training.steps` must be a whole number. Received 'many'"),
        ("facades", ["name=../x"], "The key `name` must be letters, digits"),
        ("facades", ["training=3"], "`training` must be a mapping of keys"),
        ("facades", ["training.steps=0"], "`training.steps` must be greater than or equal to 1. Received 0"),
        ("facades", ["data.input_side=up"], "must be 'left', 'right', 'top' or 'bottom'. Received 'up'"),
        ("facades", ["name.x=1"], "name is a value"),
        ("facades", ["seed.x=1"], "The key `seed` must be a valid integer"),
        ("facades", ["discriminator.receptive_field_px=71"], "must be 1, 16, 34, 70, 142 or 286. Received 71"),
        (
            "facades",
            ["data.target_range=[-1000,nan]"],
            r"^Item 2 of `data.target_range` must be a finite number. Received 'nan'. Change it in facades or with "
            r"`--set data.target_range=VALUE`.$",
        ),
        ("facades", ["data.target_range=[[0,1],[0,nan]]"], "^Item 2 of item 2 of `data.target_range` must be a finite"),
        ("facades", ["data.input_percentiles=[0,101]"], r"^Item 2 of .*`--set data.input_percentiles=VALUE`.$"),
        ("facades", ["data.class_colors=[[0,0,300]]"], "^Item 3 of item 1 of `data.class_colors` must be less"),
        (
            "facades",
            ["data.inputs=[{name: a, channels: x}]"],
            r"^`channels` of item 1 of `data.inputs` must be",
        ),
        ("facades", ["data.inputs=[3]"], "^Item 1 of `data.inputs` must be a mapping"),
        ("facades", ["data.inputs=[{name: a, chanels: 3}]"], "^A key of item 1 of `data.inputs` must be one of"),
        (
            "facades",
            ["data.input_class_values=[a]"],
            r"^Item 1 of `data.input_class_values` .*_values=VALUE",
        ),
        ("facades", ["training.xla=5"], "^`training.xla` must be true or false. Received 5. .*training.xla=VALUE"),
        ("facades", ["training.trackers=[foo]"], "^Item 1 of `training.trackers` must be one of"),
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


TASKS = {
    "facades", "facades_photo2labels", "cityscapes", "cityscapes_photo2labels", "maps", "maps_photo2map", "edges2shoes",
    "edges2handbags", "night2day", "colorization", "inpainting", "super_resolution", "tutorial", "torch",
}  # fmt: skip


def test_every_task_of_the_paper_has_a_preset():
    samples = {f"sample_{task}" for task in ("edges", "colorization", "inpainting", "super_resolution")}
    others = {"demo", "openmoji", "openmoji_flags", "smoke", "facades_segmenter", "colored_shapes"}
    others |= {"cityscapes_hd", "openmoji_hd", "own", "own_drawings"}
    assert set(preset_names()) == TASKS | samples | others


@pytest.mark.parametrize(
    ("name", "images", "epochs", "batch"),
    [
        ("facades", 400, 200, 1), ("cityscapes", 2975, 200, 1), ("maps", 1096, 200, 1), ("edges2shoes", 50_000, 15, 4),
        ("edges2handbags", 137_000, 15, 4), ("night2day", 17_823, 17, 4), ("colorization", 1_281_167, 6, 4),
        ("torch", 400, 200, 1),
    ],
)  # fmt: skip
def test_steps_are_the_papers_epochs(name, images, epochs, batch):
    training = resolve_config(name).training
    assert training.batch_size == batch
    assert training.steps == images * epochs // batch


@pytest.mark.parametrize("name", sorted(TASKS))
def test_presets_of_tasks_have_the_papers_recipe(name):
    config = resolve_config(name)
    assert config.data.image_size_px == 256
    assert config.objective_name == "l1+cgan"
    assert config.objective.weights == {"gan": 1, "l1": 100}
    assert config.discriminator.receptive_field_px == 70
    assert (config.training.learning_rate, config.training.beta_1) == (2e-4, 0.5)
    if config.data.source == "combined":
        assert config.data.jitter_size_px == (286, 286)
        assert config.data.mirror


def test_the_layout_of_own_pairs_is_guessed_from_their_folder(tmp_path):
    def layout(folder, *overrides):
        data = resolve_config("own", overrides, data_dir=str(folder)).data
        return data.source, data.input_folder, data.target_folder

    image = Image.new("RGB", (8, 8))
    for folder in ("sketches", "photos"):
        (tmp_path / "two" / folder).mkdir(parents=True)
        image.save(tmp_path / "two" / folder / "1.png")
    assert layout(tmp_path / "two") == ("folders", "sketches", "photos")
    assert layout(tmp_path / "two", "data.input_folder=photos", "data.target_folder=sketches") == (
        "folders", "photos", "sketches",
    )  # fmt: skip
    (tmp_path / "one").mkdir()
    image.save(tmp_path / "one" / "1.png")
    assert layout(tmp_path / "one")[0] == "combined"
    assert layout(tmp_path / "one", "data.input_folder=x", "data.target_folder=y") == ("folders", "x", "y")
    assert layout(tmp_path / "one", "data.source=table")[0] == "table"
    assert layout(tmp_path / "pairs.csv")[0] == "table"
    assert resolve_config("own").data.source == "combined"  # without a folder


def test_a_file_may_guess_too_and_a_config_may_not(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"data: {{source: guess, dir: {tmp_path / 'pairs.csv'}}}")
    assert resolve_config(str(tmp_path / "mine.yaml")).data.source == "table"
    with pytest.raises(UserError, match=r"`data.source` must be one of: combined, .*Received 'guess'"):
        make_config({"data": {"source": "guess"}})


@pytest.mark.parametrize("name", ["facades", "cityscapes", "maps"])
def test_both_directions_differ_in_the_side_alone(name):
    reverse = next(other for other in TASKS if other.startswith(f"{name}_"))
    there, back = resolve_config(name), resolve_config(reverse)
    assert {there.data.input_side, back.data.input_side} == {"left", "right"}
    assert there.model_copy(update={"name": "", "data": None}) == back.model_copy(update={"name": "", "data": None})


def test_objectives_by_name_and_one_weight_changed():
    config = resolve_config("facades", ["objective=l1+gan", "objective.weights.l1=10"])
    assert (config.objective_name, config.objective.weights) == ("l1+gan", {"gan": 1, "l1": 10})
    assert resolve_config("facades", ["objective.weights.l1=10"]).objective_name == "l1+cgan"
    assert resolve_config("facades", ["objective.weights.l1=10", "objective=l1+gan"]) == config  # in either order
    with pytest.raises(UserError, match="`objective` must be one of: l1, .* Did you mean 'l1\\+gan'\\?$"):
        resolve_config("facades", ["objective=l1+gam"])


def test_the_old_key_of_a_weight_is_the_weight_wherever_it_stands(tmp_path):
    """A file's is changed by `--set` of either key, and the last given counts."""
    old, new = "objective.lambda_l1=10", "objective.weights.l1=20"
    for first, second in ((old, new), (new, old)):
        expected = 10.0 if second == old else 20.0
        assert resolve_config("facades", [first, second]).objective.weights["l1"] == expected
    path = tmp_path / "old.yaml"
    path.write_text("objective: {gan_loss: lsgan, lambda_gan: 1.0, lambda_l1: 30.0, lambda_l2: 0.0}\n")
    assert resolve_config(str(path)).objective.weights == {"gan": 1, "l1": 30}
    assert resolve_config(str(path), [new]).objective.weights == {"gan": 1, "l1": 20}
    assert resolve_config(str(path), [new]).objective.gan_loss == "lsgan"


def test_a_name_may_look_like_a_number():
    assert resolve_config("smoke", ["name=2024"]).name == "2024"


def test_keys_of_weights_are_those_of_the_table():
    described = {key: default for key, default, _ in describe_keys() if key.startswith("objective.weights")}
    assert described == {f"objective.weights.{name}": WEIGHTS.get(name, 0) for name in TERMS}
    for key in described:
        name = key.rpartition(".")[2]
        more = ["objective.teacher=it"] if TERMS[name].needs_teacher else []
        more += ["objective.perceptual_network=vgg19"] if TERMS[name].needs_network else []
        more += ["generator.noise=modulation"] if TERMS[name].needs_encoder else []
        assert resolve_config("facades", [f"{key}=3", *more]).objective.weights[name] == 3


@pytest.mark.parametrize(("given", "noise"), [("on", "on"), ("off", "off"), ("'on'", "on")])
def test_yamls_switches_are_understood(given, noise):
    assert resolve_config("smoke", [f"inference.noise={given}"]).inference.noise == noise


def test_a_key_without_its_section_is_found():
    with pytest.raises(UserError, match=r"A key of the configuration must be .* Did you mean training\.steps\?"):
        resolve_config("smoke", ["steps=20"])
    with pytest.raises(UserError, match=r"Did you mean generator\.base_filters or discriminator\.base_filters\?"):
        resolve_config("smoke", ["training.base_filters=8"])


@pytest.mark.parametrize("value", ["[0, 1, 2, 3, 4]", "[0]", "5", "[[0, 1], 2]", "[[0, 1, 2]]"])
def test_a_range_is_two_numbers_or_two_for_each_channel(value):
    with pytest.raises(UserError, match=r"`data.input_range` must be two numbers, or two for each channel, as in \[\["):
        resolve_config("facades", [f"data.input_range={value}"])


def test_ranges_are_as_many_as_channels():
    with pytest.raises(UserError, match="a range for each of the 3 channels, of pairs in files. Received 2"):
        resolve_config("facades", ["data.input_range=[[0, 1], [0, 1]]"])
    config = resolve_config("facades", ["data.input_range=[[0, 1], [0, 9], [-1, 1]]"])
    assert config.data.ranges == (((0, 1), (0, 9), (-1, 1)), None)
