"""Reads weights of other implementations into the networks of this one. A new kind is a module and a row here.

Imports no TensorFlow: a file's name and first bytes show its kind.
"""

from tfpix2pix.interop.weights import Kind
from tfpix2pix.tables import lazy

IMPORTERS = {
    "pytorch": Kind(
        title="PyTorch (pytorch-CycleGAN-and-pix2pix, pix2pixHD): latest_net_G.pth, or its tensors as .safetensors",
        recognizes=lazy("tfpix2pix.interop.kinds", "is_pytorch"),
        read=lazy("tfpix2pix.interop.pytorch", "read"),
        read_discriminator=lazy("tfpix2pix.interop.pytorch", "read_discriminator"),
    ),
    "addons": Kind(
        title="Keras models with tensorflow-addons layers: .h5, .keras, or a SavedModel folder",
        recognizes=lazy("tfpix2pix.interop.kinds", "is_keras"),
        read=lazy("tfpix2pix.interop.addons", "read"),
    ),
    "tfjs": Kind(
        title="TensorFlow.js layers models: model.json beside its weight shards",
        recognizes=lazy("tfpix2pix.interop.kinds", "is_tfjs"),
        read=lazy("tfpix2pix.interop.tfjs", "read"),
    ),
    "tf1": Kind(
        title="TensorFlow 1 checkpoints of pix2pix-tensorflow (generator/encoder_1/…)",
        recognizes=lazy("tfpix2pix.interop.kinds", "is_tf1"),
        read=lazy("tfpix2pix.interop.tensorflow", "read_tf1"),
    ),
    "tutorial": Kind(
        title="checkpoints of the TensorFlow tutorial (tf.train.Checkpoint of generator and discriminator)",
        recognizes=lazy("tfpix2pix.interop.kinds", "is_tutorial"),
        read=lazy("tfpix2pix.interop.tensorflow", "read_tutorial"),
    ),
}
