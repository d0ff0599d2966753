"""Makes the paper's perceptual test of a model, for `tfpix2pix study make`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tfpix2pix.data.labels import pictures_of
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.examples.pairs import Examples
from tfpix2pix.evaluation.request import Request, ResolvedRequest, resolve
from tfpix2pix.evaluation.study.page import Design, Pair, check_study, write_study


class Pairs(Sequence):
    """Holds examples as pairs of a real and a generated image. A pair is translated when it is accessed."""

    def __init__(self, examples: Examples) -> None:
        self.examples, (_, self.picture) = examples, pictures_of(examples.data)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Pair:
        example = self.examples[index]
        return Pair(example.name, self.picture(example.target), self.picture(example.translation))


def make_study(request: Request | ResolvedRequest, path: Path, *, title: str, design: Design) -> int:
    """Writes the page of a perceptual test to `path` and returns the number of pairs that its trials are drawn from.

    Raises:
        UserError: there is nothing to evaluate, there are no real images or too few, or there is a file at `path`.
    """
    resolved = resolve(request)
    subject = open_subject(resolved)
    examples, request = subject.examples, resolved.request
    if "target" not in examples.has:
        raise UserError(
            f"A study must show real images. Received {request.model} without targets. Give `targets` or `data`."
        )
    check_study(path, len(examples), design)
    model = {key: getattr(subject, key) for key in ("name", "kind", "step", "split")}
    write_study(
        path, Pairs(examples), title=title, design=design, attribution=examples.data.terms,
        model={**model, "protocol": asdict(subject.protocol)},
    )  # fmt: skip
    return len(examples)
