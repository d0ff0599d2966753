"""The page's arithmetic in Node, beside Python's: reflection, tiles, shares, values, NumPy files."""

import numpy as np
import pytest

from tests.export.web.node import in_node, needs_node
from tfpix2pix.data.images import match_channels, reflected_indices
from tfpix2pix.data.labels import nearest_color
from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.inference.tiling import _shares, _starts, translate_tiles

pytestmark = needs_node


def test_axes_are_reflected_cut_and_shared_as_in_python(tmp_path):
    reflections = [(1, 5), (2, 9), (5, 5), (7, 8), (30, 32), (3, 32)]
    cuts = [(32, 32, 4), (33, 32, 4), (90, 32, 4), (700, 128, 16), (500, 128, 16), (71, 20, 10), (64, 32, 0)]
    code = """
console.log(JSON.stringify([
  data[0].map(([length, total]) => [...t.reflectedIndices(length, total)]),
  data[1].map(([length, size, overlap]) => t.startsOf(length, size, overlap)),
  [true, false].map((blend) => data[1].map(([length, size, overlap]) =>
    t.sharesOf(t.startsOf(length, size, overlap), size, overlap, blend).map((shares) => [...shares]))),
]));"""
    indices, starts, shares = in_node(tmp_path, "tiling", code, [reflections, cuts])
    assert indices == [reflected_indices(*case).tolist() for case in reflections]
    assert starts == [_starts(*case) for case in cuts]
    for blend, received in zip((True, False), shares, strict=True):
        for (_, size, overlap), some, of_page in zip(cuts, starts, received, strict=True):
            np.testing.assert_allclose(of_page, _shares(some, size, overlap, blend), atol=1e-7)


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (5, 40), (70, 50), (1, 1), (16, 33)])
def test_tiles_are_translated_and_blended_as_in_python(height, width, blend, tmp_path, rng):
    """By a function of which every pixel depends on its place in the tile."""
    size = 16
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    ramp = np.linspace(0, 1, size * size * 2, dtype=np.float32).reshape(1, size, size, 2)
    code = """
const { pixels, height, width, size, ramp, blend } = data;
const signed = (row, column) => pixels[row][column].map((value) => t.SIGNED[value]);
const tile = (rows, columns) => Float32Array.from([...rows].flatMap((y) => [...columns].flatMap((x) => signed(y, x))));
const run = (tile) => Float32Array.from(ramp, (value, at) => value * tile[3 * (at >> 1) + (at & 1)]);
const out = new Float32Array(height * width * 2);
const finish = (rows, top) => out.set(rows, top * width * 2);
const isDone = await t.translateTiles(run, { height, width, tile }, finish, { size, outChannels: 2, blend });
console.log(JSON.stringify([isDone, [...out]]));"""
    data = {"pixels": picture.tolist(), "height": height, "width": width, "size": size, "blend": blend}
    is_done, values = in_node(tmp_path, "tiling", code, {**data, "ramp": ramp.ravel().tolist()})
    expected = translate_tiles(lambda tile: tile[..., :2] * ramp, picture, size, blend=blend, encode=to_signed)
    assert is_done
    np.testing.assert_allclose(np.reshape(values, expected.shape), expected, atol=1e-6)


def test_values_are_those_of_python(tmp_path, rng):
    picture = rng.integers(0, 256, (9, 7, 4), np.uint8)
    signed = rng.uniform(-1.2, 1.2, (9, 7, 3)).astype(np.float32)
    deep = rng.integers(0, 4096, (5, 5), np.uint16)
    colors = [[0, 0, 0], [255, 0, 0], [0, 0, 255], [90, 90, 90]]
    code = """
const pixels = Uint8ClampedArray.from(data.picture);
console.log(JSON.stringify([
  [...t.SIGNED],
  ...[1, 3, 4].map((channels) => [...t.inputOf(pixels, { channels })]),
  [...t.inputOf(pixels, { channels: 1, colors: data.colors })],
  [...t.pictureOf(Float32Array.from(data.signed), 3)],
  [...t.toSigned(data.deep, 0, 4095)],
]));"""
    data = {"picture": picture.ravel().tolist(), "signed": signed.ravel().tolist(), "colors": colors}
    data |= {"deep": deep.ravel().tolist()}
    levels, gray, rgb, rgba, classes, shown, ranged = in_node(tmp_path, "tiling", code, data)
    np.testing.assert_array_equal(np.float32(levels), to_signed(np.arange(256, dtype=np.uint8)))
    for values, channels in ((gray, 1), (rgb, 3), (rgba, 4)):
        np.testing.assert_array_equal(values, match_channels(picture, channels).ravel())
    np.testing.assert_array_equal(classes, nearest_color(picture[..., :3], np.uint8(colors))[0].ravel())
    np.testing.assert_array_equal(np.reshape(shown, (9, 7, 4))[..., :3], from_signed(signed))
    np.testing.assert_allclose(ranged, to_signed(deep, (0, 4095)).ravel(), atol=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_numpy_files_are_read_and_written(dtype, tmp_path, rng):
    array = rng.integers(0, 200, (4, 3, 5)).astype(dtype)
    np.save(tmp_path / "in.npy", array)
    code = """
const content = fs.readFileSync("in.npy");
const { height, width, channels, values } = t.readNpy(Uint8Array.from(content).buffer);
const written = t.writeNpy(Float32Array.from(values), [height, width, channels]);
fs.writeFileSync("out.npy", Buffer.from(await written.arrayBuffer()));
let said = "";
try { t.readNpy(new Uint8Array(80).buffer); } catch (error) { said = error.message; }
console.log(JSON.stringify([height, width, channels, said]));"""
    assert in_node(tmp_path, "tiling", code, None) == [4, 3, 5, "is not a NumPy file"]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), array.astype(np.float32))
