"""Trained generators as files that need no tfpix2pix. A new format is a module with `write` and `read`, and a row."""

from tfpix2pix.export.format import IMAGE_DTYPES, Format, Tolerance
from tfpix2pix.lazy import lazy

__all__ = ["BITS", "CALIBRATED", "EXPORTERS", "FAITHFUL", "IMAGE_DTYPES"]

CALIBRATED = ("int8",)  # quantisations that must see real inputs
BITS = {"none": 32, "float16": 16, "bfloat16": 16, "dynamic": 8, "int8": 8}  # of a weight
FAITHFUL = Tolerance(other_classes=1e-3, max_abs_error=1e-4)
IN_16_BITS = Tolerance(other_classes=1e-2, min_psnr_db=50.0)
IN_8_BITS = Tolerance(other_classes=5e-2, min_psnr_db=35.0)

EXPORTERS = {
    "saved_model": Format(
        path=lazy("tfpix2pix.export.saved_model", "path_of"),
        write=lazy("tfpix2pix.export.saved_model", "write"),
        read=lazy("tfpix2pix.export.saved_model", "read"),
        recognizes=lambda path: (path / "saved_model.pb").is_file(),
        static=False,
        single_file=False,
        quantizations={"none": FAITHFUL, "float16": IN_16_BITS, "bfloat16": IN_16_BITS},
    ),
    "tflite": Format(
        path=lazy("tfpix2pix.export.tflite", "path_of"),
        write=lazy("tfpix2pix.export.tflite", "write"),
        read=lazy("tfpix2pix.export.tflite", "read"),
        recognizes=lambda path: path.suffix == ".tflite" and path.is_file(),
        static=True,
        single_file=True,
        quantizations={"none": FAITHFUL, "float16": IN_16_BITS, "dynamic": IN_8_BITS, "int8": IN_8_BITS},
    ),
    "keras": Format(
        path=lazy("tfpix2pix.export.keras_file", "path_of"),
        write=lazy("tfpix2pix.export.keras_file", "write"),
        read=lazy("tfpix2pix.export.keras_file", "read"),
        recognizes=lambda path: path.suffix == ".keras" and path.is_file(),
        static=True,
        single_file=True,
        quantizations={"none": FAITHFUL},
        image_dtypes=("float32",),
    ),
    "onnx": Format(
        path=lazy("tfpix2pix.export.onnx", "path_of"),
        write=lazy("tfpix2pix.export.onnx", "write"),
        read=lazy("tfpix2pix.export.onnx", "read"),
        recognizes=lambda path: path.suffix == ".onnx" and path.is_file(),
        static=True,
        single_file=True,
        quantizations={"none": FAITHFUL},
        image_dtypes=("float32",),
    ),
}
