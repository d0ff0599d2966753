"""`compare` and `study make`, from what is given on the command line to what lies there afterwards."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.conftest import make_combined, run_cli, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.compare import Item, compare
from tfpix2pix.evaluation.comparison import latex_table
from tfpix2pix.evaluation.evaluate import evaluate
from tfpix2pix.evaluation.request import NoiseOptions, Request, resolve_for
from tfpix2pix.evaluation.study.make import make_study
from tfpix2pix.evaluation.study.page import Design

COUNT = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three programs' images beside their targets: `near`, `far` and `further` from them."""
    folder, rng = tmp_path_factory.mktemp("compared"), np.random.default_rng(0)
    for index in range(COUNT):
        target = rng.integers(60, 196, (24, 24, 3)).astype(np.uint8)
        write_image(folder / "targets" / f"{index}.png", target)
        for name, spread in {"near": 5, "far": 30, "further": 60}.items():
            noise = rng.integers(-spread, spread + 1, target.shape)
            write_image(folder / name / f"{index}.png", np.clip(target + noise, 0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def evaluations(folders):
    for name in ("near", "far", "further"):
        request = Request(folders / name, targets=str(folders / "targets"), noise=NoiseOptions())
        evaluate(request, out=folders / "scored" / name, metrics=["l1", "ssim"], replicates=200, shown=0)
    return folders / "scored"


def compared(given, out=None, **options):
    def none(resolved, folder):
        raise AssertionError(f"evaluated {resolved.request.model}")

    request = Request(given[0].partition("=")[2] or given[0])
    return compare([str(item) for item in given], request, evaluate=none, out=out, **options)


def test_evaluations_side_by_side(evaluations, tmp_path):
    comparison = compared([str(evaluations / name) for name in ("near", "far")], tmp_path / "out")
    assert [evaluation.name for evaluation in comparison.evaluations] == ["near", "far"]
    assert comparison.differences["far"]["l1"].verdict == "worse"
    assert comparison.differences["far"]["l1"].wins == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.csv", "comparison.json", "comparison.md", "comparison.pdf", "comparison.png", "comparison.svg",
        "comparison.tex",
    ]  # fmt: skip
    assert (tmp_path / "out" / "comparison.csv").read_text().startswith("metric,evaluation,value,low,high,difference,")
    assert (tmp_path / "out" / "comparison.tex").read_text() == latex_table(comparison)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["baseline"] == "near"


def test_several_of_one_name_are_one_variant(evaluations):
    given = [f"mine={evaluations / 'near'}", f"mine={evaluations / 'far'}", f"theirs={evaluations / 'further'}"]
    comparison = compared(given, baseline="theirs")
    values = [read(evaluations / name)["l1"] for name in ("near", "far")]
    assert comparison.table["mine"]["l1"].value == pytest.approx(np.mean(values))
    assert comparison.table["mine"]["l1"].members == pytest.approx(values)
    assert comparison.evaluations[comparison.baseline].name == "theirs"


def test_other_targets_under_the_same_names_are_refused(folders, evaluations, tmp_path):
    request = Request(folders / "near", targets=str(folders / "further"), noise=NoiseOptions())
    evaluate(request, out=tmp_path / "other", metrics=["l1", "ssim"], replicates=200, shown=0)
    with pytest.raises(UserError, match=r"of the same images\. Received targets of mean"):
        compared([str(evaluations / "near"), f"other={tmp_path / 'other'}"])


def read(folder):
    record = json.loads((folder / "metrics.json").read_text())
    return {name: figure["value"] for name, figure in record["figures"].items()}


def test_what_is_not_evaluated_yet_is_evaluated_into_the_folder(folders, tmp_path):
    evaluated = []

    def score(resolved, folder):
        evaluated.append(resolved.model.path.name)
        request = Request(resolved.request.model, targets=str(folders / "targets"), noise=NoiseOptions())
        evaluate(request, out=folder, metrics=["l1"], replicates=50, shown=0)

    given = [str(folders / "near"), f"b={folders / 'far'}"]
    comparison = compare(given, Request(folders / "near"), evaluate=score, out=tmp_path / "out")
    assert evaluated == ["near", "far"]
    assert [evaluation.name for evaluation in comparison.evaluations] == ["near", "b"]
    assert (tmp_path / "out" / "evaluations" / "2-b" / "report.html").is_file()
    assert comparison.evaluations[1].path == tmp_path / "out" / "evaluations" / "2-b"


def test_a_runs_evaluation_counts_if_it_is_of_the_newest_step_and_readable(folders, evaluations, tmp_path, smoke_run):
    run = tmp_path / "run"
    shutil.copytree(smoke_run.path, run)
    shutil.copytree(evaluations / "near", run / "evaluation" / "val")
    file = run / "evaluation" / "val" / "metrics.json"
    record = json.loads(file.read_text())
    with pytest.raises(UserError, match="must have an evaluation"):
        compared([str(run)])  # of another step
    file.write_text(json.dumps({**record, "step": smoke_run.card.step}))
    assert compared([str(run)]).evaluations[0].path == run / "evaluation" / "val"
    for damaged in ("[", json.dumps({**record, "step": smoke_run.card.step, "figures": 3})):
        file.write_text(damaged)
        with pytest.raises(UserError, match="must have an evaluation"):
            compared([str(run)])


@pytest.fixture
def evaluated_run(evaluations, tmp_path, smoke_run):
    """A run whose newest step was evaluated by l1 and ssim."""
    run = tmp_path / "run"
    shutil.copytree(smoke_run.path, run)
    shutil.copytree(evaluations / "near", run / "evaluation" / "val")
    file = run / "evaluation" / "val" / "metrics.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "step": smoke_run.card.step}))
    return run


class TestARunThatHasAnEvaluation:
    def score_into(self, folders, metrics):
        def score(resolved, folder):
            request = Request(folders / "near", targets=str(folders / "targets"), noise=NoiseOptions())
            evaluate(request, out=folder, metrics=metrics, replicates=200, shown=0)

        return score

    def test_metrics_that_it_has_are_taken_from_it_and_shown_alone(self, evaluated_run, tmp_path, recwarn):
        comparison = compared([str(evaluated_run)], tmp_path / "out", metrics=["ssim"])
        assert comparison.evaluations[0].path == evaluated_run / "evaluation" / "val"
        assert (tmp_path / "out" / "comparison.md").read_text().startswith("|  | ssim ↑ |\n")
        assert not recwarn.list

    def test_a_metric_that_it_lacks_is_measured_and_said(self, folders, evaluated_run, tmp_path):
        with pytest.warns(
            UserWarning, match=r"run is measured anew for l2, although .*/val\. `figures` chooses"
        ) as said:
            comparison = compare(
                [str(evaluated_run)], Request(evaluated_run), evaluate=self.score_into(folders, ["l1", "l2"]),
                metrics=["l1", "l2"], out=tmp_path / "out",
            )  # fmt: skip
        assert sum("anew" in str(warning.message) for warning in said) == 1
        assert comparison.evaluations[0].path == tmp_path / "out" / "evaluations" / "1-run"

    def test_other_options_measure_it_anew_and_are_said(self, folders, evaluated_run, tmp_path):
        options = {"anew": ["--size own", "--metrics l1"], "metrics": ["l1"]}
        with pytest.warns(UserWarning, match="run is measured anew with --size own --metrics l1, although it has"):
            compare(
                [str(evaluated_run)], Request(evaluated_run), evaluate=self.score_into(folders, ["l1"]),
                out=tmp_path / "out", **options,
            )  # fmt: skip

    def test_from_the_command_line(self, evaluated_run):
        code, out, err = run_cli("compare", evaluated_run, "--metrics", "ssim")
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == "|  | ssim ↑ |"
        for options, reason in {
            ("--metrics", "l2"): "for l2",
            ("--size", "own", "--set", "data.mirror=false"): "with --set data.mirror=false --size own",
            ("--variants", "0", "--metrics", "ssim"): "with --variants 0 --metrics ssim",
        }.items():
            code, _, err = run_cli("compare", evaluated_run, *options)
            assert code == 2
            assert f"run, which is measured anew {reason}, and no --out. Add --out, a new folder, or choose" in err
            assert err.rstrip().endswith("with --figures.")


def test_a_failed_evaluation_leaves_nothing(folders, tmp_path):
    def fails(resolved, folder):
        raise UserError("no")

    with pytest.raises(UserError, match="^no$"):
        compare([str(folders / "near")], Request(folders / "near"), evaluate=fails, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (["scored/near", "nowhere"], {}, "nowhere, which does not exist"),
        (["scored/near"], {"baseline": "nobody"}, "^`baseline` must be one of: near. Received 'nobody'"),
        (["scored/near"], {"figures": ["l7"]}, "A metric must be one of"),
        (["near"], {}, r"near and no `out`\. Add `out`, a new folder\.$"),
    ],
)
def test_what_cannot_be_compared(folders, evaluations, given, options, message):
    with pytest.raises(UserError, match=message):
        compared([str(folders / name) for name in given], **options)


def test_names_are_given_or_the_folders():
    assert Item.parse("runs/a").name == "a"
    assert Item.parse("x=runs/a") == Item("x", Item.parse("runs/a").path)


def test_a_runs_own_evaluation_has_the_runs_name(folders, evaluations, tmp_path):
    inside = tmp_path / "runs" / "facades" / "evaluation"
    inside.mkdir(parents=True)
    (inside / "val").symlink_to(evaluations / "near")
    assert Item.parse(str(inside / "val")).name == "facades"


def test_from_the_command_line(evaluations, tmp_path):
    code, out, err = run_cli("compare", evaluations / "near", f"far={evaluations / 'far'}", "--out", tmp_path / "out")
    assert code == 0, err
    assert out.splitlines()[0] == "|  | l1 ↓ | ssim ↑ |"
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["near", "far"]
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 5_000
    code, _, err = run_cli("compare", evaluations / "near", "--out", tmp_path / "out")
    assert code == 2
    assert re.fullmatch(r"Error: --out must be a new or empty folder\. Received .*\n", err)


class TestStudy:
    def request_of(self, folders, **more):
        return Request(folders / "near", targets=str(folders / "targets"), noise=NoiseOptions(), **more)

    def test_a_page_of_what_is_evaluated(self, folders, tmp_path):
        path = tmp_path / "study" / "index.html"
        drawn = make_study(self.request_of(folders), path, title="Which?", design=Design(1, 5, 0.5))
        assert drawn == COUNT
        assert path.read_text(encoding="utf-8").count("data:image/png") == 2 * COUNT

    def test_too_few_pairs(self, folders, tmp_path):
        with pytest.raises(UserError, match=r"Received 6 pairs\. Lower `trials` or `practice`"):
            make_study(self.request_of(folders), tmp_path / "index.html", title="", design=Design(10, 40))

    def test_without_real_images(self, folders, tmp_path):
        with pytest.raises(UserError, match="A study must show real images"):
            make_study(Request(folders / "near"), tmp_path / "i.html", title="", design=Design(0, 2))

    def test_from_the_command_line(self, tmp_path):
        make_combined(tmp_path / "pairs" / "val", count=3)
        for index in range(3):
            write_image(tmp_path / "theirs" / f"{index}.png", np.full((40, 40, 3), 90, np.uint8))
        options = ["--data", tmp_path / "pairs", "--practice", 1, "--trials", 2, "--out", tmp_path / "study"]
        code, out, err = run_cli("study", "make", tmp_path / "theirs", *options, "--json")
        assert code == 0, err
        assert json.loads(out) == {
            "page": str(tmp_path / "study" / "index.html"), "pairs": 3, "practice": 1, "trials": 2,
        }  # fmt: skip
        code, _, err = run_cli("study", "make", tmp_path / "theirs", *options)
        assert code == 2
        assert "raters may have answered it" in err
        code, _, err = run_cli("study", "score", tmp_path / "nothing.json")
        assert code == 2
        assert err.count("Error:") == 1


def test_what_is_of_folders_of_images_is_not_asked_of_models(folders, smoke_run):
    request = Request(folders / "near", targets=str(folders / "targets"), outputs="*", config="facades")
    assert resolve_for(request, folders / "far").request.targets == str(folders / "targets")
    of_model = resolve_for(request, smoke_run.path).request
    assert (of_model.targets, of_model.outputs, of_model.config) == (None, None, None)
