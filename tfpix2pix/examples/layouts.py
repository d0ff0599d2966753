"""How programs name the images that they write, so that outputs are found beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.data.images import SUFFIXES, list_images
from tfpix2pix.errors import UserError


@dataclass(frozen=True)
class Layout:
    """How a program names what it writes: `*` stands for the pair's name. Targets and inputs may also be folders."""

    output: str = "*"
    target: str | None = None
    input: str | None = None


# Most telling first: every name fits `*`.
LAYOUTS = {
    "pytorch-CycleGAN-and-pix2pix": Layout("*_fake_B", "*_real_B", "*_real_A"),
    "pix2pixHD": Layout("*_synthesized_image", None, "*_input_label"),
    "pix2pix-tensorflow": Layout("*-outputs", "*-targets", "*-inputs"),
    "tfpix2pix translate": Layout("*"),
}


def asked_layout(folder: Path, outputs: str | None) -> Layout:
    """How the outputs in a folder are named, and what lies beside them.

    Args:
        outputs: their pattern; None: the first of `LAYOUTS` that the folder has outputs of.

    Raises:
        UserError: no image is named so, or nothing tells outputs from the inputs and targets beside them.
    """
    if outputs is None:
        layout = next(layout for layout in LAYOUTS.values() if matching(folder, layout.output))
        others = [side for each in LAYOUTS.values() for side in (each.target, each.input) if side]
        found = [side for side in others if layout.output == "*" and matching(folder, side)]
        if found:
            raise UserError(
                f"It must be known which images are outputs. Received {folder}, which has {' and '.join(found)} too. "
                f"Say how outputs are named: --outputs '*-outputs'."
            )
        return layout
    names = matching(folder, outputs).keys()
    if not names:
        raise UserError(
            f"--outputs must be how outputs are named. Received {outputs!r}, which fits no image in {folder}. Look at "
            f"their names; * stands for the pair's."
        )
    sides = {"target": None, "input": None}
    for side in sides:
        patterns = [getattr(each, side) for each in LAYOUTS.values() if getattr(each, side)]
        sides[side] = next((each for each in patterns if names <= matching(folder, each).keys()), None)
    return Layout(outputs, **sides)


def matching(where: Path, pattern: str) -> dict[str, Path]:
    """name -> file, of the image files in a folder whose stem is `pattern` with a name in place of its `*`."""
    if pattern.count("*") != 1:
        raise UserError(
            f"A pattern must have one * in place of the pairs' names. Received {pattern!r}. Write '*_fake_B', say."
        )
    before, after = pattern.split("*")
    ending = Path(f"name{after}").suffix
    ending = ending if ending.lower() in SUFFIXES else ""
    after = after.removesuffix(ending)
    found: dict[str, Path] = {}
    for file in list_images(where):
        if ending and file.suffix != ending:
            continue
        stem = file.stem
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before + after):
            name = stem[len(before) : len(stem) - len(after)]
            if name in found:
                raise UserError(
                    f"An image must have a name of its own. Received {found[name].name} and {file.name} in {where}. "
                    f"Remove one, or give their ending: '*{file.suffix}'."
                )
            found[name] = file
    return found


def beside(folder: Path, given: str | None) -> dict[str, Path]:
    """name -> file of targets or inputs, which are a folder's images or, by a pattern, files beside the outputs."""
    if given is None:
        return {}
    return matching(folder, given) if "*" in given else matching(Path(given), "*")
