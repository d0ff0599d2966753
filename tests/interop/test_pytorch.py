"""Weights of pytorch-CycleGAN-and-pix2pix: every network of it against PyTorch itself, and files that are not whole."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import tfpix2pix as p2p
from tests.conftest import others_slow
from tfpix2pix.errors import UserError
from tfpix2pix.inference.parity import photographs
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.import_weights import TOLERANCE, import_weights
from tfpix2pix.runs.networks import build_discriminator
from tfpix2pix.training.checkpoints import Checkpoints, assign

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'tfpix2pix[pytorch]'")
nets = pytest.importorskip("tests.interop.torch_networks")

GENERATORS = {
    "unet_128, batch": lambda: nets.unet(7, 4),
    "unet_256, batch": lambda: nets.unet(8, 4),
    "unet_256, instance": lambda: nets.unet(8, 4, "instance"),
    "unet_256, no norm": lambda: nets.unet(8, 4, "none"),
    "unet_128, gray to colour": lambda: nets.unet(7, 4, channels=(1, 3)),
    "resnet_6blocks, batch": lambda: nets.resnet(6, 8, "batch"),
    "resnet_9blocks, instance": lambda: nets.resnet(9, 8),
    "resnet_9blocks, batch, dropout": lambda: nets.resnet(9, 8, "batch", dropout=True),
    "resnet_6blocks, instance, dropout": lambda: nets.resnet(6, 8, "instance", dropout=True),
}
DISCRIMINATORS = {
    **{f"{layers} layers, {norm}": (lambda layers=layers, norm=norm: nets.patchgan(layers, 8, norm))
       for layers in (1, 2, 3, 4, 5) for norm in ("batch", "instance")},
    "pixel, batch": lambda: nets.pixelgan(8),
    "pixel, instance": lambda: nets.pixelgan(8, "instance"),
}  # fmt: skip


def saved(network, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def difference(translator, network, size_px=None) -> float:
    data = translator.card.config.data
    images = photographs(size_px or data.image_size_px, data.input_channels)
    return max(
        float(np.abs(translator(image, noise="off") - nets.run(network, image)).max()) for image in images
    )  # fmt: skip


def nothing_in(folder: Path) -> bool:
    return not (folder / "run").exists() and not list(folder.glob(".run*"))


# Weights of residual blocks do not tell the size, which is 256 px if it is not given.
SMALLER_PX = {"resnet_9blocks, instance": 128, "resnet_9blocks, batch, dropout": 128}
QUICK = ("unet_256, batch", "unet_128, batch", "unet_128, gray to colour", "resnet_6blocks, instance, dropout")


@pytest.mark.parametrize("name", others_slow(GENERATORS, *QUICK))
def test_a_generator_translates_as_pytorch_does(name, tmp_path):
    network = nets.in_test_mode(nets.randomized(GENERATORS[name]()))
    file = saved(network, tmp_path / "facades" / "latest_net_G.pth")
    report = import_weights(file, out=tmp_path / "run", size_px=SMALLER_PX.get(name))
    assert report.max_abs_error < TOLERANCE
    assert report.runtime == f"PyTorch {torch.__version__}"
    translator = p2p.load(tmp_path / "run")
    assert difference(translator, network) < TOLERANCE
    spread = translator(photographs(translator.card.config.data.image_size_px, 3)[0][..., : 1 if "gray" in name else 3])
    assert spread.std() > 0.05  # it is no gray that would equal any gray
    assert report.parameters >= sum(p.numel() for p in network.parameters())
    assert translator.card.origin.file == "latest_net_G.pth"
    assert translator.card.name == "facades"


@pytest.mark.slow
def test_the_paper_size_equals_too_and_has_its_parameters(tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.unet(8, 64)))
    report = import_weights(saved(network, tmp_path / "latest_net_G.pth"), out=tmp_path / "run")
    assert report.parameters == 54_413_955
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


def test_moving_averages_are_those_of_its_eval_mode(tmp_path):
    network = nets.randomized(nets.unet(7, 8)).eval()
    import_weights(saved(network, tmp_path / "g.pth"), out=tmp_path / "run", statistics="moving")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


@pytest.mark.parametrize(("levels", "layers"), [(7, [2, 3]), pytest.param(8, [2, 3, 4], marks=pytest.mark.slow)])
def test_dropout_is_where_it_was(levels, layers, tmp_path):
    network = nets.unet(levels, 2)
    file = saved(nets.randomized(network), tmp_path / "g.pth")
    import_weights(file, out=tmp_path / "run")
    card = p2p.load(tmp_path / "run").card
    assert list(card.config.generator.dropout_layers) == layers
    assert card.noise == "on" and card.noise_size > 0
    import_weights(file, out=tmp_path / "without", dropout=False)
    assert p2p.load(tmp_path / "without").card.noise_size == 0


QUICK_DISCRIMINATORS = ("1 layers, batch", "3 layers, instance", "5 layers, batch", "pixel, instance")


@pytest.mark.parametrize("name", others_slow(DISCRIMINATORS, *QUICK_DISCRIMINATORS))
def test_a_discriminator_judges_as_pytorch_does(name, tmp_path):
    generator = saved(nets.randomized(nets.unet(5, 2)), tmp_path / "latest_net_G.pth")
    network = nets.randomized(DISCRIMINATORS[name]()).train()
    file = saved(network, tmp_path / "latest_net_D.pth")
    size_px = 128 if "5" not in name else 256
    import_weights(generator, out=tmp_path / "run", discriminator=file, size_px=size_px)
    directory = RunDirectory(tmp_path / "run")
    ours = build_discriminator(directory.config(), seed=None)
    state = Checkpoints(directory.checkpoints).load(["discriminator"])[1]["discriminator"]
    assign({v.path: v for v in ours.variables}, state, "discriminator")
    image, target = photographs(size_px, 3)
    expected = nets.run(network, image, target)
    assert np.abs(np.asarray(ours([image, target], training=True)) - expected).max() < 1e-4 * max(1, expected.std())
    assert expected.std() > 0.01


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_wrappers_of_names_are_taken_off(wrapper, tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.unet(5, 4)))
    torch.save({f"{wrapper}{name}": value for name, value in network.state_dict().items()}, tmp_path / "g.pth")
    import_weights(tmp_path / "g.pth", out=tmp_path / "run")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


def test_norms_of_old_files(tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.unet(5, 4)))
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save({"state_dict": state}, tmp_path / "g.pth")
    import_weights(tmp_path / "g.pth", out=tmp_path / "run")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


def test_instance_norms_of_old_files_have_averages_that_nothing_uses(tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.resnet(6, 4, "old_instance")))
    assert any("running_mean" in name for name in network.state_dict())
    import_weights(saved(network, tmp_path / "g.pth"), out=tmp_path / "run")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


def test_safetensors_need_no_pytorch(tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.unet(5, 4)))
    save_file({name: value.numpy() for name, value in network.state_dict().items()}, tmp_path / "g.safetensors")
    import_weights(tmp_path / "g.safetensors", out=tmp_path / "run")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE


@pytest.mark.slow
def test_one_trained_for_some_steps_equals_in_every_export(tmp_path):
    network = nets.unet(7, 8)
    image, target = (torch.from_numpy(array.transpose(0, 3, 1, 2).copy()) for array in photographs(128, 3))
    optimizer = torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
    first = None
    for _ in range(8):
        optimizer.zero_grad()
        loss = torch.nn.functional.l1_loss(network(image), target)
        loss.backward()
        optimizer.step()
        first = first or float(loss)
    assert float(loss) < first
    nets.in_test_mode(network)
    import_weights(saved(network, tmp_path / "trained.pth"), out=tmp_path / "run")
    assert difference(p2p.load(tmp_path / "run"), network) < TOLERANCE
    for kind in ("saved_model", "tflite"):
        report = p2p.export_run(tmp_path / "run", kind, tmp_path / "exports")
        assert difference(p2p.load(report.path), network, 128) < TOLERANCE


@pytest.mark.slow
def test_a_residual_network_is_exported(tmp_path):
    network = nets.in_test_mode(nets.randomized(nets.resnet(6, 8, dropout=True)))
    import_weights(saved(network, tmp_path / "resnet.pth"), out=tmp_path / "run", size_px=64)
    for kind in ("saved_model", "tflite", "keras", "onnx"):
        report = p2p.export_run(tmp_path / "run", kind, tmp_path / "exports")
        assert difference(p2p.load(report.path), network, 64) < TOLERANCE


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path):
    harm = tmp_path / "harm"
    (tmp_path / "g.pth").write_bytes(pickle.dumps({"model.model.0.weight": Harm(harm)}))
    with pytest.raises(UserError, match="must hold only tensors, because no code in it is run"):
        import_weights(tmp_path / "g.pth", out=tmp_path / "run")
    torch.save({"model.model.0.weight": Harm(harm)}, tmp_path / "zip.pth")
    with pytest.raises(UserError, match="must hold only tensors"):
        import_weights(tmp_path / "zip.pth", out=tmp_path / "run")
    assert not harm.exists()
    assert nothing_in(tmp_path)


def test_a_whole_module_is_refused(tmp_path):
    torch.save(nets.unet(5, 2), tmp_path / "g.pth")
    with pytest.raises(UserError, match=r"Save net\.state_dict\(\)"):
        import_weights(tmp_path / "g.pth", out=tmp_path / "run")


@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_file_cut_short_is_said_so(kept, tmp_path):
    file = saved(nets.unet(5, 2), tmp_path / "g.pth")
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"g\.pth, which"):
        import_weights(file, out=tmp_path / "run")
    assert nothing_in(tmp_path)


def changed(network, **changes):
    state = dict(network.state_dict())
    for name, value in changes.items():
        state.pop(name, None)
        if value is not None:
            state[name] = value
    return state


FIRST = "model.model.0.weight"
SECOND = "model.model.1.model.1.weight"
MISFITS = {
    "missing": (lambda: changed(nets.unet(5, 4), **{SECOND: None}), rf"{SECOND} is missing"),
    "missing norm": (
        lambda: changed(nets.unet(5, 4), **{"model.model.1.model.2.weight": None, "model.model.1.model.2.bias": None}),
        r"model\.model\.1\.model\.2",
    ),
    "shape": (
        lambda: changed(nets.unet(5, 4), **{SECOND: torch.zeros(8, 5, 4, 4)}),
        rf"{SECOND} has shape \(4, 4, 5, 8\), where a kernel of shape \(4, 4, 4, 8\) was expected",
    ),
    "dimensions": (
        lambda: changed(nets.unet(5, 4), **{FIRST: torch.zeros(4, 3)}),
        r"model\.model\.0\.weight has 2 dimensions, where a kernel of four was expected",
    ),
    "bias": (
        lambda: changed(nets.unet(5, 4), **{"model.model.3.bias": torch.zeros(2)}),
        r"the bias beside model\.model\.3\.weight has shape \(2,\), where \(3,\) was expected",
    ),
    "more": (
        lambda: changed(nets.unet(5, 4), attention=torch.zeros(7)),
        r"attention has shape \(7,\), where no such tensor was expected",
    ),
    "another CycleGAN": (  # one that halves by pooling has its convolutions at other numbers
        lambda: {name.replace("model.7.", "model.8."): value for name, value in nets.resnet(6, 4).state_dict().items()},
        r"model\.7\.weight is missing",
    ),
    "discriminator": (lambda: nets.patchgan(3, 4).state_dict(), "holds a discriminator"),
    "another network": (lambda: torch.nn.Linear(3, 4).state_dict(), "weight is there"),
    "not tensors alone": (lambda: {FIRST: torch.zeros(3), "epoch": 7}, "holds other things too"),
    "no tensors": (lambda: {"epoch": 7}, "which holds none"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named_and_nothing_written(name, tmp_path):
    state, message = MISFITS[name]
    torch.save(state(), tmp_path / "g.pth")
    with pytest.raises(UserError, match=message):
        import_weights(tmp_path / "g.pth", out=tmp_path / "run")
    assert nothing_in(tmp_path)


def test_a_discriminator_that_does_not_fit_is_named(tmp_path):
    generator = saved(nets.unet(5, 2), tmp_path / "g.pth")
    file = saved(nets.patchgan(3, 4, channels=5), tmp_path / "d.pth")
    with pytest.raises(UserError, match=r"model\.0\.weight has shape \(4, 4, 5, 4\), where 6 channels"):
        import_weights(generator, out=tmp_path / "run", discriminator=file, size_px=64)
    with pytest.raises(UserError, match="does not exist"):
        import_weights(generator, out=tmp_path / "run", discriminator=tmp_path / "none.pth")
    assert nothing_in(tmp_path)
