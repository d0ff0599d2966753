"""The layer tables: TensorFlow's own profiler counts the same."""

import math

import pytest
import tensorflow as tf

from tests.models.test_products import with_plain_layers
from tfpix2pix.models.enhancer import build_local_enhancer
from tfpix2pix.models.patchgan import build_patchgan
from tfpix2pix.models.resnet import build_resnet
from tfpix2pix.models.sizes import PATCHGANS
from tfpix2pix.models.unet import build_unet
from tfpix2pix.runs.dry_run import layer_table, rows_of

NETWORKS = {
    "unet": lambda: build_unet(64, base_filters=8),
    "subpixel": lambda: build_unet(64, base_filters=8, upsampling="subpixel", noise="gaussian"),
    "blurred": lambda: build_unet(64, base_filters=8, upsampling="blurred"),
    "bilinear": lambda: build_unet(64, base_filters=8, upsampling="bilinear"),
    "resize": lambda: build_resnet(64, base_filters=8, residual_blocks=2, upsampling="resize"),
    "enhancer": lambda: build_local_enhancer(
        64, base_filters=4, residual_blocks=1, enhancer_blocks=1, upsampling="resize"
    ),
    "modulation": lambda: build_unet(64, base_filters=8, noise="modulation"),
    "patchgan": lambda: build_patchgan(34, image_size_px=64, base_filters=8),
    "spectral": lambda: build_patchgan(16, image_size_px=64, base_filters=8, spectral_norm=True),
}


def profiled(model):
    """Floating-point operations by tf.compat.v1.profiler of the same network, all of whose convolutions are such."""
    model = with_plain_layers(model)
    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tf.float32) for tensor in model.inputs]
    forward = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    graph = forward.get_concrete_function(*specs).graph
    node, total = tf.compat.v1.profiler.profile(graph, cmd="op", options=options), 0
    while node.children:
        node = node.children[0]
        total += node.float_ops if node.name.startswith("Conv2D") else 0
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_flops_are_the_profilers(name):
    model = NETWORKS[name]()
    assert sum(row.flops for row in rows_of(model)) == profiled(model) > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_add_up(name):
    model = NETWORKS[name]()
    expected = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert sum(row.parameters for row in rows_of(model)) == expected


@pytest.mark.parametrize("patch", PATCHGANS)
def test_receptive_field_of_the_stack(patch):
    assert rows_of(build_patchgan(patch, image_size_px=256, base_filters=1))[-1].receptive_field_px == patch


def test_the_papers_forward_pass():
    """12.1 and 6.4 GFLOP at 256 px."""
    assert sum(row.flops for row in rows_of(build_unet(256, seed=None))) == pytest.approx(12.1e9, rel=0.005)
    assert sum(row.flops for row in rows_of(build_patchgan(image_size_px=256, seed=None))) == pytest.approx(
        6.4e9, rel=0.005
    )


@pytest.mark.parametrize("name", ["unet", "enhancer"])
def test_a_layer_stands_with_what_it_follows(name):
    rows = {row.name: row for row in rows_of(NETWORKS[name]())}
    if name == "enhancer":  # the layers of the enhancer and of the network inside take turns
        assert rows["input"].then == ["mean to half the size"]
        assert rows["enhancer1_first"].then == ["batch norm", "ReLU"]
        assert rows["up2"].then == ["batch norm", "ReLU", "nearest ×2"]
        assert rows["enhancer1_down1"].then + rows["up1"].then == [*2 * ["batch norm", "ReLU"], "add"]
    else:
        assert rows["down2"].then[0] == rows["up2"].then[0] == "batch norm"
        assert rows["up2"].then[-2:] == ["skip", "ReLU"]


def test_a_table_has_a_row_for_every_convolution():
    table = layer_table(build_unet(32, base_filters=4), receptive_field=False)
    assert table.row_count == 1 + 2 * 5
