"""Tiles that equal their places in the translation of the whole image."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.inference.seams import Moments, WholeTiler, _Network, _Work, owned_moments
from tfpix2pix.inference.tiling import Grid
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import NO_NOISE, noise_size
from tfpix2pix.models.norms import normalize_by, normalize_per_image, statistics_by
from tfpix2pix.models.scales import Cut, Parts, cut_at, maps_of
from tfpix2pix.runs.load import tiler_of_export
from tfpix2pix.runs.networks import build_generator
from tfpix2pix.size import Size

TILE_PX = 64
MOST_MEAN = 1 / 127.5  # difference from the whole image: 1 level of 255
LARGER = 4  # factor of the kernels, so that a network that is not trained shows its norms


def picture(height, width):
    """Dark on the left and bright on the right, with another texture in each quarter."""
    rows, columns = np.mgrid[:height, :width]
    texture = np.where(rows < height // 2, np.sin(columns / 2), np.cos(rows / 5) * np.sin(columns))
    bright = 1.2 * columns / width - 0.6
    return np.stack([bright + 0.4 * texture, -bright + 0.2 * texture, 0.3 * texture], -1).astype(np.float32)


def network(**generator):
    config = tiny_config(generator={"base_filters": 4, **generator})
    built = build_generator(config, seed=0, input_size_px="any")
    for variable in built.trainable_variables:
        if "kernel" in variable.path:
            variable.assign(variable * LARGER)
    return built, ModelCard.of(config, 1, noise_size=noise_size(built))


def translators(built, card):
    """Translate tiles as parts of the whole, and alone."""
    engine = KerasEngine(built, card)
    return Translator(engine, lambda: WholeTiler(built, card.config.data.encoding)), Translator(engine)


@pytest.fixture(scope="module")
def unet():
    return network(noise="gaussian")


@pytest.fixture(scope="module")
def engine(unet):
    return KerasEngine(*unet)


RESNET = {"kind": "resnet", "residual_blocks": 1, "norm": "instance"}


@pytest.mark.parametrize(
    ("generator", "tile_px"),
    [
        ({"noise": "gaussian"}, TILE_PX),
        pytest.param({"noise": "dropout", "upsampling": "subpixel"}, TILE_PX, marks=pytest.mark.slow),
        pytest.param({**RESNET, "noise": "modulation"}, 2 * TILE_PX, marks=pytest.mark.slow),
        pytest.param({"kind": "global", "residual_blocks": 1}, 2 * TILE_PX, marks=pytest.mark.slow),
        pytest.param({"kind": "local_enhancer", "enhancer_blocks": 1}, 2 * TILE_PX, marks=pytest.mark.slow),
    ],
)
def test_tiles_are_within_a_level_of_the_whole_image_and_images_of_their_own_are_not(generator, tile_px):
    built, card = network(**generator)
    whole, alone = translators(built, card)
    image, noise = (
        picture(27 + tile_px, 13 + tile_px),
        "on" if card.noise_size else "off",
    )
    expected = whole(image, noise=noise, size="own")
    tiled, tiled_alone = (
        translator(image, noise=noise, tile_px=tile_px, overlap_px=tile_px // 2) for translator in (whole, alone)
    )
    assert np.abs(tiled - expected).mean() <= MOST_MEAN
    assert np.abs(tiled_alone - expected).mean() > 4 * MOST_MEAN


@pytest.mark.parametrize("inner", [True, False])
def test_statistics_are_those_of_the_whole_padded_map(unet, inner):
    """Those of NumPy over the maps that the generator makes of the whole image, pixel by pixel."""
    built, card = unet
    image, maps = picture(64, 96), maps_of(built)
    cut = Cut(8, ("down3",), ("up3_act",)) if inner else Cut(8)
    grid = Grid.aligned(Size(64, 96), Size(64, 96), 56, 24, cut.stride)
    encoding = card.config.data.encoding
    work = _Work(
        _Network(built, encoding, maps, cut, grid.size), image, grid, lambda tile: tile,
        np.full((1, card.noise_size), NO_NOISE, np.float32),
    )  # fmt: skip
    work.measure()
    seen: dict[str, tf.Tensor] = {}
    with statistics_by(lambda name, x: seen.update({name: x})):  # returns None: each norm uses its own
        built([image[np.newaxis], work.noise], training=False)
    assert work.statistics.keys() == seen.keys()
    first = next(iter(work.statistics))
    for name, statistics in work.statistics.items():
        values = seen[name].numpy()[0].astype(np.float64)
        mean, variance = values.mean((0, 1)), values.var((0, 1))
        close = 1e-6 if name == first else 0.02  # later maps hold what the overlap leaves of the tiles' borders
        np.testing.assert_allclose(statistics[0], mean, atol=close * np.sqrt(variance.max()))
        np.testing.assert_allclose(statistics[1], variance, rtol=5 * close)


@pytest.mark.parametrize("stride", [1, 2, 8])
@pytest.mark.parametrize(("length", "tile", "overlap"), [((96, 136), 64, 32), ((8, 200), 48, 0), ((120, 64), 37, None)])
def test_every_pixel_of_a_map_counts_once(length, tile, overlap, stride):
    height, width = length
    grid = Grid.aligned(Size(*length), Size(*length), tile, overlap, 8)
    flat = np.random.default_rng(0).normal(size=(1, height // stride, width // stride, 2)) * 1e-3 + 1.0
    whole, moments, times = flat.astype(np.float32), Moments(), np.zeros(flat.shape[1:3])
    tall, wide = grid.size
    for place in (place for row in grid.places for place in row):
        top, left = place.top // stride, place.left // stride
        part = whole[:, top : top + tall // stride, left : left + wide // stride]
        owned = tf.constant([*place.rows, *place.columns])
        moments.add(*(value.numpy() for value in owned_moments(tf.constant(part), owned, tall)))
        (first, end), (before, after) = ([edge // stride for edge in edges] for edges in (place.rows, place.columns))
        times[top + first : top + end, left + before : left + after] += 1
    np.testing.assert_array_equal(times, 1)
    wide_values = whole[0].astype(np.float64)
    expected = [wide_values.mean((0, 1)), wide_values.var((0, 1))]
    np.testing.assert_allclose(moments.statistics, expected, rtol=1e-10)


def test_a_norm_by_its_own_statistics_is_the_norm_of_the_image():
    flat = np.random.default_rng(0).normal(size=(1, 20, 30, 3)).astype(np.float32) * 1e-3 + 1.0
    wide = flat[0].astype(np.float64)
    statistics = tf.constant(np.stack([wide.mean((0, 1)), wide.var((0, 1))]))
    gamma, beta = tf.constant([1.0, 2.0, -1.0]), tf.constant([0.5, 0.0, -0.5])
    expected = normalize_per_image(tf.constant(wide[np.newaxis]), gamma, beta)
    np.testing.assert_allclose(normalize_by(tf.constant(flat), statistics, gamma, beta), expected, atol=2e-6)


def test_the_inner_part_is_as_large_as_it_may_be(unet):
    maps = maps_of(unet[0])
    assert maps["down1"].stride == 2 and maps["down3"].values == 16 / 64
    assert cut_at(maps, 1e9) == Cut(2, ("down1",), ("up1_act",))
    assert cut_at(maps, 1.0).stride == 4
    assert cut_at(maps, 0.01) is None


def test_the_parts_are_the_network(unet):
    built, card = unet
    parts, image = Parts(built, Cut(4, ("down2",), ("up2_act",))), tf.constant(picture(32, 64)[np.newaxis])
    noise = tf.constant(np.random.default_rng(0).uniform(size=(1, card.noise_size)), tf.float32)
    entries = tf.nest.flatten(parts.before([image, noise]))
    exits = tf.nest.flatten(parts.inner([*entries, noise]))
    output = parts.last[0](parts.after([image, *exits, noise]))
    np.testing.assert_allclose(output, built([image, noise]), atol=1e-5)


class Foreign:
    """A SavedModel with a graph that its card does not describe."""

    def __init__(self, engine, weights):
        self.engine, self.card, self.weights = engine, engine.card, lambda: weights

    def __call__(self, images, noise):
        return -self.engine(images, noise)


def test_a_graph_that_its_card_does_not_describe_is_tiled_alone(unet, engine):
    built, _ = unet
    right = [value.numpy() for value in (*built.trainable_variables, *built.non_trainable_variables)]
    for weights in (right, right[:-1], []):
        foreign, image = Foreign(engine, weights), picture(80, 100)
        translator = Translator(foreign, lambda foreign=foreign: tiler_of_export(foreign))
        with pytest.warns(UserWarning, match="each tile is translated as an image of its own"):
            tiled = translator(image, tile_px=TILE_PX)
        np.testing.assert_array_equal(tiled, -Translator(engine)(image, tile_px=TILE_PX))
    whole = Translator(foreign, lambda: None, "whole")
    with pytest.raises(UserError, match="a graph that its card does not describe. Leave it out"):
        whole(image, tile_px=TILE_PX)


def test_a_model_of_a_fixed_size_says_that_it_cannot(engine):
    fixed = KerasEngine(engine.generator, engine.card.model_copy(update={"fixed_size_px": 32}))
    with pytest.raises(UserError, match="`tile_as` whole must go with a run .* a model of 32 px. Leave it out"):
        Translator(fixed, None, "whole")
    with pytest.raises(UserError, match="`tile_as` must be one of"):
        Translator(engine, None, "all")


def test_tiles_overlap_by_half_at_most(unet):
    whole, _ = translators(*unet)
    with pytest.raises(UserError, match="by half their side at most. Received 33 px of 64"):
        whole(picture(80, 100), tile_px=TILE_PX, overlap_px=33)
