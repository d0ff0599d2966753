"""Pairs: where they come from, how a photograph becomes one, and which of them step t sees. Rows for newcomers here."""

from tfpix2pix.lazy import lazy

# (DataConfig, split, seed) -> Source
SOURCES = {
    "combined": lazy("tfpix2pix.data.sources", "combined"),
    "photographs": lazy("tfpix2pix.data.sources", "photographs"),
    "sample_photographs": lazy("tfpix2pix.data.sources", "sample_photographs"),
}

# photograph (H, W, 3) uint8 -> the input that the generator shall learn to turn back into it
OPERATORS = {
    "edges": lazy("tfpix2pix.data.operators", "edges"),
    "grayscale": lazy("tfpix2pix.data.operators", "grayscale"),
}

SPLITS = ("train", "val", "test")
