"""Runs the command line as `python -m tfpix2pix`."""

from tfpix2pix.cli import main

main()
