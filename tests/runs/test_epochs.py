"""`training.epochs`: epochs become a number of steps, once, by the pairs that a new run counts."""

import io

import numpy as np
import pytest
import yaml
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, make_splits
from tests.runs.test_train import state
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.errors import UserError
from tfpix2pix.runs.dry_run import describe
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.resuming import to_resume
from tfpix2pix.runs.stages import constant_steps, stage_after
from tfpix2pix.training.settings import TrainingConfig

FALLING = {"learning_rate_schedule": "linear_decay"}


def config(folder, **training):
    return least_config(data={"dir": str(folder)}, training={"validation_images": 0, **training})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("pairs"), train=3, val=1)


@pytest.mark.parametrize(
    ("epochs", "pairs_per_epoch", "batch_size", "expected"),
    [
        (200, 400, 1, 80_000),  # facades in the paper
        (15, 137_000, 4, 513_750),
        (0.5, 3, 1, 2),
        (0.1, 3, 1, 1),  # one at least
        (200, None, 1, 5),  # no pairs yet: `steps` stays
        (None, 400, 1, 5),
    ],
)
def test_epochs_are_steps_by_pairs_and_batch(epochs, pairs_per_epoch, batch_size, expected):
    spec = TrainingConfig(steps=5, epochs=epochs, pairs_per_epoch=pairs_per_epoch, batch_size=batch_size)
    assert spec.within_epochs().steps == expected
    assert spec.within_epochs().within_epochs() == spec.within_epochs()


@pytest.mark.parametrize(("decay", "constant"), [(100, 40_000), (200, 0), (50, 60_000), (None, 40_000)])
def test_the_rate_falls_in_the_last_epochs(decay, constant):
    training = {"epochs": 200, "decay_epochs": decay, "pairs_per_epoch": 400, **FALLING}
    known = least_config(training=training)
    spec = known.training.within_epochs()
    known = known.model_copy(update={"training": spec})
    assert constant_steps(spec, stage_after(known, 0)) == constant


def test_a_plan_counts_the_pairs_and_a_preset_s_steps_give_way(pairs):
    plan = plan_training(config(pairs, epochs=2, steps=80_000), None, dry_run=True)
    assert (plan.config.training.steps, plan.config.training.pairs_per_epoch) == (6, 3)
    again = plan_training(config(pairs, epochs=2, pairs_per_epoch=400), None, dry_run=True)  # a config.yaml of another
    assert (again.config.training.steps, again.config.training.pairs_per_epoch) == (6, 3)
    plain = plan_training(config(pairs), None, dry_run=True)
    assert plain.config.training.pairs_per_epoch is None  # nothing is recorded where nothing asks for it


@pytest.mark.parametrize(
    ("epochs", "folder", "sentence"),
    [
        (2, True, "Length: 6 steps, 2 epochs of 3 pairs."),
        (2, False, "Length: 2 epochs (pairs are counted when there are data)."),
    ],
)
def test_a_dry_run_says_the_length(pairs, epochs, folder, sentence):
    said = Console(file=io.StringIO(), width=400)
    known = config(pairs if folder else "", epochs=epochs)
    if not folder:
        known = known.model_copy(update={"data": known.data.model_copy(update={"dir": None})})
    said.print(describe(plan_training(known, None, dry_run=True)))
    assert sentence in said.file.getvalue()


class TestOverrides:
    """The last key that is set decides the length."""

    def training(self, *overrides, preset="facades"):
        return resolve_config(preset, overrides).training

    def test_epochs_take_the_place_of_a_preset_s_minutes(self):
        assert self.training(preset="demo").minutes == 2
        spec = self.training("training.epochs=3", preset="demo")
        assert (spec.epochs, spec.minutes) == (3, None)

    @pytest.mark.parametrize("length", ["steps=7", "minutes=7"])
    def test_steps_and_minutes_take_the_place_of_a_file_s_epochs(self, tmp_path, length):
        file = tmp_path / "mine.yaml"
        training = {"epochs": 200, "decay_epochs": 100, **FALLING}
        file.write_text(yaml.safe_dump({"training": training}), encoding="utf-8")
        assert self.training(preset=str(file)).epochs == 200
        spec = self.training(f"training.{length}", preset=str(file))
        assert (spec.epochs, spec.decay_epochs) == (None, None)

    def test_epochs_and_steps_at_once_are_a_contradiction(self):
        with pytest.raises(UserError, match="given once. Received `training.epochs` 3 and `training.steps` 9. Leave"):
            self.training("training.epochs=3", "training.steps=9")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs=0"], "`training.epochs` must be greater than 0. Received 0."),
        (["epochs=ten"], "`training.epochs` must be a number. Received 'ten'."),
        (["epochs=3", "minutes=2"], "`training.epochs` must be left out if `training.minutes` limits the training"),
        (["epochs=3", "decay_epochs=2"], "`training.decay_epochs` must be left out if the learning rate never falls"),
        (["decay_epochs=2", "learning_rate_schedule=cosine"], "must go with `training.epochs`. Received 2 alone."),
        (
            ["epochs=3", "decay_epochs=4", "learning_rate_schedule=linear_decay"],
            "`training.decay_epochs` must be at most `training.epochs`, 3. Received 4. Lower it.",
        ),
        (
            [
                "epochs=3", "decay_epochs=2", "learning_rate_schedule=cosine",
                "learning_rate_constant_fraction=0.5",
            ],
            "left out if `training.learning_rate_constant_fraction` is set. Received 2 and 0.5.",
        ),
    ],
)  # fmt: skip
def test_contradictions_are_one_sentence(overrides, message):
    with pytest.raises(UserError) as caught:
        resolve_config("smoke", [f"training.{override}" for override in overrides])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# What resuming takes over, without a training.

BEFORE = least_config(training={"steps": 6, "epochs": 2, "pairs_per_epoch": 3})


def changed(before=BEFORE, **training):
    return before.model_copy(update={"training": before.training.model_copy(update=training)})


def test_resuming_takes_over_the_number_of_pairs_and_so_the_steps():
    assert to_resume(BEFORE, changed(steps=80_000, pairs_per_epoch=None)) == BEFORE


def test_more_epochs_are_more_steps_where_the_rate_stays():
    assert to_resume(BEFORE, changed(epochs=5)).training.steps == 15
    falling = changed(**FALLING)
    with pytest.raises(UserError, match="training.steps 6 -> 15, training.epochs 2.0 -> 5.0. Leave them out"):
        to_resume(falling, changed(falling, epochs=5))


def test_epochs_for_a_run_of_steps_whose_rate_falls_are_refused_before_pairs_are_counted():
    falling = least_config(training={"steps": 6, **FALLING})
    with pytest.raises(UserError, match="training.epochs None -> 5.0"):
        to_resume(falling, changed(falling, epochs=5))


def test_a_run_of_epochs_is_the_run_of_its_steps_and_grows_to_the_bit(pairs, tmp_path):
    said = Console(file=io.StringIO(), width=400)
    grown = p2p.train(config(pairs, epochs=1), run_dir=tmp_path / "run", console=said)
    assert grown.card.step == 3
    written = yaml.safe_load((grown.path / "config.yaml").read_text(encoding="utf-8"))["training"]
    assert (written["epochs"], written["steps"], written["pairs_per_epoch"]) == (1, 3, 3)
    p2p.train(run_dir=grown.path, resume=True, console=said)
    assert "is finished: step 3 of 3. To train on, raise training.epochs." in said.file.getvalue()
    grown = p2p.train(run_dir=grown.path, resume=True, overrides=("training.epochs=1.5",), console=said)
    assert grown.card.config.training.steps == 4  # 4.5, to the even number
    counted = p2p.train(config(pairs, steps=4), run_dir=tmp_path / "counted", console=said)
    (step, ours), (other, theirs) = state(grown), state(counted)
    assert step == other == 4
    assert all(np.array_equal(ours[part][name], theirs[part][name]) for part in theirs for name in theirs[part])
