"""Measures how good models are: evaluations, comparisons, reports and perceptual studies."""

from tfpix2pix.moved import moved_attributes

__getattr__ = moved_attributes(__name__, {"METRICS": "tfpix2pix.metrics", "Metric": "tfpix2pix.metrics"})
