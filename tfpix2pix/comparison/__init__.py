"""Which of several models is better, and how sure that is: evaluations side by side. Imports no TensorFlow."""

from tfpix2pix.lazy import lazy_attributes

__getattr__ = lazy_attributes(
    __name__,
    {
        "Evaluated": "tfpix2pix.comparison.evaluations",
        "read_evaluation": "tfpix2pix.comparison.evaluations",
        "group": "tfpix2pix.comparison.groups",
        "Difference": "tfpix2pix.comparison.differences",
        "Comparison": "tfpix2pix.comparison.outcome",
        "compare": "tfpix2pix.comparison.comparing",
        "draw_comparison": "tfpix2pix.comparison.figure",
    },
)
