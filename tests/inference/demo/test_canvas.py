"""What one paints with, and what the model gets of it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tfpix2pix as p2p
from tests import real_pairs
from tests.conftest import tiny_config
from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import standard_colors
from tfpix2pix.data.operators import mask
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.inference.demo.canvas import BLACK, HOLE, WHITE, canvas_for, hex_of, line_fraction_of, main_colors


def canvas(pictures=(), **data):
    return canvas_for(tiny_config(data=data).data, pictures)


@pytest.mark.parametrize("preset", ["facades", "cityscapes", "edges2shoes", "edges2handbags"])
def test_presets_of_label_maps_and_outlines_bring_their_palette(preset):
    config = p2p.resolve_config(preset).data
    result = canvas_for(config)
    assert result.palette == config.input_palette
    assert len(set(result.palette.values())) == len(result.palette) >= 2
    assert result.ground == next(iter(config.input_palette.values()))
    assert result.pen in result.palette.values() and result.pen != result.ground


def test_the_palette_of_facades_is_that_of_its_segmenter():
    colors = p2p.resolve_config("facades_segmenter").data.class_colors
    assert tuple(p2p.resolve_config("facades").data.input_palette.values()) == colors


def test_facades_are_painted_in_their_palette(facades):
    """Most pixels of the real label maps are near one of its colours."""
    from tfpix2pix.data.labels import nearest_color
    from tfpix2pix.data.opening import open_source

    config = p2p.resolve_config("facades", data_dir=facades)
    source = open_source(config.data, "val", config.seed)
    colors = np.array(list(config.data.input_palette.values()), np.uint8)
    for index in range(0, len(source), 20):
        _, far = nearest_color(source.read(index)[0], colors)
        assert far < 0.2  # where JPEG blurs two colours into each other; of photographs it is 0.99


def test_lines_are_black_on_white_and_thin():
    result = canvas(source="photographs", operator="edges", input_channels=1, image_size_px=256)
    assert result.palette == {"paper": WHITE, "line": BLACK}
    assert result.brush_px == 2
    picture = result.blank(4, 6)
    picture[1, 2] = BLACK
    image = result.input_of(picture)
    assert image.shape == (4, 6, 1)
    assert image[1, 2, 0] == 0 and image.sum() == 255 * 23


@pytest.mark.parametrize(("size_px", "brush_px"), [(32, 1), (128, 4), (256, 7)])
def test_drawings_are_drawn_in_lines_as_thick_as_the_sources_own(size_px, brush_px):
    result = canvas(source="openmoji", input_channels=1, image_size_px=size_px)
    assert result.palette == {"paper": WHITE, "line": BLACK}
    assert result.brush_px == brush_px


def test_label_maps_by_class_are_painted_in_the_colours_of_their_classes():
    result = canvas(input_classes=3, class_names=["sky", "wall", "door"])
    assert list(result.palette) == ["sky", "wall", "door"]
    classes = np.random.default_rng(0).integers(0, 3, (8, 8, 1)).astype(np.uint8)
    np.testing.assert_array_equal(result.picture_of(classes), standard_colors(3)[classes[..., 0]])
    np.testing.assert_array_equal(result.input_of(result.picture_of(classes)), classes)


def test_classes_without_names_are_numbered():
    assert list(canvas(input_classes=2).palette) == ["class 0", "class 1"]


def test_holes_are_transparent_and_black_as_the_operator_leaves_them():
    config = tiny_config(data={"source": "photographs", "operator": "mask", "input_channels": 4}).data
    result = canvas_for(config)
    photograph = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    by_operator = mask(photograph, config, np.random.default_rng(1))
    picture = result.picture_of(by_operator)
    assert (picture[by_operator[..., 3] == 0] == HOLE).all()
    np.testing.assert_array_equal(result.input_of(picture), by_operator)
    assert result.palette == {"hole": HOLE} and result.pen == HOLE and result.ground == WHITE


def test_where_nobody_names_colours_they_are_found_in_inputs_by_how_much_there_is():
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, 7:] = (250, 10, 10)
    colors = main_colors([picture, picture])
    assert list(colors.values()) == [BLACK, (250, 10, 10)]
    assert list(colors) == ["#000000", "#fa0a0a"]
    assert canvas([picture]).palette == colors


@pytest.mark.parametrize(("side_px", "line_px"), [(64, 1), (256, 3), (420, 2)])
def test_line_drawings_are_drawn_in_black_lines_of_their_width_whatever_jpeg_leaves(side_px, line_px):
    """Two readers' pages opened with a white pen: of eight colours of noisy drawings, five were nearly white."""
    sheet = Image.new("RGB", (side_px, side_px), "white")
    draw = ImageDraw.Draw(sheet)
    for place in range(1, 6):
        draw.line((side_px // 8, place * side_px // 6, side_px // 8 * 7, place * side_px // 6), "black", line_px)
        draw.line((place * side_px // 6, side_px // 8, place * side_px // 6, side_px // 8 * 7), "black", line_px)
    as_jpeg = io.BytesIO()
    sheet.save(as_jpeg, "JPEG", quality=80)
    for picture in (np.asarray(sheet), np.asarray(Image.open(as_jpeg))):
        result = canvas([picture], image_size_px=256)
        assert result.palette == {"paper": WHITE, "line": BLACK} and result.pen == BLACK
        assert line_fraction_of(picture) == pytest.approx(line_px / side_px, rel=0.25)


def test_what_has_areas_or_colours_or_no_paper_is_no_line_drawing():
    area, red = np.full((64, 64, 3), 255, np.uint8), np.full((64, 64, 3), 255, np.uint8)
    area[20:44, 20:44] = 40
    red[::8] = (200, 20, 20)
    for picture in (area, red, np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)):
        assert line_fraction_of(picture) == 0


def test_outlines_of_real_photographs_are_line_drawings_and_the_photographs_are_none():
    for photograph, edges in list(real_pairs.photographs().values())[:6]:
        pictures = [match_channels(image, 3, "an image") for image in (photograph, edges)]
        assert [line_fraction_of(picture) > 0 for picture in pictures] == [False, True]


def test_colours_that_hardly_differ_are_one():
    picture = np.full((10, 10, 3), 255, np.uint8)
    picture[:3], picture[3], picture[4:6] = 254, 250, (250, 10, 10)
    assert list(main_colors([picture])) == ["#ffffff", "#fa0a0a"]


def test_without_any_input_there_are_black_and_white():
    assert canvas().palette == {"white": WHITE, "black": BLACK}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_inputs_of_any_depth_have_a_picture(dtype):
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0
    image = (np.linspace(0, 1, 16).reshape(4, 4, 1) * full).astype(dtype)
    picture = canvas(input_channels=1).picture_of(image)
    assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[..., 0], (to_signed(image)[..., 0] + 1) * 127.5, atol=0.51)


def test_a_range_of_values_is_kept_to():
    image = np.array([[[100.0], [300.0]]], np.float32)
    assert canvas(input_channels=1, input_range=[100, 300]).picture_of(image)[0, :, 0].tolist() == [0, 255]


def test_colours_are_written_as_pages_write_them():
    assert hex_of((255, 128, 0)) == "#ff8000"
