"""Finds faults in a dataset before a run trains on it. A new check is a function and a row of `CHECKS`.

Imports no TensorFlow, so an examination starts at once.
"""

from tfpix2pix.tables import lazy, lazy_attributes

# (Survey) -> list of Finding
CHECKS = {
    "pairing": lazy("tfpix2pix.data.doctor.files", "pairing"),
    "reading": lazy("tfpix2pix.data.doctor.files", "reading"),
    "files": lazy("tfpix2pix.data.doctor.files", "outliers"),
    "absent": lazy("tfpix2pix.data.doctor.content", "absent"),
    "palettes": lazy("tfpix2pix.data.doctor.content", "palettes"),
    "constant": lazy("tfpix2pix.data.doctor.content", "constant"),
    "uncounted": lazy("tfpix2pix.data.doctor.content", "uncounted"),
    "faint": lazy("tfpix2pix.data.doctor.content", "faint"),
    "identical": lazy("tfpix2pix.data.doctor.content", "identical"),
    "photographs": lazy("tfpix2pix.data.doctor.content", "photographs"),
    "swapped": lazy("tfpix2pix.data.doctor.direction", "swapped"),
    "misaligned": lazy("tfpix2pix.data.doctor.alignment", "misaligned"),
    "duplicate": lazy("tfpix2pix.data.doctor.content", "duplicates"),
    "leak": lazy("tfpix2pix.data.doctor.content", "leaks"),
    "group": lazy("tfpix2pix.data.doctor.content", "leaking_groups"),
}

# (Survey) -> list of sentences: advice about what is not a fault
NOTES = {
    "direction": lazy("tfpix2pix.data.doctor.direction", "direction"),
    "profiles": lazy("tfpix2pix.data.doctor.files", "profiles"),
    "left_unread": lazy("tfpix2pix.data.doctor.notes", "left_unread"),
    "empty_slices": lazy("tfpix2pix.data.doctor.notes", "empty_slices"),
    "groups": lazy("tfpix2pix.data.doctor.notes", "groups"),
    "splits": lazy("tfpix2pix.data.doctor.notes", "splits"),
    "shapes": lazy("tfpix2pix.data.doctor.notes", "shapes"),
    "scale": lazy("tfpix2pix.data.doctor.notes", "scale"),
    "values": lazy("tfpix2pix.data.doctor.values", "notes"),
    "clipped": lazy("tfpix2pix.data.doctor.notes", "clipped"),
    "weights": lazy("tfpix2pix.data.doctor.notes", "weights"),
    "scalars": lazy("tfpix2pix.data.doctor.notes", "scalars"),
}

__getattr__ = lazy_attributes(
    __name__,
    {
        "examine": "tfpix2pix.data.doctor.examination",
        "Examination": "tfpix2pix.data.doctor.findings",
        "Finding": "tfpix2pix.data.doctor.findings",
        "as_table": "tfpix2pix.data.doctor.report",
        "quick_lines": "tfpix2pix.data.doctor.report",
        "check_page_place": "tfpix2pix.data.doctor.page",
        "write_html": "tfpix2pix.data.doctor.page",
    },
)
