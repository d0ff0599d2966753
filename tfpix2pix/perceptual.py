"""From what is evaluated to the paper's perceptual test of it: `tfpix2pix study make`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfpix2pix.data.labels import pictures_of
from tfpix2pix.errors import UserError
from tfpix2pix.examples.opening import open_examples
from tfpix2pix.examples.pairs import Examples
from tfpix2pix.examples.request import Request
from tfpix2pix.study.page import Pair, check_study, write_study


class Pairs(Sequence):
    """An evaluation's examples as pairs of a real and a generated image, each translated when asked for."""

    def __init__(self, examples: Examples) -> None:
        self.examples, (_, self.picture) = examples, pictures_of(examples.data)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Pair:
        example = self.examples[index]
        return Pair(example.name, self.picture(example.target), self.picture(example.translation))


def make_study(
    request: Request, path: Path, *, title: str, practice: int, trials: int, shown_s: float, same_input: bool = True
) -> int:
    """Writes the page of a perceptual test to `path`; returns of how many pairs its trials were drawn.

    Raises:
        UserError: there is nothing to evaluate, there are no real images or too few, or a file at `path`.
    """
    examples = open_examples(request)
    if "target" not in examples.has:
        raise UserError(
            f"A study must show real images. Received {request.model} without targets. Give --targets or --data."
        )
    check_study(path, len(examples), practice=practice, trials=trials, shown_s=shown_s)
    about = {key: examples.about.get(key) for key in ("name", "kind", "step", "split")}
    write_study(
        path, Pairs(examples), title=title, practice=practice, trials=trials, shown_s=shown_s, seed=request.noise.seed,
        same_input=same_input, attribution=examples.data.terms, model={**about, "protocol": examples.about["protocol"]},
    )  # fmt: skip
    return len(examples)
