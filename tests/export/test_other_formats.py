"""`.keras` and `.onnx`: every kind of generator in them, and what programs see that know nothing of this package."""

import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import others_slow, tiny_config
from tests.export.helpers import generator_of
from tfpix2pix.config.card import ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size
from tfpix2pix.size import Size

GENERATORS = {
    "unet": {},
    "instance norm": {"norm": "instance"},
    "no norm": {"norm": "none"},
    "the tutorial's": {"skip_activation": "before", "bottleneck_norm": True, "norm_epsilon": 1e-3},
    "encoder-decoder": {"kind": "encoder_decoder"},
    "resnet": {"kind": "resnet", "residual_blocks": 2},
    "blurred": {"upsampling": "blurred"},
    "resize": {"upsampling": "resize"},
    "bilinear": {"upsampling": "bilinear"},
    "subpixel": {"upsampling": "subpixel"},
    "modulated": {"noise": "modulation"},
    "modulated resnet": {"kind": "resnet", "residual_blocks": 1, "noise": "modulation"},
    "global": {"kind": "global", "residual_blocks": 1, "norm": "instance_non_affine", "bias": "all"},
    "local enhancer": {"kind": "local_enhancer", "residual_blocks": 1, "norm": "instance_non_affine", "bias": "all"},
    "global, batch norm": {"kind": "global", "residual_blocks": 1, "bias": "all"},
    "local enhancer, batch norm": {"kind": "local_enhancer", "residual_blocks": 1, "bias": "all"},
}
SIZES_PX = {  # 32 for others; padding inside the graph is not in Keras
    "global": (32, 64), "global, batch norm": (64, 32),
    "local enhancer": (64, 128), "local enhancer, batch norm": (128, 64),
}  # fmt: skip


def export_of(format, path, *, noise_input=False, size_px=32, inference=None, data=None, **generator):
    """(engine of the file, the Keras engine that it must equal)."""
    config = tiny_config(generator=generator, inference=inference or {}, data=data or {})
    network = generator_of(config, noise_input=noise_input, input_size_px=size_px)
    card = ModelCard.of(config, 0, noise_size=noise_size(network), fixed_size_px=size_px)
    EXPORTERS[format].write(network, card, path)
    return EXPORTERS[format].read(path), KerasEngine(network, card)


EVERY_GENERATOR = [
    (format, *row) for format in ("keras", "onnx") for row in (("unet", False), *((g, True) for g in GENERATORS))
]
QUICK = [
    row for index, row in enumerate(EVERY_GENERATOR) if row[1] == "unet" or index % 2
]  # each in one of the formats


@pytest.mark.parametrize(("format", "name", "noise"), others_slow(EVERY_GENERATOR, *QUICK))
def test_every_generator(format, name, noise, tmp_path, rng):
    options = {"noise_input": noise, "size_px": SIZES_PX.get(name, 32), **GENERATORS[name]}
    exported, keras = export_of(format, tmp_path / f"model.{format}", **options)
    images = rng.uniform(-1, 1, (3, *Size.of(options["size_px"]), 3)).astype(np.float32)  # any batch
    vectors = rng.random((3, keras.card.noise_size), np.float32) if noise else None
    assert np.abs(exported(images, vectors) - keras(images, vectors)).max() < 1e-4
    if noise:
        assert np.abs(exported(images, None) - keras(images, None)).max() < 1e-4
        assert np.abs(exported(images, None) - exported(images, vectors)).max() > 0.01


def test_a_modulated_generator_without_noise_has_the_mean_style(tmp_path, rng):
    exported, keras = export_of("keras", tmp_path / "model.keras", noise="modulation")
    image = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    assert np.abs(exported(image, None) - keras(image, None)).max() < 1e-4


@pytest.mark.parametrize("format", ["keras", "onnx"])
def test_moving_averages(format, tmp_path, rng):
    exported, keras = export_of(format, tmp_path / f"model.{format}", inference={"statistics": "moving"})
    image = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    assert np.abs(exported(image, None) - keras(image, None)).max() < 1e-4


@pytest.mark.slow
def test_onnx_takes_sizes_that_are_padded_inside_and_colours(tmp_path, rng):
    lab = {"color_space": "lab", "input_channels": 1}
    for number, options in enumerate(
        ({"size_px": 50}, {"data": lab}, {"noise_input": True, "kind": "resnet", "size_px": 80})
    ):
        exported, keras = export_of("onnx", tmp_path / f"{number}.onnx", **options)
        data = keras.card.config.data
        image = rng.uniform(-1, 1, (1, *2 * [keras.card.fixed_size_px], data.input_channels)).astype(np.float32)
        assert np.abs(exported(image, None) - keras(image, None)).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": 50}, "a generator with PadToMultiple, which Keras lacks"),
        ({"noise": True, "generator": {"noise": "gaussian"}}, "a generator with GaussianChannel"),
        ({"data": {"color_space": "lab", "input_channels": 1}}, "Received data.color_space lab"),
    ],
)
def test_what_keras_has_not_is_said_and_nothing_left(options, message, tmp_path):
    options = {**{key: value for key, value in options.items() if key != "generator"}, **options.get("generator", {})}
    noise = options.pop("noise", False)
    kind = {"noise": noise} if isinstance(noise, str) else {}
    config = tiny_config(generator=kind, data=options.get("data", {}))
    size_px = options.get("size_px", 32)
    network = generator_of(config, noise_input=bool(noise), input_size_px=size_px)
    card = ModelCard.of(config, 0, noise_size=noise_size(network), fixed_size_px=size_px)
    with pytest.raises(UserError, match=message):
        EXPORTERS["keras"].write(network, card, tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def in_another_process(code, *arguments):
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['tfpix2pix'] = None\n{code}", *map(str, arguments)],
        check=True, timeout=200,
    )  # fmt: skip


def test_plain_keras_loads_it(tmp_path, rng):
    """In a process where this package cannot be imported, in Keras's safe mode, with every kind of layer."""
    generators = {
        "unet": {"last_upsampling": "bilinear"},
        "two upsamplings": {"upsampling": "subpixel", "last_upsampling": "blurred"},
        "modulated resnet": GENERATORS["modulated resnet"],
    }
    image, expected = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32), {}
    for name, generator in generators.items():
        exported, _ = export_of("keras", tmp_path / f"{name}.keras", noise_input=True, **generator)
        noise = rng.random((1, exported.card.noise_size), np.float32)
        np.savez(tmp_path / f"{name}.npz", image=image, noise=noise)
        expected[name] = exported(image, noise)
    in_another_process(
        "import keras, numpy as np\n"
        "for path in sys.argv[1:]:\n"
        "    model, x = keras.saving.load_model(f'{path}.keras'), np.load(f'{path}.npz')\n"
        "    assert [each.name for each in model.inputs] == ['image', 'noise']\n"
        "    np.save(f'{path}.npy', model.predict([x['image'], x['noise']], verbose=0))",
        *(tmp_path / name for name in generators),
    )  # fmt: skip
    for name in generators:
        assert np.abs(np.load(tmp_path / f"{name}.npy") - expected[name]).max() < 1e-5, name


def test_onnxruntime_alone_runs_it(tmp_path, rng):
    exported, _ = export_of("onnx", tmp_path / "model.onnx")
    image = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", image)
    in_another_process(
        "sys.modules['tensorflow'] = None\nimport numpy as np, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        "assert [each.shape[1:] for each in session.get_inputs()] == [[32, 32, 3]]\n"
        "np.save(sys.argv[3], session.run(['translation'], {'image': np.load(sys.argv[2])})[0])",
        tmp_path / "model.onnx", tmp_path / "x.npy", tmp_path / "y.npy",
    )  # fmt: skip
    assert np.abs(np.load(tmp_path / "y.npy") - exported(image, None)).max() < 1e-5


@pytest.mark.parametrize("format", ["keras", "onnx"])
def test_damaged_files_are_said_so(format, tmp_path, capsys):
    path = tmp_path / f"model.{format}"
    export_of(format, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="must be whole and hold model_card.json"):
        EXPORTERS[format].read(path)
    assert capsys.readouterr().out == ""  # where `--json` answers


@pytest.mark.parametrize("within", ["graph", "constant", "branch"])
def test_onnx_weights_in_other_files_are_not_read(within, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    export_of("onnx", path)
    model = onnx.load(path)
    tensor = onnx.TensorProto(name="secret", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    constant = onnx.helper.make_node("Constant", [], ["secret"], value=tensor)
    if within == "graph":
        model.graph.initializer.append(tensor)
    elif within == "constant":
        model.graph.node.append(constant)
    else:
        body = onnx.helper.make_graph([constant], "body", [], [])
        model.graph.node.append(onnx.helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"must hold its weights\."):
        EXPORTERS["onnx"].read(path)


def test_without_tf2onnx_it_is_said_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"Install it with pip install 'tfpix2pix\[onnx\]'"):
        export_of("onnx", tmp_path / "model.onnx")
