"""Networks. Each table row builds one kind of network from keyword arguments; a new network is a function and a row."""

from tfpix2pix.lazy import lazy

GENERATORS = {
    "unet": lazy("tfpix2pix.models.unet", "build_unet"),
    "encoder_decoder": lazy("tfpix2pix.models.unet", "build_encoder_decoder"),
}

DISCRIMINATORS = {
    "patchgan": lazy("tfpix2pix.models.patchgan", "build_patchgan"),
}
