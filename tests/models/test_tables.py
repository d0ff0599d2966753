"""The contract of every row of GENERATORS and DISCRIMINATORS, with every norm, upsampling, noise and bias."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.conftest import others_slow
from tfpix2pix.config.resolve import known_values
from tfpix2pix.models import BIASES, DISCRIMINATORS, GENERATORS, NOISES, NORMS, SKIP_ACTIVATIONS, UPSAMPLINGS
from tfpix2pix.models.noise import GaussianChannel
from tfpix2pix.models.settings import DiscriminatorConfig, GeneratorConfig
from tfpix2pix.models.sizes import PATCHGANS
from tfpix2pix.training.pix2pix import UPDATE_ORDERS
from tfpix2pix.training.settings import TrainingConfig

SIZE = 32
FEWEST = {"levels": 3, "residual_blocks": 2}  # of the kinds of generators that have them


def inputs_of(model, batch=2):
    rng = np.random.default_rng(0)
    tensors = [tf.constant(rng.random((batch, *tensor.shape[1:])), tf.float32) for tensor in model.inputs]
    return tensors if len(tensors) > 1 else tensors[0]


def check_gradients(model):
    """Forward, backward: finite, and to every trainable variable."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(inputs_of(model), training=True) - 0.1))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path


def test_the_configuration_names_what_the_tables_hold():
    for section, field, table in (
        (GeneratorConfig, "norm", NORMS),
        (GeneratorConfig, "upsampling", UPSAMPLINGS),
        (GeneratorConfig, "bias", BIASES),
        (GeneratorConfig, "skip_activation", SKIP_ACTIVATIONS),
        (GeneratorConfig, "noise", NOISES),
        (DiscriminatorConfig, "norm", NORMS),
        (DiscriminatorConfig, "bias", BIASES),
        (TrainingConfig, "update_order", UPDATE_ORDERS),
    ):
        assert known_values(section.model_fields[field]) == tuple(table)
    assert known_values(DiscriminatorConfig.model_fields["receptive_field_px"]) == tuple(PATCHGANS)
    for name in (*UPSAMPLINGS, None):
        assert GeneratorConfig(last_upsampling=name).last_upsampling == name
    with pytest.raises(ValueError, match="must be one of: transposed, blurred, resize, bilinear, subpixel"):
        GeneratorConfig(last_upsampling="nearest")


def test_a_new_row_is_a_value_of_the_key_and_is_built(monkeypatch):
    monkeypatch.setitem(NORMS, "mine", lambda name, seed, epsilon, statistics: layers.Rescaling(1.0, name=name))
    monkeypatch.setitem(BIASES, "never", lambda normalized: False)
    monkeypatch.setitem(UPSAMPLINGS, "mine", UPSAMPLINGS["resize"])
    monkeypatch.setitem(NOISES, "mine", NOISES["gaussian"])
    rows = {"norm": "mine", "bias": "never", "upsampling": "mine", "last_upsampling": "mine", "noise": "mine"}
    spec = GeneratorConfig(**rows, base_filters=2)
    options = {name: getattr(spec, name) for name in GENERATORS["unet"].options}
    kinds = {type(layer) for layer in GENERATORS["unet"].build(SIZE, **options).layers}
    assert {layers.Rescaling, layers.UpSampling2D, GaussianChannel} <= kinds


def check_generator(kind, **options):
    """Builds, backpropagates to every variable, and its inference views hold the same variables."""
    build = GENERATORS[kind].build
    depth = {name: few for name, few in FEWEST.items() if name in GENERATORS[kind].options}
    options = {"input_channels": 1, "output_channels": 2, "base_filters": 4, **depth, **options}
    model = build(SIZE, **options)
    check_gradients(model)
    out = model(inputs_of(model))
    assert out.shape == (2, SIZE, SIZE, 2)
    assert np.abs(out).max() <= 1
    for view in ({"noise_input": False}, {"input_size_px": "any", "seed": None}, {"statistics": "moving"}):
        variables = build(SIZE, **options, **view).variables
        assert [(v.path, v.shape) for v in variables] == [(v.path, v.shape) for v in model.variables]
    anywhere = build(SIZE, **options, noise_input=False, input_size_px="any")
    assert anywhere(tf.zeros((1, 2 * SIZE, 3 * SIZE + 5, 1))).shape == (1, 2 * SIZE, 3 * SIZE + 5, 2)


EVERY_GENERATOR = list(itertools.product(GENERATORS, NORMS, UPSAMPLINGS))
OF_RESNETS = ("global", "local_enhancer")  # of the parts of `resnet`, which is tried with everything
DIAGONAL = set(zip(NORMS, UPSAMPLINGS, strict=False))
QUICK = [
    (kind, norm, upsampling)
    for kind, norm, upsampling in EVERY_GENERATOR
    if (norm, upsampling) in DIAGONAL or (kind not in OF_RESNETS and norm != "instance_non_affine")
]


@pytest.mark.parametrize(("kind", "norm", "upsampling"), others_slow(EVERY_GENERATOR, *QUICK))
def test_generators(kind, norm, upsampling):
    check_generator(kind, norm=norm, upsampling=upsampling)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", GENERATORS)
def test_generators_with_every_noise(kind, noise):
    check_generator(kind, noise=noise)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kind", GENERATORS)
def test_generators_with_every_bias(kind, bias):
    check_generator(kind, bias=bias)


@pytest.mark.parametrize("channels", [(1, 3), (3, 1), (4, 4), (12, 3), (5, 2)])
@pytest.mark.parametrize("kind", GENERATORS)
def test_channels_in_and_out_are_independent(kind, channels):
    model = GENERATORS[kind].build(SIZE, input_channels=channels[0], output_channels=channels[1], base_filters=2)
    assert model.inputs[0].shape[-1] == channels[0]
    assert model.output.shape == (None, SIZE, SIZE, channels[1])


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_generator_takes_the_options_it_names(kind):
    spec = GeneratorConfig()
    options = {name: getattr(spec, name) for name in GENERATORS[kind].options}
    assert GENERATORS[kind].build(SIZE, **{**options, "base_filters": 2}).output.shape == (None, SIZE, SIZE, 3)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_discriminators(kind, norm, spectral_norm, conditional):
    options = {"norm": norm, "spectral_norm": spectral_norm, "conditional": conditional}
    model = DISCRIMINATORS[kind](16, image_size_px=SIZE, input_channels=1, target_channels=2, base_filters=4, **options)
    check_gradients(model)
    assert model.output.shape[-1] == 1
    assert len(model.inputs) == 1 + conditional


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *itertools.product(GENERATORS, ["norm", "bias", "upsampling", "noise"]),
        *itertools.product(["unet", "encoder_decoder"], ["last_upsampling", "skip_activation"]),
    ],
)  # fmt: skip
def test_unknown_choices_list_the_known(kind, option):
    with pytest.raises(ValueError, match=f"`{option}` must be one of: .* Received 'foo'"):
        GENERATORS[kind].build(SIZE, **{option: "foo"})
