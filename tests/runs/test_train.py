"""A run from end to end: what it leaves behind, how it resumes, and what it refuses before it writes."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from skimage.color import rgb2lab

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, others_slow, stop_at_call, tiny_config, write_image
from tfpix2pix.config import preset_names
from tfpix2pix.data import source_row
from tfpix2pix.data.images import read_image
from tfpix2pix.data.opening import open_sources
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.errors import UserError
from tfpix2pix.models import GENERATORS
from tfpix2pix.runs import session
from tfpix2pix.runs.dry_run import describe
from tfpix2pix.runs.networks import build_discriminator, build_generator, build_model
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.training.checkpoints import Checkpoints, assign


def state(run):
    return Checkpoints(run.directory.checkpoints).load()


def lines(run):
    return [json.loads(line) for line in run.directory.metrics_file.read_text().splitlines()]


def without_times(run):
    return [{k: v for k, v in line.items() if k not in ("time_s", "images_per_s")} for line in lines(run)]


def tree(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


def test_a_run_directory_explains_itself(smoke_run):
    names = {path.name for path in smoke_run.path.iterdir()}
    assert names == {
        "config.yaml", "data.json", "model_card.json", "metrics.jsonl", "checkpoints", "samples", "tensorboard",
        "training_curves.png", "environment.json",
    }  # fmt: skip
    assert p2p.resolve_config(str(smoke_run.path / "config.yaml")) == smoke_run.card.config
    card = json.loads((smoke_run.path / "model_card.json").read_text())
    assert card["step"] == 4
    assert card["package_version"] == p2p.__version__
    assert card["metrics"]["trained"]["l1"] != card["metrics"]["untrained"]["l1"]
    assert [path.name for path in sorted(smoke_run.directory.samples.iterdir())] == [
        f"step-{step:06d}.png" for step in (0, 2, 4)
    ]
    grid = read_image(smoke_run.directory.samples / "step-000004.png")
    assert grid.shape == (16 + 6 * (32 + 4), 3 * 32 + 2 * 4, 3)
    losses = [line for line in lines(smoke_run) if "g/l1" in line]
    assert [line["step"] for line in losses] == [2, 4]
    assert {"g/total", "g/gan", "d/real", "d/fake", "images_per_s", "time_s"} <= losses[0].keys()
    assert [line["step"] for line in lines(smoke_run) if "val/l1" in line] == [0, 4]
    assert list(smoke_run.directory.tensorboard.glob("events*"))


@pytest.fixture
def finished(tiny_run, tmp_path):
    """A copy of a finished run of four steps."""
    return Path(shutil.copytree(tiny_run.path, tmp_path / "run"))


def test_the_same_run_twice_is_the_same(tiny_run, tmp_path, quiet):
    again = p2p.train(tiny_run.directory.config(), run_dir=tmp_path / "again", console=quiet)
    assert without_times(tiny_run) == without_times(again)
    (_, first), (_, second) = map(state, (tiny_run, again))
    assert all(np.array_equal(first[part][name], second[part][name]) for part in first for name in first[part])


def test_an_interrupted_run_resumes_to_the_same_weights(tiny_run, tmp_path, quiet, monkeypatch):
    stop_at = 3  # between two checkpoints and two lines of the log; tests/training/test_faults.py stops anywhere
    with stop_at_call(monkeypatch, stop_at):
        stopped = p2p.train(tiny_run.directory.config(), run_dir=tmp_path / "stopped", console=quiet)
    assert stopped.interrupted
    assert stopped.card.step == stop_at
    resumed = p2p.train(run_dir=tmp_path / "stopped", resume=True, console=quiet)
    assert not resumed.interrupted
    (step, first), (_, second) = state(tiny_run), state(resumed)
    assert step == 4
    assert all(np.array_equal(first[part][name], second[part][name]) for part in first for name in first[part])
    assert resumed.card.metrics == tiny_run.card.metrics
    logged = [line["step"] for line in lines(resumed) if "g/l1" in line]
    assert logged == sorted(set(logged))
    assert logged[-1] == 4


def test_a_finished_run_says_so_and_may_grow(finished, capsys):
    console = Console(width=400)
    again = p2p.train(run_dir=finished, resume=True, console=console)
    assert "is finished: step 4 of 4" in capsys.readouterr().out
    assert again.card.step == 4
    grown = p2p.train(run_dir=finished, resume=True, overrides=("training.steps=6",), console=console)
    assert grown.card.step == 6
    assert "continuing from step 4" in capsys.readouterr().out
    with pytest.raises(UserError, match="must be at least the run's 6. Received 5"):
        p2p.train(run_dir=finished, resume=True, overrides=("training.steps=5",), console=console)


def test_runs_are_never_overwritten_unasked(smoke_run, finished, combined_dir, quiet):
    with pytest.raises(UserError, match="holds a finished run of 4 steps. Continue it with `resume`, replace it with"):
        p2p.train("smoke", run_dir=smoke_run.path, console=quiet)
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 1})
    fresh = p2p.train(config, run_dir=finished, fresh=True, console=quiet)
    assert fresh.card.step == 1


def test_fresh_replaces_runs_and_nothing_else(tmp_path, quiet):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    with pytest.raises(UserError, match="must be new or empty. Received .*photos, which holds something else"):
        p2p.train("smoke", run_dir=tmp_path / "photos", fresh=True, console=quiet)
    assert tree(tmp_path) == ["photos", "photos/mine.jpg"]


def test_another_configuration_does_not_resume(smoke_run, quiet):
    before = tree(smoke_run.path)
    with pytest.raises(UserError, match="base_filters 8 -> 16, training.learning_rate 0.0002 -> 0.1. Leave"):
        p2p.train(
            run_dir=smoke_run.path, resume=True, console=quiet,
            overrides=("generator.base_filters=16", "training.learning_rate=0.1"),
        )  # fmt: skip
    assert tree(smoke_run.path) == before


def test_without_held_out_pairs_there_are_no_figures_and_it_is_said(combined_dir, tmp_path, capsys):
    quiet = Console(width=400)
    config = least_config(data={"dir": str(combined_dir / "train"), "held_out_fraction": 0.0})
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert run.card.metrics == {}
    assert "No pairs are held out" in capsys.readouterr().out
    assert len(list(run.directory.samples.iterdir())) == 3  # of training pairs


def test_the_first_samples_come_early_and_a_resume_draws_no_other(combined_dir, tmp_path, quiet, monkeypatch):
    assert session.FIRST_SAMPLES == (50, 100, 200, 400)
    monkeypatch.setattr(session, "FIRST_SAMPLES", (1, 3))
    config = least_config(
        data={"dir": str(combined_dir)}, training={"steps": 5, "sample_every_steps": 100, "checkpoint_every_steps": 2}
    )
    with stop_at_call(monkeypatch, 2):
        run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert [path.name for path in sorted(run.directory.samples.iterdir())] == ["step-000000.png", "step-000001.png"]
    p2p.train(run_dir=run.path, resume=True, console=quiet)
    assert [path.stem for path in sorted(run.directory.samples.iterdir())] == [
        f"step-{step:06d}" for step in (0, 1, 3, 5)
    ]


def test_the_untrained_generator_is_measured_after_the_first_steps_with_its_own_weights(combined_dir, tmp_path):
    def trained(name, **training):
        console = Console(file=io.StringIO(), width=400)
        config = tiny_config(data={"dir": str(combined_dir)}, training={"log_every_steps": 3, **training})
        return p2p.train(config, run_dir=tmp_path / name, console=console), console.file.getvalue().splitlines()

    run, told = trained("run", steps=3, sample_every_steps=3)
    compiles, measures = (
        next(number for number, line in enumerate(told) if text in line) for text in ("Compiles the", "Examines some")
    )
    assert compiles < measures < next(number for number, line in enumerate(told) if line.startswith("step 3/3"))
    assert told[measures + 1].startswith("leak: 2, the first train/0 and val/0")  # a fault of these pairs

    model = build_model(run.card.config)
    pairs = evaluation_batches(open_sources(run.card.config.data, 0)["val"], run.card.config.data)
    by_hand = [np.mean(np.abs(model(image).numpy() - target.numpy())) for image, target in pairs]
    first = lines(run)[0]
    assert first["step"] == 0
    assert first["val/l1"] == pytest.approx(np.mean(by_hand), rel=1e-5) == run.card.metrics["untrained"]["l1"]
    assert [line["step"] for line in lines(run)] == sorted(line["step"] for line in lines(run))

    early, _ = trained("early", steps=3, sample_every_steps=3, log_every_steps=1)
    assert without_times(early)[0] == without_times(run)[0]
    (_, one), (_, other) = state(run), state(early)
    assert all(np.array_equal(one[part][name], other[part][name]) for part in one for name in one[part])


def test_a_run_that_is_stopped_at_once_has_measured_its_untrained_generator(combined_dir, tmp_path, quiet, monkeypatch):
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 5, "log_every_steps": 5})
    with stop_at_call(monkeypatch, 1):
        stopped = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert stopped.card.step == 1
    assert [line["step"] for line in lines(stopped)] == [0]
    assert stopped.card.metrics.keys() == {"untrained"}
    resumed = p2p.train(run_dir=tmp_path / "run", resume=True, console=quiet)
    assert resumed.card.metrics["untrained"] == stopped.card.metrics["untrained"]
    assert [line["step"] for line in lines(resumed) if "val/l1" in line].count(0) == 1


def test_a_dry_run_describes_and_writes_nothing(tmp_path):
    folder = make_combined(tmp_path / "pairs", count=5, size_px=72)
    console = Console(width=120, file=io.StringIO())
    console.print(describe(plan_training("facades", tmp_path / "run", data_dir=folder, dry_run=True)))
    text = console.file.getvalue()
    assert "4 training and 1 held-out pairs" in text
    assert "54,413,955" in text
    assert "2,768,705" in text
    assert yaml.safe_load(text.split("\nGenerator")[0])["name"] == "run"
    assert f"Would write {tmp_path / 'run'}. Nothing was written." in text.replace("\n", "")
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(UserError, match="must be an existing folder"):
        plan_training("facades", None, data_dir=tmp_path / "nowhere", dry_run=True)
    console.print(describe(plan_training("facades", None, dry_run=True)))
    assert "No data given: set data.dir to check them." in console.file.getvalue()


def test_a_plan_is_made_without_tensorflow(tmp_path):
    folder = make_combined(tmp_path / "pairs", count=5, size_px=72)
    code = f"""
import sys
from tfpix2pix.runs.plan import plan_training
plan = plan_training("facades", {str(tmp_path / "run")!r}, data_dir={str(folder)!r})
print({{name: len(source) for name, source in plan.sources.items()}}, plan.worker, "tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{'train': 4, 'val': 1} Worker(index=0, count=1) False\n", "")
    assert list(tmp_path.iterdir()) == [folder]


NARROW = (
    "generator.base_filters=4", "discriminator.base_filters=4", "training.batch_size=1",
    "discriminator.receptive_field_px=16",
)  # fmt: skip
SMALL = (*NARROW, "data.image_size_px=32", "generator.levels=3")
LARGE = (*NARROW, "data.image_size_px=64")  # for generators without levels: room for scales and stages


@pytest.mark.parametrize("name", others_slow(preset_names(), *(name for name in preset_names() if name != "openmoji")))
def test_every_preset_trains(name, tmp_path, openmoji):
    """One step of each, small, on made-up data of its kind."""
    preset, rng = p2p.resolve_config(name), np.random.default_rng(0)
    data, source = preset.data, preset.data.source
    if data.class_colors:  # photograph left, label map right
        labels = np.array(data.class_colors, np.uint8)[rng.integers(0, data.target_classes, (40, 40))]
        for index in range(2):
            photograph = rng.integers(0, 256, (40, 40, 3), np.uint8)
            write_image(tmp_path / f"{index}.png", np.concatenate([photograph, labels], axis=1))
    elif source == "combined":
        make_combined(tmp_path, count=2)
    elif source == "photographs":
        write_image(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (64, 200, 3), np.uint8))
    elif data.inputs:
        for part in (*(part.name for part in data.inputs), data.target_folder):
            shape = (40, 40, 3) if part == data.target_folder else (40, 40)
            write_image(tmp_path / part / "0.png", rng.integers(0, 9, shape, np.uint8))
    has_levels = "levels" in GENERATORS[preset.generator.kind].options
    folder = None if source_row(source).brings_data else str(tmp_path)
    config = p2p.resolve_config(name, SMALL if has_levels else LARGE, data_dir=folder)
    pairs = open_sources(config.data, config.seed)["train"]
    batches = training_batches(pairs, config.data, batch_size=1, seed=0, first_step=0, total_steps=1)
    model = build_model(config)
    trained = (model.generator if config.objective.gan_loss == "none" else model).trainable_variables
    before = [v.numpy() for v in trained]
    losses = model.train_step(next(iter(batches)))
    assert all(np.isfinite(float(value)) for value in losses.values())
    assert all((a != b).any() for a, b in zip(before, trained, strict=True))


def test_colours_come_back_as_rgb(tmp_path, quiet):
    """Colourisation: samples, figures, translations and exports are RGB; the lightness is the input's own."""
    settings = ("data.source=sample_photographs", "data.fit=crop", "training.steps=1", "training.validation_images=2")
    run = p2p.train("colorization", overrides=(*SMALL, *settings), run_dir=tmp_path / "run", console=quiet)
    assert run.card.metrics["trained"].keys() >= {"l1", "lab_intersection_a"}
    gray = np.linspace(0, 255, 32 * 32).reshape(32, 32, 1).astype(np.uint8)
    coloured = p2p.load(run.path)(gray)
    assert coloured.shape == (32, 32, 3)
    assert np.ptp(coloured.astype(int), axis=-1).max() > 0  # the untrained network's colours, not gray
    inside = (coloured > 0).all(-1) & (coloured < 255).all(-1)  # where no colour fell outside sRGB
    lightness = [rgb2lab(image)[..., 0] for image in (coloured, np.repeat(gray, 3, -1))]
    np.testing.assert_allclose(lightness[0][inside], lightness[1][inside], atol=0.5)


def test_trained_networks_run_on_larger_images(smoke_run):
    """Patch-wise freedom (paper §4.4: trained at 256, run at 512): both networks, with the weights of the run."""
    config = smoke_run.card.config
    size = config.data.image_size_px
    _, saved = Checkpoints(smoke_run.directory.checkpoints).load(["generator", "discriminator"])
    generator = build_generator(config, seed=None, noise_input=False, input_size_px="any")
    discriminator = build_discriminator(config, seed=None, input_size_px="any")
    for network in (generator, discriminator):
        assign({v.path: v for v in network.variables}, saved[network.name], network.name)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 2 * size, 2 * size, 1)).astype(np.float32)
    translation = generator(image).numpy()
    assert translation.shape == (1, 2 * size, 2 * size, 3)
    # A graph fuses operations that run one by one here: on some CPUs the last digit differs.
    np.testing.assert_allclose(translation[0], p2p.load(smoke_run.path)(image[0]), rtol=0, atol=1e-6)
    small = discriminator([image[:, :size, :size], translation[:, :size, :size]])
    large = discriminator([image, translation])
    assert small.shape == (1, size // 2 - 2, size // 2 - 2, 1)
    assert large.shape == (1, size - 2, size - 2, 1)
    assert np.isfinite(large).all()


def test_a_falling_learning_rate_fixes_the_steps(tmp_path, combined_dir, quiet):
    spec = {"training": {"steps": 2, "learning_rate_schedule": "linear_decay"}, "data": {"dir": str(combined_dir)}}
    p2p.train(least_config(**spec), run_dir=tmp_path / "run", console=quiet)
    with pytest.raises(UserError, match="training.steps 2 -> 4"):
        p2p.train(None, run_dir=tmp_path / "run", resume=True, overrides=("training.steps=4",), console=quiet)


def test_a_config_object_takes_no_overrides(tmp_path, quiet):
    with pytest.raises(UserError, match="Set them in it"):
        p2p.train(tiny_config(), run_dir=tmp_path, overrides=("seed=1",), console=quiet)


def test_real_pairs_train(drawn_facades, tmp_path, quiet):
    """Labels to drawings, small: the loss goes down."""
    overrides = [
        "data.image_size_px=64", "generator.base_filters=8", "discriminator.base_filters=8",
        "discriminator.receptive_field_px=34", "training.steps=40", "training.log_every_steps=10",
        "training.learning_rate=0.002", "training.validation_images=4", "generator.levels=4",
    ]  # fmt: skip
    run = p2p.train("facades", data=drawn_facades, overrides=tuple(overrides), run_dir=tmp_path / "f", console=quiet)
    l1 = [line["g/l1"] for line in lines(run) if "g/l1" in line]
    assert l1[-1] < l1[0]
    assert run.card.metrics["trained"]["l1"] < run.card.metrics["untrained"]["l1"]


class TestValidation:
    """Held-out figures while training: the best checkpoint, an early stop, and a resume that knows of both."""

    def config(self, folder, **training):
        spec = {"steps": 8, "validate_every_steps": 2, "checkpoint_every_steps": 4, "validation_images": 2, **training}
        return least_config(data={"dir": str(folder)}, training=spec)

    def scores(self, run, name="val/l1"):
        lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
        return {line["step"]: line[name] for line in lines if name in line}

    @pytest.fixture(scope="class")
    def by_ssim(self, tiny_run, tmp_path_factory, quiet):
        """A finished run whose best checkpoint is that of the highest SSIM. Read it."""
        config = self.config(tiny_run.path.with_name("pairs"), best_by="ssim")
        return p2p.train(config, run_dir=tmp_path_factory.mktemp("by-ssim") / "run", console=quiet)

    @pytest.fixture
    def by_l1(self, combined_dir, tmp_path, quiet):
        return p2p.train(self.config(combined_dir, best_by=None), run_dir=tmp_path / "run", console=quiet)

    @pytest.mark.parametrize(
        ("fixture", "name", "choose"),
        [pytest.param("by_l1", "val/l1", min, marks=pytest.mark.slow), ("by_ssim", "val/ssim", max)],
    )
    def test_the_best_checkpoint_is_kept_and_can_be_asked_for(self, request, tmp_path, fixture, name, choose):
        run = request.getfixturevalue(fixture)
        scores = self.scores(run, name)
        assert list(scores) == [0, 2, 4, 6, 8]
        del scores[0]
        best = choose(scores, key=scores.get)
        assert [path.name for path in run.directory.checkpoints.glob("best-*")] == [f"best-{best:06d}"]
        assert p2p.load(run.path, best=True).card.step == best
        assert p2p.load(run.path).card.step == 8
        assert run.card.metrics["best"]["step"] == best
        assert p2p.export_run(run.path, "saved_model", tmp_path / "out", best=True)
        with pytest.raises(
            UserError, match=r"^`best` must go with a run directory\. Received it for .*1\. Leave it out\.$"
        ):
            p2p.load(tmp_path / "out" / "run" / "1", best=True)

    def test_training_stops_early_and_stays_stopped(self, combined_dir, tmp_path, quiet, monkeypatch):
        figures = iter([1.0, 0.5, 0.6, 0.7, 0.4, 0.3])
        monkeypatch.setattr("tfpix2pix.runs.session.measure", lambda *_: {"l1": next(figures)})
        run = p2p.train(
            self.config(combined_dir, steps=100, stop_after_worse=2), run_dir=tmp_path / "run", console=quiet
        )
        assert run.card.step == 6 and not run.interrupted
        assert [path.name for path in run.directory.checkpoints.glob("best-*")] == ["best-000002"]
        assert {path.stem for path in (run.directory.checkpoints / "best-000002").glob("*.safetensors")} == {
            "generator"
        }
        again = p2p.train(run_dir=run.path, resume=True, console=quiet)
        assert again.card.step == 6

    def test_a_resumed_run_measures_and_keeps_what_an_uninterrupted_one_does(
        self, by_ssim, combined_dir, tmp_path, quiet
    ):
        first, both = (self.config(combined_dir, steps=steps, best_by="ssim") for steps in (4, 8))
        p2p.train(first, run_dir=tmp_path / "part", console=quiet)
        part = p2p.train(both, run_dir=tmp_path / "part", resume=True, console=quiet)
        for name in ("val/l1", "val/ssim"):
            assert self.scores(part, name) == self.scores(by_ssim, name)
        assert tree(part.directory.checkpoints) == tree(by_ssim.directory.checkpoints)

    def test_kept_for_good_and_by_the_clock(self, combined_dir, tmp_path, quiet):
        often = self.config(
            combined_dir, keep_last=1, keep_every_steps=3, checkpoint_every_steps=100, checkpoint_every_minutes=1e-9
        )
        run = p2p.train(often, run_dir=tmp_path / "run", console=quiet)
        kept = sorted(path.name for path in run.directory.checkpoints.glob("step-*"))
        assert kept == ["step-000003", "step-000006", "step-000008"]

    def test_without_held_out_pairs_there_is_no_best(self, combined_dir, tmp_path, quiet):
        run = p2p.train(self.config(combined_dir, validation_images=0), run_dir=tmp_path / "run", console=quiet)
        with pytest.raises(UserError, match="needs a run with held-out pairs. Received none"):
            p2p.load(run.path, best=True)

    @pytest.mark.parametrize(
        ("training", "message"),
        [
            ({"best_by": "sharpness"}, "must be one of: l1, l2, psnr, ssim, ms_ssim, swd, segmentation"),
            ({"best_by": "segmentation"}, "suits the targets, l1, psnr, ssim here. Received segmentation"),
            ({"best_by": "ssim", "validation_metrics": ["l1"]}, "suits the targets, l1 here. Received ssim"),
        ],
    )
    def test_what_cannot_be_the_best(self, training, message):
        with pytest.raises(ValueError, match=message):
            tiny_config(training=training)
