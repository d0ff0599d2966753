"""Pairs: where they come from, how a photograph becomes one, and which of them step t sees. Rows for newcomers here."""

from tfpix2pix.data.rows import Encoding, OpenmojiSet, Operator
from tfpix2pix.lazy import lazy

# (DataConfig, split, seed) -> Source
SOURCES = {
    "combined": lazy("tfpix2pix.data.sources", "combined"),
    "folders": lazy("tfpix2pix.data.sources", "folders"),
    "table": lazy("tfpix2pix.data.sources", "table"),
    "shards": lazy("tfpix2pix.data.shards", "shards"),
    "photographs": lazy("tfpix2pix.data.photographs", "photographs"),
    "sample_photographs": lazy("tfpix2pix.data.photographs", "sample_photographs"),
    "openmoji": lazy("tfpix2pix.data.openmoji", "openmoji"),
}

OPENMOJI_SETS = {  # an empty rectangle says nothing about a flag's colours
    "drawings": OpenmojiSet(flags=False, grouped_by_lines=True),
    "flags": OpenmojiSet(flags=True, grouped_by_lines=False),
}

OPERATORS = {
    "edges": Operator(lazy("tfpix2pix.data.operators", "edges"), channels=1, leaves="lines"),
    "grayscale": Operator(lazy("tfpix2pix.data.operators", "grayscale"), channels=1),
    "mask": Operator(lazy("tfpix2pix.data.operators", "mask"), channels=4, random=True, leaves="holes"),
    "downsample": Operator(lazy("tfpix2pix.data.operators", "downsample"), channels=3, leaves="fewer"),
    "blur": Operator(lazy("tfpix2pix.data.operators", "blur"), channels=3),
    "posterize": Operator(lazy("tfpix2pix.data.operators", "posterize"), channels=3),
}

COLOR_SPACES = {
    "rgb": Encoding(),
    "lab": Encoding(
        image_channels=(1, 3),
        network_channels=(1, 2),
        encode_input=lazy("tfpix2pix.data.color_spaces", "gray_to_lightness"),
        encode_target=lazy("tfpix2pix.data.color_spaces", "rgb_to_ab"),
        decode=lazy("tfpix2pix.data.color_spaces", "lab_to_rgb"),
    ),
}

SPLITS = ("train", "val", "test")
