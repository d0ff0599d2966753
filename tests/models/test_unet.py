"""The generator against the paper's numbers and the traps of its relatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.models.noise import NoiseDropout
from tfpix2pix.models.norms import BatchNormalization
from tfpix2pix.models.unet import build_encoder_decoder, build_unet


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_golden_parameter_count():
    assert parameters(build_unet(256, seed=None)) == 54_413_955
    assert parameters(build_encoder_decoder(256, seed=None)) == 39_075_459


def test_the_layers_of_the_paper():
    model = build_unet(256, seed=None)
    downs = [model.get_layer(f"down{level}") for level in range(1, 9)]
    ups = [model.get_layer(f"up{level}") for level in range(8, 0, -1)]
    assert [layer.filters for layer in downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.filters for layer in ups] == [512, 512, 512, 512, 256, 128, 64, 3]
    for layer in downs + ups:
        assert (layer.kernel_size, layer.strides) == ((4, 4), (2, 2))
    assert [layer.name for layer in model.layers if isinstance(layer, NoiseDropout)] == [
        "up8_dropout", "up7_dropout", "up6_dropout",
    ]  # fmt: skip
    assert model.get_layer("down8").output.shape == (None, 1, 1, 512)
    assert model.output.shape == (None, 256, 256, 3)


def test_filters_stop_at_their_largest_factor():
    model = build_unet(256, max_filters_factor=4, seed=None)
    assert [model.get_layer(f"down{level}").filters for level in range(1, 9)] == [64, 128, *6 * [256]]
    # By hand: 4×4 kernels; an encoder of 3 to 64 to 128 to 256, then five layers of 256 to 256; a decoder of 256 to
    # 256, four of 512 to 256, then 512 to 128, 256 to 64 and 128 to 3 with its bias; scale and offset of every norm.
    kernels = 3 * 64 + 64 * 128 + 128 * 256 + 5 * 256**2 + 256**2 + 4 * 512 * 256 + 512 * 128 + 256 * 64 + 128 * 3
    norms = 128 + 5 * 256 + 5 * 256 + 128 + 64
    assert parameters(model) == 16 * kernels + 3 + 2 * norms


def test_the_last_layer_upsamples_as_it_is_told():
    names = {layer.name for layer in build_unet(64, upsampling="blurred", last_upsampling="transposed").layers}
    assert "up2_blur" in names and "up1_blur" not in names
    assert "up1_blur" in {layer.name for layer in build_unet(64, upsampling="blurred").layers}


def test_no_norm_on_the_first_layer_the_bottleneck_and_the_last():
    """Normalising a 1×1 map at batch 1 would zero it (the paper's erratum)."""
    names = {layer.name for layer in build_unet(256, seed=None).layers if isinstance(layer, BatchNormalization)}
    assert names == {*(f"down{level}_norm" for level in range(2, 8)), *(f"up{level}_norm" for level in range(2, 9))}


def test_every_leaky_relu_has_slope_one_fifth():
    slopes = [layer.negative_slope for layer in build_unet(64).layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert len(slopes) == 5
    assert set(slopes) == {0.2}


@pytest.mark.parametrize("size", [4, 32, 96, 128, 320])
def test_sizes_and_channels(size):
    model = build_unet(size, base_filters=4, input_channels=1, output_channels=5)
    noise = np.random.default_rng(0).random((2, model.inputs[1].shape[-1]), np.float32)
    out = model([np.zeros((2, size, size, 1), np.float32), noise])
    assert out.shape == (2, size, size, 5)
    assert np.abs(out).max() <= 1


def test_the_image_is_the_tanh_of_the_last_layer():
    model = build_unet(8, base_filters=4, seed=0)
    last = model.get_layer("up1")
    last.bias.assign([-3.0, 0.5, 3.0])
    before = keras.Model(model.inputs, last.output)
    inputs = [np.zeros((1, 8, 8, 3), np.float32), np.full((1, model.inputs[1].shape[-1]), 1.0, np.float32)]
    np.testing.assert_allclose(model(inputs), np.tanh(before(inputs)), atol=1e-6)


def test_initial_weights_depend_on_seed_and_name_alone():
    first, again, other = (build_unet(32, base_filters=8, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(first.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = first.get_layer("down3").kernel.numpy()
    assert not np.array_equal(kernel, other.get_layer("down3").kernel)
    assert not np.array_equal(kernel, first.get_layer("down4").kernel[..., : kernel.shape[-2], : kernel.shape[-1]])
    assert np.std(kernel) == pytest.approx(0.02, rel=0.05)
    gamma = first.get_layer("down3_norm").gamma.numpy()
    assert gamma.mean() == pytest.approx(1, abs=0.02)
    assert 0 < gamma.std() < 0.05


def test_names_of_the_variables_are_a_contract():
    """Checkpoints are keyed by them."""
    names = {v.path for v in build_unet(16, base_filters=4).variables}
    norms = {
        f"{layer}_norm/{part}"
        for layer in ("down2", "down3", "up4", "up3", "up2")
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    kernels = {f"{side}{level}/kernel" for side in ("down", "up") for level in range(1, 5)}
    assert names == norms | kernels | {"up1/bias"}


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_images_do_not_depend_on_their_neighbours(norm):
    model = build_unet(32, base_filters=8, norm=norm, noise_input=False)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    together = model(images).numpy()
    alone = np.concatenate([model(image[None]).numpy() for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_per_image_inference_is_training_at_batch_one():
    """Keras's own inference mode differs by far (moving averages): the field's 'test is worse than train'."""
    model = build_unet(32, base_filters=8, dropout_rate=0)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(model(image, training=False), model(image, training=True), atol=1e-5)
    moving = build_unet(32, base_filters=8, dropout_rate=0, statistics="moving")
    assert np.abs(moving(image, training=False) - model(image)).max() > 0.01


def test_per_image_statistics_equal_keras_instance_normalisation():
    x = tf.random.normal((3, 7, 5, 4), 2.0, 3.0, seed=0)
    ours = BatchNormalization("image")
    theirs = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)
    np.testing.assert_allclose(ours(x, training=False), theirs(x), atol=1e-5)


def test_training_updates_moving_averages_by_a_tenth():
    x = np.random.default_rng(0).normal(5, 2, (8, 4, 4, 3)).astype(np.float32)
    layer = BatchNormalization("moving")
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-4)


def test_the_ablation_has_no_skip_connections():
    """Without concatenation each decoder layer takes half as many channels; the layer names stay."""
    plain, unet = (build(64, base_filters=4) for build in (build_encoder_decoder, build_unet))
    assert not [layer for layer in plain.layers if isinstance(layer, keras.layers.Concatenate)]
    assert plain.get_layer("up2").kernel.shape[-1] * 2 == unet.get_layer("up2").kernel.shape[-1]
    assert {v.path for v in plain.variables} == {v.path for v in unet.variables}


def test_a_depth_that_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match="5 times at most for `image_size_px` = 40. Received 6. Use 5, or images of 64"
    ):
        build_unet(40, levels=6)


@pytest.mark.parametrize("size", [30, 44, 50])
def test_any_training_size_is_padded_and_cropped_inside(size):
    model = build_unet(size, base_filters=4, levels=3, noise="none")
    assert model.get_layer("pad").output.shape[1:3] == (-(-size // 8) * 8,) * 2
    assert model.output.shape == (None, size, size, 3)


def test_sizes_that_fit_are_not_padded():
    assert "pad" not in {layer.name for layer in build_unet(64, base_filters=4).layers}


class TestChoicesOfOthers:
    """The tutorial and the PyTorch implementation differ in these rows (docs/other-recipes.md)."""

    def test_the_tutorials_parameter_count(self):
        assert parameters(build_unet(256, bottleneck_norm=True, seed=None)) == 54_414_979

    def test_activation_before_the_skip(self):
        model = build_unet(32, base_filters=4, skip_activation="before", leaky_slope=0.3, noise="none")
        skip = model.get_layer("up3_skip")
        sources = [tensor._keras_history.operation.name for tensor in skip.input]
        assert sources == ["up3_act", "down2_act"]
        assert {layer.negative_slope for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)} == {0.3}
        assert [v.path for v in model.variables] == [v.path for v in build_unet(32, base_filters=4).variables]

    def test_a_normalised_bottleneck_of_one_pixel_learns_nothing(self):
        """The paper's erratum, alive in the tutorial: at batch size 1 the norm leaves only its offset."""
        image = tf.random.normal((1, 32, 32, 3), seed=0)
        for bottleneck_norm in (False, True):
            model = build_unet(32, base_filters=4, bottleneck_norm=bottleneck_norm, noise="none")
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(image, training=True)))
            gradient = tape.gradient(loss, model.get_layer("down5").kernel.value)
            assert (np.abs(gradient).max() < 1e-12) == bottleneck_norm

    def test_dropout_layers_count_from_the_bottleneck(self):
        model = build_unet(64, base_filters=4, dropout_layers=(2, 4))
        assert [layer.name for layer in model.layers if isinstance(layer, NoiseDropout)] == [
            "up5_dropout",
            "up3_dropout",
        ]

    @pytest.mark.parametrize(
        ("bias", "with_bias"), [("last", {"up1"}), ("unnormalized", {"down1", "down5", "up1"}), ("all", None)]
    )
    def test_biases(self, bias, with_bias):
        model = build_unet(32, base_filters=4, bias=bias, noise="none")
        convolutions = [layer for layer in model.layers if hasattr(layer, "use_bias")]
        biased = {layer.name for layer in convolutions if layer.use_bias}
        assert biased == (with_bias or {layer.name for layer in convolutions})

    def test_norm_epsilon(self):
        model = build_unet(32, base_filters=4, norm_epsilon=1e-3, noise="none")
        epsilons = {layer.epsilon for layer in model.layers if isinstance(layer, BatchNormalization)}
        assert epsilons == {1e-3}
        flat = np.full((1, 32, 32, 3), 0.25, np.float32)  # without variance the epsilon decides
        assert np.isfinite(model(flat)).all()
