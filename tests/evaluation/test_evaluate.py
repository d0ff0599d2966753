"""Whole evaluations: models of every form and other programs' images, scored by one protocol."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import tfpix2pix as p2p
from tests import real_pairs
from tests.conftest import least_config, make_combined, run_cli, write_image
from tfpix2pix.data.images import write_image as write_deep
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import compare, draw_comparison, read_evaluation
from tfpix2pix.evaluation.evaluate import evaluate
from tfpix2pix.evaluation.examples.folders import folder_examples
from tfpix2pix.evaluation.examples.layouts import LAYOUTS, Layout, matching
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.folder import check_free, sizes_sentence
from tfpix2pix.evaluation.request import NoiseOptions, Request
from tfpix2pix.files import safe_file_name
from tfpix2pix.metrics import METRICS

FEW = {"metrics": ["l1", "psnr", "ssim"], "replicates": 50, "shown": 2}


def picture(rng, size_px=16, channels=3):
    return rng.integers(0, 256, (size_px, size_px, channels), np.uint8)


def folder_of(path, images):
    for name, image in images.items():
        write_image(path / f"{name}.png", image)
    return path


@pytest.fixture
def three(tmp_path, rng):
    """Outputs near their targets, in two folders: (outputs, targets, both as arrays by name)."""
    targets = {name: picture(rng) for name in ("a", "b", "c")}
    outputs = {
        name: np.clip(image.astype(int) + rng.integers(-40, 40, image.shape), 0, 255).astype(np.uint8)
        for name, image in targets.items()
    }
    return folder_of(tmp_path / "outputs", outputs), folder_of(tmp_path / "targets", targets), outputs, targets


def request(model, **more):
    return Request(model, **{"noise": NoiseOptions(variants=0), **more})


class TestModels:
    @pytest.fixture(scope="class")
    def run(self, tmp_path_factory, request):
        folder = tmp_path_factory.mktemp("evaluated")
        make_combined(folder / "pairs" / "train", count=2)
        make_combined(folder / "pairs" / "val", count=3)
        from rich.console import Console

        config = least_config(data={"dir": str(folder / "pairs")})
        return p2p.train(config, run_dir=folder / "run", console=Console(file=open("/dev/null", "w")))

    def test_figures_equal_those_by_hand(self, run, tmp_path):
        done = evaluate(request(run.path), out=tmp_path / "out", **FEW)
        translator, expected = p2p.load(run.path), {"l1": [], "psnr_db": [], "ssim": []}
        for index in range(3):
            image = Image.open(run.path.parent / "pairs" / "val" / f"{index}.png")
            pair = np.split(np.asarray(image).astype(np.float32) / 127.5 - 1, 2, axis=1)
            import tensorflow as tf

            given, target = (tf.image.resize(image, (32, 32), antialias=True).numpy() for image in pair)
            translation = translator(given).astype(np.float64)
            expected["l1"].append(np.abs(translation - target).mean())
            expected["psnr_db"].append(peak_signal_noise_ratio(target, translation.astype(np.float32), data_range=2))
            halves = ((image.astype(np.float64) + 1) / 2 for image in (target, translation))
            options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
            expected["ssim"].append(structural_similarity(*halves, channel_axis=-1, data_range=1, **options))
        for name, values in expected.items():
            assert done.figures[name] == pytest.approx(np.mean(values), rel=1e-5)
        assert done.record["kind"] == "run"
        assert done.record["step"] == 4
        assert done.record["protocol"]["size_px"] == 32

    def test_what_is_written(self, run, tmp_path):
        done = evaluate(request(run.path), out=tmp_path / "out", **FEW)
        assert sorted(path.name for path in done.path.iterdir()) == [
            "bootstrap.npz", "captions.md", "contact_sheet.png", "examples.pdf", "examples.png", "examples.svg",
            "methods.md", "metrics.json", "per_image.csv", "report.html",
        ]  # fmt: skip
        assert json.loads((done.path / "metrics.json").read_text()) == done.record
        with (done.path / "per_image.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == ["0", "1", "2"]
        assert np.mean([float(row["l1"]) for row in rows]) == pytest.approx(done.figures["l1"])
        with np.load(done.path / "bootstrap.npz") as arrays:
            assert arrays["l1"].shape == (51,)
            assert arrays["l1"][0] == pytest.approx(done.figures["l1"])

    def test_everything_that_can_be_measured_is_and_the_rest_says_why(self, run, tmp_path):
        record = evaluate(request(run.path, noise=NoiseOptions(variants=2)), out=tmp_path / "out", replicates=20).record
        assert {"l1", "l2", "psnr_db", "ssim", "ms_ssim", "sharpness", "diversity", "swd"} <= set(record["figures"])
        assert {"best_of_k_l1", "best_of_k_gain", "calibration_90", "calibration_gap"} <= set(record["figures"])
        in_units = {"unit_errors", "unit_bias", "correlation"}
        others = {"fid", "kid", "semantic", "variant_agreement", "ndb", "entropy"}
        assert set(record["not_measured"]) == in_units | others
        assert record["not_measured"]["ndb"] == "it needs 50 images or more, not 3"
        assert "`segmenter`" in record["not_measured"]["semantic"]
        assert "colored_shapes" in record["not_measured"]["entropy"]
        assert set(record["protocols"]) == {figure["metric"] for figure in record["figures"].values()}

    def test_entropy_is_measured_where_the_truth_is_known(self, run, tmp_path):
        shapes = ("data.source=colored_shapes", "data.dir=null", "data.shape_pairs=15", "data.shape_colors=2")
        on_shapes = request(run.path, overrides=shapes, noise=NoiseOptions(variants=4))
        figures = evaluate(on_shapes, out=tmp_path / "out", replicates=20, metrics=["entropy"]).figures
        assert list(figures) == list(METRICS["entropy"].titles)
        assert figures["entropy_true_bits"] == 1
        with pytest.raises(UserError, match="entropy cannot be measured here: it needs several translations"):
            evaluate(request(run.path, overrides=shapes), out=tmp_path / "other", metrics=["entropy"])

    @pytest.mark.parametrize("format", ["saved_model", "tflite"])
    def test_an_export_scores_as_its_run(self, run, tmp_path, format):
        size = {"size_px": 32} if format == "tflite" else {}
        export = p2p.export_run(run.path, format, tmp_path / "exports", **size)
        of_run, of_export = (
            evaluate(request(path, data=run.path.parent / "pairs"), out=tmp_path / name, **FEW).figures
            for name, path in {"run": run.path, "export": export.path}.items()
        )
        assert of_export == pytest.approx(of_run, rel=1e-4)

    def test_the_gain_of_variants_is_over_the_translation_without_noise(self, run, tmp_path):
        gains = []
        for mode in ("off", "on"):
            noise = NoiseOptions(mode, 3, seed=7)
            done = evaluate(
                request(run.path, noise=noise),
                out=tmp_path / mode,
                metrics=["best_of_k", "best_of_k_gain"],
                replicates=20,
            )
            gains.append(done.figures["best_of_k_gain"])
            assert done.record["figures"]["best_of_k_gain"]["low"] is not None
        without = [
            np.abs(example.translation - example.target).mean() for example in open_subject(request(run.path)).examples
        ]
        assert gains[0] == gains[1] == pytest.approx(np.mean(without) - done.figures["best_of_k_l1"], abs=1e-6)

    def test_noise_is_each_images_own_and_repeats(self, run):
        examples = open_subject(request(run.path, noise=NoiseOptions("on", 2, seed=7))).examples
        first, again = examples[0], open_subject(request(run.path, noise=NoiseOptions("on", 2, seed=7))).examples[0]
        np.testing.assert_array_equal(first.variants, again.variants)
        assert np.abs(first.variants[0] - first.variants[1]).max() > 1e-3
        other = open_subject(request(run.path, noise=NoiseOptions("on", 2, seed=8))).examples[0]
        assert np.abs(first.translation - other.translation).max() > 1e-3

    def test_at_another_size_and_at_their_own(self, run):
        assert open_subject(request(run.path, size="48")).examples[0].translation.shape == (48, 48, 3)
        assert open_subject(request(run.path, size="own")).examples[0].translation.shape == (40, 40, 3)

    def test_files_of_another_size_are_measured_at_that_size_too(self, run, tmp_path):
        both, own, training = (
            evaluate(request(run.path, size=size), out=tmp_path / f"{size}", **FEW)
            for size in (None, "own", "training")
        )
        at_own_size = both.record["at_own_size"]
        assert at_own_size == {"images": 3, "figures": own.record["figures"]}
        assert at_own_size["figures"]["l1"]["value"] != both.figures["l1"]
        assert own.record["at_own_size"] is training.record["at_own_size"] is None
        assert training.record["figures"] == both.record["figures"]
        sentence = "images brought to 32 px, the size of training. Those at own size are of the same images"
        assert sentence in (both.path / "report.html").read_text()
        page = (own.path / "report.html").read_text()
        assert "At own size" not in page and "Measured at the files' own size." in page.replace("&#39;", "'")

    @pytest.mark.parametrize(
        ("size_px", "fit", "sentence"),
        [
            (64, "crop", "Measured at 64 px, the middle of each image. With `size` own whole images are measured."),
            ("own", "crop", "Measured at the files' own size."),
            ([32, 64], "pad", "Measured at 32x64 px (height x width), each image resized until it lies within"),
        ],
    )
    def test_every_table_says_at_which_size_it_is(self, size_px, fit, sentence):
        protocol = {"seed": 0, "size_px": size_px, "fit": fit, "replicates": 0, "covered": 0.95}
        assert sizes_sentence({"protocol": protocol}).startswith(sentence)

    def test_files_of_the_training_size_are_measured_once(self, run, tmp_path):
        make_combined(tmp_path / "pairs" / "val", count=2, size_px=32)
        done = evaluate(request(run.path, data=tmp_path / "pairs"), out=tmp_path / "out", **FEW)
        assert done.record["at_own_size"] is None

    def test_a_few_images_are_measured_at_their_own_size_and_no_large_ones(self, run, tmp_path, monkeypatch):
        make_combined(tmp_path / "large", count=1, size_px=48)
        make_combined(tmp_path / "pairs" / "val", count=3, size_px=40)
        (tmp_path / "large" / "0.png").rename(tmp_path / "pairs" / "val" / "large.png")
        monkeypatch.setattr("tfpix2pix.evaluation.evaluate.LARGEST_OWN_SIZE", 40 * 40)
        monkeypatch.setattr("tfpix2pix.evaluation.evaluate.MOST_OWN_SIZE", 2)
        code, text, _ = run_cli(
            "evaluate", run.path, "--data", tmp_path / "pairs", "--out", tmp_path / "out", "--metrics", "l1",
            "--replicates", 0,
        )  # fmt: skip
        record = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert (code, record["data"]["images"], record["at_own_size"]["images"]) == (0, 4, 2)
        assert "2 of the images" in " ".join(text.split())
        row = next(line for line in text.splitlines() if "l1" in line)
        assert f"{record['at_own_size']['figures']['l1']['value']:.4f}" in row

    def test_pairs_of_two_sizes_have_none_of_their_own(self, run, tmp_path, rng):
        for side, size_px in {"input": 40, "target": 48}.items():
            folder_of(tmp_path / "pairs" / "val" / side, {"a": picture(rng, size_px)})
        options = {"data": tmp_path / "pairs", "overrides": ("data.source=folders",)}
        done = evaluate(request(run.path, **options), out=tmp_path / "out", **FEW)
        assert done.record["at_own_size"] is None

    def test_a_folder_of_images_has_no_size_of_training(self, three):
        outputs, targets, *_ = three
        with pytest.raises(UserError, match="`size` must go with a model"):
            open_subject(request(outputs, targets=targets, size="training"))

    def test_a_subject_says_what_is_evaluated(self, run):
        subject = open_subject(request(run.path, size="48", noise=NoiseOptions(variants=2, seed=7)))
        assert (subject.kind, subject.path, subject.name) == ("run", run.path, run.card.name)
        assert (subject.step, subject.split, subject.dir) == (4, "val", str(run.path.parent / "pairs"))
        protocol = subject.protocol
        assert (protocol.size_px, protocol.fit, protocol.seed, protocol.variants) == (48, "resize", 7, 2)
        assert (protocol.statistics, protocol.noise) == (run.card.statistics, run.card.noise)
        assert subject.card.step == 4
        assert (len(subject.examples), subject.examples.pairs) == (3, 3)

    def test_a_split_that_is_empty(self, run):
        with pytest.raises(UserError, match=r"Received 'test', empty in .*Use `split` train or val"):
            open_subject(request(run.path, split="test"))

    def test_numbers_that_are_not_finite_name_the_image(self, run, monkeypatch, tmp_path):
        from tfpix2pix.inference.translator import Translator

        monkeypatch.setattr(Translator, "__call__", lambda self, image, **_: np.full_like(image, np.nan))
        with pytest.raises(UserError, match=r"Received NaN or infinity in that of '0'"):
            evaluate(request(run.path), out=tmp_path / "out", **FEW)
        assert not (tmp_path / "out").exists()

    def test_another_evaluation_is_kept_unless_told_otherwise(self, run, tmp_path):
        done = evaluate(request(run.path), out=tmp_path / "out", **FEW)
        with pytest.raises(UserError, match=r"holds one\. Add `overwrite`"):
            evaluate(request(run.path), out=tmp_path / "out", **FEW)
        again = evaluate(request(run.path), out=tmp_path / "out", overwrite=True, **FEW)
        assert again.figures == done.figures
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "thesis.txt").write_text("mine")
        with pytest.raises(UserError, match="holds something else"):
            check_free(tmp_path / "other", overwrite=True)

    def test_from_the_command_line(self, run, tmp_path):
        code, out, err = run_cli("evaluate", run.path, "--metrics", "l1,sharpness", "--json")
        assert code == 0, err
        assert set(json.loads(out)["figures"]) == {"l1", "sharpness"}
        assert (run.path / "evaluation" / "val" / "report.html").is_file()


class TestFolders:
    def test_an_output_that_cannot_be_read_stops_no_other(self, three, tmp_path):
        outputs, targets, *_ = three
        whole = evaluate(request(outputs, targets=str(targets)), out=tmp_path / "whole", **FEW)
        (outputs / "b.png").write_text("no image")
        with pytest.raises(UserError) as error:
            evaluate(request(outputs, targets=str(targets)), out=tmp_path / "out", **FEW)
        assert str(error.value) == (
            f"Every image must be readable and whole. Received {outputs / 'b.png'}, which is not in a supported "
            f"format (PNG, JPEG, WEBP, BMP, GIF, TIFF, NPY). Replace the file or remove it. "
            f"The evaluation of the other 2 of 3 is in {tmp_path / 'out'}."
        )
        rows, before = (
            list(csv.DictReader((path / "per_image.csv").open())) for path in (tmp_path / "out", whole.path)
        )
        assert rows == [row for row in before if row["name"] != "b"]
        record = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert record["data"]["images"] == 2 and "1 image could not be evaluated" in record["notes"][-1]
        for path in (outputs / "a.png", outputs / "c.png"):
            path.write_text("no image")
        with pytest.raises(UserError, match=r"a\.png, .* 2 more could not be evaluated: b, c\.$"):
            evaluate(request(outputs, targets=str(targets)), out=tmp_path / "none", **FEW)
        assert not (tmp_path / "none").exists()

    def test_images_of_every_name_are_evaluated(self, tmp_path, rng):
        names = [os.fsdecode(name) for name in (b"caf\xe9", b"x" * 251, b"a,b;c", b"a\nb", b"[a] b*?", b'<b>"')]
        outputs, targets = tmp_path / os.fsdecode(b"[o] \xe9"), tmp_path / os.fsdecode(b"[t] b*? \xe9")
        for name in names:
            write_deep(targets / f"{name}.png", picture(rng))
            write_deep(outputs / f"{safe_file_name(name)}.png", picture(rng))  # as `translate` names them
        done = evaluate(request(outputs, targets=str(targets)), out=tmp_path / os.fsdecode(b"ev \xe9"), **FEW)
        again = json.loads((done.path / "metrics.json").read_text())
        assert again["data"]["images"] == len(names) and "l1" in again["figures"] and again["model"] == str(outputs)
        assert "caf\\xe9" in (done.path / "report.html").read_text(encoding="utf-8")
        comparison = compare([read_evaluation(done.path, os.fsdecode(b"\xe9 $"))])
        for suffix in ("png", "svg", "pdf"):
            draw_comparison(comparison, tmp_path / f"figure.{suffix}")

    def test_targets_in_another_folder(self, three, tmp_path):
        outputs, targets, given, wanted = three
        done = evaluate(request(outputs, targets=str(targets)), out=tmp_path / "out", **FEW)
        l1 = [np.abs(given[name].astype(float) - wanted[name]).mean() / 127.5 for name in given]
        assert done.figures["l1"] == pytest.approx(np.mean(l1), rel=1e-6)
        assert done.record["kind"] == "images"

    @pytest.mark.parametrize("program", [name for name, layout in LAYOUTS.items() if layout.target])
    def test_other_programs_folders_need_no_options(self, three, tmp_path, program):
        layout, (_, _, given, wanted) = LAYOUTS[program], three
        for name in given:
            for pattern, image in ((layout.output, given[name]), (layout.target, wanted[name])):
                write_image(tmp_path / "theirs" / f"{pattern.replace('*', name)}.png", image)
        examples = open_subject(request(tmp_path / "theirs")).examples
        assert list(examples.names) == ["a", "b", "c"]
        assert examples.has == {"target"}
        np.testing.assert_allclose(examples[1].target, wanted["b"] / 127.5 - 1, atol=1e-6)

    def test_outputs_of_a_split_of_pairs(self, tmp_path, rng):
        make_combined(tmp_path / "pairs" / "val", count=3)
        folder_of(tmp_path / "theirs", {f"epoch9_{name}_out": picture(rng, 40) for name in range(2)})
        examples = open_subject(
            request(tmp_path / "theirs", data=str(tmp_path / "pairs"), outputs="epoch9_*_out.png")
        ).examples
        assert list(examples.names) == ["0", "1"]
        assert "1 of 3 pairs have no output" in examples.notes[0]

    def test_outputs_of_pairs_in_sub_folders(self, tmp_path, rng):
        for name in ("a", "inner/a", "inner/b"):
            write_image(tmp_path / "pairs" / "val" / f"{name}.png", rng.integers(0, 256, (40, 80, 3), np.uint8))
            write_image(tmp_path / "outputs" / f"{name}.png", rng.integers(0, 256, (40, 40, 3), np.uint8))
        config = least_config(data={"dir": str(tmp_path / "pairs")})
        examples = folder_examples(tmp_path / "outputs", Layout("*"), config, split="val", size_px=None)
        assert list(examples.names) == ["a", "inner/a", "inner/b"] and len(examples.notes) == 0

    def test_another_programs_folder_agrees_with_scikit_image(self, tmp_path):
        """Inputs, outputs and targets in one folder, as other implementations write them; outputs are too smooth."""
        folder, l1, psnr, ssim = tmp_path / "theirs", [], [], []
        for name, (target, lines) in real_pairs.drawings(4).items():
            output = np.asarray(Image.fromarray(target).filter(ImageFilter.GaussianBlur(2)))
            for kind, image in (("inputs", lines), ("tensorflow", output), ("targets", target)):
                write_image(folder / f"{name}-{kind}.png", image)
            l1.append(np.abs(output.astype(float) - target).mean() / 127.5)
            psnr.append(peak_signal_noise_ratio(target, output))
            options = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
            ssim.append(structural_similarity(target, output, **options))
        requested = request(folder, outputs="*-tensorflow.png", targets="*-targets.png", inputs="*-inputs.png")
        figures = evaluate(requested, out=tmp_path / "out", **FEW).figures
        assert figures["l1"] == pytest.approx(np.mean(l1), rel=1e-6)
        assert figures["psnr_db"] == pytest.approx(np.mean(psnr), rel=1e-6)
        assert figures["ssim"] == pytest.approx(np.mean(ssim), abs=1e-6)

    def test_without_targets_metrics_without_a_reference_are_left(self, three, tmp_path):
        with pytest.warns(UserWarning, match="no targets: only metrics without a reference"):
            record = evaluate(request(three[0]), out=tmp_path / "out", replicates=20).record
        assert set(record["figures"]) == {"gradient_magnitude"}
        assert record["not_measured"]["l1"] == "there are no targets"

    def test_one_image_has_no_interval(self, tmp_path, rng):
        image = picture(rng)
        folder_of(tmp_path / "outputs", {"a": image})
        folder_of(tmp_path / "targets", {"a": 255 - image})
        requested = request(tmp_path / "outputs", targets=str(tmp_path / "targets"))
        with pytest.warns(UserWarning, match="With one image there are no intervals: one image says"):
            record = evaluate(requested, out=tmp_path / "out", **FEW).record
        assert all(figure["low"] is None for figure in record["figures"].values())

    def test_sizes_that_differ(self, tmp_path, rng):
        outputs = folder_of(tmp_path / "outputs", {"a": picture(rng, 16)})
        targets = folder_of(tmp_path / "targets", {"a": picture(rng, 32)})
        arguments = {"targets": str(targets)}
        with pytest.raises(
            UserError, match=r"Received 16x16 px in .*a\.png for a target of 32x32 px.*or give a `size` for both\.$"
        ):
            evaluate(request(outputs, **arguments), out=tmp_path / "out", **FEW)
        assert not (tmp_path / "out").exists()
        example = open_subject(request(outputs, size="16", **arguments)).examples[0]
        assert example.target.shape == (16, 16, 3)

    @pytest.mark.parametrize("outputs", [(0, 1), (0, 255)])
    def test_masks_of_two_values_are_known_by_the_targets_in_another_folder(self, tmp_path, rng, outputs):
        for name in "ab":
            mask = rng.integers(0, 2, (8, 8, 1), np.uint8)
            write_image(tmp_path / "targets" / f"{name}.png", mask * np.uint8(255))
            write_image(tmp_path / "outputs" / f"{name}.png", mask * np.uint8(outputs[1]))
        request = Request(tmp_path / "outputs", targets=tmp_path / "targets", overrides=["data.target_classes=2"])
        examples = open_subject(request).examples
        assert examples.data.target_class_values == (0, 255)
        for example in (examples[0], examples[1]):
            np.testing.assert_array_equal(example.translation, example.target)

    def test_label_maps_in_colours_are_read_by_the_nearest(self, tmp_path, rng):
        colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
        wanted = rng.integers(0, 3, (16, 16))
        given = np.where(rng.uniform(0, 1, wanted.shape) < 0.25, 0, wanted)
        noise = rng.integers(0, 40, (16, 16, 3)).astype(np.uint8)
        outputs = folder_of(tmp_path / "outputs", {"a": np.maximum(colors[given], noise)})
        targets = folder_of(tmp_path / "targets", {"a": colors[wanted]})
        classes = ["data.target_classes=3", "data.class_colors=['#ff0000','#00ff00','#0000ff']"]
        requested = request(outputs, targets=str(targets), overrides=classes)
        with pytest.warns(UserWarning, match="With one image there are no intervals"):
            figures = evaluate(requested, out=tmp_path / "out", replicates=0).figures
        assert figures["pixel_accuracy"] == pytest.approx((given == wanted).mean())
        ious = [((given == c) & (wanted == c)).sum() / ((given == c) | (wanted == c)).sum() for c in range(3)]
        assert figures["class_iou"] == pytest.approx(np.mean(ious))
        assert "l1" not in figures


def test_what_lies_beside_named_outputs_is_found(three, tmp_path):
    _, _, given, wanted = three
    for name in given:
        write_image(tmp_path / "theirs" / f"{name}-tensorflow.png", given[name])
        write_image(tmp_path / "theirs" / f"{name}-targets.png", wanted[name])
    assert open_subject(request(tmp_path / "theirs", outputs="*-tensorflow")).examples.has == {"target"}
    with pytest.raises(UserError, match=r"must be known from their names\. Received .*, which has \*-targets too"):
        open_subject(request(tmp_path / "theirs"))


def test_two_outputs_of_one_name(three, rng):
    outputs = three[0]
    Image.fromarray(picture(rng)).save(outputs / "a.jpg")
    with pytest.raises(UserError, match=r"Received a\.jpg and a\.png"):
        open_subject(request(outputs))
    assert len(open_subject(request(outputs, outputs="*.png")).examples) == 3


def test_outputs_of_other_channels_are_converted_and_said(three):
    outputs, targets, given, _ = three
    write_image(outputs / "a.png", given["a"].mean(-1, keepdims=True).astype(np.uint8))
    with pytest.warns(UserWarning, match=r"1 channels for targets of 3 \('a' and perhaps others\)"):
        assert open_subject(request(outputs, targets=str(targets))).examples[0].translation.shape == (16, 16, 3)


def test_a_segmenter_that_sees_pictures_is_refused(three, tmp_path, smoke_run):
    requested = request(three[0], targets=str(three[1]), segmenter=smoke_run.path)
    with pytest.raises(UserError, match="A segmenter must give label maps"):
        evaluate(requested, out=tmp_path / "out", **FEW)


def test_patterns_are_stems_with_a_name_in_place_of_the_star(tmp_path, rng):
    folder_of(tmp_path, {name: picture(rng) for name in ("1_fake_B", "1_real_B", "x_fake_B", "_fake_B")})
    assert set(matching(tmp_path, "*_fake_B")) == {"1", "x"}
    assert set(matching(tmp_path, "*_fake_B.png")) == {"1", "x"}
    with pytest.raises(UserError, match="must have one \\*"):
        matching(tmp_path, "fake")


BAD = {
    "a metric that is none": (["--metrics", "l1,fidd"], "A metric must be one of"),
    "a metric without what it needs": (["--metrics", "fid"], "cannot be measured here: it needs a feature network"),
    "a metric of the other kind": (["--metrics", "segmentation"], "needs label maps as targets. Received images"),
    "a figure that is none": (["--by", "beauty"], "Received 'beauty'"),
    "no such outputs": (["--outputs", "*_out"], "fits no image in"),
    "a pattern without a star": (["--outputs", "out"], "must have one \\*"),
    "a size that is not a number": (
        ["--size", "big"],
        r"--size must be a number of pixels up to 8192, own or training\. Received 'big'\. Give 256, for example\.",
    ),
    "noise for images": (
        ["--noise", "on"],
        r"--noise must go with a model\. Received it for .*outputs, a folder of images\. Leave it out\.",
    ),
    "targets that are elsewhere": (["--targets", "nowhere"], "nowhere"),
    "a segmenter that is none": (["--segmenter", "nowhere"], "nowhere"),
    "features that are none": (["--features", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(what, three, tmp_path, capsys, monkeypatch):
    from tfpix2pix import cli

    options, message = BAD[what]
    outputs, targets, *_ = three
    given = ["evaluate", str(outputs), "--out", str(tmp_path / "out"), *options]
    if "--targets" not in options:
        given += ["--targets", str(targets)]
    monkeypatch.setattr("sys.argv", ["tfpix2pix", *given])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    error = capsys.readouterr().err
    assert exit_.value.code == 2, error
    import re

    assert re.search(message, error), error
    assert error.count("Error:") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_no_model_there(tmp_path):
    code, _, err = run_cli("evaluate", tmp_path / "nothing", "--out", tmp_path / "out")
    assert code == 2
    assert "which does not exist" in err
