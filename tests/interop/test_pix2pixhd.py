"""Weights of pix2pixHD's generators, against PyTorch itself: what their files show, and what does not fit."""

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import others_slow
from tfpix2pix.errors import UserError
from tfpix2pix.inference.parity import photographs
from tfpix2pix.runs.import_weights import TOLERANCE, import_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'tfpix2pix[pytorch]'")
nets = pytest.importorskip("tests.interop.torch_networks")

SIZE_PX = 64
SIZE_OF_TWO_PX = 128  # PyTorch has no instance norm of one pixel, which two enhancers would leave of 64
# The network, and the keys of `generator` that its file shows.
GENERATORS = {
    "global": (lambda: nets.hd_global(4), {"kind": "global", "residual_blocks": 9}),
    "global, old instance norms": (
        lambda: nets.hd_global(4, "old_instance", 2), {"norm": "instance_non_affine", "residual_blocks": 2},
    ),
    "global, batch": (lambda: nets.hd_global(4, "batch", 2), {"kind": "global", "norm": "batch"}),
    "global, 36 channels to 2": (lambda: nets.hd_global(4, blocks=1, channels=(36, 2)), {"base_filters": 4}),
    "local": (
        lambda: nets.hd_local(4, blocks=1, channels=(5, 3)),
        {"kind": "local_enhancer", "enhancers": 1, "enhancer_blocks": 3, "residual_blocks": 1, "base_filters": 4},
    ),
    "local, batch": (lambda: nets.hd_local(2, "batch", blocks=2), {"kind": "local_enhancer", "norm": "batch"}),
    "local, two enhancers": (
        lambda: nets.hd_local(2, enhancers=2, blocks=1, enhancer_blocks=2),
        {"enhancers": 2, "enhancer_blocks": 2, "residual_blocks": 1, "base_filters": 2},
    ),
}  # fmt: skip

WORDS = {
    "global": "global generator of pix2pixHD, 9 residual blocks, 4 filters, instance_non_affine norm, 3 to 3 channels",
    "local, two enhancers": "local enhancer of pix2pixHD, 1 residual blocks, 2 enhancers of 2, 2 filters",
}


def saved(network, path):
    torch.save(network.state_dict(), path)
    return path


def imported(network, folder, size_px=SIZE_PX):
    nets.in_test_mode(nets.randomized(network))
    return import_weights(saved(network, folder / "latest_net_G.pth"), out=folder / "run", size_px=size_px)


def difference(translator, network):
    data = translator.card.config.data
    images = photographs(data.image_size_px, data.input_channels)
    return max(float(np.abs(translator(image, noise="off") - nets.run(network, image)).max()) for image in images)


@pytest.mark.parametrize("name", others_slow(GENERATORS, "global", "local", "local, two enhancers"))
def test_a_generator_translates_as_pytorch_does(name, tmp_path):
    make, shown = GENERATORS[name]
    network = make()
    report = imported(network, tmp_path, SIZE_OF_TWO_PX if "two" in name else SIZE_PX)
    assert report.max_abs_error < TOLERANCE
    assert report.architecture.startswith(WORDS.get(name, ""))
    assert report.parameters == sum(p.numel() for p in network.parameters())
    translator = p2p.load(tmp_path / "run")
    spec = translator.card.config.generator
    assert shown.items() <= dict(spec).items()
    assert (spec.bias, spec.noise, spec.levels) == ("all", "none", None)
    assert difference(translator, network) < TOLERANCE
    data = translator.card.config.data
    image = photographs(data.image_size_px, data.input_channels)[0]
    assert translator(image).std() > 0.05  # it is no gray that would equal any gray


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A local enhancer and its import."""
    network, folder = nets.hd_local(4, blocks=1), tmp_path_factory.mktemp("local")
    imported(network, folder)
    return network, folder / "run"


@pytest.fixture(scope="module")
def global_(tmp_path_factory):
    """A global generator and its import."""
    network, folder = nets.hd_global(4, blocks=2), tmp_path_factory.mktemp("global")
    imported(network, folder)
    return network, folder / "run"


@pytest.mark.parametrize("format", others_slow(("saved_model", "tflite", "keras", "onnx"), "tflite"))
def test_exports_translate_as_pytorch_does(format, local, tmp_path):
    network, run = local
    report = p2p.export_run(run, format, tmp_path / "exports")
    assert difference(p2p.load(report.path), network) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "tflite", "keras", "onnx"])
def test_exports_of_a_global_generator_do_too(format, global_, tmp_path):
    network, run = global_
    report = p2p.export_run(run, format, tmp_path / "exports")
    assert difference(p2p.load(report.path), network) < TOLERANCE


def test_images_twice_as_wide_as_high(tmp_path):
    """As pix2pixHD's, of 512x1024 px: what its default is, and what its weights do not tell."""
    network = nets.hd_local(4, blocks=1)
    imported(network, tmp_path, (64, 128))
    translator = p2p.load(tmp_path / "run")
    assert translator.card.config.data.image_size_px == (64, 128)
    assert difference(translator, network) < TOLERANCE


def without(state, beginning):
    return {name: value for name, value in state.items() if not name.startswith(beginning)}


MISFITS = {
    "three halvings": (
        lambda: nets.hd_global(2, halvings=3, blocks=1).state_dict(),
        r"model\.1\.weight is of a network of 3 halvings, where one of 2 or 4 was expected",
    ),
    "three halvings inside": (
        lambda: nets.hd_local(2, halvings=3, blocks=1).state_dict(),
        r"model\.1\.weight is of a network of 3 halvings, where one of 4 was expected",
    ),
    "half an enhancer": (
        lambda: without(nets.hd_local(2, blocks=1).state_dict(), "model1_2.3"), r"model1_2\.3\.weight is missing",
    ),
    "no blocks of an enhancer": (
        lambda: nets.hd_local(2, blocks=1, enhancer_blocks=0).state_dict(),
        r"model1_2\.0\.weight is of a transposed convolution, where a kernel of shape \(3, 3, 4, 4\) was expected",
    ),
    "the fine half of an enhancer": (
        lambda: without(nets.hd_local(2, blocks=1).state_dict(), "model1_1."), r"model\.30\.weight is missing",
    ),
    "another width": (
        lambda: {**nets.hd_local(2, blocks=1).state_dict(), "model1_1.4.weight": torch.zeros(4, 3, 3, 3)},
        r"model1_1\.4\.weight has shape \(3, 3, 3, 4\), where a kernel of shape \(3, 3, 2, 4\) was expected",
    ),
    "enhancers alone": (
        lambda: without(nets.hd_local(2, blocks=1).state_dict(), "model."), "the residual blocks are outside",
    ),
    "names without numbers": (
        lambda: {"model.x.conv_block.1.weight": torch.zeros(2, 2, 3, 3)}, "the residual blocks are outside",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named_and_nothing_written(name, tmp_path):
    state, message = MISFITS[name]
    torch.save(state(), tmp_path / "g.pth")
    with pytest.raises(UserError, match=message):
        import_weights(tmp_path / "g.pth", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
