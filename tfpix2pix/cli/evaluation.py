"""`evaluate`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from tfpix2pix.cli import completion
from tfpix2pix.cli.models import Best, Noise, Trust, Weights
from tfpix2pix.cli.shared import Json, Set, answer, check_choice, load_tensorflow, out_console, track
from tfpix2pix.errors import UserError

Data = Annotated[
    Optional[str], typer.Option(help="Folder of paired data, in place of the one the model was trained on.")
]
Split = Annotated[str, typer.Option(help="train, val or test.", autocompletion=completion.splits)]
ConfigOption = Annotated[
    Optional[str],
    typer.Option(
        metavar="PRESET|FILE",
        help="Preset or file that reads the pairs, for a folder of images; default: as DIR looks.",
    ),
]
Metrics = Annotated[
    Optional[str], typer.Option(metavar="NAME,…", help="Metrics to compute; default: all that are possible.")
]
Size = Annotated[
    Optional[str],
    typer.Option(
        metavar="PX|own",
        help="Size at which images are compared; default: the size that the model was trained at, or the images' own.",
    ),
]
Variants = Annotated[
    int,
    typer.Option(
        help="Number of translations of each image with different noise, for diversity; 0: no diversity.", min=0, max=64
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of noise, resampling and patches.", min=0, max=2**31 - 1)]
SegmenterOption = Annotated[
    Optional[Path], typer.Option(help="Photo→labels model for the FCN score: a run, an export, or any SavedModel.")
]
Features = Annotated[Optional[str], typer.Option(help="Feature network for FID and KID: inception, or a SavedModel.")]
Outputs = Annotated[
    Optional[str],
    typer.Option(metavar="'*_fake_B'", help="Pattern of the translations' names in a folder; * is the pair's name."),
]
Targets = Annotated[
    Optional[str], typer.Option(metavar="'*_real_B'|DIR", help="Pattern of the targets' names, or their folder.")
]
Inputs = Annotated[
    Optional[str],
    typer.Option(metavar="'*_real_A'|DIR", help="Pattern of the inputs' names, or their folder, to show them."),
]
Replicates = Annotated[
    int, typer.Option(help="Number of bootstrap replicates for the intervals; 0: no intervals.", min=0, max=100_000)
]


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A run directory, a SavedModel, a .tflite, .keras or .onnx file, or a folder of any program's images.",
        ),
    ],
    out: Annotated[
        Optional[Path], typer.Option(help="New folder for the results; default for a run: RUN/evaluation/SPLIT.")
    ] = None,
    data: Data = None,
    split: Split = "val",
    metrics: Metrics = None,
    config: ConfigOption = None,
    set_: Set = None,
    size: Size = None,
    noise: Noise = None,
    variants: Variants = 4,
    seed: Seed = 0,
    segmenter: SegmenterOption = None,
    labels: Annotated[
        Optional[Path], typer.Option(help="Folder of the true label maps for --segmenter, named as the pairs.")
    ] = None,
    segmenter_range: Annotated[
        Optional[tuple[float, float]],
        typer.Option(help="Values of black and white that a foreign --segmenter expects; default: -1 1."),
    ] = None,
    features: Features = None,
    features_range: Annotated[
        Optional[tuple[float, float]],
        typer.Option(help="Values of black and white that a SavedModel of --features expects."),
    ] = None,
    outputs: Outputs = None,
    targets: Targets = None,
    inputs: Inputs = None,
    by: Annotated[
        Optional[str], typer.Option(metavar="FIGURE", help="Metric by which the report ranks images.")
    ] = None,
    shown: Annotated[int, typer.Option(help="Number of images in the report's gallery.", min=0, max=1000)] = 24,
    replicates: Replicates = 1000,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation in --out.")] = False,
    json_: Json = False,
) -> None:
    """Score translations beside their targets: figures with intervals, a row an image, and a page to look at."""
    from tfpix2pix.evaluation_directory import check_free, check_names
    from tfpix2pix.examples.request import Noise as NoiseOf
    from tfpix2pix.examples.request import Request, kind_of
    from tfpix2pix.recognize import RUN, model_at

    check_choice("--noise", noise, ("on", "off"))
    names = _names(metrics)
    check_names(names)
    request = Request(
        model, data=data, split=split, config=config, overrides=set_ or (), size=size,
        noise=NoiseOf(noise, variants, seed), best=best, weights=weights, outputs=outputs, targets=targets,
        inputs=inputs, segmenter=segmenter, segmenter_range=segmenter_range, labels=labels, features=features,
        features_range=features_range, trust=trust,
    )  # fmt: skip
    _ = request.size_px
    kind = kind_of(request)
    if out is None:
        if kind != RUN:
            raise UserError("--out must be given for what is no run directory. Received none. Name a new folder.")
        out = model_at(model) / "evaluation" / split
    check_free(out, overwrite=overwrite)
    load_tensorflow()
    from tfpix2pix.evaluating import evaluate as run

    done = run(
        request, out=out, metrics=names, replicates=replicates, by=by, shown=shown, overwrite=overwrite,
        track=track("evaluate"),
    )  # fmt: skip
    answer(json_, done.record, _table(done.record))
    if not json_:
        out_console.print(f"To look at: {out / 'report.html'}")


def compare(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PATH...",
            help="Evaluations, or runs, exports and folders of images, which are evaluated first. Several of one NAME "
            "are trainings of one variant: their mean is compared.",
        ),
    ],
    out: Annotated[
        Optional[Path], typer.Option(help="New folder for the table, the values, the plot and the evaluations.")
    ] = None,
    baseline: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="Baseline that the others are compared with; default: the first."),
    ] = None,
    figures: Annotated[Optional[str], typer.Option(metavar="NAME,…", help="Figures to show; default: all.")] = None,
    data: Data = None,
    split: Split = "val",
    metrics: Metrics = None,
    config: ConfigOption = None,
    set_: Set = None,
    size: Size = None,
    variants: Variants = 4,
    seed: Seed = 0,
    segmenter: SegmenterOption = None,
    features: Features = None,
    outputs: Outputs = None,
    targets: Targets = None,
    inputs: Inputs = None,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Put models side by side: one table, one figure, paired differences with their intervals."""
    from tfpix2pix.comparing import FIGURE, Item
    from tfpix2pix.comparing import compare as run
    from tfpix2pix.destinations import check_new_folder
    from tfpix2pix.evaluation_directory import check_names
    from tfpix2pix.examples.request import Noise as NoiseOf
    from tfpix2pix.examples.request import Request

    names = _names(metrics)
    check_names(names)
    if out is not None:
        check_new_folder(out)
    request = Request(
        Item.parse(given[0]).path, data=data, split=split, config=config, overrides=set_ or (), size=size,
        noise=NoiseOf(None, variants, seed), segmenter=segmenter, features=features,
        outputs=outputs, targets=targets, inputs=inputs, trust=trust,
    )  # fmt: skip
    _ = request.size_px
    asked = any((data, names, config, set_, size, segmenter, features, outputs, targets, variants != 4, seed))

    def evaluated(one: Request, where: Path) -> None:
        load_tensorflow()
        from tfpix2pix.evaluating import evaluate

        evaluate(one, out=where, metrics=names, track=track(f"evaluate {one.model}"))

    comparison = run(
        given, request, evaluate=evaluated, as_asked=asked, out=out, baseline=baseline, figures=_names(figures)
    )
    answer(json_, comparison.to_json(), comparison.markdown(_names(figures)))
    if out is not None and not json_:
        out_console.print(f"To look at: {out / FIGURE}")


def _names(metrics: str | None) -> list[str] | None:
    return [name.strip() for name in metrics.split(",") if name.strip()] if metrics else None


def _table(record: dict):
    from rich.table import Table

    data = record["data"]
    where = f" of {data['split']}" if data["split"] else ""
    title = f"{record['name']}: {data['images']} of {data['of']} pairs{where}"
    table = Table(title=title, title_justify="left", min_width=len(title))
    for column, justify in {"figure": "left", "value": "right", "95 % interval": "right", "better": "left"}.items():
        table.add_column(column, justify=justify)
    for name, each in record["figures"].items():
        limits = "" if each["low"] is None else f"{each['low']:.4f} to {each['high']:.4f}"
        table.add_row(name, f"{each['value']:.4f}", limits, each["better"])
    return table
