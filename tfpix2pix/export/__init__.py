"""Trained generators as files that need no tfpix2pix. A new format is a module with `write` and `read`, and a row."""

from tfpix2pix.export.format import Format
from tfpix2pix.lazy import lazy

EXPORTERS = {
    "saved_model": Format(
        path=lazy("tfpix2pix.export.saved_model", "path_of"),
        write=lazy("tfpix2pix.export.saved_model", "write"),
        read=lazy("tfpix2pix.export.saved_model", "read"),
        recognizes=lambda path: (path / "saved_model.pb").is_file(),
        static=False,
        single_file=False,
    ),
    "tflite": Format(
        path=lazy("tfpix2pix.export.tflite", "path_of"),
        write=lazy("tfpix2pix.export.tflite", "write"),
        read=lazy("tfpix2pix.export.tflite", "read"),
        recognizes=lambda path: path.suffix == ".tflite" and path.is_file(),
        static=True,
        single_file=True,
    ),
}
