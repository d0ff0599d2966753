"""Coarse to fine: the global generator alone, then the enhancers around it, then all. A step decides the stage.

pix2pixHD's published program trains these as runs of their own: that way, by `training.start_from`, is below too.
"""

import io
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import make_splits, stop_at_call, tiny_config
from tests.runs.test_train import state, without_times
from tfpix2pix.config.resolve import make_config
from tfpix2pix.errors import UserError
from tfpix2pix.models.enhancer import at_own_size, shrinking
from tfpix2pix.runs import session
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.dry_run import describe
from tfpix2pix.runs.networks import build_generator, build_model
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.stages import (
    COARSE,
    ENHANCERS_ALONE,
    WHOLE,
    best_after,
    constant_steps,
    enter,
    stage_after,
    stage_of,
    stages_of,
)
from tfpix2pix.runs.start_from import start_from, with_start
from tfpix2pix.runs.train import _first_state
from tfpix2pix.training.checkpoints import Checkpoints, get_state, state_variables
from tfpix2pix.training.health import NotFinite

NETWORK = {"kind": "local_enhancer", "base_filters": 2, "residual_blocks": 1, "enhancer_blocks": 1}
STAGES = {"epochs": 3, "coarse_epochs": 1, "fix_global_epochs": 1, "pairs_per_epoch": 2, "steps": 6}
SCHEDULE = {"ema_decay": 0.9, "learning_rate_schedule": "linear_decay", "decay_epochs": 1}
ENDS = (2, 4, 6)  # of the stages


def config(folder="", *, adversarial=False, data=None, generator=None, **training):
    """Stages of two steps each; with a discriminator where it matters."""
    return tiny_config(
        data={"dir": str(folder), **(data or {})},
        generator={**NETWORK, **(generator or {})},
        objective={} if adversarial else {"name": "l1", "gan_loss": "none"},
        training={**STAGES, **SCHEDULE, **training},
    )


def of_stage(kind, known):
    return next(stage for stage in stages_of(known) if stage.kind == kind)


def equal(these, those):
    return these.keys() == those.keys() and all(np.array_equal(these[name], those[name]) for name in those)


def images(count=1, size_px=32, channels=3):
    return np.random.default_rng(count).uniform(-1, 1, (count, size_px, size_px, channels)).astype(np.float32)


def changed_weights(model):
    """The model's state, with other numbers in every array: so that what is not taken over shows."""
    rng = np.random.default_rng(0)
    return {
        part: {name: (value + rng.uniform(0.1, 0.2, value.shape)).astype(value.dtype) for name, value in arrays.items()}
        for part, arrays in get_state(model).items()
    }


class TestSteps:
    def test_stages_are_consecutive_and_one_is_enough(self):
        assert [(s.kind, s.first_step, s.last_step) for s in stages_of(config())] == [
            (COARSE, 0, 2), (ENHANCERS_ALONE, 2, 4), (WHOLE, 4, 6),
        ]  # fmt: skip
        assert [s.kind for s in stages_of(config(coarse_epochs=0))] == [ENHANCERS_ALONE, WHOLE]
        assert [s.kind for s in stages_of(config(fix_global_epochs=0))] == [COARSE, WHOLE]
        assert [s.kind for s in stages_of(tiny_config())] == [WHOLE]
        assert [s.kind for s in stages_of(config(pairs_per_epoch=None))] == [WHOLE]  # until pairs are counted

    def test_a_checkpoint_at_a_boundary_is_of_the_stage_that_ended(self):
        known = config()
        assert [stage_of(known, step).kind for step in (0, 1, 2, 3, 4, 5, 6)] == [
            COARSE, COARSE, COARSE, ENHANCERS_ALONE, ENHANCERS_ALONE, WHOLE, WHOLE,
        ]  # fmt: skip
        assert [stage_after(known, step).kind for step in (0, 2, 4, 6)] == [COARSE, ENHANCERS_ALONE, WHOLE, WHOLE]

    def test_the_schedule_of_pix2pixhd(self):
        """1024×512 for 100 + 100 epochs, then 2048×1024 for 50 + 50, of which 10 leave the global generator fixed."""
        epochs = {"epochs": 300, "coarse_epochs": 200, "fix_global_epochs": 10, "decay_epochs": 50}
        known = config(**epochs, pairs_per_epoch=2975, steps=892_500)
        steps = [(s.last_step // 2975, constant_steps(known.training, s) // 2975) for s in stages_of(known)]
        assert steps == [(200, 100), (210, 50), (300, 50)]

    def test_the_rate_falls_once_in_the_coarse_stage_and_once_after_it(self):
        known, rates = config(), []
        for stage in stages_of(known):
            schedule = build_model(known, stage=stage).generator_optimizer._learning_rate
            rates += [float(schedule(step)) / 2e-4 for step in range(stage.last_step - stage.first_step)]
        assert rates == pytest.approx([1, 1, 1, 1, 1, 0.5])  # of the last epoch's two steps; at step 6 it is 0

    def test_the_best_of_another_network_is_forgotten(self):
        coarse, fixed, _ = stages_of(config())
        best = {"value": 0.1, "worse": 3}
        assert best_after(coarse, best) == {}
        assert best_after(fixed, best) == {"value": 0.1, "worse": 0}
        assert best_after(fixed, {}) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "unet"}, "`training.coarse_epochs` must be 0 for a generator without enhancers. Received 1 with"),
        ({"kind": "global"}, "Set it to 0, or `generator.kind` to local_enhancer."),
        ({"epochs": 2}, "must be fewer than `training.epochs`, the whole length. Received 1 and 1 of 2. Lower them"),
        ({"epochs": None, "minutes": 5}, "`training.coarse_epochs` must be left out if `training.minutes` limit"),
        ({"decay_epochs": 2.5}, "must be at most `training.epochs` after `training.coarse_epochs`, 2. Received 2.5."),
        ({"receptive_field_px": 142}, "of `data.image_size_px` = 64 here, halved to 32 by `training.coarse_epochs`"),
    ],
)
def test_stages_that_do_not_fit_are_one_sentence(changes, message):
    settings = config(adversarial=True, data={"image_size_px": 64}).model_dump(mode="json")
    for key, value in changes.items():
        section = {"kind": "generator", "receptive_field_px": "discriminator"}.get(key, "training")
        settings[section][key] = value
        if key == "epochs" and value is None:
            settings["training"]["decay_epochs"] = None
    with pytest.raises(UserError) as caught:
        make_config(settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stages_longer_than_the_steps_are_refused_when_pairs_are_counted(pairs, tmp_path):
    known = config(pairs, epochs=None, decay_epochs=None, steps=4, pairs_per_epoch=None)
    with pytest.raises(UserError, match="must end before the training. Received 4 steps of them, 2 pairs an epoch, in"):
        plan_training(known, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", [COARSE, ENHANCERS_ALONE, WHOLE])
def test_levels_are_recomputed_in_every_stage_but_the_coarse_one_and_change_nothing(kind):
    pair = tuple(np.random.default_rng(0).uniform(-1, 1, (2, 1, 64, 64, 3)).astype(np.float32))
    after = []
    for levels in (0, 2):
        recomputing = config(data={"image_size_px": 64}, pairs_per_epoch=2, recompute_levels=levels)
        stage = next(stage for stage in stages_of(recomputing) if stage.kind == kind)
        model = build_model(recomputing, stage=stage)
        before = [v.numpy() for v in model.generator.variables]
        model.train_step(pair)
        after.append([v.numpy() for v in model.generator.variables])
        assert (model.training_generator is model.trained) == (levels == 0 or kind == COARSE)
    changed = [[bool((a != b).any()) for a, b in zip(before, weights, strict=True)] for weights in after]
    assert changed[0] == changed[1] and any(changed[0])
    for ours, theirs in zip(*after, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_dry_run_lists_the_stages(pairs):
    said = Console(file=io.StringIO(), width=400)
    said.print(describe(plan_training(config(pairs, data={"image_size_px": 64}), None, dry_run=True)))
    assert "Stage 1 of 3, steps 1 to 2: the global generator alone, at 32 px.\n" in said.file.getvalue()
    assert "Stage 2 of 3, steps 3 to 4: the enhancers alone, around a fixed global generator.\n" in said.file.getvalue()


class TestCoarse:
    @pytest.mark.parametrize("changes", [{"noise": "modulation", "norm": "instance", "enhancers": 2}, {}])
    def test_its_layers_are_those_inside_the_enhancers(self, changes):
        known = config(generator=changes, data={"image_size_px": 64})
        coarse, whole = (build_generator(known, seed=1, coarse=coarse) for coarse in (True, False))
        inside = {v.path: v.shape for v in whole.variables if not v.path.startswith("enhancer")}
        assert {v.path: v.shape for v in coarse.variables if not v.path.startswith("last/")} == inside
        assert len(inside) >= 8

    def test_its_last_map_is_the_one_that_enters_the_enhancers(self):
        known, maps = config(generator={"noise": "none"}, data={"image_size_px": 64}), []
        for coarse in (True, False):
            network = build_generator(known, seed=1, coarse=coarse)
            maps.append(keras.Model(network.inputs, network.get_layer("up1_act").output)(images(size_px=64)).numpy())
        np.testing.assert_array_equal(*maps)

    def test_at_its_own_size_it_is_a_global_generator_on_halved_images(self):
        known = config(data={"image_size_px": 64}, generator={"noise": "none"})
        small = config(
            data={"image_size_px": 32}, generator={"kind": "global", "base_filters": 4, "noise": "none"},
            coarse_epochs=0, fix_global_epochs=0,
        )  # fmt: skip
        coarse, alone = build_generator(known, seed=1, coarse=True), build_generator(small, seed=1)
        halved = shrinking(coarse)(images(size_px=64))
        assert halved.shape == (1, 32, 32, 3)
        np.testing.assert_array_equal(at_own_size(coarse)(halved), alone(halved))
        assert coarse(images(size_px=64)).shape == (1, 64, 64, 3)

    def test_a_step_sees_pairs_of_half_the_size(self):
        known = config(data={"image_size_px": 64}, generator={"noise": "none"})
        model = build_model(known)
        image, target = images(size_px=64), images(2, size_px=64)[:1]
        translation = model.trained(model.shrink(image), training=True).numpy()
        assert translation.shape == (1, 32, 32, 3)
        losses = model.train_step((image, target))
        expected = np.abs(translation - model.shrink(target).numpy()).mean()
        assert float(losses["g/l1"]) == pytest.approx(expected, rel=1e-5)

    def test_d_judges_the_half_too(self):
        model = build_model(config(adversarial=True, data={"image_size_px": 64}))
        assert model.discriminator.inputs[0].shape[1:3] == (32, 32)
        judged = model.judge_whole(images(size_px=64), images(2, size_px=64)[:1], training=False)
        assert judged.logits[0].shape[1] == model.discriminator.output.shape[1]


class TestEntering:
    def test_weights_go_on_by_name_and_optimisers_begin_anew(self):
        known = config(adversarial=True)
        coarse, fixed = (of_stage(kind, known) for kind in (COARSE, ENHANCERS_ALONE))
        before = changed_weights(build_model(known, stage=coarse))
        model = build_model(known, stage=fixed)
        fresh = get_state(model)
        enter(model, before, coarse)
        now = get_state(model)
        inside = {name for name in now["generator"] if not name.startswith("enhancer")}
        for part in ("generator", "average"):  # both from the average, as `training.start_from` does
            assert all(np.array_equal(now[part][name], before["average"][name]) for name in inside)
            assert all(np.array_equal(now[part][name], fresh[part][name]) for name in now[part].keys() - inside)
        assert equal(now["discriminator"], before["discriminator"])
        assert equal(now["training"], before["training"])  # the step, and the factor of the learning rate
        for part in ("generator_optimizer", "discriminator_optimizer"):
            assert equal(now[part], fresh[part])
            assert now[part]["iteration"] == 0

    def test_the_last_stage_goes_on_with_weights_and_average(self):
        known = config(adversarial=True)
        fixed, whole = (of_stage(kind, known) for kind in (ENHANCERS_ALONE, WHOLE))
        before, model = changed_weights(build_model(known, stage=fixed)), build_model(known, stage=whole)
        enter(model, before, fixed)
        now = get_state(model)
        assert all(equal(now[part], before[part]) for part in ("generator", "average", "discriminator", "training"))
        assert not any(np.any(value) for name, value in now["generator_optimizer"].items() if "momentum" in name)
        assert len(now["generator_optimizer"]) > len(before["generator_optimizer"])  # slots of the global part

    def test_the_average_begins_anew_after_the_coarse_stage_alone(self):
        known = config()
        assert [build_model(known, stage=stage).ema_first_step for stage in stages_of(known)] == [0, 2, 2]


class TestFixed:
    def test_neither_weights_nor_moving_statistics_of_the_global_part_change(self):
        known = config(ema_decay=0.5)
        model = build_model(known, stage=of_stage(ENHANCERS_ALONE, known))
        before = get_state(model)
        model.train_step((images(), images(2)[:1]))
        now = get_state(model)
        inside = {name for name in now["generator"] if not name.startswith("enhancer")}
        assert any("moving_mean" in name for name in inside)
        for part in ("generator", "average"):
            changed = {name for name, value in now[part].items() if not np.array_equal(value, before[part][name])}
            assert changed == now[part].keys() - inside
        assert not any("block1_a_kernel" in name and "enhancer" not in name for name in now["generator_optimizer"])

    def test_no_gradient_is_computed_for_it(self):
        known = config()
        model = build_model(known, stage=of_stage(ENHANCERS_ALONE, known))
        spec = tf.TensorSpec((1, 32, 32, 3))
        graph = tf.function(model.train_step, autograph=False).get_concrete_function((spec, spec)).graph
        gradients = [op for op in graph.get_operations() if op.type == "Conv2DBackpropFilter"]
        convolutions = [name for name in state_variables(model)["generator"] if name.endswith("/kernel")]
        assert len(gradients) == len([name for name in convolutions if name.startswith("enhancer")])
        assert len(gradients) < len(convolutions)


# Runs


def console() -> Console:
    return Console(file=io.StringIO(), width=400)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("pairs"), train=2, val=1)


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """A run of three stages of two steps, which nothing interrupted; all its checkpoints are kept. Read it."""
    said = console()
    known = config(pairs, checkpoint_every_steps=1, keep_last=9, validate_every_steps=6, sample_every_steps=6)
    run = p2p.train(known, run_dir=tmp_path_factory.mktemp("whole") / "run", console=said)
    return run, said.file.getvalue()


def interrupted(run, folder, step):
    """A copy of a run, as one that was killed after the checkpoint of `step`."""
    copy = RunDirectory(shutil.copytree(run.path, folder))
    for path in copy.checkpoints.iterdir():
        if int(path.name.rpartition("-")[2]) > step:
            shutil.rmtree(path)
    copy.write_card(run.card.model_copy(update={"step": step}))
    return copy


def test_a_run_says_its_stages_and_leaves_a_whole_enhancer(whole):
    run, said = whole
    assert [line[:19] for line in said.splitlines() if line.startswith("Stage")] == [
        "Stage 1 of 3, steps", "Stage 2 of 3, steps", "Stage 3 of 3, steps",
    ]  # fmt: skip
    assert run.card.step == 6 and not run.interrupted
    arrays = {step: Checkpoints(run.directory.checkpoints)._load(path, None) for step, path in _folders(run)}
    assert [any("enhancer" in name for name in arrays[step]["generator"]) for step in (1, 2, 3, 6)] == [
        False, False, True, True,
    ]  # fmt: skip
    inside = [name for name in arrays[6]["generator"] if not name.startswith("enhancer")]
    for name in inside:  # fixed through the second stage, from the average on which the first one ended
        assert np.array_equal(arrays[4]["generator"][name], arrays[2]["average"][name])
    assert not all(np.array_equal(arrays[6]["generator"][name], arrays[4]["generator"][name]) for name in inside)
    assert [int(arrays[step]["generator_optimizer"]["iteration"]) for step in range(1, 7)] == [1, 2, 1, 2, 1, 2]
    assert [int(arrays[step]["training"]["step"]) for step in range(1, 7)] == [1, 2, 3, 4, 5, 6]


def _folders(run):
    return [(step, run.directory.checkpoints / f"step-{step:06d}") for step in range(1, 7)]


def test_the_best_checkpoint_is_of_the_last_stage(whole):
    run, _ = whole
    step, arrays = Checkpoints(run.directory.checkpoints).load_best()
    assert step > 2
    assert any("enhancer" in name for name in arrays["average"])
    assert run.card.metrics["best"]["step"] == step


@pytest.mark.parametrize("step", [4, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 2, 3, 5))])
def test_killed_in_any_stage_or_between_two_it_ends_in_the_same_bits(whole, tmp_path, step):
    run, _ = whole
    copy = interrupted(run, tmp_path / "run", step)
    resumed = p2p.train(run_dir=copy.path, resume=True, console=console())
    (last, ours), (_, theirs) = state(resumed), state(run)
    assert last == 6
    assert all(equal(ours[part], theirs[part]) for part in theirs)
    assert without_times(resumed) == without_times(run)


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "step"), [(1, 1), (2, 2), (3, 2), (4, 3)])  # a boundary asks once more
def test_a_signal_stops_it_there_and_it_goes_on(whole, pairs, tmp_path, monkeypatch, calls, step):
    with stop_at_call(monkeypatch, calls):
        stopped = p2p.train(whole[0].card.config, run_dir=tmp_path / "run", console=console())
    assert stopped.interrupted and stopped.card.step == step
    resumed = p2p.train(run_dir=tmp_path / "run", resume=True, console=console())
    (_, ours), (_, theirs) = state(resumed), state(whole[0])
    assert all(equal(ours[part], theirs[part]) for part in theirs)


@pytest.mark.slow
def test_with_a_discriminator_and_micro_batches_too(pairs, tmp_path):
    known = config(
        pairs, adversarial=True, batch_size=2, micro_batches=2, epochs=6, coarse_epochs=2, fix_global_epochs=2,
        checkpoint_every_steps=1, keep_last=9, validate_every_steps=6, sample_every_steps=6,
    )  # fmt: skip
    run = p2p.train(known, run_dir=tmp_path / "whole", console=console())
    assert run.card.step == 6
    for step in ENDS[:2]:
        copy = interrupted(run, tmp_path / str(step), step)
        resumed = p2p.train(run_dir=copy.path, resume=True, console=console())
        (_, ours), (_, theirs) = state(resumed), state(run)
        assert all(equal(ours[part], theirs[part]) for part in theirs)


def test_a_run_in_its_coarse_stage_translates_images_of_every_size(whole, tmp_path):
    copy = interrupted(whole[0], tmp_path / "run", 2)
    translator = p2p.load(copy.path)
    assert translator.card.step == 2
    for shape in ((32, 32), (48, 40)):
        assert translator(np.zeros((*shape, 3), np.uint8)).shape == (*shape, 3)
    path = p2p.export_run(copy.path, format="keras", out=tmp_path / "out", size_px=64).path
    assert p2p.load(path)(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64, 3)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_a_run_in_its_coarse_stage_exports(whole, tmp_path, format):
    copy = interrupted(whole[0], tmp_path / "run", 2)
    path = p2p.export_run(copy.path, format=format, out=tmp_path / "out").path
    assert p2p.load(path)(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32, 3)


def test_a_roll_back_at_the_beginning_of_a_stage_restores_how_it_began(whole, tmp_path):
    copy, known = interrupted(whole[0], tmp_path / "run", 2), whole[0].card.config
    again = _first_state(known, copy, stage_after(known, 2))
    begun = Checkpoints(copy.checkpoints).load()[1]["average"]
    assert all(np.array_equal(value, begun[name]) for name, value in again["generator"].items() if name in begun)
    assert int(again["training"]["step"]) == 2
    assert again["generator_optimizer"]["iteration"] == 0


@pytest.mark.slow
def test_numbers_that_are_not_finite_roll_back_to_the_beginning_of_the_stage(whole, tmp_path, monkeypatch):
    troubles = iter([NotFinite("Losses must be finite numbers.", 3)])

    def check(step, losses):
        if step == 3 and (trouble := next(troubles, None)):
            raise trouble

    monkeypatch.setattr(session, "check_losses", check)
    training = whole[0].card.config.training.model_copy(update={"on_non_finite": "halve_learning_rate"})
    known, said = whole[0].card.config.model_copy(update={"training": training}), console()
    run = p2p.train(known, run_dir=tmp_path / "run", console=said)
    assert run.card.step == 6
    assert "Restored step 2, and continues at 0.5 times the learning rate." in said.file.getvalue()
    assert float(state(run)[1]["training"]["learning_rate_factor"]) == 0.5  # in the stage after, too


class TestRunsOfTheirOwn:
    """A trained `global`, then an enhancer around it, as two runs."""

    @pytest.fixture(scope="class")
    def coarse(self, tmp_path_factory):
        """An untrained run of a global generator for 32 px."""
        return self.run_of(tmp_path_factory.mktemp("coarse") / "coarse", base_filters=4)

    def run_of(self, path, **generator):
        known = self.of("global", 32, name="coarse", generator=generator)
        directory = RunDirectory(path)
        directory.start(known, fresh=False)
        Checkpoints(directory.checkpoints).save(4, get_state(build_model(known)))
        return directory

    def of(self, kind, size_px, *, generator=None, training=None, **more):
        return tiny_config(
            data={"image_size_px": size_px}, generator={**NETWORK, "kind": kind, **(generator or {})},
            training=training or {}, **more,
        )  # fmt: skip

    def test_the_enhancer_starts_with_the_global_weights_and_what_is_new_is_named(self, coarse):
        model, before = build_model(self.of("local_enhancer", 64)), Checkpoints(coarse.checkpoints).load()[1]
        fresh = get_state(model)
        said = start_from(model, coarse)
        now = get_state(model)
        taken = {name for name in now["generator"] if not name.startswith("enhancer")}
        for name, value in now["generator"].items():
            assert np.array_equal(value, (before if name in taken else fresh)["generator"][name])
        assert equal(now["discriminator"], before["discriminator"])
        assert (
            f"starts with {len(taken)} of {len(now['generator'])} arrays of coarse, step 4; new here: enhancer1_"
            in said[0]
        )
        assert said[0].endswith("; not used: last.")

    def test_the_stage_of_fixed_weights_follows_it(self, coarse):
        training = {**STAGES, "coarse_epochs": 0, "start_from": str(coarse.path)}
        known = self.of("local_enhancer", 64, training=training)
        model = build_model(known)
        start_from(model, coarse)
        assert {v.path.split("_")[0] for v in model.generator.trainable_variables} == {"enhancer1"}

    def test_a_coarse_stage_can_start_from_it(self, coarse):
        model = build_model(self.of("local_enhancer", 64, training={**STAGES, "start_from": str(coarse.path)}))
        assert "The generator starts with all " in start_from(model, coarse)[0]

    @pytest.mark.parametrize(
        ("filters", "advice"), [(8, "Set `generator.base_filters` to 4, or give"), (5, "4 here. Give another run.")]
    )
    def test_another_width_is_one_sentence_before_anything_is_written(self, tmp_path, filters, advice):
        other = self.run_of(tmp_path / "other", base_filters=filters)
        with pytest.raises(UserError, match=f"a global with {filters} filters in it, for 4 here") as caught:
            with_start(self.of("local_enhancer", 64, training={"start_from": str(other.path)}))
        assert advice in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_student_learns_without_stages():
    settings = config(adversarial=True).model_dump(mode="json")
    settings["objective"]["teacher"] = "run, step 1, sha256 0123456789abcdef"
    settings["objective"]["weights"]["teacher_l1"] = 1
    with pytest.raises(UserError, match="`training.coarse_epochs` must be 0 for a student"):
        make_config(settings)
