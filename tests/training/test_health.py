"""What is found in the lines of a run, when, and what never is."""

import json

import numpy as np
import pytest

import tfpix2pix as p2p
from tfpix2pix.training.health import DETECTORS, Finding, Monitor


def findings_of(lines, **options):
    monitor = Monitor(**options)
    return [(line["step"], finding.name) for line in lines for finding in monitor.update(line)]


def losses(step, real=0.8, fake=0.8, l1=0.3):
    return {"step": step, "g/l1": l1, "d/real_accuracy": real, "d/fake_accuracy": fake}


def measured(step, l1=0.3, output=0.5, bottleneck=0.2):
    return {
        "step": step, "val/l1": l1, "health/output_variation": output, "health/bottleneck_variation": bottleneck,
    }  # fmt: skip


def logged(accuracies, every=20):
    return [losses(every * (index + 1), *pair) for index, pair in enumerate(accuracies)]


@pytest.mark.parametrize(
    ("pair", "name"),
    [((1.0, 0.99), "d_always_right"), ((0.0, 1.0), "d_always_wrong"), ((0.7, 0.005), "d_always_wrong")],
)
def test_saturation_is_found_after_five_hundred_steps_of_it_and_once(pair, name):
    lines = logged([(0.5, 0.5)] * 5 + [pair] * 60)
    assert findings_of(lines) == [(100 + 500, name)]
    assert findings_of(lines, adversarial=False) == []


def test_it_is_the_mean_that_counts():
    dips = [(1.0, 1.0)] * 20 + [(0.9, 1.0)] + [(1.0, 1.0)] * 20
    assert findings_of(logged(dips)) == [(500, "d_always_right")]
    healthy = [(1.0, 0.8), (0.9, 1.0)] * 50
    assert findings_of(logged(healthy)) == []


def test_it_is_found_again_after_it_was_over():
    lines = logged([(1.0, 1.0)] * 30 + [(0.5, 0.5)] * 10 + [(1.0, 1.0)] * 30)
    assert [step for step, _ in findings_of(lines)] == [500, 800 + 500]


def test_it_is_steps_that_count_and_not_lines():
    assert findings_of(logged([(1.0, 1.0)] * 5, every=100)) == [(500, "d_always_right")]
    assert findings_of(logged([(1.0, 1.0)] * 400, every=1)) == []


@pytest.mark.parametrize(("key", "name"), [("output", "collapsed"), ("bottleneck", "dead_bottleneck")])
def test_collapse_is_found_at_the_second_measurement_of_it(key, name):
    lines = [measured(0, **{key: 0.0}), *(measured(step, **{key: 0.0}) for step in (250, 500, 750))]
    assert findings_of(lines) == [(500, name)]
    assert findings_of([measured(step, **{key: 0.0}) for step in (10, 20, 30)]) == []  # too early to tell
    assert findings_of([measured(250, **{key: 0.0}), measured(500), measured(750, **{key: 0.0})]) == []


def test_overfitting_is_a_held_out_error_that_stays_above_its_best_and_far_above_trainings():
    def run(held_out, training):
        pairs = enumerate(zip(held_out, training, strict=True), 1)
        return [line for i, (v, t) in pairs for line in (losses(100 * i, l1=t), measured(100 * i, l1=v))]

    falling = (0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
    assert findings_of(run((0.35, 0.31, 0.32, 0.33, 0.34, 0.35), falling)) == [(500, "overfitting")]
    assert findings_of(run((0.35, 0.34, 0.33, 0.32, 0.31, 0.30), falling)) == []  # still getting better
    assert findings_of(run((0.35, 0.31, 0.32, 0.33, 0.34, 0.35), (0.3,) * 6)) == []  # as bad as training


def test_memory_is_a_d_that_is_surer_of_training_pairs_than_of_others_in_three_measurements():
    def run(training, held_out):
        pairs = enumerate(zip(training, held_out, strict=True))
        return [{"step": 250 * i, "health/real_sign": t, "health/held_out_real_sign": h} for i, (t, h) in pairs]

    memorised = run((0.9, 0.7, 0.8, 0.7, 0.9, 0.9), (0.0, 0.4, 0.5, 0.3, 0.2, 0.1))
    assert findings_of(memorised) == [(750, "d_memorises")]  # untrained it tells nothing
    assert findings_of(memorised, adversarial=False) == []
    assert findings_of(run((0.95,) * 6, (0.85,) * 6)) == []  # sure of all real pairs: strong, without memory
    assert findings_of(run((0.2,) * 6, (0.9,) * 6)) == []
    assert findings_of(run((0.9,) * 6, (0.2, 0.2, 0.2, 0.8, 0.2, 0.2))) == []  # not in a row


def test_a_resumed_run_goes_on_from_the_lines_it_reads_again():
    lines = logged([(1.0, 1.0)] * 60)
    whole = findings_of(lines)
    monitor = Monitor(lines[:20])
    assert [(line["step"], f.name) for line in lines[20:] for f in monitor.update(line)] == whole


def test_lines_of_other_kinds_are_passed_over():
    odd = [{"step": 1}, {"step": 2, "finding": "collapsed", "text": "…"}, {"step": 3, "g/l1": float("nan")}]
    assert findings_of(odd) == []


def test_each_finding_is_one_sentence_with_what_to_try():
    for name, make in DETECTORS.items():
        text = make().text
        assert text.endswith(".") and text.count(". ") == 0, name
        assert ": " in text, name
    assert Finding("a", "b") == Finding("a", "b")


SMALL = (
    "data.image_size_px=32", "generator.base_filters=8", "discriminator.base_filters=8", "generator.levels=5",
    "discriminator.receptive_field_px=16", "training.validate_every_steps=250", "training.validation_images=20",
    "training.checkpoint_every_steps=1000", "training.steps=1000", "training.precision=float32",
    "training.sample_every_steps=1000",
)  # fmt: skip
PROVOKED = {
    "healthy": ((), None),
    "d_always_wrong": (
        (
            "objective={name: l1+cgan, label_smoothing: 0.4}", "discriminator.base_filters=1",
            "discriminator.receptive_field_px=1", "training.steps=700",
        ), 650,
    ),
    "d_memorises": (("data.jitter_ratio=1", "data.mirror=false"), 1000),
    "collapsed": (
        (
            "objective.gan_loss=lsgan", "generator.norm=none", "discriminator.norm=none", "training.learning_rate=0.3",
            "training.steps=500",
        ), 500,
    ),
    "dead_bottleneck": (("generator.bottleneck_norm=true", "training.steps=500"), 500),
}  # fmt: skip

FEW_PAIRS = {"d_memorises": 4}  # training pairs, where there shall be few


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in PROVOKED])
def test_it_is_found_on_real_pairs_when_it_is_made_to_happen_and_not_otherwise(name, drawn_facades, tmp_path, quiet):
    """Longer and larger: benchmarks/health.py."""
    settings, within = PROVOKED[name]
    overrides, data = (*SMALL, *settings), drawn_facades
    if name in FEW_PAIRS:
        data = tmp_path / "few"
        for split, count in (("train", FEW_PAIRS[name]), ("val", None)):
            (data / split).mkdir(parents=True)
            for file in sorted((drawn_facades / split).iterdir())[:count]:
                (data / split / file.name).symlink_to(file)
    run = p2p.train("facades", data=data, run_dir=tmp_path / "run", overrides=overrides, console=quiet)
    lines = map(json.loads, run.directory.metrics_file.read_text().splitlines())
    findings = {line["finding"]: line["step"] for line in lines if "finding" in line}
    if within is None:
        assert findings == {}
    else:
        assert name in findings, findings
        assert findings[name] <= within


def test_the_sign_of_ds_logits_for_real_pairs_is_numpys_over_patches_and_scales():
    from tfpix2pix.data import COLOR_SPACES
    from tfpix2pix.models.pyramid import Judgement
    from tfpix2pix.training.probe import RealSigns

    rng = np.random.default_rng(0)
    batches = [tuple(rng.normal(size=(count, 4, 4, 1)).astype(np.float32) for _ in range(2)) for count in (2, 1)]

    def judge(image, target, training):
        assert not training
        return Judgement([target - image, target[:, :2, :1]], [])

    signs = RealSigns(judge, 0.5, COLOR_SPACES["rgb"]).measure(batches[:1], batches)
    both = [[np.sign(y - x - 0.5).mean((1, 2, 3)), np.sign(y[:, :2, :1] - 0.5).mean((1, 2, 3))] for x, y in batches]
    expected = [np.mean(scales, 0) for scales in both]
    assert signs["health/real_sign"] == pytest.approx(expected[0].mean())
    assert signs["health/held_out_real_sign"] == pytest.approx(np.concatenate(expected).mean())
    assert RealSigns(judge, 0.5, COLOR_SPACES["rgb"]).measure(batches, []) == {}


def test_what_a_generator_does_with_different_inputs_is_measured():
    import tensorflow as tf

    from tests.conftest import tiny_config
    from tfpix2pix.runs.networks import build_model
    from tfpix2pix.training.probe import Probe, narrowest_output, variation

    rng = np.random.default_rng(0)
    pairs = [tuple(tf.constant(rng.uniform(-1, 1, (1, 32, 32, 3)), tf.float32) for _ in range(2)) for _ in range(4)]
    for kind, name in (("unet", "up3_act"), ("resnet", "block9_add")):
        generator = build_model(tiny_config(generator={"kind": kind})).generator
        assert narrowest_output(generator) is generator.get_layer(name).output
    as_target = {id(image): target for image, target in pairs}
    probe = Probe(lambda image: as_target[id(image)].numpy(), generator, lambda image: image, pairs)
    assert probe.measure()["health/output_variation"] == pytest.approx(1.0)
    constant = Probe(lambda image: np.zeros((1, 32, 32, 3)), generator, lambda image: tf.zeros_like(image), pairs)
    assert constant.measure() == {"health/output_variation": 0.0, "health/bottleneck_variation": pytest.approx(0.0)}
    assert Probe(lambda image: image, generator, lambda image: image, pairs[:1]).measure() == {}
    assert variation(np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))])) == 0.5
