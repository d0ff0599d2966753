"""Defines the commands `evaluate`, `compare`, `study make` and `study score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tfpix2pix.cli.shared import (
    Best,
    Json,
    Noise,
    Set,
    Trust,
    Weights,
    answer,
    choice,
    names_options,
    out_console,
    track,
)
from tfpix2pix.data import SPLITS
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.study import PAGE, PRACTICE, SHOWN_S, TRIALS
from tfpix2pix.quiet import load_tensorflow

if TYPE_CHECKING:
    from rich.table import Table

Data = Annotated[
    Optional[str], typer.Option(help="Folder of paired data, in place of the one the model was trained on.")
]
Split = Annotated[str, choice(SPLITS, "Split to take the pairs from.")]
ConfigOption = Annotated[
    Optional[str],
    typer.Option(
        metavar="PRESET|FILE",
        help="Preset or file that says how to read the pairs, for a folder of images; default: detected from --data.",
    ),
]
Metrics = Annotated[
    Optional[str], typer.Option(metavar="NAME,…", help="Metrics to compute; default: all that are possible.")
]
Size = Annotated[
    Optional[str],
    typer.Option(
        metavar="PX|own|training",
        help="Size at which images are compared, px, or 256x512 (height x width); default: the size that the model "
        "was trained at, and beside it the files' own.",
    ),
]
Variants = Annotated[
    int,
    typer.Option(
        help="Number of translations of each image with different noise, for diversity, the best of them and "
        "calibration; 0: none of these.",
        min=0,
        max=64,
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


REQUEST = {
    "model": "MODEL",
    "overrides": "--set",
    "mode": "--noise",
}  # arguments of a request -> options of other names


@names_options(**REQUEST)
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
        Optional[str], typer.Option(metavar="METRIC", help="Metric by which the report ranks images.")
    ] = None,
    shown: Annotated[int, typer.Option(help="Number of images in the report's gallery.", min=0, max=1000)] = 24,
    replicates: Replicates = 1000,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation in --out.")] = False,
    json_: Json = False,
) -> None:
    """Compare translations with their targets, and write metrics with intervals, a row for each image and a report."""
    from tfpix2pix.evaluation.folder import check_free, check_names
    from tfpix2pix.evaluation.request import NoiseOptions, Request, resolve
    from tfpix2pix.runs.pretrained import is_pretrained
    from tfpix2pix.runs.recognize import RUN

    names = _names(metrics)
    check_names(names)
    request = Request(
        model, data=data, split=split, config=config, overrides=set_ or (), size=size,
        noise=NoiseOptions(noise, variants, seed), best=best, weights=weights, outputs=outputs, targets=targets,
        inputs=inputs, segmenter=segmenter, segmenter_range=segmenter_range, labels=labels, features=features,
        features_range=features_range, trust=trust,
    )  # fmt: skip
    resolved = resolve(request)
    if out is None:
        if resolved.model.kind != RUN or is_pretrained(resolved.model.path):
            raise UserError("--out must be given for all but your run directories. Received none. Name a new folder.")
        out = resolved.model.path / "evaluation" / split
    check_free(out, overwrite=overwrite)
    load_tensorflow()
    from tfpix2pix.evaluation.evaluate import evaluate as run

    evaluation = run(
        resolved, out=out, metrics=names, replicates=replicates, by=by, shown=shown, overwrite=overwrite,
        track=track("evaluate"),
    )  # fmt: skip
    answer(json_, evaluation.record, _table(evaluation.record))
    if not json_:
        out_console.print(f"Report, with what each metric means: {out / 'report.html'}")


@names_options(**REQUEST, replicates="--replicates")
def compare(
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PATH...",
            help="Evaluations, or runs, exports and folders of images, which are evaluated first. Several of one NAME "
            "are trainings of one variant: their mean is compared.",
        ),
    ],
    out: Annotated[
        Optional[Path], typer.Option(help="New folder for the tables, the values, the plots and the evaluations.")
    ] = None,
    baseline: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="Baseline that the others are compared with; default: the first."),
    ] = None,
    figures: Annotated[Optional[str], typer.Option(metavar="NAME,…", help="Metrics to show; default: all.")] = None,
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
    """Compare models: a table, a plot, and paired differences with their intervals."""
    from tfpix2pix.destinations import check_new_folder
    from tfpix2pix.evaluation.compare import FIGURE, Item
    from tfpix2pix.evaluation.compare import compare as run
    from tfpix2pix.evaluation.folder import check_names
    from tfpix2pix.evaluation.request import NoiseOptions, Request, ResolvedRequest

    names = _names(metrics)
    check_names(names)
    if out is not None:
        check_new_folder(out)
    request = Request(
        Item.parse(items[0]).path, data=data, split=split, config=config, overrides=set_ or (), size=size,
        noise=NoiseOptions(None, variants, seed), segmenter=segmenter, features=features,
        outputs=outputs, targets=targets, inputs=inputs, trust=trust,
    )  # fmt: skip
    given = {
        "--data": data, "--set": " --set ".join(set_ or ()) or None, "--size": size, "--seed": seed or None,
        "--variants": None if variants == 4 else variants, "--segmenter": segmenter, "--features": features,
    }  # fmt: skip
    anew = [f"{option} {value}" for option, value in given.items() if value is not None]
    if anew and metrics:
        anew.append(f"--metrics {metrics}")

    def evaluate_into(resolved: ResolvedRequest, folder: Path) -> None:
        load_tensorflow()
        from tfpix2pix.evaluation.evaluate import evaluate

        evaluate(resolved, out=folder, metrics=names, track=track(f"evaluate {resolved.request.model}"))

    comparison = run(
        items, request, evaluate=evaluate_into, anew=anew, metrics=names, out=out, baseline=baseline,
        figures=_names(figures),
    )  # fmt: skip
    answer(json_, comparison.to_json(), comparison.markdown(comparison.shown(_names(figures), names)))
    if out is not None and not json_:
        out_console.print(f"Plot: {out / FIGURE}")


def _names(text: str | None) -> list[str] | None:
    """Splits the names of metrics at commas. Returns None if none are given."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _table(record: dict) -> Table:
    """Returns the metrics of an evaluation as a table for the terminal."""
    from rich.table import Table

    from tfpix2pix.evaluation.folder import sizes_sentence
    from tfpix2pix.metrics import METRICS

    data = record["data"]
    split = f" of {data['split']}" if data["split"] else ""
    title = f"{record['name']}: {data['images']} of {data['of']} pairs{split}"
    table = Table(title=title, title_justify="left", min_width=len(title), caption=sizes_sentence(record))
    has_units = any(metric.get("unit") for metric in record["figures"].values())
    columns = {"metric": "left", "value": "right", "unit": "left", "95 % interval": "right", "better": "left"}
    for column, justify in columns.items():
        if has_units or column != "unit":
            table.add_column(column, justify=justify)
    own = record["at_own_size"]
    if own:
        table.add_column("own size", justify="right")
    first = [
        name for name, metric in record["figures"].items()
        if metric.get("unit") or METRICS[metric["metric"]].while_training
    ]  # fmt: skip
    for name, metric in sorted(record["figures"].items(), key=lambda each: each[0] not in first):
        limits = "" if metric["low"] is None else f"{metric['low']:.4f} to {metric['high']:.4f}"
        unit = [metric.get("unit", "")] if has_units else []
        row = [name, f"{metric['value']:.4f}", *unit, limits, metric["better"]]
        if own:
            row.append(f"{own['figures'][name]['value']:.4f}" if name in own["figures"] else "")
        table.add_row(*row, end_section=name == first[-1] if first else False)
    return table


@names_options(**REQUEST)
def make(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A run directory, SavedModel, .tflite, .keras or .onnx file, or a folder of images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="New folder for index.html, a page that needs no other files.")],
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
    shown_s: Annotated[float, typer.Option(help="Display time of each image, s.", min=0.01, max=60)] = SHOWN_S,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Show each generated image beside the real image of another input.")
    ] = False,
    json_: Json = False,
) -> None:
    """Make the paper's perceptual test of a model: one page that raters open in a browser."""
    from tfpix2pix.evaluation.request import NoiseOptions, Request, resolve
    from tfpix2pix.evaluation.study.page import Design, check_place

    check_place(out / PAGE)
    request = Request(
        model, data=data, split=split, config=config, overrides=set_ or (), size=size,
        noise=NoiseOptions(noise, 0, seed), best=best, weights=weights, outputs=outputs, targets=targets, trust=trust,
    )  # fmt: skip
    resolved = resolve(request)
    load_tensorflow()
    from tfpix2pix.evaluation.study.make import make_study

    design = Design(practice, trials, shown_s, same_input=not unpaired, seed=seed)
    pairs = make_study(resolved, out / PAGE, title=title, design=design)
    page = str(out / PAGE)
    text = (
        f"{page}: {practice} practice and {trials} other trials, chosen from {pairs} pairs\n"
        f"When raters have saved their results: tfpix2pix study score study-*.json"
    )
    answer(json_, {"page": page, "pairs": pairs, "practice": practice, "trials": trials}, text)


@names_options()
def score(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="Files that the raters' pages saved.")],
    json_: Json = False,
) -> None:
    """Compute how often raters took the generated image for the real one, with its interval over raters."""
    import json

    from tfpix2pix.evaluation.study.score import score as run

    result = run(results)
    answer(json_, json.loads(result.to_json()), result.text())
