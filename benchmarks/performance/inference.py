"""Inference: every form of one trained generator, TensorFlow's float32 and OpenVINO's, in turns; and whole folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from performance.turns import HERE, Figures, in_turns, turn

PYTHON = sys.executable
FORMS = {  # format, quantisation
    "SavedModel float32": ("saved_model", "none"),
    "SavedModel bfloat16": ("saved_model", "bfloat16"),
    "TFLite float32": ("tflite", "none"),
    "TFLite dynamic (8 bits)": ("tflite", "dynamic"),
    "TFLite int8": ("tflite", "int8"),
}
FOLDER_COPIES = 2  # of the held-out pairs, for a folder long enough to time


def tfpix2pix(*arguments: object) -> str:
    command = [PYTHON, "-m", "tfpix2pix", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exports(run: Path, folder: Path) -> dict[str, Path]:
    """Name -> path of every form, written and checked by the command."""
    made = {}
    for name, (format, quantize) in FORMS.items():
        report = tfpix2pix("export", run, "--format", format, "--quantize", quantize, "--out", folder, "--json")
        made[name] = Path(json.loads(report)["exports"][0]["path"])
    return made


def forwards(run: Path, forms: dict[str, Path], tutorial: list, openvino: Path | None, rounds: int) -> dict:
    contestants = {"tutorial recipe, TensorFlow float32": tutorial} if tutorial else {}
    contestants |= {name: [PYTHON, HERE / "forward.py", path] for name, path in forms.items()}
    if openvino:
        plain = forms["SavedModel float32"].parent / "plain"
        turn([PYTHON, HERE / "plain_saved_model.py", run, plain])
        contestants["OpenVINO float32"] = [openvino, HERE / "openvino_forward.py", forms["SavedModel float32"]]
        contestants["OpenVINO float32, plain convolutions"] = [openvino, HERE / "openvino_forward.py", plain]
    return in_turns(contestants, rounds)


def folder(model: Path, data: Path, out: Path) -> Figures:
    """`translate` of a folder of photographs: seconds an image, the command's start taken out by a folder of one."""
    files = sorted((data / "val").iterdir())
    seconds = {}
    for name, count in (("one", 1), ("all", FOLDER_COPIES * len(files))):
        inputs = out / f"in-{name}"
        inputs.mkdir(parents=True)
        for number in range(count):
            _half(files[number % len(files)], inputs / f"{number:04d}.jpg")
        start = time.perf_counter()
        tfpix2pix("translate", model, inputs, "--out", out / f"out-{name}")
        seconds[name] = time.perf_counter() - start
    shutil.rmtree(out)
    return {"s_per_image": (seconds["all"] - seconds["one"]) / (count - 1), "images": count}


def _half(pair: Path, path: Path) -> None:
    from PIL import Image

    image = Image.open(pair)
    image.crop((image.width // 2, 0, image.width, image.height)).resize((256, 256)).save(path, quality=95)


def batches(model: Path) -> dict[int, Figures]:
    """The bare forward pass, seconds an image by batch."""
    return {
        size: turn([PYTHON, HERE / "forward.py", model, "--batch", str(size), "--count", "8"])
        for size in (1, 2, 4, 8, 16)
    }
