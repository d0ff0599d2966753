"""Lists how programs name the images that they write, and finds outputs beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.data.images import is_image, list_images
from tfpix2pix.errors import UserError


@dataclass(frozen=True)
class Layout:
    """Describes how a program names its files. `*` stands for the pair's name. Targets and inputs may be folders."""

    output: str = "*"
    target: str | None = None
    input: str | None = None


# In the order in which they are tried: every name fits `*`.
LAYOUTS = {
    "pytorch-CycleGAN-and-pix2pix": Layout("*_fake_B", "*_real_B", "*_real_A"),
    "pix2pixHD": Layout("*_synthesized_image", None, "*_input_label"),
    "pix2pix-tensorflow": Layout("*-outputs", "*-targets", "*-inputs"),
    "tfpix2pix translate": Layout("*"),
}


def find_layout(folder: Path, outputs: str | None) -> Layout:
    """Finds how the outputs in a folder are named, and the targets and inputs beside them.

    Args:
        outputs: pattern of the outputs; None: that of the first of `LAYOUTS` that fits an image in the folder.

    Raises:
        UserError: no image fits the pattern, or outputs cannot be told from the inputs and targets beside them.
    """
    if outputs is None:
        fitting = (layout for layout in LAYOUTS.values() if matching(folder, layout.output))
        layout = next(fitting, Layout())  # images in sub-folders alone: named as the pairs
        patterns = [side for other in LAYOUTS.values() for side in (other.target, other.input) if side]
        others = [pattern for pattern in patterns if layout.output == "*" and matching(folder, pattern)]
        if others:
            raise UserError(
                f"Outputs must be known from their names. Received {folder}, which has {' and '.join(others)} too. "
                f"Set `outputs` to the pattern of their names, such as '*-outputs'."
            )
        return layout
    names = matching(folder, outputs).keys()
    if not names:
        raise UserError(
            f"`outputs` must be the pattern of the outputs' names. Received {outputs!r}, which fits no image in "
            f"{folder}. Write their names with * in place of the pair's name."
        )
    sides = {"target": None, "input": None}
    for side in sides:
        patterns = [getattr(layout, side) for layout in LAYOUTS.values() if getattr(layout, side)]
        sides[side] = next((pattern for pattern in patterns if names <= matching(folder, pattern).keys()), None)
    return Layout(outputs, **sides)


def matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Maps names to the image files of a folder. The stem of a file is `pattern` with the name in place of its `*`.

    Raises:
        UserError: the pattern has not exactly one `*`, or two files have one name.
    """
    if pattern.count("*") != 1:
        raise UserError(
            f"A pattern must have one * in place of the pairs' names. Received {pattern!r}. Write '*_fake_B', for "
            f"example."
        )
    before, after = pattern.split("*")
    ending = Path(f"name{after}").suffix
    ending = ending if is_image(f"name{ending}") else ""
    after = after.removesuffix(ending)
    files: dict[str, Path] = {}
    for file in list_images(folder, deep=False):
        if ending and file.suffix != ending:
            continue
        stem = file.stem
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before + after):
            name = stem[len(before) : len(stem) - len(after)]
            if name in files:
                raise UserError(
                    f"Images must have different names. Received {files[name].name} and {file.name} in {folder}. "
                    f"Remove one, or add an ending to the pattern: '*{file.suffix}'."
                )
            files[name] = file
    return files


def beside(folder: Path, pattern_or_folder: str | None) -> dict[str, Path]:
    """Maps names to files of targets or inputs: files beside the outputs by a pattern, or the images of a folder."""
    if pattern_or_folder is None:
        return {}
    if "*" in pattern_or_folder and not Path(pattern_or_folder).is_dir():
        return matching(folder, pattern_or_folder)
    return matching(Path(pattern_or_folder), "*")
