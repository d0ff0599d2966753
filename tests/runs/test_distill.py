"""Students: narrower generators that learn a trained one's translations."""

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import run_cli
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.errors import UserError
from tfpix2pix.losses.terms import LEAST_SIMILARITY, structural_dissimilarity
from tfpix2pix.metrics.example import Example
from tfpix2pix.metrics.images import MSSSIM
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.distill import STUDENT_WEIGHTS, plan_distillation, student_of, width_within
from tfpix2pix.runs.load import run_engine, teaching
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.start_from import identity_of

WITHOUT_DISCRIMINATOR = ("objective.gan_loss=none", "objective.weights.gan=0")


@pytest.fixture(scope="module")
def teacher(smoke_run):
    return smoke_run.directory


@pytest.fixture(scope="module")
def student(teacher, shared_folder, quiet):
    folder = shared_folder("student", lambda folder: p2p.distill(teacher.path, run_dir=folder, console=quiet))
    return RunDirectory(folder)


class TestConfiguration:
    def test_it_is_the_teachers_apart_from_objective_width_and_name(self, teacher):
        of_teacher, identity = teacher.config(), identity_of(teacher)
        config = student_of(of_teacher, identity, ["training.steps=7"])
        before, after = (each.model_dump() for each in (of_teacher, config))
        assert {key for key in before if before[key] != after[key]} == {"name", "generator", "objective", "training"}
        assert after["generator"] == {**before["generator"], "base_filters": 4}  # a quarter is 2, and 4 the least
        assert after["training"] == {**before["training"], "steps": 7, "precision": "auto"}
        assert config.objective.weights == {**STUDENT_WEIGHTS, "gan": 1.0}
        assert config.objective.gan_loss == of_teacher.objective.gan_loss == "vanilla"
        assert config.objective.teacher == identity

    def test_a_quarter_of_the_filters(self):
        assert student_of(resolve_config("facades", []), "it", []).generator.base_filters == 16

    def test_the_discriminator_can_be_left_out(self, teacher):
        config = student_of(teacher.config(), "it", WITHOUT_DISCRIMINATOR)
        assert config.objective.weights == {**STUDENT_WEIGHTS, "gan": 0.0}

    def test_a_student_of_a_teacher_without_one_has_none(self, teacher):
        config = teacher.config()
        reconstruction = config.objective.model_copy(update={"gan_loss": "none", "weights": {"l1": 100.0}})
        student = student_of(config.model_copy(update={"objective": reconstruction}), "it", [])
        assert (student.objective.gan_loss, student.objective.weights) == ("none", {**STUDENT_WEIGHTS, "gan": 0.0})

    def test_the_teachers_identity_is_its_name_step_and_weights(self, teacher):
        name, step, digest = identity_of(teacher).split(", ")
        assert (name, step, len(digest)) == (teacher.config().name, "step 4", len("sha256 ") + 16)

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["data.color_space=lab"], "must see and make its teacher's kind of images"),
            (["objective.weights.teacher_l1=0", "objective.weights.teacher_ms_ssim=0"], "must not be 0 for a student"),
            ([*WITHOUT_DISCRIMINATOR, "objective.weights.feature_matching=1"], "must train a discriminator"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence(self, teacher, overrides, message):
        with pytest.raises(UserError, match=message):
            student_of(teacher.config().model_copy(), "it", overrides)

    def test_terms_of_a_teacher_need_one(self):
        with pytest.raises(UserError, match="must be 0 without a teacher. Received 3. Use `tfpix2pix distill`"):
            resolve_config("smoke", ["objective.weights.teacher_l1=3"])


class TestTraining:
    def test_a_student_is_a_run_that_names_its_teacher(self, teacher, student):
        card = student.card()
        assert (card.step, card.config.objective.teacher) == (4, identity_of(teacher))
        assert card.objective == "l1+teacher_l1+teacher_ms_ssim+cgan"
        image = np.zeros((40, 56, 1), np.float32)
        assert p2p.load(student.path)(image).shape == (40, 56, 3)

    def test_the_losses_are_those_by_hand(self, teacher):
        config = student_of(teacher.config(), identity_of(teacher), ["training.precision=float32"])
        model = build_model(config, teaching(teacher))
        rng = np.random.default_rng(0)
        image, target = (rng.uniform(-1, 1, (2, 32, 32, channels)).astype(np.float32) for channels in (1, 3))
        losses = {name: float(value) for name, value in model.test_step((image, target)).items()}
        translation = model(image).numpy().astype(np.float64)
        taught = run_engine(teacher)(image, None).astype(np.float64)
        ms_ssim = [MSSSIM.of(Example("", *pair[:1], target=pair[1])) for pair in zip(translation, taught, strict=True)]
        expected = {
            "g/l1": np.abs(translation - target).mean(),
            "g/teacher_l1": np.abs(translation - taught).mean(),
            "g/teacher_ms_ssim": 1 - np.mean(ms_ssim),
        }
        assert {name: losses[name] for name in expected} == pytest.approx(expected, rel=1e-3)
        total = sum(STUDENT_WEIGHTS[name.removeprefix("g/")] * value for name, value in expected.items())
        total += losses["g/gan"]
        assert losses["g/total"] == pytest.approx(total, rel=1e-3)

    def test_a_step_moves_the_student_and_not_the_teacher(self, teacher):
        config = student_of(teacher.config(), identity_of(teacher), ["training.precision=float32"])
        generator = run_engine(teacher, noise_input=False).generator
        model = build_model(config, lambda images: generator(images, training=False))
        before = generator.get_weights()
        image, target = np.zeros((1, 32, 32, 1), np.float32), np.ones((1, 32, 32, 3), np.float32)
        first, *_, last = [float(model.train_step((image, target))["g/total"]) for _ in range(4)]
        assert last < first
        assert all(np.array_equal(*pair) for pair in zip(before, generator.get_weights(), strict=True))
        assert not any("teacher" in variable.path for variable in model.variables)

    def test_no_sum_of_a_step_depends_on_timing(self, teacher):
        """As tests/test_contract.py has it for the other terms."""
        config = student_of(teacher.config(), "it", [])
        specs = tuple(tf.TensorSpec((1, 32, 32, channels)) for channels in (1, 3))
        step = tf.function(build_model(config, teaching(teacher)).train_step, autograph=False)
        operations = step.get_concrete_function(specs).graph.get_operations()
        sums = [operation for operation in operations if operation.type in ("AddN", "AccumulateNV2")]
        assert not [operation.name for operation in sums if len(operation.inputs) > 2]

    @pytest.mark.parametrize(
        ("overrides", "adversarial"),
        [((), True), (("training.update_order=simultaneous",), True), (WITHOUT_DISCRIMINATOR, False)],
    )
    def test_a_step_has_all_terms(self, teacher, overrides, adversarial):
        image, target = np.zeros((2, 32, 32, 1), np.float32), np.ones((2, 32, 32, 3), np.float32)
        config = student_of(teacher.config(), "it", [*overrides, "training.precision=float32"])
        losses = build_model(config, teaching(teacher)).train_step((image, target))
        assert {"g/l1", "g/teacher_l1", "g/teacher_ms_ssim"} <= set(losses)
        assert {"g/gan", "d/total"} <= set(losses) or not adversarial
        assert np.isfinite(float(losses["g/total"]))

    @pytest.mark.slow
    def test_it_stops_and_continues_with_its_teacher_alone(self, teacher, student, tmp_path, quiet):
        options = {"run_dir": tmp_path / "run", "console": quiet}
        p2p.distill(teacher.path, overrides=("training.steps=2",), **options)
        with pytest.raises(UserError, match=r"must have its teacher, .* Use `tfpix2pix distill`"):
            p2p.train(resume=True, **options)
        with pytest.raises(UserError, match=r"must be resumed with the teacher that it began with"):
            plan_distillation(student.path, tmp_path / "run", resume=True)
        p2p.distill(teacher.path, overrides=("training.steps=4",), resume=True, **options)
        weights, expected = (
            run_engine(run).generator.get_weights() for run in (RunDirectory(tmp_path / "run"), student)
        )
        assert all(np.array_equal(*pair) for pair in zip(weights, expected, strict=True))


class TestDissimilarity:
    @pytest.mark.parametrize("size_px", [16, 48, 180])
    def test_it_equals_the_metric(self, rng, size_px):
        image = rng.uniform(-1, 1, (size_px, size_px, 2)).astype(np.float32)
        other = np.clip(image + rng.normal(0, 0.3, image.shape), -1, 1).astype(np.float32)
        expected = 1 - MSSSIM.of(Example("", image, target=other))
        assert float(structural_dissimilarity(image[None], other[None])) == pytest.approx(expected, abs=1e-5)

    def test_equal_images_have_none(self, rng):
        image = tf.constant(rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32))
        assert float(structural_dissimilarity(image, image)) == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("size_px", [4, 32])
    def test_opposite_images_have_a_finite_gradient(self, rng, size_px):
        image = tf.constant(rng.uniform(-1, 1, (1, size_px, size_px, 3)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = structural_dissimilarity(image, -image)
        assert float(value) == pytest.approx(1 - LEAST_SIMILARITY, abs=0.2)
        assert np.isfinite(tape.gradient(value, image)).all()


class TestWidth:
    def test_the_widest_within_a_size(self, monkeypatch, teacher):
        sizes = {4: 0.3, 8: 1.0, 12: 2.0, 16: 4.0, 24: 8.0, 32: 14.0, 48: 31.0}
        monkeypatch.setattr("tfpix2pix.runs.export_within.count_parameters", lambda c: c.generator.base_filters)
        monkeypatch.setattr("tfpix2pix.runs.export_within.expected_size_mb", lambda filters, bits: sizes[filters])
        monkeypatch.setattr("tfpix2pix.runs.distill.milliseconds_of", lambda c: 10.0 * c.generator.base_filters)
        wide = teacher.config().model_copy(
            update={"generator": teacher.config().generator.model_copy(update={"base_filters": 64})}
        )
        monkeypatch.setattr(RunDirectory, "config", lambda self: wide)
        assert width_within(teacher.path, [], 8.0, None) == 24
        assert width_within(teacher.path, [], 8.5, 130.0) == 12
        assert width_within(teacher.path, [], None, 85.0) == 8
        with pytest.raises(UserError, match=r"limits, 0.2 MB. Received 0.3 MB for the narrowest. Raise `target_mb`"):
            width_within(teacher.path, [], 0.2, None)
        with pytest.raises(UserError, match=r"limits, 1 ms. Received 0.3 MB and 40 ms for the narrowest"):
            width_within(teacher.path, [], None, 1.0)

    def test_the_command_trains_a_student_within_a_time(self, teacher, tmp_path):
        code, _, err = run_cli("distill", teacher.path, "--run", tmp_path / "run", "--target-ms", 10_000)
        assert code == 0, err
        assert RunDirectory(tmp_path / "run").config().generator.base_filters == 4

    def test_a_teacher_as_narrow_as_can_be(self, student):
        with pytest.raises(UserError, match="a teacher that is as narrow"):
            width_within(student.path, [], 1.0, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing", "--run", "out"), "A teacher must be a run directory. Received missing. Give a run"),
        (("TEACHER",), "A run directory must be given. Received none. Add --run"),
        (("TEACHER", "--run", "out", "--resume", "--target-mb", "4"), "--target-mb and --target-ms must go with a new"),
    ],
)
def test_bad_input_is_one_sentence(teacher, tmp_path, arguments, message):
    code, _, err = run_cli(
        "distill", *(teacher.path if part == "TEACHER" else part for part in arguments), cwd=tmp_path
    )
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []
