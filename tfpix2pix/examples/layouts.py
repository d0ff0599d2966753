"""How programs name the images that they write, so that outputs are found beside their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.data.images import list_images
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


def layout_of(folder: Path) -> Layout:
    """The layout whose outputs are in a folder."""
    return next(layout for layout in LAYOUTS.values() if matching(folder, layout.output))


def matching(where: Path, pattern: str) -> dict[str, Path]:
    """name -> file, of the image files in a folder whose stem is `pattern` with a name in place of its `*`."""
    if pattern.count("*") != 1:
        raise UserError(
            f"A pattern must have one * in place of the pairs' names. Received {pattern!r}. Write '*_fake_B', say."
        )
    before, after = pattern.split("*")
    after = after.removesuffix(Path(after).suffix) if Path(after).suffix else after
    return {
        file.stem[len(before) : len(file.stem) - len(after)]: file
        for file in list_images(where)
        if file.stem.startswith(before) and file.stem.endswith(after) and len(file.stem) > len(before + after)
    }


def beside(folder: Path, given: str | None) -> dict[str, Path]:
    """name -> file of targets or inputs, which are a folder's images or, by a pattern, files beside the outputs."""
    if given is None:
        return {}
    return matching(folder, given) if "*" in given else matching(Path(given), "*")
