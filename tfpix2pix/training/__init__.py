"""Training: the step (`pix2pix`), the loop, checkpoints and reporting, each usable on its own."""
