"""Compares evaluations of several models: which is better, and how sure that is. Imports no TensorFlow."""

from tfpix2pix.tables import lazy_attributes

__getattr__ = lazy_attributes(
    __name__,
    {
        "Evaluated": "tfpix2pix.evaluation.comparison.evaluations",
        "read_evaluation": "tfpix2pix.evaluation.comparison.evaluations",
        "group": "tfpix2pix.evaluation.comparison.groups",
        "Difference": "tfpix2pix.evaluation.comparison.differences",
        "Comparison": "tfpix2pix.evaluation.comparison.outcome",
        "compare": "tfpix2pix.evaluation.comparison.assemble",
        "draw_comparison": "tfpix2pix.evaluation.comparison.figure",
        "latex_table": "tfpix2pix.evaluation.comparison.latex",
    },
)
