"""TFLite files: quantised within their tolerance, in XNNPACK, in pixels or in floats, the transposed convolutions in
phases."""

import functools
import itertools
import json
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import tfpix2pix as p2p
from tests.conftest import least_config, others_slow, tiny_config
from tests.export.helpers import generator_of, made_tflite
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import EXPORTERS, FAITHFUL, Tolerance, tflite
from tfpix2pix.export.phases import Phases, in_phases
from tfpix2pix.export.tflite import Coverage, coverage_of
from tfpix2pix.export.verify import verify
from tfpix2pix.models import GENERATORS, UPSAMPLINGS
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.export import inputs_of

QUANTIZED = [name for name in EXPORTERS["tflite"].quantizations if name != "none"]


# What is changed of the small U-Net, by the name of a network.
TRAINED = {
    "unet": ("data.image_size_px=64", "generator.levels=4"),
    **{
        f"{kind}, {norm}": (
            f"data.image_size_px={size}", f"generator.kind={kind}", f"generator.norm={norm}", "generator.bias=all",
            "generator.residual_blocks=2", "generator.base_filters=8",
            *(("generator.enhancer_blocks=2",) if kind == "local_enhancer" else ()),
        )
        for kind, size in (("global", "32x64"), ("local_enhancer", "64x128"))
        for norm in ("instance_non_affine", "batch")
    },
}  # fmt: skip
# Before the first 7×7 convolution of each part, the last one, and two of every block.
REFLECTIONS = {"unet": 0, "global": 1 + 1 + 2 * 2, "local_enhancer": 2 + 1 + 2 * (2 + 2)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, drawn_facades, quiet):
    """(row of TRAINED) -> a small network trained on label maps of drawings for as long as quantisation needs to have
    something to lose."""
    settings = (
        "generator.base_filters=16", "discriminator.base_filters=16", "discriminator.receptive_field_px=16",
        "training.steps=75", "training.precision=float32", "training.validation_images=4",
    )  # fmt: skip

    @functools.cache
    def run(name):
        config = p2p.resolve_config("facades", [*settings, *TRAINED[name]], data_dir=str(drawn_facades))
        return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "run", console=quiet)

    return run


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """(row of TRAINED) -> the report of that network's file in 32 bits."""
    return functools.cache(lambda name: p2p.export_run(trained(name).path, "tflite", tmp_path_factory.mktemp("whole")))


OF_TRAINED = list(itertools.product(TRAINED, QUANTIZED))


@pytest.mark.parametrize(("name", "quantize"), others_slow(OF_TRAINED, ("unet", "int8"), ("unet", "float16")))
def test_quantised_files_of_a_trained_network(trained, whole, tmp_path, name, quantize):
    report = p2p.export_run(trained(name).path, "tflite", tmp_path, quantize=quantize)
    assert report.psnr_db >= EXPORTERS["tflite"].quantizations[quantize].tolerance.min_psnr_db
    assert report.images == 5  # real ones alone
    assert report.size_mb < {"float16": 0.55, "dynamic": 0.35, "int8": 0.35}[quantize] * whole(name).size_mb
    config = trained(name).directory.config()
    assert report.path.endswith(f"run-{config.data.size_px}px-{quantize}.tflite")
    assert p2p.load(report.path).card.quantization == quantize
    left = report.nodes - report.delegated_nodes
    assert left == REFLECTIONS[config.generator.kind]  # XNNPACK has none
    (image,) = inputs_of(config, "val", None, 1)
    assert p2p.load(report.path)(from_signed(image[0])).std() > 20  # it is no gray, which any file would make


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("quantize", QUANTIZED)
def test_every_norm_quantised(tmp_path, norm, quantize):
    exported, keras = made_tflite(tmp_path / "x.tflite", quantization=quantize, generator={"norm": norm})
    image = np.random.default_rng(3).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    error = np.mean(np.square(exported(image, None) - keras(image, None)))
    assert 10 * np.log10(4 / error) > EXPORTERS["tflite"].quantizations[quantize].tolerance.min_psnr_db
    assert exported.coverage.delegated == exported.coverage.nodes


WIDE = list(itertools.product((("global", (32, 64)), ("local_enhancer", (64, 128))), ("instance_non_affine", "batch"),
                              ("none", "float16")))  # fmt: skip


@pytest.mark.parametrize(("sized", "norm", "quantize"), others_slow(WIDE, WIDE[0], WIDE[-1]))
def test_generators_of_rectangles(tmp_path, sized, norm, quantize):
    kind, size = sized
    generator = {"kind": kind, "norm": norm, "bias": "all", "residual_blocks": 1}
    exported, keras = made_tflite(
        tmp_path / "x.tflite", quantization=quantize, generator=generator, data={"image_size_px": size}
    )
    image = np.random.default_rng(3).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    difference = exported(image, None) - keras(image, None)
    if quantize == "none":
        assert np.abs(difference).max() <= FAITHFUL.max_abs_error
    else:
        assert 10 * np.log10(4 / np.mean(np.square(difference))) > 50
    assert exported.coverage.heavy_left == ()


@pytest.mark.parametrize("quantize", others_slow(EXPORTERS["tflite"].quantizations, "none", "int8"))
def test_pixels_in_and_out_with_noise(smoke_run, tmp_path, quantize):
    report = p2p.export_run(smoke_run.path, "tflite", tmp_path, quantize=quantize, image_dtype="uint8", noise="on")
    details = Interpreter(report.path).get_signature_runner().get_input_details()
    assert details["image"]["dtype"] is np.uint8
    assert details["noise"]["dtype"] is np.float32
    x = np.random.default_rng(2).integers(0, 256, (32, 32, 1), np.uint8)
    translator, keras = p2p.load(report.path), p2p.load(smoke_run.path)
    for options in ({"noise": "off"}, {"noise": "on", "seed": 4}):
        difference = np.abs(translator(x, **options).astype(int) - keras(x, **options))
        assert difference.max() <= 1 if quantize in ("none", "float16") else difference.mean() <= 2
    assert not np.array_equal(translator(x, noise="on", seed=4), translator(x, noise="off"))


@pytest.mark.parametrize("quantize", EXPORTERS["tflite"].quantizations)
def test_label_maps_stay_label_maps(tmp_path, quantize):
    data = {"input_classes": 4, "target_classes": 3}
    exported, keras = made_tflite(tmp_path / "x.tflite", quantization=quantize, data=data)
    indices = np.random.default_rng(3).integers(0, 4, (1, 32, 32, 1))
    image = (indices / 127.5 - 1).astype(np.float32)
    given, expected = from_signed(exported(image, None)), from_signed(keras(image, None))
    assert set(np.unique(given)) <= set(np.unique(expected))
    assert np.mean(given != expected) <= EXPORTERS["tflite"].quantizations[quantize].tolerance.other_classes


@pytest.mark.parametrize("changes", [
    *({"kind": kind} for kind in GENERATORS), *({"upsampling": name} for name in UPSAMPLINGS),
    {"bias": "all"}, {"norm": "none"},
])  # fmt: skip
def test_phases_are_the_same_function(changes):
    config = tiny_config(generator=changes)
    generator = generator_of(config, noise_input=False)
    for variable in generator.variables:
        if "bias" in variable.path:
            variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    phased = in_phases(generator)
    transposed = [layer for layer in phased.layers if isinstance(layer, tf.keras.layers.Conv2DTranspose)]
    assert not transposed
    if config.generator.upsampling in ("transposed", "blurred"):
        assert any(isinstance(layer, Phases) for layer in phased.layers)
    image = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(phased(image), generator(image), atol=1e-5)


@pytest.mark.parametrize("upsampling", [name for name in UPSAMPLINGS if name != "resize"])  # XNNPACK has no nearest
def test_upsampling_is_on_the_fast_path(tmp_path, upsampling):
    exported, _ = made_tflite(tmp_path / "x.tflite", generator={"upsampling": upsampling})
    assert exported.coverage.delegated == exported.coverage.nodes


def test_coverage_counts_what_xnnpack_runs(tmp_path):
    made_tflite(tmp_path / "x.tflite")
    without = Interpreter(
        str(tmp_path / "x.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    without.allocate_tensors()
    bare = coverage_of(without)
    assert (bare.delegated, bare.heavy_left.count("CONV_2D")) == (0, 2 * 3)  # 3 levels
    within = Interpreter(str(tmp_path / "x.tflite"))
    within.allocate_tensors()
    assert coverage_of(within) == Coverage(bare.nodes, bare.nodes, ())


def test_coverage_leaves_out_what_xnnpack_does_not_take(tmp_path):
    """A cumulative sum between two convolutions, which no version of XNNPACK has."""
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 2, 2)).astype(np.float32))
    module = tf.Module()
    convolve = lambda x: tf.nn.conv2d(x, kernel, 1, "SAME")  # noqa: E731
    module.f = tf.function(lambda image: {"image": convolve(tf.cumsum(convolve(image), axis=1))}, autograph=False)
    concrete = module.f.get_concrete_function(tf.TensorSpec((1, 8, 8, 2), name="image"))
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    assert coverage_of(interpreter) == Coverage(3, 2, ())


def test_what_is_off_the_fast_path_is_refused(tmp_path):
    exported, keras = made_tflite(tmp_path / "x.tflite")

    class Slow:
        card, coverage = exported.card, Coverage(20, 17, ("CONV_2D", "TRANSPOSE_CONV"))

        def __call__(self, images, noise):
            return exported(images, noise)

    with pytest.raises(RunError, match="convolutions in XNNPACK.* Received CONV_2D, TRANSPOSE_CONV outside of it"):
        verify(
            keras, Slow(), [np.zeros((1, 32, 32, 3), np.float32)], FAITHFUL, "tflite", tmp_path / "x.tflite", tmp_path
        )


def test_what_is_outside_its_tolerance_is_refused(tmp_path):
    exported, keras = made_tflite(tmp_path / "x.tflite", quantization="int8")
    image = np.random.default_rng(3).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    strict = Tolerance(other_classes=0.0, min_psnr_db=90.0)
    with pytest.raises(RunError, match=r"within 90 dB. Received a largest difference of .*Choose another `quantize`"):
        verify(keras, exported, [image], strict, "tflite", tmp_path / "x.tflite", tmp_path)


def test_int8_is_calibrated_on_the_runs_own_pairs(smoke_run, tmp_path):
    config = RunDirectory(smoke_run.path).config()
    inputs = inputs_of(config, "train", 48, 6)
    assert [image.shape for image in inputs] == [(1, 48, 48, 1)] * 6
    assert all(np.abs(image).max() <= 1 for image in inputs)


def test_int8_without_the_data_says_so(combined_dir, tmp_path, quiet):
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 1, "validation_images": 0})
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    moved = combined_dir.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="If the run's data have moved, name their new place by `data`"):
        p2p.export_run(run.path, "tflite", tmp_path / "out", quantize="int8")
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tflite"] == []
    with pytest.warns(UserWarning, match="compared on drawings and noise, without the run's held-out pairs"):
        assert p2p.export_run(run.path, "tflite", tmp_path / "out", quantize="dynamic").images == 4
    report = p2p.export_run(run.path, "tflite", tmp_path / "out", quantize="int8", data=moved)
    assert report.images == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "bfloat16"}, "must be one of: none, float16, dynamic, int8. Received 'bfloat16'"),
        ({"image_dtype": "int8"}, "`image_dtype` of tflite must be one of: float32, uint8"),
    ],
)
def test_unknown_names_are_refused(smoke_run, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        p2p.export_run(smoke_run.path, "tflite", tmp_path, **options)


def field(table: flatbuffers.Table, slot: int):
    """Position of a field's value in a table, by the slot that the published metadata schema gives it."""
    offset = table.Offset(4 + 2 * slot)
    assert offset, slot
    return offset + table.Pos


def texts(table: flatbuffers.Table, *slots: int) -> list[str]:
    return [table.String(field(table, slot)).decode() for slot in slots]


def members(table: flatbuffers.Table, slot: int) -> list[flatbuffers.Table]:
    at = field(table, slot) - table.Pos
    start = table.Vector(at)
    return [flatbuffers.Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(at))]


@pytest.mark.parametrize("image_dtype", ["float32", "uint8"])
def test_tflites_own_metadata_say_what_it_is(tmp_path, image_dtype):
    made_tflite(tmp_path / "x.tflite", noise_input=True, card={"image_dtype": image_dtype})
    model = schema.Model.GetRootAs((tmp_path / "x.tflite").read_bytes(), 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    content = bytes(model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy())
    assert content[4:8] == b"M001"
    root = flatbuffers.Table(content, int.from_bytes(content[:4], "little"))
    assert texts(root, 0, 2, 7) == ["pix2pix", p2p.__version__, "1.0.0"]  # name, version, least parser
    (file,) = members(root, 6)
    assert texts(file, 0) == ["model_card.json"]
    (subgraph,) = members(root, 3)
    assert [texts(tensor, 0) for tensor in members(subgraph, 2)] == [["image"], ["noise"]]
    assert [texts(tensor, 0) for tensor in members(subgraph, 3)] == [["image"]]
    (unit,) = members(members(subgraph, 2)[0], 4)
    assert unit.Get(flatbuffers.number_types.Uint8Flags, field(unit, 0)) == 1  # normalisation
    options = flatbuffers.Table(content, unit.Indirect(field(unit, 1)))
    starts = [options.Vector(field(options, slot) - options.Pos) for slot in (0, 1)]  # mean, standard deviation
    numbers = [np.frombuffer(content, np.float32, 1, start)[0] for start in starts]
    assert numbers == ([0.0, 1.0] if image_dtype == "uint8" else [127.5, 127.5])


def test_any_changed_byte_of_the_network_is_damage(tmp_path):
    """One in a shape can make the interpreter take all memory, so none is run."""
    path = tmp_path / "model.tflite"
    made_tflite(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        length = json.loads(archive.read(tflite.DIGEST))["bytes"]
    assert tflite.read(path)
    for place in range(0, length, length // 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"must be whole and hold model_card\.json"):
            tflite.read(path)


def test_a_file_of_an_older_version_has_no_digest_and_is_read(tmp_path):
    path = tmp_path / "model.tflite"
    engine, _ = made_tflite(path)
    with zipfile.ZipFile(path) as archive:
        length, card = json.loads(archive.read(tflite.DIGEST))["bytes"], archive.read("model_card.json")
    path.write_bytes(path.read_bytes()[:length])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model_card.json", card)
    image = np.zeros((1, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(tflite.read(path)(image, None), engine(image, None))
