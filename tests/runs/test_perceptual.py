"""The term `perceptual`: whose maps it compares, what it moves, and which networks it takes."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, run_cli, tiny_config
from tests.training.test_pix2pix import data
from tfpix2pix.config import Config
from tfpix2pix.config.resolve import make_config, resolve_config
from tfpix2pix.errors import UserError
from tfpix2pix.losses import TERMS, perceptual
from tfpix2pix.losses.objective import Objective
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.distill import student_of
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.perceptual import open_perceptual_network
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.start_from import identity_of
from tfpix2pix.size import Size
from tfpix2pix.training.checkpoints import Checkpoints, get_state

KERNEL = np.random.default_rng(7).normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32)
WEIGHT = 5.0


class Convolution(tf.Module):
    """A network of one kernel, which is a variable: `maps` of the image at full and at half size."""

    def __init__(self, channels=3, shape=(None, None, None), dtype=tf.float32, maps=None):
        super().__init__()
        self.kernel = tf.Variable(KERNEL[:, :, :channels])
        self.maps = maps or self.of_two_sizes
        spec = tf.TensorSpec((shape[0], *shape[1:], channels), dtype)
        self.run = tf.function(lambda images: self.maps(images), input_signature=[spec])

    def of_two_sizes(self, images):
        fine = tf.nn.relu(tf.nn.conv2d(images, self.kernel, 1, "SAME"))
        return {"fine": fine, "coarse": tf.nn.avg_pool2d(fine, 2, 2, "VALID")}

    def save(self, path):
        tf.saved_model.save(self, str(path), signatures=self.run)
        return path


def maps_by_hand(images):
    """The maps of `Convolution` in NumPy."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    fine = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, KERNEL.astype(np.float64)), 0)
    n, h, w, c = fine.shape
    return fine, fine.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The folder of a SavedModel of that network. Read it."""
    return Convolution().save(tmp_path_factory.mktemp("networks") / "convolution")


def config(network, weights=None, objective=None, **changes):
    weights = weights or {"l1": 10, "perceptual": WEIGHT}
    objective = {"weights": weights, "perceptual_network": str(network), **(objective or {})}
    return tiny_config(objective=objective, **changes)


def least(network, data_dir):
    """The same without a discriminator, in two levels."""
    objective = {"weights": {"l1": 10, "perceptual": WEIGHT}, "perceptual_network": str(network)}
    return least_config(data={"dir": str(data_dir)}, objective=objective)


def built(config):
    return build_model(config, perceptual_network=open_perceptual_network(config))


def sums_of_three(model):
    """The operations of a step that add three tensors or more in any order."""
    specs = (tf.TensorSpec((2, 32, 32, 3)),) * 2
    graph = tf.function(model.train_step, autograph=False).get_concrete_function(specs).graph
    sums = [op for op in graph.get_operations() if op.type in ("AddN", "AccumulateNV2")]
    return [op.name for op in sums if len(op.inputs) > 2]


class TestValue:
    def test_it_equals_its_twin(self, network):
        """The mean over the two maps of the mean absolute difference."""
        image, target = data(2)
        model = built(config(network))
        losses = {name: float(value) for name, value in model.test_step((image, target)).items()}
        pairs = zip(maps_by_hand(model(image).numpy()), maps_by_hand(target.numpy()), strict=True)
        expected = np.mean([np.abs(fake - real).mean() for fake, real in pairs])
        assert losses["g/perceptual"] == pytest.approx(expected, rel=1e-4)
        total = losses["g/gan"] + 10 * losses["g/l1"] + WEIGHT * losses["g/perceptual"]
        assert losses["g/total"] == pytest.approx(total, rel=1e-5)

    def test_maps_may_be_one_a_list_or_a_dictionary_each_with_its_weight_as_a_factor(self):
        a, b = tf.constant([[1.0, 2.0]]), tf.constant([[2.0, 4.0]])
        term = TERMS["perceptual"].call
        for maps in (lambda x: 3 * x, lambda x: [x, 2 * x], lambda x: {"one": x, "other": 2 * x}):
            assert float(term(a, b, maps)) == pytest.approx(3 * 1.5)
            assert float(term(a, a, maps)) == 0

    def test_the_translation_moves_to_the_target_and_not_back(self):
        real, fake = tf.Variable([1.0]), tf.Variable([0.0])
        with tf.GradientTape() as tape:
            loss = TERMS["perceptual"].call(fake, real, lambda images: 2 * images)
        of_real, of_fake = tape.gradient(loss, [real, fake])
        assert of_real is None
        assert float(of_fake[0]) == -2

    def test_without_a_weight_it_is_not_computed(self):
        pair = (tf.zeros((1, 4, 4, 3)),) * 2
        assert not Objective().needs_network
        assert "g/perceptual" not in Objective().generator([tf.zeros(3)], *pair, perceptual_network=tf.identity)


class TestStep:
    def test_it_moves_the_generator_and_nothing_else(self, network):
        """With no other term. The network's kernel is trainable where it was made, and D learns for itself."""
        settings = config(network, {"gan": 0, "l1": 0, "perceptual": 1}, {"gan_loss": "none"})
        loaded = tf.saved_model.load(str(network))
        module = lambda images: loaded.signatures["serving_default"](images=images)  # noqa: E731
        model = build_model(settings, perceptual_network=module)
        before, discriminator = model.generator.get_weights(), model.discriminator.get_weights()
        batch = data()
        first, *_, last = [float(model.train_step(batch)["g/perceptual"]) for _ in range(6)]
        assert last < first
        moved = [(a != b).any() for a, b in zip(before, model.generator.get_weights(), strict=True)]
        assert np.mean(moved) > 0.9
        assert all(map(np.array_equal, discriminator, model.discriminator.get_weights()))
        kernel = loaded.signatures["serving_default"].variables[0]
        np.testing.assert_array_equal(kernel, KERNEL)

    def test_its_variables_are_no_part_of_the_model_nor_of_a_checkpoint(self, network):
        plain = build_model(tiny_config())
        layers = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
        for model in (built(config(network)), build_model(config(network), perceptual_network=layers)):
            assert len(model.variables) == len(plain.variables)
            assert get_state(model).keys() == get_state(plain).keys()

    @pytest.mark.parametrize(
        "changes", [{"update_order": "simultaneous"}, {"micro_batches": 2, "batch_size": 2}], ids=str
    )
    def test_no_sum_depends_on_timing(self, network, changes):
        """As tests/test_contract.py has it for the other terms."""
        assert not sums_of_three(built(config(network, {"l1": 1, "l2": 1, "perceptual": 1}, training=changes)))

    def test_parts_of_a_batch_have_the_losses_of_the_batch(self, network):
        norms = {"generator": {"norm": "instance", "noise": "none"}, "discriminator": {"norm": "instance"}}
        training = {"batch_size": 2}
        whole, parts = (
            built(config(network, training={**training, "micro_batches": count}, **norms)).train_step(data(2))
            for count in (1, 2)
        )
        assert float(parts["g/perceptual"]) == pytest.approx(float(whole["g/perceptual"]), rel=1e-4)

    def test_maps_are_float32_in_16_bits_too(self, network):
        seen = []
        opened = open_perceptual_network(config(network))

        def noted(images):
            maps = opened(images)
            seen.extend([images.dtype, *(each.dtype for each in maps)])
            return maps

        model = build_model(config(network, training={"precision": "bfloat16"}), perceptual_network=noted)
        assert np.isfinite(float(model.train_step(data())["g/perceptual"]))
        assert set(seen) == {tf.float32}

    def test_a_model_without_the_network_says_so(self, network):
        with pytest.raises(ValueError, match="`perceptual_network` must be a function for the term `perceptual`"):
            build_model(config(network)).train_step(data())


@pytest.fixture
def untrained_vgg19(monkeypatch):
    """Keras's VGG-19 with random weights in place of those that it downloads."""
    original = keras.applications.VGG19
    made = []

    def build(include_top, weights):
        assert (include_top, weights) == (False, "imagenet")
        made.append(original(include_top=False, weights=None))
        return made[-1]

    monkeypatch.setattr(keras.applications, "VGG19", build)
    return made


class TestVgg19:
    def test_it_sees_what_kerass_preprocessing_makes_of_the_pixels(self, untrained_vgg19, rng):
        maps = perceptual.vgg19()
        pixels = rng.integers(0, 256, (1, 16, 16, 3)).astype(np.float32)
        (network,) = untrained_vgg19
        layers = [f"block{number}_conv1" for number in range(1, 6)]
        twin = keras.Model(network.input, [network.get_layer(name).output for name in layers])
        expected = twin(keras.applications.vgg19.preprocess_input(pixels.copy()))
        actual = maps(tf.constant(pixels / 127.5 - 1))
        assert [map.shape[1:] for map in actual] == [
            (16, 16, 64), (8, 8, 128), (4, 4, 256), (2, 2, 512), (1, 1, 512),
        ]  # fmt: skip
        for weight, ours, theirs in zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), actual, expected, strict=True):
            assert float(tf.reduce_max(theirs)) > 0
            np.testing.assert_allclose(ours, theirs * weight / 127.5, rtol=1e-3, atol=1e-5)

    def test_a_step_is_finite_and_no_sum_depends_on_timing(self, untrained_vgg19):
        model = built(config("vgg19"))
        assert not sums_of_three(model)
        losses = model.train_step(data())
        assert float(losses["g/perceptual"]) > 0
        assert np.isfinite(float(losses["g/total"]))

    def test_gray_images_are_repeated(self, untrained_vgg19):
        settings = config("vgg19", data={"target_channels": 1})
        gray = tf.random.stateless_uniform((1, 32, 32, 1), (0, 0), -1, 1)
        maps = open_perceptual_network(settings)
        again = open_perceptual_network(config("vgg19"))
        untrained_vgg19[1].set_weights(untrained_vgg19[0].get_weights())
        for a, b in zip(maps(gray), again(tf.repeat(gray, 3, axis=-1)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_without_its_weights_it_is_one_sentence_and_nothing_is_written(self, monkeypatch, tmp_path, combined_dir):
        def offline(**_):
            raise Exception("URL fetch failure on https://storage.googleapis.com/x: None -- Name or service not known")

        monkeypatch.setattr(keras.applications, "VGG19", offline)
        settings = tmp_path / "mine.yaml"
        settings.write_text(json.dumps(config("vgg19").model_dump(mode="json")))
        code, out, err = run_cli("train", settings, "--data", combined_dir, "--run", tmp_path / "run")
        assert code == 2
        said = " ".join((out + err).split())
        assert "`vgg19` must have its weights. Received an error when downloading them (URL fetch failure" in said
        assert f"put {perceptual.WEIGHTS_FILE} into Keras's cache (~/.keras/models), or set" in said
        assert "Traceback" not in said
        assert not (tmp_path / "run").exists()


class TestConfiguration:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"objective": {"weights": {"perceptual": 2}}},
                r"perceptual` must be 0 without a network. Received 2. Set ",
            ),
            (
                {"objective": {"perceptual_network": "vgg19"}},
                "perceptual` must not be 0 with a network. Received 0 with `objective.perceptual_network: vgg19`. Give",
            ),
            ({"data": {"target_classes": 3}}, "`data.target_classes` must be null .*: label maps are not. Received 3"),
            ({"data": {"color_space": "lab", "input_channels": 1}}, "`data.color_space` must be rgb .* Received lab"),
            ({"data": {"target_channels": 4}}, "`data.target_channels` must be 1 or 3 for this network. Received 4"),
            (
                {"data": {"image_size_px": [8, 64]}, "discriminator": {"receptive_field_px": 1}},
                r"`data.image_size_px` must be at least 16 px for this network. Received \(8, 64\)",
            ),
        ],
    )
    def test_what_does_not_fit_is_one_sentence_before_tensorflow_starts(self, changes, message):
        vgg19 = {"objective": {"weights": {"perceptual": 2}, "perceptual_network": "vgg19"}}
        with pytest.raises(UserError, match=message):
            make_config({**vgg19, **changes})

    def test_any_channels_suit_a_network_of_ones_own(self):
        own = {"weights": {"perceptual": 2}, "perceptual_network": "mine"}
        assert Config.model_validate({"objective": own, "data": {"target_channels": 4}}).objective_name == (
            "l1+perceptual+cgan"
        )

    def test_an_objective_of_a_recipe_takes_the_network_away_with_the_weight(self, tmp_path):
        mine, recipe = tmp_path / "mine.yaml", tmp_path / "recipe.yaml"
        mine.write_text("objective: {weights: {perceptual: 1}, perceptual_network: vgg19}")
        recipe.write_text("objective: {name: l1}")
        assert resolve_config(str(mine), recipe=str(recipe)).objective.perceptual_network is None

    def test_a_student_has_none_of_its_teachers(self, network):
        teacher = config(network, objective={"perceptual_identity": "it"})
        student = student_of(teacher, "teacher", [])
        assert student.objective.perceptual_network is student.objective.perceptual_identity is None


@pytest.fixture(scope="module")
def perceiving(network, tmp_path_factory, quiet):
    """Data, a copy of the network, and a run of four steps on them."""
    folder = tmp_path_factory.mktemp("perceiving")
    make_combined(folder / "data" / "train", count=2)
    make_combined(folder / "data" / "val", count=1)
    shutil.copytree(network, folder / "network")
    settings = least(folder / "network", folder / "data")
    return p2p.train(settings, run_dir=folder / "run", console=quiet)


def state_of(run):
    return Checkpoints(run.directory.checkpoints).load()[1]


class TestRun:
    def test_metrics_and_card_have_the_term_and_the_networks_digest(self, perceiving):
        lines = [json.loads(line) for line in (perceiving.path / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line.get("g/perceptual", 0) > 0] == [2, 4]
        assert perceiving.card.objective == "l1+perceptual"
        identity = perceiving.card.config.objective.perceptual_identity
        assert identity.startswith("network, sha256 ")
        assert len(identity) == len("network, sha256 ") + 16

    def test_it_resumes_bit_for_bit(self, perceiving, tmp_path, quiet):
        settings = perceiving.directory.config()
        short = settings.model_copy(update={"training": settings.training.model_copy(update={"steps": 2})})
        p2p.train(short, run_dir=tmp_path / "run", console=quiet)
        parts = p2p.train(run_dir=tmp_path / "run", resume=True, overrides=("training.steps=4",), console=quiet)
        states = state_of(perceiving), state_of(parts)
        assert states[0].keys() == states[1].keys()
        for part, arrays in states[0].items():
            assert all(np.array_equal(array, states[1][part][name]) for name, array in arrays.items())

    def test_a_changed_network_is_a_changed_configuration(self, perceiving, tmp_path, quiet):
        folder = tmp_path / "all"
        shutil.copytree(perceiving.path.parent, folder)
        other = Convolution(maps=lambda images: images * 2).save(tmp_path / "other")
        more = {"run_dir": folder / "run", "resume": True, "console": quiet}
        named = ("training.steps=6", f"objective.perceptual_network={other}")
        with pytest.raises(UserError, match=r"own configuration. .*objective.perceptual_network '.*' -> '.*other'"):
            p2p.train(overrides=named, **more)
        accepted = p2p.train(overrides=named, accept_changes=True, **more)
        assert accepted.card.config.objective.perceptual_identity.startswith("other, sha256 ")
        shutil.copytree(Convolution(maps=lambda images: images * 3).save(tmp_path / "third"), other, dirs_exist_ok=True)
        with pytest.raises(UserError, match=r"must have the perceptual network that its .* records, other, sha256 \w+"):
            p2p.train(overrides=("training.steps=8",), **more)

    def test_an_export_names_the_network_without_its_path(self, perceiving, tmp_path):
        report = p2p.export_run(perceiving.path, "tflite", tmp_path)
        card = p2p.load(report.path).card
        assert card.config.objective.perceptual_network == "network"
        assert card.config.objective.perceptual_identity == perceiving.card.config.objective.perceptual_identity

    def test_a_run_of_this_package_may_be_the_network(self, perceiving, smoke_run, tmp_path):
        """Its generator's translation is the one map; here that of a run from gray to RGB."""
        settings = config(smoke_run.path, data={"target_channels": 1})
        maps = open_perceptual_network(settings)
        image = tf.random.stateless_uniform((1, 32, 32, 1), (0, 0), -1, 1)
        (map,) = tf.nest.flatten(maps(image))
        np.testing.assert_allclose(map, p2p.load(smoke_run.path)(image.numpy()), atol=1e-5)
        directory = RunDirectory(tmp_path / "run")
        plan = plan_training(settings.model_copy(update={"data": perceiving.directory.config().data}), directory.path)
        assert plan.config.objective.perceptual_identity == identity_of(smoke_run.directory)


class TestBadNetworks:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (
                "nowhere",
                "must be vgg19, a SavedModel folder or a run directory. Received .*nowhere, which does not exi",
            ),
            ("empty", "a SavedModel folder or a run directory. Received .*empty, which has no saved_model.pb. Check"),
            ("file", "a SavedModel folder or a run directory. Received .*file, which has no saved_model.pb"),
        ],
    )
    def test_what_is_no_network_is_found_when_the_run_is_planned(self, tmp_path, name, message):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("VGG")
        with pytest.raises(UserError, match=message):
            plan_training(config(tmp_path / name), tmp_path / "run", dry_run=True)

    def test_a_folder_with_another_file_of_that_name_is_one_sentence(self, tmp_path):
        (tmp_path / "saved_model.pb").write_text("no graph")
        with pytest.raises(UserError, match=r"must be a whole folder with saved_model.pb in it. .*it is damaged"):
            perceptual.saved_network(tmp_path, 3, Size(32, 32))

    def test_one_that_can_write_files_is_not_opened(self, tmp_path):
        written = tmp_path / "written"

        def maps(images):
            tf.io.write_file(str(written), "here")
            return images

        path = Convolution(maps=maps).save(tmp_path / "network")
        with pytest.raises(
            UserError, match=r"nothing but the operations of networks, .* WriteFile, .* Use a network of"
        ):
            perceptual.saved_network(path, 3, Size(32, 32))
        assert not written.exists()

    @pytest.mark.parametrize(
        ("network", "message"),
        [
            ({"channels": 2}, "must take the 3 channels of the targets. Received one for 2, in"),
            ({"shape": (None, 64, None)}, "must take images of 32 px, or of any size. Received one for 64xNone px"),
            (
                {"shape": (1, None, None)},
                r"must take images \(N, H, W, C\) in float32, of any N, .*\(1, None, None, 3\)",
            ),
            ({"dtype": tf.uint8, "maps": lambda x: tf.cast(x, tf.float32)}, "in float32, of any N, .* Received uint8"),
            ({"maps": lambda x: tf.argmax(x, axis=-1)}, "must return maps of floats. Received int64"),
            ({"maps": lambda x: tf.round(x) // 1}, "must be differentiable. Received one whose maps have no gradient"),
            ({"maps": lambda x: tf.math.log(x)}, "must return finite maps with finite gradients. Received NaN"),
            ({"maps": lambda x: tf.reshape(x, (-1, 7))}, "must work for images of 32 px. Received one that fails"),
        ],
        ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
    )
    def test_what_does_not_suit_the_images_is_one_sentence(self, tmp_path, network, message):
        path = Convolution(**network).save(tmp_path / "network")
        with pytest.raises(UserError, match=message) as error:
            perceptual.saved_network(path, 3, Size(32, 32))
        assert str(error.value).endswith("Name another network, or export it again to suit.")

    def test_a_run_that_takes_label_maps_is_no_network_for_pictures(self, tmp_path):
        RunDirectory(tmp_path).write_config(tiny_config(data={"input_classes": 2}))
        with pytest.raises(UserError, match="must take pictures. Received a run that takes label maps"):
            open_perceptual_network(config(tmp_path))

    def test_nothing_is_written_if_the_network_does_not_suit(self, tmp_path, combined_dir, quiet):
        path = Convolution(channels=2).save(tmp_path / "network")
        with pytest.raises(UserError, match="must take the 3 channels of the targets"):
            p2p.train(least(path, combined_dir), run_dir=tmp_path / "run", console=quiet)
        assert not (tmp_path / "run").exists()
