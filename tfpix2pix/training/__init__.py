"""Training: the step (`pix2pix`), the loop, checkpoints and reporting, each usable on its own.

Tables of what a configuration can choose; a new row is a function in the module named and a line here.
"""

from tfpix2pix.lazy import lazy

# (progress) -> share of the learning rate; progress goes from 0, where the rate may begin to fall, to 1 at the end
SCHEDULES = {
    "constant": lazy("tfpix2pix.training.optimizers", "constant"),
    "linear_decay": lazy("tfpix2pix.training.optimizers", "linear_decay"),
    "cosine": lazy("tfpix2pix.training.optimizers", "cosine"),
}
CONSTANT_FRACTIONS = {"constant": 1.0, "linear_decay": 0.5, "cosine": 0.0}  # of the steps, unless told otherwise

# () -> tf.distribute.Strategy; `auto` looks what is there
STRATEGIES = {
    "auto": lazy("tfpix2pix.training.devices", "auto"),
    "one": lazy("tfpix2pix.training.devices", "one"),
    "mirrored": lazy("tfpix2pix.training.devices", "mirrored"),
    "multiworker": lazy("tfpix2pix.training.devices", "multiworker"),
}
