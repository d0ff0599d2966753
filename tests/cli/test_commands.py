"""The command line as a stranger uses it, in processes of its own: codes, one-sentence errors, nothing half-done."""

import ast
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import make_combined, run_cli, run_process, write_image
from tests.runs.test_train import tree
from tfpix2pix.config import RECIPES, preset_names
from tfpix2pix.export import EXPORTERS

COMMANDS = ("train", "translate", "export", "presets")
TINY_FLAGS = [
    flag for setting in (
        "data.image_size_px=32", "generator.base_filters=8", "discriminator.base_filters=8",
        "discriminator.receptive_field_px=16", "training.steps=4",
    ) for flag in ("--set", setting)
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    code, out, _ = run_cli(command, "--help")
    assert code == 0
    assert f"Example: tfpix2pix {command}" in " ".join(out.split())


def test_version_and_presets():
    assert run_cli("--version")[1].strip() == p2p.__version__
    assert set(json.loads(run_cli("presets", "--json")[1])) == set(preset_names())
    code, out, _ = run_cli("presets", "facades")
    assert code == 0
    assert out.startswith("# Architectural labels")
    assert set(json.loads(run_cli("presets", "--recipes", "--json")[1])) == set(RECIPES)
    assert run_cli("presets", "paper")[1] == run_cli("presets", "--recipes", "paper")[1] == RECIPES["paper"]
    assert run_cli("presets", "torch")[1].startswith("# Facades as the widely used")
    assert run_cli("presets", "--recipes", "torch")[1] == RECIPES["torch"]
    out = run_cli("presets")[1]
    assert all(title in out for title in RECIPES.titles().values())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", "facades", "--data", "", "--run", "r"), "--data"),
        (("train", "facades", "--data=", "--run", "r"), "--data"),
        (("data", "check", ""), "An argument"),
        (("translate", "run", "a.png", "--out", ""), "--out"),
    ],
)
def test_an_empty_value_is_refused_and_not_taken_for_the_folder_here(tmp_path, arguments, named):
    code, out, err = run_cli(*arguments, cwd=tmp_path)
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err == f"Error: {named} must be given a value. Received an empty one. Check the variable, or leave it out.\n"


def test_a_dry_run_names_the_recipe():
    code, out, _ = run_cli("train", "facades", "--recipe", "best", "--dry-run", *TINY_FLAGS)
    assert code == 0
    assert "Recipe: best." in out
    assert "  applied: best" in out


def test_an_unknown_recipe_is_one_sentence(tmp_path):
    code, out, err = run_cli("train", "facades", "--recipe", "bset", "--run", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "A recipe must be one of: best, diverse, paper, pix2pixhd, torch, tutorial. Received 'bset'." in err
    assert "Did you mean 'best'" in err
    assert not (tmp_path / "run").exists()


def test_every_key_is_explained():
    keys = json.loads(run_cli("presets", "--keys", "--json")[1])
    assert keys["training.learning_rate"] == {"default": 2e-4, "help": "Adam's learning rate, used for both networks."}
    assert all(entry["help"] for entry in keys.values())
    assert "data.image_size_px" in run_cli("presets", "--keys")[1]


SLOW_TO_IMPORT = ("tensorflow", "keras", "skimage", "scipy", "sklearn")


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (("--help",), (*SLOW_TO_IMPORT, "numpy", "pydantic")),
        (("train", "--help"), (*SLOW_TO_IMPORT, "numpy")),  # Typer needs pydantic
        (("train", "facades", "--run", "r", "--set", "training.steps=0"), SLOW_TO_IMPORT),
        (("presets", "facades"), SLOW_TO_IMPORT),
    ],
)
def test_help_and_configuration_errors_wait_for_no_slow_import(tmp_path, arguments, unwanted):
    code = (
        "import sys\nfrom tfpix2pix.cli import main\n"
        f"sys.argv = ['tfpix2pix', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def bad_pairs(folder, kind):
    """A folder of combined images with one fault."""
    make_combined(folder)
    bad = folder / "1.png"
    if kind == "no image":
        bad.write_text("hello")
    elif kind == "truncated":
        bad.write_bytes(bad.read_bytes()[:-2000])
    elif kind == "small":
        write_image(bad, np.zeros((4, 8, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "facades", "--data", "missing", "--run", "r"], "must be an existing folder. Received missing"),
        (["train", "facades", "--run", "r"], "must be given. Received none. Add --data, or set `data.dir`"),
        (["train", "facades", "--data", "empty", "--run", "r"], "must hold images"),
        (["train", "facades", "--data", "no image", "--run", "r", *TINY_FLAGS], "1.png, which is not in a supported"),
        (["train", "facades", "--data", "truncated", "--run", "r", *TINY_FLAGS], "truncated/1.png"),
        (["train", "facades", "--data", "small", "--run", "r", *TINY_FLAGS], "at least 8 px .* Received 4x4 px"),
        (["train", "facadez", "--run", "r"], "A preset must be one of: .* Did you mean 'facades'"),
        (["train", "--run", "r"], "A preset or a .yaml file, or --data for your own pairs, must be given"),
        (["train", "facades", "--run", "r", "--set", "training.stepz=1"], "Did you mean 'steps'"),
        (["train", "facades", "--run", "r", "--set", "training.steps=x"], "`training.steps` must be a whole number"),
        (["train", "smoke", "--run", "taken"], "must be new or empty. Received taken"),
        (["train", "smoke", "--run", "file/inside"], "must be writable. Received: Not a directory"),
        (["train", "facades", "--data", "rgba", "--run", "r"], "RGBA in rgba/0.png. Add .*channels=4.*alpha=drop"),
        (["train", "smoke"], "A run directory must be given. Received none. Add --run, or --dry-run to look first"),
        (["train", "facades", "--run", "r", "--set", "generator.levels=9"], "Received 9. Use 8, or images of 512 px"),
        (["train", "facades", "--run", "r", "--set", "data.image_size_px=16"], "Received 70. Use 1, 16, 34, or larger"),
        (
            ["train", "facades", "--run", "r", "--set", "objective=gan", "--set", "objective.gan_loss=none"],
            "must train a discriminator .* none with 1. Use vanilla, lsgan, hinge, or an objective without it: l1, l2",
        ),
        (["train", "--run", "r", "--resume"], "To resume, --run must be a run directory. Received r"),
        (["train", "smoke", "--run", "r", "--resume", "--fresh"], "must not be given together"),
        (["translate", "missing", "empty", "--out", "o"], "A model must be .* Received missing, which does not exist"),
        (["translate", "empty", "a.png", "--out", "o"], "A model must be .* Received empty, which is not one of these"),
        (["translate", "empty", "--out", "o"], "The inputs must be either images or a --split. Received neither"),
        (["translate", "empty", "x", "--noise", "maybe", "--out", "o"], "--noise must be one of: on, off"),
        (["translate", "empty", "--split", "vall", "--out", "o"], "--split must be .*'vall'. Did you mean 'val'\\?$"),
        (["demo", "empty", "--weights", "best"], "--weights must be one of: average, trained. Received 'best'.$"),
        (
            ["translate", "empty", "x", "--samples", "3", "--noise", "off", "--out", "o"],
            "--samples must go with noise. Received --noise off. Leave one of the two out",
        ),
        (["translate", "empty", "x", "--overlap", "8", "--out", "o"], "A model must be .* Received empty"),
        (["translate", "empty", "x", "--tile", "32", "--overlap", "17", "--out", "o"], "Received 17 px of --tile 32"),
        (
            ["translate", "m", "empty", "--server", "a:1", "--best", "--out", "o"],
            "--best must go with a model on this machine. Received it with --server. Leave one of the two out",
        ),
        (
            ["translate", "m", "empty", "--server", "a:1", "--tile", "64", "--tile-as", "whole", "--out", "o"],
            "--tile-as whole must go with a model on this machine. Received it with --server",
        ),
        (["translate", "empty", "x", "--tile-as", "one", "--out", "o"], "--tile-as must be one of: whole, alone"),
        (["translate", "m", "empty", "--server", "here", "--out", "o"], "HOST:PORT"),
        (["translate", "empty", "x", "--grpc", "--out", "o"], "--grpc must go with --server"),
        (["translate", "empty", "x", "--enlarge", "17", "--out", "o"], "Invalid value for '--enlarge'.*16"),
        (["train", "smoke", "--run", "r", "--frash"], "No such option: --frash.* See `tfpix2pix train --help`"),
        (["trian"], "No such command 'trian'.* See `tfpix2pix --help`"),
        (["export", "empty"], "An export needs a run directory. Received empty"),
        (["export", "empty", "--format", "tfjs"], "of: saved_model, tflite, keras, onnx, web, html. Received 'tfjs'"),
        (["export", "empty", "--quantize", "int4"], "needs a run directory|must be one of: none"),
        (
            ["export", "empty", "--quantize", "int8", "--target-mb", "8"],
            "--target-mb must go without --quantize. Received --quantize int8. Leave one out",
        ),
        (["export", "empty", "--io", "int8"], "--io of saved_model must be one of: float32, uint8"),
        (["presets", "facade"], "Did you mean 'facades'"),
        (["evaluate", "empty", "--metrics", "unit_mae"], "'unit_mae', a value of unit_errors. Name unit_errors."),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_sentence_and_leaves_nothing(tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something").touch()
    (tmp_path / "file").touch()
    if "rgba" in arguments:
        write_image(tmp_path / "rgba" / "0.png", np.zeros((80, 160, 4), np.uint8))
    for kind in ("no image", "truncated", "small"):
        if kind in arguments:
            bad_pairs(tmp_path / kind, kind)
    before = tree(tmp_path)
    code, out, err = run_cli(*arguments, cwd=tmp_path)
    assert code == 2, err
    assert out == ""
    errors = [line for line in err.splitlines() if line]
    assert len(errors) == 1, err
    assert errors[0].startswith("Error: ")
    assert re.search(message, errors[0]), errors[0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "setting",
    [
        "data.image_size_px=16", "discriminator.receptive_field_px=50", "generator.levels=9",
        "objective.gan_loss=none", "data.color_space=lab", "data.dir=rgba",
    ],
)  # fmt: skip
def test_impossible_combinations_are_refused_before_tensorflow_starts(tmp_path, setting):
    """A `tensorflow` that cannot be imported stands in its place."""
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    write_image(tmp_path / "rgba" / "0.png", np.zeros((80, 160, 4), np.uint8))
    command = [sys.executable, "-m", "tfpix2pix", "train", "facades", "--run", "r", "--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "tensorflow was imported" not in done.stderr


def imports_before_tensorflow(source):
    """The modules that commands, which alone have a decorator, import before `load_tensorflow()`, if they call it."""
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        if not function.decorator_list:
            continue
        names = (node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == "load_tensorflow")
        first = min((name.lineno for name in names), default=math.inf)
        imports = (node for node in ast.walk(function) if isinstance(node, ast.ImportFrom) and node.lineno < first)
        yield from (node.module for node in imports)


def test_no_command_imports_tensorflow_before_it_is_made_quiet():
    """Otherwise TensorFlow writes what looks like errors above the command's own words."""
    files = sorted((Path(p2p.__file__).parent / "cli").glob("*.py"))
    found = sorted({module for file in files for module in imports_before_tensorflow(file.read_text(encoding="utf-8"))})
    assert {"tfpix2pix.runs.planned_export", "tfpix2pix.evaluation.request"} <= set(found)
    code = f"import importlib, sys\nfor name in {found}:\n    importlib.import_module(name)\n" + (
        "    if 'tensorflow' in sys.modules:\n        sys.exit(f'{name} imports tensorflow')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_load_tensorflow_without_collections_of_garbage():
    code = """
import gc, sys
counts = []
gc.callbacks.append(lambda phase, info: counts.append(phase))
from tfpix2pix.quiet import load_tensorflow
before = len(counts)
load_tensorflow()
print("tensorflow" in sys.modules, len(counts) - before, gc.isenabled(), gc.get_freeze_count() > 100_000)
frozen, more = gc.get_freeze_count(), [[] for _ in range(1000)]
load_tensorflow()
print(gc.get_freeze_count() == frozen)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True 0 True True\nTrue\n", done.stderr


@pytest.mark.parametrize("format", EXPORTERS)
def test_the_plan_of_an_export_needs_no_tensorflow(format, tmp_path):
    """`export` plans before it makes TensorFlow quiet."""
    code = (
        "import sys; from pathlib import Path; from tfpix2pix.export import Options; "
        "from tfpix2pix.runs.directory import RunDirectory; from tfpix2pix.runs.planned_export import *; "
        f"card = planned_card(RunDirectory.trained('openmoji'), {format!r}, Options()); "
        f"free_path(card, {format!r}, Path('out')); sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_dry_run_shows_what_would_be_built_and_writes_nothing(tmp_path):
    code, out, err = run_cli("train", "facades", "--dry-run", "--set", "objective=l1+gan", cwd=tmp_path)
    assert code == 0, err
    for part in ("image_size_px: 256", "54,413,955", "2,765,633", "12,096.4", "receptive field 70 px", "l1+gan"):
        assert part in out, part
    assert "up1" in out
    assert "No data given: set data.dir to check them." in out
    assert tree(tmp_path) == []


def test_a_dry_run_looks_at_the_data_it_is_given(tmp_path):
    make_combined(tmp_path / "pairs")
    code, out, err = run_cli(
        "train", "facades", "--dry-run", "--data", "pairs", "--run", "r", *TINY_FLAGS, cwd=tmp_path
    )
    assert code == 0, err
    assert "2 training and 1 held-out pairs" in out
    assert "Would write r. Nothing was written" in out
    assert not (tmp_path / "r").exists()
    assert run_cli("train", "facades", "--dry-run", "--data", "missing", cwd=tmp_path)[0] == 2


def test_an_unwritable_run_directory(tmp_path):
    """`/proc` refuses new folders even to root."""
    code, _, err = run_cli("train", "smoke", "--run", "/proc/run")
    assert code == 2
    assert err.startswith("Error: The folder /proc/run must be writable")
    assert len(err.splitlines()) == 1


def test_train_translate_export_from_the_command_line(tmp_path):
    code, out, err = run_process("train", "smoke", "--run", "run", "--set", "generator.levels=3", cwd=tmp_path)
    assert code == 0, err
    assert "run/samples" in out
    assert "step 4/4" in err
    assert "untrained" in err
    assert "Traceback" not in err
    assert "oneDNN" not in err

    code, _, err = run_cli("train", "smoke", "--run", "run", cwd=tmp_path)
    assert (code, "holds a finished run of 4 steps" in err) == (2, True)
    code, _, err = run_cli("train", "--run", "run", "--resume", cwd=tmp_path)
    assert (code, "is finished: step 4 of 4" in err) == (0, True)

    write_image(tmp_path / "in.png", np.random.default_rng(0).integers(0, 256, (40, 50, 1), np.uint8))
    models = {"run": "run"}
    for format in ("saved_model", "tflite"):
        code, out, err = run_cli("export", "run", "--format", format, "--out", "exports", "--json", cwd=tmp_path)
        assert code == 0, err
        (report,) = json.loads(out)["exports"]
        assert report["max_abs_error"] <= 1e-4
        models[format] = report["path"]
    code, out, _ = run_cli("export", "run", "--format", "tflite", "--out", "exports", "--overwrite", cwd=tmp_path)
    written, use, near, _, title, *_ = out.splitlines()
    assert re.fullmatch(r"Written: exports/run-32px\.tflite, \d\.\d MB", written)
    assert use == "Use it:  tfpix2pix translate exports/run-32px.tflite image.png --out translated"
    assert re.fullmatch(
        r"Its pictures differ from the run's by at most 1 level of 255 on \d+ images\. It scales images of .+", near
    )
    assert title == "Compared with the run's generator in float64" and "max abs error" in out
    for name, model in models.items():
        code, out, err = run_cli("translate", model, "in.png", "--out", f"out/{name}", "--json", cwd=tmp_path)
        assert code == 0, err
        assert json.loads(out) == {"written": [f"out/{name}/in.png"]}
    code, out, err = run_cli("translate", "run", "--split", "val", "--out", "out/val", cwd=tmp_path)
    assert code == 0, err
    assert len(list((tmp_path / "out" / "val").iterdir())) > 4


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="it closes a terminal")
def test_a_closed_terminal_saves_the_run(tmp_path):
    import fcntl
    import termios

    ours, terminal = os.openpty()
    command = [sys.executable, "-m", "tfpix2pix", "train", "smoke", "--run", "run", "--set", "training.steps=5000"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and '"g/l1"' in metrics.read_text()) and process.poll() is None:
        while select.select([ours], [], [], 0.1)[0]:
            os.read(ours, 4096)
    os.close(ours)
    assert process.wait(timeout=120) == 0
    assert p2p.ModelCard.from_json((tmp_path / "run" / "model_card.json").read_bytes(), "card").step > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_resumes(tmp_path, number):
    command = [sys.executable, "-m", "tfpix2pix", "train", "smoke", "--run", "run", "--set", "training.steps=5000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and '"g/l1"' in metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Continue: tfpix2pix train --run run --resume" in out
    step = p2p.ModelCard.from_json((tmp_path / "run" / "model_card.json").read_bytes(), "card").step
    assert 0 < step < 5000
    code, _, err = run_cli("train", "--run", "run", "--resume", "--set", f"training.steps={step + 2}", cwd=tmp_path)
    assert code == 0, err


def test_python_prints_what_the_command_line_prints(tmp_path):
    """TensorFlow's notes look like errors; a user of the Python functions sees none either."""
    code = (
        "import tfpix2pix as p2p; p2p.train('smoke', run_dir='run', overrides=['generator.levels=3'])\n"
        "p2p.export_run('run', 'saved_model', 'out')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    for line in (done.stdout + done.stderr).splitlines():
        assert not re.match(r"[EWI]\d{4} |\d{4}-\d\d-\d\d|INFO:|WARNING:", line), line


def test_a_model_that_could_do_more_than_compute_is_opened_by_trust_alone(tmp_path):
    module = tf.Module()
    module.call = tf.function(
        lambda image: image + tf.cast(tf.strings.length(tf.io.read_file(__file__)), tf.float32) * 0.0,
        input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", np.full((8, 8, 3), 40 * number, np.uint8))
    command = ("evaluate", tmp_path / "images", "--targets", tmp_path / "images", "--features", tmp_path / "model",
               "--metrics", "fid", "--out", tmp_path / "out", "--replicates", 0)  # fmt: skip
    code, _, err = run_cli(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert "Received one with ReadFile" in err and "Add --trust" in err
    code, out, err = run_cli(*command, "--trust")
    assert code == 0, err
    assert "fid" in out


def test_debug_adds_what_led_to_an_error(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"PK")
    command = ("translate", tmp_path / "model.tflite", tmp_path, "--out", tmp_path / "out")
    code, _, err = run_cli(*command)
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run_cli(*command, "--debug")
    assert code == 2 and "Traceback" in err and "BadZipFile" in err
    assert err.splitlines()[-1].startswith("Error: A .tflite file must be whole")


def test_the_command_alone_shows_what_people_do():
    code, out, err = run_cli()
    assert (code, err) == (0, "")
    commands = [line.split("tfpix2pix ")[1].split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert commands == ["data", "train", "translate", "export"]
    assert max(map(len, out.splitlines())) <= 120
