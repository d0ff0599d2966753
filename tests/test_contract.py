"""The whole way for the useful pairs of options: train a step, reload with the architecture read back, export, compare.

Each row changes the tiny configuration; together they name every row of every table of networks and losses.
"""

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import others_slow, tiny_config, write_image
from tfpix2pix.config import Config
from tfpix2pix.config.resolve import make_config, with_overrides
from tfpix2pix.data import COLOR_SPACES
from tfpix2pix.data.settings import CLASS_VALUES
from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS, FAITHFUL
from tfpix2pix.losses import GAN_LOSSES, OBJECTIVES, TERMS
from tfpix2pix.models import DISCRIMINATORS, GENERATORS, NOISES, NORMS, UPSAMPLINGS
from tfpix2pix.runs.networks import build_model

# What Keras's own layers cannot do: padding inside the graph, Gaussian noise, colours and classes made of channels.
NOT_IN_KERAS = {
    "resnet-gaussian-odd-size", "gaussian", "no-noise-odd-size", "lab", "label-map-to-photograph",
    "photograph-to-label-map", "local-enhancer", "local-enhancers", "rectangle-of-odd-size",
}  # fmt: skip
CASES = {
    "paper": [],
    "encoder-decoder": [
        "generator.kind=encoder_decoder", "objective=l1", "discriminator.receptive_field_px=1",
        "generator.upsampling=bilinear",
    ],
    "resnet": [
        "generator.kind=resnet", "generator.residual_blocks=2", "generator.norm=instance", "objective.gan_loss=lsgan",
        "generator.upsampling=blurred",
    ],
    "resnet-gaussian-odd-size": [
        "generator.kind=resnet", "generator.residual_blocks=1", "generator.noise=gaussian", "data.image_size_px=30",
        "generator.upsampling=resize", "training.update_order=simultaneous",
    ],
    "every-term-two-scales": [
        "generator.upsampling=resize", "objective.gan_loss=hinge", "discriminator.spectral_norm=true",
        "discriminator.norm=none", "discriminator.scales=2", "training.discriminator_learning_rate=0.0004",
        "objective.weights={l1: 10, l2: 5, feature_matching: 10, diversity_sensitive: 8, mode_seeking: 1, "
        "pyramid_l1: 10}",
    ],
    "styles-of-targets": [
        "generator.noise=modulation", "generator.norm=instance", "objective.encoder_filters=4",
        "objective.weights={l1: 10, feature_matching: 10, style_kl: 0.1, style_recovery: 0.5}",
    ],
    "subpixel-none": [
        "generator.upsampling=subpixel", "generator.norm=none", "objective=l1+gan", "objective.label_smoothing=0.1",
    ],
    "blurred": ["generator.upsampling=blurred"],
    "blurred-resnet": ["generator.kind=resnet", "generator.residual_blocks=1", "generator.upsampling=blurred"],
    "bilinear": ["generator.upsampling=bilinear"],
    "capped-filters-last-transposed": [
        "generator.upsampling=blurred", "generator.last_upsampling=transposed", "generator.max_filters_factor=2",
        "discriminator.max_filters_factor=1",
    ],
    "feature-matching": ["objective.weights={l1: 10, feature_matching: 10}"],
    "scales-simultaneous": [
        "objective.weights={feature_matching: 10}", "discriminator.scales=3", "training.update_order=simultaneous",
        "discriminator.receptive_field_px=1",
    ],
    "scales-in-parts": [
        "objective.weights={feature_matching: 10}", "discriminator.scales=2", "training.batch_size=2",
        "training.micro_batches=2", "discriminator.conditional=false",
    ],
    "gaussian": ["generator.noise=gaussian", "objective=cgan", "inference.noise=on"],
    "no-noise-odd-size": [
        "generator.noise=none", "data.image_size_px=37", "objective=gan",
    ],
    "no-discriminator": ["objective=l2", "objective.gan_loss=none", "generator.norm=instance"],
    "moving": [
        "inference.statistics=moving", "training.batch_size=2", "training.learning_rate_schedule=linear_decay",
    ],
    "as-the-tutorial": [
        "generator.bottleneck_norm=true", "generator.skip_activation=before", "generator.leaky_slope=0.3",
        "generator.norm_epsilon=0.001", "discriminator.bias=last", "training.update_order=simultaneous",
    ],
    "rgba": ["data.input_channels=4", "data.target_channels=4", "generator.dropout_layers=[2]"],
    "gray-to-rgb": ["data.input_channels=1"],
    "lab": ["data.input_channels=1", "data.color_space=lab"],
    "label-map-to-photograph": [
        "data.input_channels=1", "data.input_classes=3", "data.class_colors=['#000000', '#ff0000', '#0000ff']",
    ],
    "photograph-to-label-map": [
        "data.target_channels=1", "data.target_classes=3", "data.class_colors=['#000000', '#ff0000', '#0000ff']",
    ],
    "local-enhancer": [
        "generator.kind=local_enhancer", "generator.residual_blocks=1", "generator.enhancer_blocks=1",
        "generator.base_filters=4", "generator.norm=instance_non_affine", "generator.bias=all",
        "discriminator.norm=instance_non_affine",
    ],
    "modulation": ["generator.noise=modulation", "generator.noise_dimensions=4", "inference.noise=on"],
    "global": [
        "generator.kind=global", "generator.residual_blocks=1", "generator.norm=instance_non_affine",
        "generator.bias=all", "generator.noise=modulation",
    ],
    "local-enhancers": [
        "generator.kind=local_enhancer", "generator.enhancers=2", "generator.residual_blocks=1",
        "generator.enhancer_blocks=1", "generator.base_filters=2", "generator.upsampling=resize",
        "generator.noise=gaussian", "data.image_size_px=64",
    ],
    "rectangle": ["data.image_size_px=[32,64]", "discriminator.scales=2"],
    "rectangle-of-odd-size": [
        "data.image_size_px=[41,27]", "generator.kind=resnet", "generator.residual_blocks=1", "inference.noise=on",
    ],
}  # fmt: skip
# The others name every row of every table already.
SLOW = {
    "as-the-tutorial", "bilinear", "blurred", "blurred-resnet", "capped-filters-last-transposed", "feature-matching",
    "gray-to-rgb", "local-enhancers", "moving", "resnet-gaussian-odd-size", "rgba", "scales-in-parts",
    "scales-simultaneous",
}  # fmt: skip
QUICK = [name for name in CASES if name not in SLOW]
FORMATS = ("saved_model", "tflite")
# tests/export/test_other_formats.py has every generator in these. Formats with a runtime have the file of tflite in
# it, and tests/export/web has every kind of input.
OTHER_FORMATS = tuple(name for name, row in EXPORTERS.items() if name not in FORMATS and not row.runtime)
IN_OTHERS = NOT_IN_KERAS | {"rgba", "gray-to-rgb"}
ROUND_TRIPS = [  # a slow run is trained once for all formats
    *(pytest.param(name, FORMATS, id=name) for name in QUICK),
    *(pytest.param(name, FORMATS + OTHER_FORMATS * (name in IN_OTHERS), id=name, marks=pytest.mark.slow)
      for name in sorted(SLOW)),
    *(pytest.param(name, OTHER_FORMATS, id=f"{name}-others", marks=pytest.mark.slow)
      for name in sorted(IN_OTHERS - SLOW)),
]  # fmt: skip


def config_of(name: str, **data) -> Config:
    base = tiny_config(training={"steps": 2, "validation_images": 1}, data=data).model_dump(mode="json")
    del base["objective"], base["discriminator"]["conditional"]
    kind = next((setting.partition("=")[2] for setting in CASES[name] if setting.startswith("generator.kind=")), "unet")
    if "levels" not in GENERATORS[kind].options:
        del base["generator"]["levels"]
    return make_config(with_overrides(base, CASES[name]))


def test_every_row_is_named():
    configs = [config_of(name) for name in QUICK]
    for table, used in (
        (GENERATORS, {c.generator.kind for c in configs}),
        (DISCRIMINATORS, {c.discriminator.kind for c in configs}),
        (NORMS, {c.generator.norm for c in configs}),
        (NOISES, {c.generator.noise for c in configs}),
        (UPSAMPLINGS, {c.generator.upsampling for c in configs}),
        (GAN_LOSSES, {c.objective.gan_loss for c in configs}),
        (TERMS, {name for c in configs for name, weight in c.objective.weights.items() if weight}),
        (COLOR_SPACES, {c.data.color_space for c in configs}),
    ):
        # tests/runs/test_distill.py and test_perceptual.py have the terms that need a trained network.
        others = {name for name, row in table.items() if table is TERMS and (row.needs_teacher or row.needs_network)}
        assert used == set(table) - others
    assert {c.objective_name for c in configs} >= set(OBJECTIVES)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Combined images by kind: RGB, RGBA, and drawn in the colours of three classes."""
    rng = np.random.default_rng(0)
    kinds = {
        "rgb": lambda: rng.integers(0, 256, (40, 80, 3), np.uint8),
        "rgba": lambda: rng.integers(0, 256, (40, 80, 4), np.uint8),
        "classes": lambda: np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)[rng.integers(0, 3, (40, 80))],
    }
    folders = {}
    for kind, image in kinds.items():
        folder = tmp_path_factory.mktemp(kind)
        for split in ("train", "val"):
            for index in range(2):
                write_image(folder / split / f"{index}.png", image())
        folders[kind] = str(folder)
    return folders


@pytest.mark.parametrize(("name", "formats"), ROUND_TRIPS)
def test_round_trip(name, formats, pairs, tmp_path, quiet):
    config = config_of(name, dir=pairs["classes" if "label-map" in name else "rgba" if name == "rgba" else "rgb"])
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert all(np.isfinite(value) for values in run.card.metrics.values() for value in values.values())
    translator = p2p.load(run.path)
    found_out = {key: getattr(translator.card.config.data, key) for key in CLASS_VALUES}  # by the run, from its pairs
    assert all(value is None for value in found_out.values()) == (not any(config.data.classes))
    assert translator.card.config == config.model_copy(update={"data": config.data.model_copy(update=found_out)})
    size = config.data.size_px
    levels = config.data.input_classes or 256
    x = np.random.default_rng(1).integers(0, levels, (*size, config.data.input_channels), np.uint8)
    expected = translator(x)
    assert expected.shape == (*size, config.data.target_channels)
    np.testing.assert_array_equal(expected, p2p.load(run.path)(x))
    for format in formats:
        if format == "keras" and name in NOT_IN_KERAS:
            with pytest.raises(UserError, match=r"A \.keras file"):
                p2p.export_run(run.path, format, tmp_path / "out")
            continue
        report = p2p.export_run(run.path, format, tmp_path / "out")
        assert report.max_abs_error <= (
            FAITHFUL.other_classes if config.data.target_classes else FAITHFUL.max_abs_error
        )
        exported = p2p.load(report.path)
        assert exported.card.config.generator == config.generator
        if config.data.target_classes:
            assert expected.max() < config.data.target_classes
            assert np.mean(exported(x) != expected) <= 1e-3
        else:
            assert np.abs(exported(x).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", others_slow(CASES, *QUICK))
def test_no_sum_of_a_step_depends_on_timing(name):
    """TensorFlow adds three tensors or more in an order that depends on which buffer is free first: there are none."""
    config = config_of(name)
    size, (inputs, targets) = config.data.size_px, config.data.network_channels
    specs = tuple(tf.TensorSpec((config.training.batch_size, *size, channels)) for channels in (inputs, targets))
    step = tf.function(build_model(config).train_step, autograph=False).get_concrete_function(specs)
    sums = [op for op in step.graph.get_operations() if op.type in ("AddN", "AccumulateNV2")]
    assert not [op.name for op in sums if len(op.inputs) > 2]
