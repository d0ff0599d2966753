"""What is wrong with a set of pairs, before anything is trained on it. A new check is a function and a row of `CHECKS`.

Imports no TensorFlow: a set is examined while a run would still be starting.
"""

from tfpix2pix.lazy import lazy, lazy_attributes

# (Survey) -> list of Finding
CHECKS = {
    "pairing": lazy("tfpix2pix.doctor.files", "pairing"),
    "reading": lazy("tfpix2pix.doctor.files", "reading"),
    "files": lazy("tfpix2pix.doctor.files", "outliers"),
    "constant": lazy("tfpix2pix.doctor.content", "constant"),
    "identical": lazy("tfpix2pix.doctor.content", "identical"),
    "swapped": lazy("tfpix2pix.doctor.direction", "swapped"),
    "misaligned": lazy("tfpix2pix.doctor.alignment", "misaligned"),
    "duplicate": lazy("tfpix2pix.doctor.copies", "duplicates"),
    "leak": lazy("tfpix2pix.doctor.copies", "leaks"),
}

# (Survey) -> list of sentences: advice that is no fault
NOTES = {
    "direction": lazy("tfpix2pix.doctor.direction", "direction"),
    "profiles": lazy("tfpix2pix.doctor.files", "profiles"),
    "splits": lazy("tfpix2pix.doctor.notes", "splits"),
    "shapes": lazy("tfpix2pix.doctor.notes", "shapes"),
}

__getattr__ = lazy_attributes(
    __name__,
    {
        "examine": "tfpix2pix.doctor.examination",
        "Examination": "tfpix2pix.doctor.findings",
        "Finding": "tfpix2pix.doctor.findings",
        "as_table": "tfpix2pix.doctor.report",
        "quick_lines": "tfpix2pix.doctor.report",
        "check_page_place": "tfpix2pix.doctor.page",
        "write_html": "tfpix2pix.doctor.page",
    },
)
