"""A graph reads a label map's file as `translate` does, or refuses it."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.conftest import tiny_config
from tests.data.test_masks import BLACK_WHITE, MASK, RED_BLUE_GRAY, WHITE, palette_picture
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.labels import read_side
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.export.files_in_graph import read_file

INDICES = np.random.default_rng(0).integers(0, 3, (8, 9), np.uint8)
PNGS = {
    "gray-mask": Image.fromarray(MASK * np.uint8(255)),
    "gray-0-and-1": Image.fromarray(MASK),
    "16-bit-mask": Image.fromarray(MASK * np.uint16(65535)),
    "16-bit-indices": Image.fromarray(INDICES.astype(np.uint16)),
    "one-bit": Image.fromarray(MASK > 0),
    "white": Image.fromarray(WHITE * np.uint8(255)),
    "white-one-bit": Image.fromarray(WHITE > 0),
    "palette-mask": palette_picture(MASK, BLACK_WHITE),
    "palette-exchanged": palette_picture(1 - MASK, BLACK_WHITE[::-1]),
    "palette-three": palette_picture(INDICES, RED_BLUE_GRAY),
    "rgb-mask": Image.fromarray(np.array(BLACK_WHITE, np.uint8)[MASK]),
    "rgb-three": Image.fromarray(np.array(RED_BLUE_GRAY, np.uint8)[INDICES]),
    "gray-128": Image.fromarray(np.full((8, 9), 128, np.uint8)),
    "indices": Image.fromarray(INDICES),
    "ignored": Image.fromarray(np.where(INDICES == 2, 255, INDICES).astype(np.uint8)),
    "indices-in-rgb": Image.fromarray(np.repeat(INDICES[..., np.newaxis], 3, axis=-1)),
    "indices-in-rgba": Image.fromarray(np.dstack([INDICES] * 3 + [INDICES * 0 + np.uint8(255)])),
    "black-in-rgb": Image.fromarray(np.zeros((8, 9, 3), np.uint8)),
    "indices-with-alpha": Image.fromarray(np.dstack([INDICES, INDICES * 0 + np.uint8(255)])),
    "mask-with-alpha": Image.fromarray(np.dstack([MASK * np.uint8(255), MASK * 0 + np.uint8(255)])),
    "beyond": Image.fromarray(INDICES + np.uint8(5)),
}
MODELS = {
    "indices": {"input_classes": 2, "input_class_values": "indices"},
    "three": {"input_classes": 3, "input_class_values": "indices", "ignore_class": 255},
    "values": {"input_classes": 2, "input_class_values": (0, 255)},
    "exchanged-values": {"input_classes": 2, "input_class_values": (255, 0)},
    "deep-values": {"input_classes": 2, "input_class_values": (0, 65535)},
    "three-values": {"input_classes": 3, "input_class_values": (128, 0, 255), "ignore_class": 254},
    "black-and-white": {"input_classes": 2, "class_colors": BLACK_WHITE, "input_class_values": "colors"},
    "white-and-black": {"input_classes": 2, "class_colors": BLACK_WHITE[::-1], "input_class_values": "colors"},
    "shown-in-colours": {"input_classes": 3, "class_colors": RED_BLUE_GRAY, "input_class_values": "indices"},
    "gray-in-colours": {"input_classes": 3, "class_colors": RED_BLUE_GRAY, "input_class_values": "colors"},
    "ignoring-colours": {
        "input_classes": 3, "class_colors": RED_BLUE_GRAY, "input_class_values": "colors", "ignore_class": 255,
    },
    "of-before": {"input_classes": 3, "class_colors": RED_BLUE_GRAY, "input_class_values": "palette_indices"},
}  # fmt: skip
NEEDS_INDICES = {model for model, data in MODELS.items() if data["input_class_values"] == "palette_indices"} | {
    model for model, data in MODELS.items() if "class_colors" not in data
}


@pytest.mark.parametrize("model", MODELS)
def test_every_label_map_is_read_or_refused_as_by_translate(tmp_path, model):
    """All files: those whose indices the graph cannot see are refused in a sentence."""
    card = ModelCard.of(tiny_config(data=MODELS[model]), 1)
    outcomes = {}
    for name, picture in PNGS.items():
        picture.save(tmp_path / "a.png")
        try:
            expected = to_signed(read_side(tmp_path / "a.png", 0, card.config.data))
        except UserError:
            expected = None
        seen, message = None, ""
        try:
            seen = read_file(tf.constant((tmp_path / "a.png").read_bytes()), card).numpy()
        except tf.errors.InvalidArgumentError as error:
            message = str(error)
        is_palette = name.startswith("palette") and model in NEEDS_INDICES
        assert ("Received a palette PNG, whose indices a server cannot read." in message) == is_palette
        expected = None if is_palette else expected
        assert (seen is None) == (expected is None), name
        if seen is not None:
            np.testing.assert_allclose(seen, expected, atol=1e-6, err_msg=name)
        outcomes[name] = seen is not None
    assert any(outcomes.values()) and not all(outcomes.values())


def test_a_palette_png_is_a_picture_for_a_model_of_pictures():
    buffer = io.BytesIO()
    PNGS["palette-three"].save(buffer, "PNG")
    card = ModelCard.of(tiny_config(data={}), 1)
    seen = read_file(tf.constant(buffer.getvalue()), card)
    np.testing.assert_allclose(seen, to_signed(np.array(RED_BLUE_GRAY, np.uint8)[INDICES]), atol=1e-6)
