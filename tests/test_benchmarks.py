"""The performance page: every table is what `performance.json` says, and the benchmarks' own arithmetic."""

import argparse
import ast
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_config

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from performance import tables, turns  # noqa: E402
from planted_faults import FAULTS  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
FOUND = ROOT / "docs" / "performance" / "performance.json"


@pytest.fixture(scope="module")
def texts():
    return tables.markdown(json.loads(FOUND.read_text(encoding="utf-8")))


def test_the_tables_of_the_page_are_those_that_were_measured(texts):
    page = PAGE.read_text(encoding="utf-8")
    assert tables.filled(page, texts) == page
    assert texts.keys() == tables.TABLES.keys()
    for name in texts:
        assert f"<!-- {name} -->" in page, f"the page leaves {name} out"


def test_the_plots_of_the_page_are_there():
    for axis in ("size", "batch", "width", "files"):
        assert (FOUND.parent / f"performance-{axis}.png").stat().st_size > 5_000
        assert f"performance/performance-{axis}.png" in PAGE.read_text(encoding="utf-8")


def test_ratios_are_of_rounds_and_not_of_medians():
    slow, fast = ([{"step_s": value} for value in values] for values in ((2, 4, 9), (1, 4, 3)))
    assert turns.ratio(slow, fast, "step_s") == {"median": 2, "min": 1, "max": 3}


def test_the_roofline_is_products_and_then_adams_traffic():
    row, ceilings = {"gflop": 100, "parameters": 10**9}, {"float32_gflops": 50, "copy_gb_s": 14}
    assert tables.roofline_s(row, ceilings, "float32") == pytest.approx(2 + 2)


def test_a_turn_is_the_last_line_and_the_peak_of_its_own_process():
    """Asked by a small process, as `make bench` is: the peak of a child counts from its parent's at the fork."""
    large = "import json; x = bytearray(300_000_000); print('noise'); print(json.dumps({'step_s': 1.5}))"
    script = (
        "import json, sys; from performance.turns import turn\n"
        f"print(json.dumps([turn([sys.executable, '-c', each]) for each in ({large!r}, 'print(\"{{}}\")')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    )
    figures, nothing = json.loads(done.stdout)
    assert figures["step_s"] == 1.5 and 300 < figures["peak_mb"] < 500
    assert nothing["peak_mb"] < 200


def test_a_contestant_that_fails_says_why():
    with pytest.raises(turns.Failed, match="no such thing"):
        turns.turn([sys.executable, "-c", "raise SystemExit('no such thing')"])


def last_line(script, *options, **environment):
    size = () if script == "memory.py" else ("--size", "64")
    command = [sys.executable, ROOT / "benchmarks" / script, *size, "--steps", "1", *options]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip().splitlines()[-1]


def test_the_step_is_measured():
    result = json.loads(last_line("performance/step.py", "--base-filters", "8"))
    assert result.keys() >= {"step_s", "forward_s", "gflop", "parameters"}
    assert result["step_s"] > 0


def test_the_recipes_step_is_81_gflop():
    from performance.step import step_gflop

    from tfpix2pix import build_patchgan, build_unet

    assert step_gflop(build_unet(256, seed=None), build_patchgan(image_size_px=256, seed=None), 1) == pytest.approx(
        81, abs=0.5
    )


def test_the_ladder_ends_at_best(tmp_path):
    """The last rung trains as `best` does; the first as `paper`; each changes something."""
    import ladder

    from tfpix2pix import resolve_config

    def values(recipe):
        return resolve_config("openmoji", recipe=recipe).model_copy(update={"recipe": None})

    rungs = [values(path) for path in ladder.written(tmp_path)]
    assert rungs[0] == values("paper")
    assert rungs[-1] == values("best")
    assert all(below != above for below, above in itertools.pairwise(rungs))


def test_methods_of_entropy_train_as_the_preset_does_but_for_their_own_keys(tmp_path):
    import entropy

    from tfpix2pix import resolve_config

    paths = entropy.written(tmp_path, {name: entropy.METHODS[name] for name in ("preset", "modulation_l1_10")})
    preset, *methods = (
        resolve_config(entropy.PRESET, **recipe).model_copy(update={"recipe": None})
        for recipe in ({}, *({"recipe": path} for path in paths.values()))
    )
    assert methods[0] == preset
    assert methods[1].generator == preset.generator
    assert (methods[1].objective.weights["l1"], preset.objective.weights["l1"]) == (10, 100)
    assert not methods[1].objective.weights.get("diversity_sensitive")
    assert not methods[1].objective.weights.get("style_kl")


def test_every_method_of_entropy_trains_with_the_preset(tmp_path, capsys):
    import entropy

    paths = entropy.written(tmp_path, entropy.METHODS)
    assert entropy.known(paths) == list(paths.values()), capsys.readouterr().out


def test_coarse_to_fine_gets_the_time_of_one_stage():
    import high_resolution

    seconds = {"coarse": 0.1, "enhancers_alone": 0.5, "whole": 0.8}
    keys = dict(part.split("=") for part in high_resolution.length_of("coarse to fine", seconds, 10, pairs=300))
    coarse, alone, whole = (float(keys[key]) * 300 for key in high_resolution.EPOCHS)
    assert 0.1 * coarse + 0.5 * alone + 0.8 * (whole - coarse - alone) == pytest.approx(600, abs=1)
    assert 0.1 * coarse == pytest.approx(300, abs=1)
    assert high_resolution.length_of("U-Net", {"whole": 0.5}, 10, pairs=300) == ["training.steps=1200"]


def test_the_table_of_entropy_has_means_and_ranges():
    import entropy

    seeds = [{"entropy_bits": value, "no_color": 0.5} for value in (1.0, 2.0, 2.25)]
    first, _, row = entropy.table({"dropout": seeds}, 3.0).splitlines()
    assert first.startswith("| method (of 3 bits) | bits for one input |")
    assert row.startswith("| dropout | 1.75 (1 to 2.25) |  |") and "| 0.5 (0.5 to 0.5) |" in row
    assert entropy.cell([1.5]) == "1.5"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_stands_once_in_the_program_and_is_still_python(fault, tmp_path):
    assert len(fault.lines(ROOT)) >= 1
    (tmp_path / "tfpix2pix" / fault.file).parent.mkdir(parents=True)
    copy = shutil.copy(ROOT / "tfpix2pix" / fault.file, tmp_path / "tfpix2pix" / fault.file)
    fault.apply(tmp_path)
    ast.parse(Path(copy).read_text(encoding="utf-8"))


def test_a_model_without_noise_is_measured_by_what_needs_no_variants():
    import recipes

    options = argparse.Namespace(metrics=["l1", "diversity", "best_of_k", "swd"], variants=8)
    config = tiny_config(generator={"noise": "dropout"})
    assert recipes.measurable(options, config) == (["l1", "diversity", "best_of_k", "swd"], 8)
    config = tiny_config(generator={"noise": "none"})
    assert recipes.measurable(options, config) == (["l1", "swd"], 0)


@pytest.mark.parametrize(("variants", "noise", "asked"), [(8, "on", ["--noise", "on"]), (0, "on", []), (8, None, [])])
def test_models_with_noise_are_measured_with_it_if_a_benchmark_says_so(tmp_path, monkeypatch, variants, noise, asked):
    import recipes

    taken = []
    monkeypatch.setattr(recipes, "command", lambda arguments, log: taken.append(arguments))
    monkeypatch.setattr(recipes, "measurable", lambda options, config: (["swd"], variants))
    monkeypatch.setattr(recipes.RunDirectory, "config", lambda self: None)
    recipes.evaluated(argparse.Namespace(out=tmp_path, noise=noise), "facades", tmp_path / "run")
    assert taken[0][taken[0].index("--variants") + 2 :] == asked


def test_the_front_of_variety_is_what_no_other_method_beats():
    import diversity

    points = [(1.0, 5.0), (2.0, 3.0), (3.0, 3.0), (4.0, 1.0), (2.0, 3.0)]
    assert diversity.on_the_front(points) == [True, True, False, True, True]


def test_every_method_of_variety_is_a_recipe_for_the_facades(tmp_path):
    """Each method changes the noise and the weights, and nothing else."""
    import diversity
    import entropy

    from tfpix2pix import resolve_config

    files = entropy.written(tmp_path, {name: method.overlay for name, method in diversity.METHODS.items()}, "facades")
    preset = resolve_config("facades")
    for name, path in files.items():
        config, method = resolve_config("facades", recipe=path), diversity.METHODS[name]
        assert config.generator == preset.generator.model_copy(update={"noise": method.noise})
        assert config.objective.weights["l1"] == method.l1
        assert config.objective.weights["gan"] == method.gan
        assert (method.term is None) or config.objective.weights[method.term] == method.weight
        assert config.training == preset.training


def test_the_best_of_k_is_compared_with_the_model_without_noise_image_by_image():
    """Twin: with one difference for all images, every resampling has that mean."""
    from types import SimpleNamespace

    import diversity

    images = tuple(f"image{number}" for number in range(20))
    l1 = np.linspace(0.1, 0.5, 20)
    seeds = [SimpleNamespace(images=images, rows={"best_of_k_l1": l1 - gain, "l1": l1}) for gain in (0.02, 0.04)]
    mean, (low, high) = diversity.best_against_deterministic(seeds, seeds)
    assert (mean, low, high) == pytest.approx((-0.03, -0.03, -0.03))
    seeds[0].rows["best_of_k_l1"] = np.where(np.arange(20) < 10, l1, l1 - 0.04)
    mean, (low, high) = diversity.best_against_deterministic(seeds[:1], seeds[:1])
    assert mean == pytest.approx(-0.02)
    assert low < mean < high < 0


def row_of(size="256", filters=16, **figures):
    return {"network": "global", "measure": "float32", "size": size, "filters": filters, **figures}


def synthetic(size, filters):
    """A row of 100 MB of buffers, 5 million parameters at 16 filters, and 2 KB of maps a pixel at 16 filters."""
    import memory

    times = filters / 16
    row = row_of(size, filters, parameters=5e6 * times**2, peak_mb=0.0, step_s=1.0)
    weights_mb = 16 * row["parameters"] / 1e6
    return {**row, "above_mb": 100 + weights_mb + 2e-3 * times * memory.pixels(row)}


def test_memory_of_other_filters_is_computed_from_weights_and_maps():
    """Twin: rows that the stated model makes are computed to the last digit, whatever their size."""
    import memory

    rows = [synthetic(size, 16) for size in memory.SIZES]
    slope = memory.slope_mb(rows[:2])
    assert slope == pytest.approx(2e-3)
    for row in rows:
        for filters in (16, 32, 64):
            assert memory.of_filters(row, filters, slope) == pytest.approx(synthetic(row["size"], filters)["above_mb"])
    assert memory.slope_mb(rows[:1]) is None
    assert "| global | 512 | 1469 | 1469 | +0% |" in memory.checks([*rows, synthetic("512", 32)])


def test_large_images_that_do_not_fit_are_skipped_and_larger_ones_not_tried(monkeypatch):
    import memory

    asked, known = [], []

    def within(command, limit_mb):
        asked.append(json.loads(command[command.index("--row") + 1])["size"])
        return None if asked[-1] == "1024" else synthetic(asked[-1], 16)

    monkeypatch.setattr(memory, "within", within)
    monkeypatch.setattr(memory, "write", lambda rows: None)
    rows = [row_of(size) for size in memory.SIZES]
    memory.measured(rows, known, steps=1, limit_mb=1.0)
    assert asked == ["256", "512", "512x1024", "1024"]
    table = memory.large_images(known).splitlines()
    assert table[0].startswith(
        "| network | image, px | measure | MB above TensorFlow | peak MB | s a step | 64 filters"
    )
    assert len(table) == 2 + len(memory.SIZES)
    assert [line.split(" | ")[1] for line in table if "skipped" in line] == ["1024", "1024x2048", "2048"]
    memory.measured(rows, known, steps=1, limit_mb=1.0)
    assert len(asked) == 4  # what is known is not measured again


def test_a_process_beyond_the_limit_is_stopped():
    import memory

    code = "import json; x = bytearray({}); x[::4096] = b'1' * len(x[::4096]); print(json.dumps({{'imported_mb': 1}}))"
    command = [sys.executable, "-c", code.format(2_000_000)]
    assert memory.within(command, limit_mb=1e5)["peak_mb"] > 5
    endless = [sys.executable, "-c", code.format(300_000_000) + "; import time; time.sleep(600)"]
    assert memory.within(endless, limit_mb=150) is None
    with pytest.raises(RuntimeError, match="no such thing"):
        memory.within([sys.executable, "-c", "raise SystemExit('no such thing')"], limit_mb=1e5)


def test_every_row_of_large_images_is_a_training_of_the_package():
    """Each row is one configuration, and they differ."""
    import memory

    from tfpix2pix import resolve_config

    rows = memory.wanted(memory.SIZES)
    configs = [resolve_config("facades", memory.overrides_of(row)) for row in rows]
    assert len({config.model_dump_json() for config in configs}) == len(rows)
    assert {memory.pixels(row) for row in rows} == {config.data.size_px.height * config.data.size_px.width
                                                    for config in configs}  # fmt: skip


def test_a_large_image_of_small_size_is_measured():
    row = json.dumps(row_of("64", filters=2))
    result = json.loads(last_line("memory.py", "--row", row))
    assert result["step_s"] > 0 and result["imported_mb"] > 50 and result["parameters"] > 10_000


def test_the_tables_of_large_images_are_those_that_were_measured():
    import memory

    page = PAGE.read_text(encoding="utf-8")
    rows = json.loads(memory.MEASURED.read_text(encoding="utf-8"))
    assert tables.filled(page, memory.markdown(rows)) == page
    assert memory.large_images(rows).count("\n") > len(memory.KINDS) * len(memory.QUICK_SIZES)
    assert all(f"<!-- {name} -->" in page for name in memory.markdown(rows))


def test_the_few_drawings_are_unseen_and_no_twins():
    pytest.importorskip("resvg_py", reason="OpenMoji's drawings need tfpix2pix[openmoji]")
    import few_drawings

    from tfpix2pix.data.openmoji import Library

    library = Library.installed()
    names = few_drawings.unseen(library, 12)
    assert len(names) == 12 + few_drawings.HELD_OUT and names == few_drawings.unseen(library, 12)
    assert not set(names) & library.groups("faces_animals_food").keys()
    groups = library.groups("drawings")
    assert len({groups[name] for name in names}) == len(names)
