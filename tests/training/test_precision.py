"""bfloat16 and float16: what computes in them, what never does, and what `auto` chooses."""

import itertools
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, others_slow, tiny_config
from tests.training.test_pix2pix import data
from tfpix2pix.errors import UserError
from tfpix2pix.models import PRECISIONS
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training import hardware
from tfpix2pix.training.checkpoints import get_state

LOW = ("bfloat16", "float16")


def model_in(precision, **changes):
    return build_model(tiny_config(training={"precision": precision}, **changes))


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_layers_compute_in_it_and_weights_and_losses_stay_float32(precision, kind):
    model = model_in(precision, generator={"kind": kind})
    convolutions = [layer for layer in model.generator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {precision}
    assert {v.dtype for v in model.generator.variables} == {"float32"}
    losses = model.train_step(data())
    assert {value.dtype for value in losses.values()} == {tf.float32}
    assert model(data()[0]).dtype == tf.float32
    assert keras.config.dtype_policy().name == "float32"  # the process's own policy is as it was


@pytest.mark.parametrize("precision", LOW)
def test_the_noise_stays_float32(precision):
    """In 16 bits a value just below 1 would be 1, which means no noise, and one just below the rate would be it."""
    generator = model_in(precision).generator
    image, noise = data()[0].numpy(), np.full((1, generator.inputs[1].shape[-1]), 1.0, np.float32)
    off = generator([image, noise]).numpy()
    assert (generator([image, np.nextafter(noise, 0, dtype=np.float32)]).numpy() != off).any()
    assert (generator([image, np.full_like(noise, 0.49999)]).numpy() != generator([image, noise / 2]).numpy()).any()


CHANGES = {
    "usual": {},
    "spectral norm": {"discriminator": {"spectral_norm": True}},
    "gaussian": {"generator": {"noise": "gaussian"}},
    "modulation": {"generator": {"noise": "modulation"}},
}
ROWS = itertools.product(LOW, CHANGES)


@pytest.mark.parametrize(("precision", "name"), others_slow(ROWS, ("bfloat16", "usual"), ("float16", "spectral norm")))
def test_it_learns_what_float32_learns(precision, name):
    """Twenty steps on one pair: losses of either precision within a twentieth of each other."""
    pair, curves, changes = data(), {}, CHANGES[name]
    for name in ("float32", precision):
        model = model_in(name, **changes)
        step = tf.function(model.train_step, autograph=False)
        curves[name] = [float(step(pair)["g/l1"]) for _ in range(20)]
    np.testing.assert_allclose(curves[precision], curves["float32"], rtol=0.05)
    assert curves[precision][-1] < curves[precision][0]


def test_float16_goes_on_after_an_overflow():
    model = model_in("float16")
    model.generator_optimizer.dynamic_scale.assign(2.0**40)  # far more than float16 can hold
    before = get_state(model)["generator"]
    step = tf.function(model.train_step, autograph=False)
    step(data())
    assert all(np.array_equal(before[v.path], v) for v in model.generator.trainable_variables)  # skipped
    for _ in range(40):
        step(data())
    assert all(np.isfinite(v).all() for v in model.generator.variables)
    assert any((before[v.path] != v.numpy()).any() for v in model.generator.trainable_variables)


@pytest.mark.slow
@pytest.mark.parametrize("precision", LOW)
def test_a_run_resumes_bit_for_bit_and_exports_in_float32(combined_dir, tmp_path, quiet, precision):
    from tfpix2pix.training.checkpoints import Checkpoints

    def config(steps):
        return tiny_config(data={"dir": str(combined_dir)}, training={"precision": precision, "steps": steps})

    whole = p2p.train(config(4), run_dir=tmp_path / "whole", console=quiet)
    p2p.train(config(2), run_dir=tmp_path / "parts", console=quiet)
    parts = p2p.train(config(4), run_dir=tmp_path / "parts", resume=True, console=quiet)
    first, second = (Checkpoints(run.directory.checkpoints).load()[1] for run in (whole, parts))
    assert all(np.array_equal(first[part][name], second[part][name]) for part in first for name in first[part])
    assert p2p.export_run(parts.path, "tflite", tmp_path / "exports").max_abs_error <= 1e-4


def seen(monkeypatch, *gpus, flags=()):
    """TensorFlow sees these GPUs, (name, compute capability) each, and the CPU has these flags."""
    details = {name: {"device_name": name, **({"compute_capability": of} if of else {})} for name, of in gpus}
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: set(flags))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [*details] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)


T4, V100, A100, P100, AMD = ("T4", (7, 5)), ("V100", (7, 0)), ("A100", (8, 0)), ("P100", (6, 0)), ("MI300", None)


@pytest.mark.parametrize(
    ("flags", "gpus", "precision", "line"),
    [
        ({"avx2"}, [], "float32", "this CPU has no instructions for bfloat16"),
        ({"avx2", "avx512_bf16"}, [], "bfloat16", "this CPU has instructions for bfloat16"),
        ({"amx_bf16"}, [], "bfloat16", "this CPU has instructions for bfloat16"),
        ({"amx_bf16"}, [T4], "float16", r"T4 \(compute capability 7.5\) has tensor cores for float16 and none"),
        (set(), [V100], "float16", r"V100 \(compute capability 7.0\) has tensor cores for float16 and none"),
        (set(), [A100], "bfloat16", r"A100 \(compute capability 8.0\) has tensor cores for bfloat16"),
        (set(), [("H200", (9, 0)), V100], "float16", "V100"),  # the weakest decides
        ({"amx_bf16"}, [P100], "float32", r"P100 \(compute capability 6.0\) has no tensor cores"),
        (set(), [A100, AMD], "float32", r"MI300 \(compute capability unknown\) has no tensor cores, or TensorFlow"),
    ],
)
def test_auto_is_what_the_devices_have_instructions_for_and_says_so(monkeypatch, flags, gpus, precision, line):
    seen(monkeypatch, *gpus, flags=flags)
    assert hardware.resolve_precision("auto") == precision
    assert hardware.resolve_precision("float32") == "float32"
    text = hardware.explain("auto", False, hardware.this_hardware())
    assert re.match(rf"Precision is {precision} \(`auto`\): {line}", text)
    assert text.endswith(".") and "\n" not in text and "XLA" not in text


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [([], "its convolutions are slower on a CPU"), *(([gpu], "nobody has measured it") for gpu in (T4, A100, P100))],
)
def test_xla_by_auto_is_off_until_it_has_been_measured(monkeypatch, gpus, reason):
    seen(monkeypatch, *gpus)
    assert hardware.resolve_xla("auto", 1) is False
    assert hardware.explain("float32", "auto", hardware.this_hardware()).startswith(f"XLA is off (`auto`): {reason}")
    assert [hardware.resolve_xla(wish, 1) for wish in (True, False)] == [True, False]
    assert hardware.explain("float32", True, hardware.this_hardware()) == ""


def test_the_row_of_a_device_turns_xla_on(monkeypatch):
    """A measurement changes one row, and the other devices stay as they are."""
    rows = [replace(row, xla=row.precision == "float16", xla_reason="1.4 times as fast") for row in hardware.CHOICES]
    monkeypatch.setattr(hardware, "CHOICES", tuple(rows))
    seen(monkeypatch, T4)
    assert hardware.resolve_xla("auto", 1) is True
    line = hardware.explain("auto", "auto", hardware.this_hardware())
    assert line.endswith("none for bfloat16. XLA is on (`auto`): 1.4 times as fast.")
    assert hardware.resolve_xla("auto", 2) is False
    assert "XLA is off (`auto`): it compiles the step of one device." in hardware.explain(
        "auto", "auto", hardware.this_hardware(), 2
    )
    seen(monkeypatch, A100)
    assert hardware.resolve_xla("auto", 1) is False


def test_xla_on_several_devices_is_refused():
    with pytest.raises(UserError, match="compiles the step of one device. Received true on 2 devices. Set it to false"):
        hardware.resolve_xla(True, 2)


def test_the_page_has_the_rows_of_the_choice():
    """docs/training-step.md is a copy of the table."""
    page = (Path(__file__).parents[2] / "docs" / "training-step.md").read_text(encoding="utf-8")
    for row in hardware.CHOICES:
        assert f"| {row.devices} | {row.precision} | {'on' if row.xla else 'off'} |" in page


def test_every_row_of_the_choice_is_a_precision_and_some_row_fits_any_machine():
    machines = itertools.product(((), (T4,), (A100,), (("", (0, 0)),)), ((), ("amx_bf16",)))
    for gpus, flags in machines:
        row = hardware.choice_for(hardware.Hardware(gpus, frozenset(flags)))
        assert row.precision in PRECISIONS and row.precision != "auto"


def test_a_run_says_and_keeps_the_precision_it_began_in(combined_dir, tmp_path, quiet, monkeypatch):
    auto = {"precision": "auto", "xla": "auto", "steps": 2}
    config = least_config(data={"dir": str(combined_dir)}, training=auto)
    console = Console(record=True, file=StringIO())
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: {"amx_bf16"})
    run = p2p.train(config, run_dir=tmp_path / "run", console=console)
    assert run.card.config.training.precision == "bfloat16"
    assert run.card.config.training.xla is False
    said = " ".join(console.export_text().split())
    assert (
        said.count("Precision is bfloat16 (`auto`): this CPU has instructions for bfloat16. XLA is off (`auto`)") == 1
    )
    monkeypatch.setattr(hardware, "_cpu_flags", set)  # another machine
    longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 3})})
    resumed = p2p.train(longer, run_dir=tmp_path / "run", resume=True, console=quiet)
    assert resumed.card.config.training.precision == "bfloat16"
    assert resumed.card.config.training.xla is False


def test_every_precision_has_a_policy():
    assert all(keras.DTypePolicy(policy).variable_dtype == "float32" for policy in PRECISIONS.values() if policy)


@pytest.mark.slow
def test_on_real_pairs_bfloat16_moves_the_losses_less_than_another_seed_does(drawn_facades, tmp_path):
    """Means over 100 steps against float32's. Rounding sends a training down another path, as a seed does, and how far
    depends on the processor: so the seed is the measure. More: benchmarks/precision.py."""
    from benchmarks.precision import largest_difference, train

    small = ("data.image_size_px=32", "discriminator.receptive_field_px=16", "generator.base_filters=8")
    settings = (*small, "discriminator.base_filters=8", "training.steps=300")
    names = ("float32", "bfloat16", "float32, another seed")
    reference, *others = (train(name, drawn_facades, tmp_path, settings) for name in names)
    of_precision, of_seed = (np.mean(list(largest_difference(run, reference).values())) for run in others)
    assert 0 < of_precision < of_seed
