"""What `import` does whatever the kind: it guesses, refuses, names and writes all or nothing."""

import dataclasses
import json
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import make_combined, run_cli
from tests.interop.keras_networks import plain_unet, randomize
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.parity import photographs
from tfpix2pix.interop import IMPORTERS
from tfpix2pix.interop.kinds import checkpoint_prefix, kind_of
from tfpix2pix.interop.layouts import bias_row, discriminator, generator
from tfpix2pix.interop.weights import Convolution, ForeignWeights, Norm, Tensors, Unfit
from tfpix2pix.runs.import_weights import import_weights
from tfpix2pix.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mine") / "my U-Net (2).keras"
    randomize(plain_unet(tf, keras.layers.BatchNormalization, levels=4, dropout=False)).save(path)
    return path


def command(*arguments):
    code, out, error = run_cli("import", *arguments)
    return SimpleNamespace(returncode=code, stdout=out, stderr=error)


def test_the_command_answers_for_people_and_programs(file, tmp_path):
    done = command(file, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "U-Net, 4 levels, 8 filters, batch norm, 3 to 3 channels" in done.stdout
    assert re.search(r"max abs error \d", done.stdout) and "levels of 255" in done.stdout
    done = command(file, "--out", tmp_path / "again", "--json", "--name", "cats")
    answer = json.loads(done.stdout)
    assert answer["kind"] == "addons" and answer["max_abs_error"] < 1e-4
    assert answer["max_error_levels"] == pytest.approx(127.5 * answer["max_abs_error"])
    assert answer["psnr_db"] > 100 and 0 < answer["original_max_abs_error"] < 1e-4
    assert p2p.load(tmp_path / "again").card.name == "cats"


def test_the_card_names_its_origin(file, tmp_path):
    import_weights(file, out=tmp_path / "run")
    card = p2p.load(tmp_path / "run").card
    assert card.name == "my-U-Net-2"
    assert (card.origin.kind, card.origin.file, card.step) == ("addons", file.name, 0)
    assert len(card.origin.sha256) == 64 and card.origin.max_abs_error < 1e-4
    report = p2p.export_run(tmp_path / "run", "saved_model", tmp_path / "exports")
    assert p2p.load(report.path).card.origin == card.origin


@pytest.mark.parametrize("arguments", [(), pytest.param(("--from", "addons"), marks=pytest.mark.slow)])
def test_a_run_is_never_written_over(arguments, file, tmp_path):
    import_weights(file, out=tmp_path / "run")
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*"))
    done = command(file, "--out", tmp_path / "run", *arguments)
    assert (
        done.returncode == 2 and "holds weights imported from my U-Net (2).keras. Choose another --out." in done.stderr
    )
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")) == before


def test_it_cannot_be_resumed_and_says_why(file, tmp_path):
    import_weights(file, out=tmp_path / "run")
    with pytest.raises(UserError, match="without the state of their optimisers.*training.start_from="):
        p2p.train(run_dir=tmp_path / "run", resume=True)


def test_a_run_starts_from_it_with_its_configuration(file, tmp_path, quiet):
    """The file has no discriminator, which is new then."""
    import_weights(file, out=tmp_path / "run")
    make_combined(tmp_path / "data" / "train", count=2)
    settings = ("training.steps=1", f"training.start_from={tmp_path / 'run'}", "training.precision=float32")
    p2p.train(
        str(tmp_path / "run" / "config.yaml"), data=tmp_path / "data", run_dir=tmp_path / "tuned", overrides=settings,
        console=quiet,
    )  # fmt: skip
    before, after = (
        Checkpoints(tmp_path / name / "checkpoints").load(["generator"])[1]["generator"] for name in ("run", "tuned")
    )
    moved = max(np.abs(after[name] - before[name]).max() for name in before if "moving" not in name)
    assert 1e-4 < moved < 2.01e-4  # Adam's first step is as long as its rate


def test_an_empty_folder_is_taken_and_a_full_one_not(file, tmp_path):
    (tmp_path / "run").mkdir()
    import_weights(file, out=tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.png").touch()
    with pytest.raises(UserError, match="holds something else"):
        import_weights(file, out=tmp_path / "full")


def test_what_is_not_known_is_said(file, tmp_path):
    (tmp_path / "notes.txt").touch()
    for arguments, message in (
        ((tmp_path / "none.pth",), "which does not exist"),
        ((tmp_path / "notes.txt",), "of a known kind: pytorch: "),
        ((tmp_path,), "of a known kind: pytorch: "),
        ((file, "--from", "keras"), "--from must be one of: pytorch, addons, tfjs, tf1, tutorial. Received 'keras'"),
        ((file, "--from", "tf1"), "looks like addons"),
        ((tmp_path / "notes.txt", "--from", "tf1"), "which is of an unknown kind"),
        ((file, "--statistics", "batch"), "--statistics must be one of: image, moving"),
    ):
        done = command(*arguments, "--out", tmp_path / "run")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_discriminator_apart_goes_with_pytorch_alone(file, tmp_path):
    with pytest.raises(UserError, match="`discriminator` must go with `kind` pytorch"):
        import_weights(file, out=tmp_path / "run", discriminator=file)


def test_a_translation_that_differs_is_an_error_and_nothing_is_left(file, tmp_path, monkeypatch):
    read = IMPORTERS["addons"].read

    def other(path, statistics):
        weights = read(path, statistics)
        original = lambda images: weights.original(images) + 0.01  # noqa: E731
        return ForeignWeights(weights.generator, traits=weights.traits, original=original)

    monkeypatch.setitem(IMPORTERS, "addons", type(IMPORTERS["addons"])("", IMPORTERS["addons"].recognizes, other))
    words = r"within 0\.0001 on \[-1, 1\]\. Received a largest difference of 0\.01 \(1\.3 levels of 255, 46\.0 dB\)"
    with pytest.raises(RunError, match=words) as error:
        import_weights(file, out=tmp_path / "run")
    assert "both computed in float64, so rounding is not the cause" in str(error.value)
    assert "order" not in str(error.value)  # nobody has looked
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("error", "kept"), [(0.0, True), (0.01, False)])
def test_the_files_own_graph_is_compared_too(error, kept, file, tmp_path, monkeypatch):
    read = IMPORTERS["addons"].read

    def with_graph(path, statistics):
        weights = read(path, statistics)
        return dataclasses.replace(weights, graph=lambda images: weights.original(images) + np.float32(error))

    kind = dataclasses.replace(IMPORTERS["addons"], read=with_graph)
    monkeypatch.setitem(IMPORTERS, "addons", kind)
    if kept:
        assert import_weights(file, out=tmp_path / "run").max_abs_error < 1e-4
        return
    with pytest.raises(RunError, match=r"Received a largest difference of 0\.01 .*, where float32 explains \d"):
        import_weights(file, out=tmp_path / "run")


@pytest.mark.parametrize("size_px", [64, (32, 64), (30, 50)])  # the last is padded, for the original too
def test_another_training_size(size_px, file, tmp_path):
    report = import_weights(file, out=tmp_path / "run", size_px=size_px)
    assert report.max_abs_error < 1e-4
    assert p2p.load(tmp_path / "run").card.config.data.image_size_px == size_px


def test_a_rectangle_is_given_as_height_x_width(file, tmp_path):
    assert command(file, "--out", tmp_path / "run", "--size", "32x64").returncode == 0
    assert p2p.load(tmp_path / "run").card.config.data.image_size_px == (32, 64)
    report = p2p.export_run(tmp_path / "run", "tflite", tmp_path)
    assert report.path.endswith("-32x64px.tflite")


@pytest.mark.parametrize("size", ["64x", "0", "64x9000", "wide"])
def test_a_size_of_no_image_is_said(size, file, tmp_path):
    done = command(file, "--out", tmp_path / "run", f"--size={size}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--size must be 1 to 8192 px, as 256 for a square or 512x1024 (height x width)" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("size_px", [0, (0, 64), (1, 2, 3), 32.5, "wide"])
def test_a_size_of_no_image_is_said_in_python(size_px, file, tmp_path):
    with pytest.raises(UserError, match=r"`size_px` must be one number .* or \(height, width\) .* Received .*Give"):
        import_weights(file, out=tmp_path / "run", size_px=size_px)
    assert not (tmp_path / "run").exists()


def test_a_size_that_the_network_does_not_take_is_said_by_the_name_of_the_argument(file, tmp_path):
    with pytest.raises(UserError, match="no further than to one pixel, 3 times at most for `size_px` = 8x64"):
        import_weights(file, out=tmp_path / "run", size_px=(8, 64))
    assert " 3 times at most for --size = 8x64" in command(file, "--out", tmp_path / "run", "--size", "8x64").stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", IMPORTERS)
def test_every_kind_has_a_title(kind):
    assert len(IMPORTERS[kind].title) > 20


def test_kinds_are_guessed_from_names(tmp_path):
    for name in ("a.pth", "b.pt", "c.safetensors"):
        (tmp_path / name).touch()
        assert kind_of(tmp_path / name, None) == "pytorch"
    for name in ("d.h5", "e.hdf5", "f.keras"):
        (tmp_path / name).touch()
        assert kind_of(tmp_path / name, None) == "addons"


@pytest.mark.parametrize("name", ["model-7", "model-7.index", "model-7.meta", "model-7.data-00000-of-00001"])
def test_a_checkpoint_by_any_of_its_files(name, tmp_path):
    assert checkpoint_prefix(tmp_path / name) == tmp_path / "model-7"


def test_a_folder_of_checkpoints_means_the_one_it_names(tmp_path):
    for number in (1, 2):
        (tmp_path / f"ckpt-{number}.index").touch()
    assert checkpoint_prefix(tmp_path) in {tmp_path / "ckpt-1", tmp_path / "ckpt-2"}
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/somewhere/else/ckpt-1"\n')
    assert checkpoint_prefix(tmp_path) == tmp_path / "ckpt-1"


def unet(levels=2, filters=2, **norms):
    """Convolutions of a U-Net without norms; `norms` by number."""
    widths = [filters * min(2**level, 8) for level in range(levels)]
    shapes = [(4, 4, taken, out) for taken, out in zip([3, *widths], widths, strict=False)]
    shapes += [(4, 4, widths[level - 1] if level else 3, widths[level] * (1 if level == levels - 1 else 2))
               for level in reversed(range(levels))]  # fmt: skip
    return [
        Convolution(f"c{number}", np.zeros(shape), norm=norms.get(f"c{number}"), transposed=number >= levels)
        for number, shape in enumerate(shapes)
    ]


def test_networks_are_told_from_shapes():
    settings, arrays = generator(unet(4))
    assert settings["kind"] == "unet" and settings["levels"] == 4 and settings["base_filters"] == 2
    assert arrays["up4/kernel"].shape == (4, 4, 8, 16) and arrays["up3/kernel"].shape == (4, 4, 4, 16)


def test_the_skip_connections_part_moves_behind():
    layers = unet(3)
    kernel = np.arange(np.prod(layers[4].kernel.shape)).reshape(layers[4].kernel.shape)
    layers[4] = Convolution("c4", kernel, transposed=True, skip_first=True)
    moved = generator(layers)[1]["up2/kernel"]
    assert np.array_equal(moved[..., :4], kernel[..., 4:]) and np.array_equal(moved[..., 4:], kernel[..., :4])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "has no convolutions"),
        (unet(3)[:-1], "after c4, up1 is missing"),
        ([*unet(3), unet(3)[-1]], r"has shape"),
        (unet(3)[:2] + unet(3)[3:], "c3 has shape|c3 is of a transposed"),
        (unet(1), "c1 is of a transposed convolution, where a second convolution of the encoder was expected"),
        (unet(3, c0=Norm("n", "batch")), "n is of a norm after down1, where none was expected"),
        (unet(4, c1=Norm("n", "batch")), "the norm after c2 is missing"),
        (unet(3, c1=Norm("n", "batch"), c3=Norm("m", "instance")), "m is of instance normalisation"),
        (unet(3, c1=Norm("n", "batch", gamma=np.ones(3))), r"n has shape \(3,\), where \(4,\) was expected"),
    ],
)
def test_the_first_that_does_not_fit_is_named(layers, message):
    with pytest.raises(Unfit, match=message):
        generator(layers)


def test_discriminators_tell_what_they_see():
    shapes = [(4, 4, 6, 2), (4, 4, 2, 4), (4, 4, 4, 1)]
    layers = [Convolution(f"d{number}", np.zeros(shape)) for number, shape in enumerate(shapes)]
    settings, _ = discriminator(layers, (3, 3))
    assert settings["receptive_field_px"] == 16 and settings["conditional"]
    assert not discriminator(layers, (3, 6))[0]["conditional"]
    with pytest.raises(Unfit, match="d2 is of convolution 3|d0 has shape"):
        discriminator(layers, (1, 3))


def test_biases_of_others_are_the_fewest_of_ours():
    bias = np.zeros(2)
    convolution = lambda **more: Convolution("c", np.zeros((4, 4, 2, 2)), **more)  # noqa: E731
    norm = Norm("n", "batch")
    assert bias_row([convolution(), convolution(bias=bias)]) == "last"
    assert bias_row([convolution(bias=bias), convolution(norm=norm), convolution()]) == "unnormalized"
    assert bias_row([convolution(bias=bias, norm=norm), convolution()]) == "all"


def test_what_nothing_asked_for_is_named():
    tensors = Tensors({"a": np.zeros(1), "b": np.zeros(2)})
    tensors.take("a")
    with pytest.raises(Unfit, match=r"b has shape \(2,\), where no such tensor was expected"):
        tensors.check_all_taken()
    with pytest.raises(Unfit, match="c is missing"):
        tensors.take("c")


def test_photographs_are_real_and_of_any_channels():
    for channels in (1, 3, 5):
        images = photographs(32, channels)
        assert [image.shape for image in images] == [(1, 32, 32, channels)] * 2
        assert all(-1 <= image.min() < -0.5 < 0.5 < image.max() <= 1 for image in images)
