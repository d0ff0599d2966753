"""Translates images with a trained generator: any size, one image or many, here or on a server."""

from tfpix2pix.tables import lazy_attributes

TILE_AS = WHOLE, ALONE = "whole", "alone"  # tiles are parts of the whole image, or images of their own

__getattr__ = lazy_attributes(
    __name__,
    {
        "Engine": "tfpix2pix.inference.view",
        "InferenceView": "tfpix2pix.inference.view",
        "KerasEngine": "tfpix2pix.inference.view",
        "Translator": "tfpix2pix.inference.translator",
    },
)
