"""docs/measuring.md as it stands there, for fewer steps: a phantom of known physics, from images to errors in HU."""

import csv
import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
import yaml

from tests.conftest import run_cli
from tests.data.test_recipes import SMALLER
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.groups import beginning
from tfpix2pix.evaluation.report.charts import digits

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\d])")
PAGE = (Path(__file__).parents[1] / "docs" / "measuring.md").read_text(encoding="utf-8")
(PYTHON, OF_VOLUMES), (YAML, YAML_OF_VOLUMES), (SHELL, SHELL_OF_VOLUMES) = (
    re.findall(rf"```{kind}\n(.+?)```", PAGE, re.DOTALL) for kind in ("python", "yaml", "sh")
)


def run(command, *more):
    code, out, errors = run_cli(*command, *more)
    assert code == 0, errors
    return out


def run_page(shell):
    """The outputs of the page's commands, for fewer steps of smaller images than the files, which keep their size."""
    more = {"train": SMALLER, "translate": ["--size", "own"]}
    commands = [shlex.split(line)[1:] for line in shell.splitlines()]
    return [run(command, *more.get(command[0], [])) for command in commands]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """The phantom, the run and its evaluation, in the folder where the page's commands were called."""
    folder = tmp_path_factory.mktemp("measuring")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(PYTHON, "docs/measuring.md", "exec"), {})
        Path("phantom.yaml").write_text(YAML)
        outputs = run_page(SHELL)
    return folder, outputs


@pytest.fixture(scope="module")
def volumes(phantom):
    """The phantom as volumes with two targets, in the same folder; what `data check` said."""
    pytest.importorskip("nibabel")
    folder, _ = phantom
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(OF_VOLUMES, "docs/measuring.md", "exec"), {})
        Path("volumes.yaml").write_text(YAML_OF_VOLUMES, encoding="utf-8")
        outputs = run_page(SHELL_OF_VOLUMES)
    return folder, outputs


def test_the_physics_is_known(phantom):
    folder, _ = phantom
    images = {
        name: np.stack([tifffile.imread(file) for file in sorted((folder / "data/phantom" / name).iterdir())])
        for name in ("t1", "t2", "target", "mask")
    }
    inside = images["mask"] == 255
    assert images["mask"].shape == (48, 64, 64)
    bone = inside & (images["target"] > 600)
    assert bone.sum() > 500
    assert images["t1"][bone].mean() == pytest.approx(150, abs=5)
    assert images["t2"][bone].mean() == pytest.approx(80, abs=5)
    with (folder / "data/phantom/scalars.csv").open() as file:
        kv = [float(row["kv"]) for row in csv.DictReader(file)]
    for voltage, hu in {80: 1300, 100: 1100, 120: 900, 140: 700}.items():
        of_voltage = bone & (np.array(kv) == voltage)[:, np.newaxis, np.newaxis]
        assert images["target"][of_voltage].mean() == pytest.approx(hu, abs=5)
    assert images["target"][~inside].mean() == pytest.approx(-1000, abs=5)


def test_another_voltage_is_another_ct(phantom):
    folder, _ = phantom
    slices, names = ("t1", "t2"), ("patient-00_slice-0", "patient-03_slice-1")
    for kv in (80, 140):
        files = [f"--input={part}={folder / 'data/phantom' / part / names[0]}.tif" for part in slices]
        out = ["--size", "own", "--out", folder / f"ct-{kv}"]
        run(["translate", folder / "runs/phantom", *files, f"--input=kv={kv}", *out])
    low, high = (tifffile.imread(folder / f"ct-{kv}/{names[0]}.tif") for kv in (80, 140))
    np.testing.assert_array_equal(low, tifffile.imread(folder / f"ct/{names[0]}.tif"))
    assert np.abs(low - high).mean() > 1


def test_the_check_says_how_much_counts(phantom):
    folder, (checked, *_) = phantom
    masks = [tifffile.imread(file) / 255 for file in (folder / "data/phantom/mask").iterdir()]
    assert f"{100 * np.mean(masks):.3g} % of the pixels count" in " ".join(checked.split())
    assert "0 findings" in checked or "no faults found" in checked.lower()


def test_a_patient_is_on_one_side(phantom):
    folder, _ = phantom
    splits = json.loads((folder / "runs/phantom/data.json").read_text())["periods"][-1]["splits"]
    patients = {split: {beginning(name, "patient-*_") for name in names} for split, names in splits.items()}
    assert patients["train"] and patients["val"]
    assert not patients["train"] & patients["val"]
    assert len(splits["val"]) == 4 * len(patients["val"])


def test_errors_are_in_hu_inside_the_mask(phantom):
    """MAE of the translations without noise, by hand from files: `translate` writes HU at the files' own size."""
    folder, _ = phantom
    record = json.loads((folder / "runs/phantom/evaluation/metrics.json").read_text())
    own = record["at_own_size"]["figures"]
    splits = json.loads((folder / "runs/phantom/data.json").read_text())["periods"][-1]["splits"]
    errors, weights = [], []
    for name in splits["val"]:
        translation = tifffile.imread(folder / "ct" / f"{name}.tif")
        target = tifffile.imread(folder / "data/phantom/target" / f"{name}.tif")
        mask = tifffile.imread(folder / "data/phantom/mask" / f"{name}.tif") / 255
        errors.append((mask * np.abs(translation - target)).sum())
        weights.append(mask.sum())
    assert record["figures"].keys() >= {"unit_mae", "unit_rmse", "unit_bias", "pearson_r", "r2"}
    assert own["unit_mae"]["value"] == pytest.approx(sum(errors) / sum(weights), rel=1e-4)


def test_intervals_resample_patients(phantom):
    folder, _ = phantom
    record = json.loads((folder / "runs/phantom/evaluation/metrics.json").read_text())
    rows = groups(folder / "runs/phantom/evaluation")
    with (folder / "runs/phantom/evaluation/per_image.csv").open() as file:
        images = list(csv.DictReader(file))
    assert record["protocol"]["group"] == "patient-*_"
    assert any(f"Intervals of {len(rows)} groups are rough" in note for note in record["notes"]) or len(rows) == 1
    for row in rows:
        of_group = [float(image["l1"]) for image in images if image["name"].startswith(row["group"])]
        assert int(row["images"]) == len(of_group) == 4
        assert float(row["l1"]) == pytest.approx(np.mean(of_group))


def test_the_plots_of_all_pixels_have_the_figures_of_the_record(phantom):
    folder, _ = phantom
    evaluation = folder / "runs/phantom/evaluation"
    figures = json.loads((evaluation / "metrics.json").read_text())["figures"]
    with np.load(evaluation / "density.npz") as arrays:
        assert arrays["mean_difference"] == pytest.approx(figures["unit_bias"]["value"])
        squared = arrays["mean_difference"] ** 2 + arrays["sd"] ** 2
        assert np.sqrt(squared) == pytest.approx(figures["unit_rmse"]["value"])
        assert list(arrays["groups"]) == [row["group"] for row in groups(evaluation)]
        assert arrays["scatter"].sum() == pytest.approx(arrays["bland_altman"].sum())
    assert json.loads((evaluation / "metrics.json").read_text())["data"]["groups"] == len(groups(evaluation))
    page = (evaluation / "report.html").read_text(encoding="utf-8")
    assert f"{len(groups(evaluation))} group" in page and "translation − target, HU" in page
    for name in ("scatter", "bland_altman"):
        assert all((evaluation / f"{name}{suffix}").stat().st_size > 1000 for suffix in (".png", ".svg", ".pdf"))
    assert f"r {figures['pearson_r']['value']:.4f}" in (evaluation / "captions.md").read_text(encoding="utf-8")


def test_the_figure_of_examples_has_their_errors_and_a_scale_bar(phantom):
    """Files of 64 x 64 px, 2 mm a pixel, are 128 mm wide at every size: 0.4 of it are 51.2 mm."""
    folder, _ = phantom
    evaluation = folder / "runs/phantom/evaluation"
    with (evaluation / "per_image.csv").open() as file:
        errors = sorted(float(row["unit_mae"]) for row in csv.DictReader(file))
    root = ElementTree.fromstring((evaluation / "examples.svg").read_text(encoding="utf-8"))
    said = {"".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"t1", "t2", "output", "target", "error", "50 mm", "HU"} <= said
    chosen = {"best": errors[0], "median": errors[(len(errors) - 1) // 2], "worst": errors[-1]}
    for word, error in chosen.items():
        assert any(re.fullmatch(rf"{word}: {digits(error)} HU", text) for text in said)


def numbers_in(value):
    """Every number in JSON values, and the length of every mapping and list, as floats."""
    if isinstance(value, dict):
        return {float(len(value))}.union(*map(numbers_in, value.values()))
    if isinstance(value, list):
        return {float(len(value))}.union(*map(numbers_in, value))
    if isinstance(value, str):
        return {float(number) for number in NUMBER.findall(value)}
    return {float(value)} if isinstance(value, (int, float)) else set()


def test_every_number_of_the_methods_is_in_a_record(phantom):
    folder, _ = phantom
    directory = folder / "runs/phantom"
    text = (directory / "evaluation/methods.md").read_text(encoding="utf-8").partition("## Metrics")[0]
    for fixed in (r"\([A-Z][^()]* \d{4}\)", r"Bland & Altman 1986", r"\[−1, 1\]", r"β[12]", "pix2pix", "L1", "95 %",
                  "probability 0.5"):  # fmt: skip
        text = re.sub(fixed, "", text)
    json_of = {name: json.loads((directory / name).read_text()) for name in ("environment.json", "data.json")}
    json_of["metrics.json"] = json.loads((directory / "evaluation/metrics.json").read_text())
    config = yaml.safe_load((directory / "config.yaml").read_text())
    recorded = numbers_in([config, *json_of.values()])
    spec = config["generator"]
    recorded.add(spec["base_filters"] * spec["max_filters_factor"])
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    recorded.add(round(max(line.get("time_s", 0) for line in lines)))
    text = text.replace("−", "-")
    said = {float(number) for number in NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text))}
    assert said <= recorded and len(said) > 20
    (period,) = json_of["data.json"]["periods"]
    pairs = {split: len(names) for split, names in period["splits"].items()}
    assert f"{pairs['train']} to train on and {pairs['val']} held out (val)" in text
    assert "No group has pairs in two splits." in text and "to 1500 HU" in text


def groups(evaluation):
    with (evaluation / "per_group.csv").open() as file:
        return list(csv.DictReader(file))


def test_translations_are_floats_in_hu(phantom):
    folder, _ = phantom
    files = sorted((folder / "ct").glob("*.tif"))
    assert len(files) == 48
    first = tifffile.imread(files[0])
    assert (first.dtype, first.shape) == (np.float32, (64, 64))
    assert first.min() >= -1000 and first.max() <= 1500


@pytest.mark.slow
class TestVolumes:
    def test_the_check_reads_every_slice(self, volumes):
        _, (checked, *_) = volumes
        assert "64x64 px, 4 slices" in checked and "scalar kv is 80 to 140" in " ".join(checked.split())
        assert "0 findings" in checked or "no faults found" in checked.lower()

    def test_slices_are_those_of_the_images(self, volumes):
        """An axial slice is shown as the phantom was drawn: front on top, the patient's right on the left."""
        folder, _ = volumes
        data = make_config(yaml.safe_load(YAML_OF_VOLUMES)).data.model_copy(
            update={"dir": str(folder / "data/volumes"), "held_out_fraction": 0.0}
        )
        source = SOURCES["folders"](data, "train", 0)
        index = list(source.names).index("patient-05#z002")
        inputs, targets, weight = source.whole(index)
        images = {
            name: tifffile.imread(folder / f"data/phantom/{name}/patient-05_slice-2.tif")
            for name in ("t1", "t2", "target", "mask")
        }
        np.testing.assert_allclose(inputs[..., 0] * 1000, images["t1"].clip(0, 1000), atol=1e-3)
        np.testing.assert_allclose(inputs[..., 1] * 600, images["t2"].clip(0, 600), atol=1e-3)
        np.testing.assert_allclose(targets[..., 0], images["target"].clip(-1000, 1500), atol=1e-3)
        bone = images["target"] > 500
        assert bone.any() and np.unique(targets[..., 1][bone]).tolist() == [pytest.approx(1.6)]
        np.testing.assert_array_equal(weight[..., 0], images["mask"] / 255)

    def test_translations_are_volumes_of_each_part(self, volumes):
        import nibabel

        folder, _ = volumes
        affine = nibabel.load(folder / "data/volumes/t1/patient-00.nii.gz").affine
        for part, low, high in (("ct", -1000, 1500), ("density", 0, 2)):
            files = sorted((folder / "maps" / part).iterdir())
            assert [file.name for file in files] == [f"patient-{number:02}.nii.gz" for number in range(12)]
            image = nibabel.load(files[0])
            assert (image.shape, image.get_data_dtype()) == ((64, 64, 4), np.float32)
            np.testing.assert_array_equal(image.affine, affine)
            assert low <= image.get_fdata().min() < image.get_fdata().max() <= high

    def test_errors_of_each_part_are_those_of_the_volumes_inside_the_mask(self, volumes):
        import nibabel

        folder, _ = volumes
        record = json.loads((folder / "runs/volumes/evaluation/metrics.json").read_text(encoding="utf-8"))
        own = record["at_own_size"]["figures"]
        names = json.loads((folder / "runs/volumes/data.json").read_text())["periods"][-1]["splits"]["val"]
        patients = sorted({name.split("#")[0] for name in names})
        assert len(names) == 4 * len(patients)
        for part, low, high in (("ct", -1000, 1500), ("density", 0, 2)):
            errors, counts = 0.0, 0
            for patient in patients:
                made, true, mask = (
                    nibabel.load(folder / place / f"{patient}.nii.gz").get_fdata()
                    for place in (f"maps/{part}", f"data/volumes/{part}", "data/volumes/mask")
                )
                errors += np.abs(made - true.clip(low, high))[mask > 0].sum()
                counts += (mask > 0).sum()
            assert own[f"unit_mae_{part}"]["value"] == pytest.approx(errors / counts, rel=1e-4)
        rows = groups(folder / "runs/volumes/evaluation")
        assert [row["group"] for row in rows] == [f"{patient}#" for patient in patients]
        page = (folder / "runs/volumes/evaluation/report.html").read_text(encoding="utf-8")
        assert "target of density, g/cm³" in page and "(kv " in page
