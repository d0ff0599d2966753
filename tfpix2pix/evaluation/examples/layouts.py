"""Tables how programs name the images that they write, and finds outputs beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.data.images import is_image, list_images
from tfpix2pix.errors import UserError


@dataclass(frozen=True)
class Layout:
    """Says how a program names its files: `*` stands for the pair's name. Targets and inputs may also be folders."""

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
        UserError: no image fits the pattern, or nothing tells outputs from the inputs and targets beside them.
    """
    if outputs is None:
        fitting = (layout for layout in LAYOUTS.values() if matching(folder, layout.output))
        layout = next(fitting, Layout())  # images in sub-folders alone: named as the pairs
        patterns = [side for other in LAYOUTS.values() for side in (other.target, other.input) if side]
        others = [pattern for pattern in patterns if layout.output == "*" and matching(folder, pattern)]
        if others:
            raise UserError(
                f"It must be known which images are outputs. Received {folder}, which has {' and '.join(others)} too. "
                f"Say by `outputs` how they are named: '*-outputs', for example."
            )
        return layout
    names = matching(folder, outputs).keys()
    if not names:
        raise UserError(
            f"`outputs` must be how outputs are named. Received {outputs!r}, which fits no image in {folder}. Look at "
            f"their names; * stands for the pair's."
        )
    sides = {"target": None, "input": None}
    for side in sides:
        patterns = [getattr(layout, side) for layout in LAYOUTS.values() if getattr(layout, side)]
        sides[side] = next((pattern for pattern in patterns if names <= matching(folder, pattern).keys()), None)
    return Layout(outputs, **sides)


def matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Returns name -> file for the image files in a folder whose stem is `pattern` with a name in place of its `*`.

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
                    f"An image must have a name of its own. Received {files[name].name} and {file.name} in {folder}. "
                    f"Remove one, or give their ending: '*{file.suffix}'."
                )
            files[name] = file
    return files


def beside(folder: Path, pattern_or_folder: str | None) -> dict[str, Path]:
    """Returns name -> file of targets or inputs: files beside the outputs by a pattern, or the images of a folder."""
    if pattern_or_folder is None:
        return {}
    if "*" in pattern_or_folder:
        return matching(folder, pattern_or_folder)
    return matching(Path(pattern_or_folder), "*")
