"""`study make`, `study score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfpix2pix.cli.evaluation import ConfigOption, Data, Outputs, Size, Split, Targets
from tfpix2pix.cli.models import Best, Noise, Trust, Weights
from tfpix2pix.cli.shared import Json, Set, answer, check_choice, load_tensorflow
from tfpix2pix.study import PAGE, PRACTICE, SHOWN_S, TRIALS


def make(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A run directory, SavedModel, .tflite, .keras or .onnx file, or a folder of images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New folder for index.html, a page without other files.")],
    data: Data = None,
    split: Split = "val",
    config: ConfigOption = None,
    set_: Set = None,
    size: Size = None,
    noise: Noise = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise and of the choice of pairs.", min=0, max=2**31 - 1)] = 0,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
    outputs: Outputs = None,
    targets: Targets = None,
    title: Annotated[str, typer.Option(help="Title that raters read. It should not reveal what made the images.")] = (
        "Which image was generated?"
    ),
    practice: Annotated[
        int, typer.Option(help="Number of practice trials, which give feedback and do not count.", min=0)
    ] = PRACTICE,
    trials: Annotated[int, typer.Option(help="Number of trials that count.", min=1)] = TRIALS,
    shown_s: Annotated[float, typer.Option(help="Time for which each image is shown, s.", min=0.01, max=60)] = SHOWN_S,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Show each generated image beside the real image of another input.")
    ] = False,
    json_: Json = False,
) -> None:
    """Make the paper's perceptual test of a model: one page, to be opened by raters, with nothing to install."""
    from tfpix2pix.examples.request import Noise as NoiseOf
    from tfpix2pix.examples.request import Request, kind_of
    from tfpix2pix.study.page import check_place

    check_choice("--noise", noise, ("on", "off"))
    check_place(out / PAGE)
    request = Request(
        model, data=data, split=split, config=config, overrides=set_ or (), size=size, noise=NoiseOf(noise, 0, seed),
        best=best, weights=weights, outputs=outputs, targets=targets, trust=trust,
    )  # fmt: skip
    _ = request.size_px, kind_of(request)
    load_tensorflow()
    from tfpix2pix.perceptual import make_study

    pairs = make_study(
        request, out / PAGE, title=title, practice=practice, trials=trials, shown_s=shown_s, same_input=not unpaired,
    )  # fmt: skip
    page = str(out / PAGE)
    text = (
        f"{page}: {practice} practice and {trials} other trials, drawn from {pairs} pairs\n"
        f"When raters have saved their results: tfpix2pix study score study-*.json"
    )
    answer(json_, {"page": page, "pairs": pairs, "practice": practice, "trials": trials}, text)


def score(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="Files that the raters' pages saved.")],
    json_: Json = False,
) -> None:
    """How often raters took the generated image for the real one, with its interval over raters."""
    import json

    from tfpix2pix.study.score import score as run

    found = run(results)
    answer(json_, json.loads(found.to_json()), found.text())
