"""Pairs: where they come from, how a photograph becomes one, and which of them step t sees. Rows for newcomers here."""

from tfpix2pix.data.color_space import ColorSpace
from tfpix2pix.lazy import lazy

# (DataConfig, split, seed) -> Source
SOURCES = {
    "combined": lazy("tfpix2pix.data.sources", "combined"),
    "folders": lazy("tfpix2pix.data.sources", "folders"),
    "table": lazy("tfpix2pix.data.sources", "table"),
    "photographs": lazy("tfpix2pix.data.photographs", "photographs"),
    "sample_photographs": lazy("tfpix2pix.data.photographs", "sample_photographs"),
}

# (photograph (H, W, 3) uint8, DataConfig, numpy Generator) -> the input that shall be turned back into it
OPERATORS = {
    "edges": lazy("tfpix2pix.data.operators", "edges"),
    "grayscale": lazy("tfpix2pix.data.operators", "grayscale"),
    "mask": lazy("tfpix2pix.data.operators", "mask"),
    "downsample": lazy("tfpix2pix.data.operators", "downsample"),
    "blur": lazy("tfpix2pix.data.operators", "blur"),
    "posterize": lazy("tfpix2pix.data.operators", "posterize"),
}

COLOR_SPACES = {
    "rgb": ColorSpace(),
    "lab": ColorSpace(
        image_channels=(1, 3),
        network_channels=(1, 2),
        encode_input=lazy("tfpix2pix.data.color_spaces", "gray_to_lightness"),
        encode_target=lazy("tfpix2pix.data.color_spaces", "rgb_to_ab"),
        decode=lazy("tfpix2pix.data.color_spaces", "lab_to_rgb"),
    ),
}

SPLITS = ("train", "val", "test")
