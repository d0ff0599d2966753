"""Defines the commands `translate` and `demo`."""

from __future__ import annotations

import warnings
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tfpix2pix.cli.shared import (
    Best,
    EngineOption,
    EngineOptions,
    Json,
    Noise,
    Trust,
    Weights,
    answer,
    choice,
    names_options,
    out_console,
    track,
)
from tfpix2pix.data import OUTPUT_FORMATS, SPLITS
from tfpix2pix.engines import ENGINES, LOCAL
from tfpix2pix.errors import UserError
from tfpix2pix.inference import TILE_AS, WHOLE
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.runs.pretrained import FOLDER, PRETRAINED, drawings_of, examples_of, trained_path

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig
    from tfpix2pix.inference.remote.client import RemoteModel
    from tfpix2pix.inference.translator import Translator
    from tfpix2pix.runs.recognize import Recognized

TIMEOUT_S, IN_FLIGHT = 60.0, 4


@names_options(
    model="MODEL", inputs="INPUT", tile_px="--tile", overlap_px="--overlap",
    engine_options="--engine-option", **{"data.max_megapixels": "--max-megapixels"},
)  # fmt: skip
def translate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Run directory, SavedModel folder, .tflite, .keras or .onnx file, or exported page; a model of the "
            f"package: {', '.join(PRETRAINED)}; with --server the served model: NAME, NAME:VERSION or NAME@LABEL.",
        ),
    ],
    inputs: Annotated[
        Optional[list[Path]],
        typer.Argument(metavar="INPUT...", help="Images, volumes (NIfTI, DICOM series), folders of them, and videos."),
    ] = None,
    input_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--input",
            metavar="NAME=PATH",
            help="File or folder of one part, for each part of an input in several files (`data.inputs`). For a scalar "
            "its number, or a CSV file with the columns name and NAME.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the images: PNG, or TIFF of floats; NIfTI of volumes.")] = ...,
    data: Annotated[Optional[str], typer.Option(help="Folder of paired data, with --split.")] = None,
    split: Annotated[
        Optional[str],
        choice(SPLITS, "Split to take the inputs from."),
    ] = None,
    noise: Noise = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0, max=2**31 - 1)] = 0,
    samples: Annotated[
        Optional[int], typer.Option(help="Number of variants of each image to write, with different noise.", min=1)
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Write the mean of --samples variants (default: 16) and where they differ: their standard deviation "
            "(TIFF) and a heat map.",
        ),
    ] = False,
    like: Annotated[
        Optional[Path],
        typer.Option(
            metavar="IMAGE",
            help="Image like the targets, whose style the translations get; for runs with an encoder of styles.",
        ),
    ] = None,
    between: Annotated[
        Optional[str],
        typer.Option(
            metavar="SEED,SEED",
            help="Write --frames translations on a path from the noise of one seed to that of another.",
        ),
    ] = None,
    frames: Annotated[
        Optional[int], typer.Option(help="Number of translations with --between; default: 16.", min=2, max=10_000)
    ] = None,
    gif: Annotated[
        bool, typer.Option("--gif", help="Write them as one animation, there and back, with --between.")
    ] = False,
    tile: Annotated[
        Optional[int],
        typer.Option(
            help="Translate large images in overlapping tiles of this side, px. With --format tiff, TIFF files and "
            "arrays of more than 8 megapixels are read, translated and written in parts, however large they are.",
            min=16,
        ),
    ] = None,
    overlap: Annotated[
        Optional[int],
        typer.Option(
            help="Overlap of the tiles, px, at most half of the side; default: a quarter, or an eighth with "
            "--tile-as alone.",
            min=0,
        ),
    ] = None,
    tile_as: Annotated[
        Optional[str],
        choice(
            TILE_AS,
            "whole: tiles equal their places in the translation of the whole image, for a pass over the image for each "
            "norm; alone: each tile is an image of its own, in one pass. Default: whole for run directories and "
            "SavedModels.",
        ),
    ] = None,
    enlarge: Annotated[
        int, typer.Option(help="Factor by which inputs are enlarged first, for super-resolution.", min=1, max=16)
    ] = 1,
    size: Annotated[
        Optional[str],
        typer.Option(
            metavar="own|training|PX",
            help="Scale to translate at: own, that of the files; training, that of the training images; or the side of "
            "such an image, px. Default: own, but files of another scale than the training images are brought to "
            "theirs, and the translations back.",
        ),
    ] = None,
    resize_back: Annotated[
        bool, typer.Option("--resize-back", help="Resize translations to the size of their files, with --size.")
    ] = False,
    max_megapixels: Annotated[
        Optional[float],
        typer.Option(
            help="Most pixels of an image file, millions, or of a row of tiles if it is read in parts; default: as for "
            "the training, 256.",
            min=0.01,
        ),
    ] = None,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
    server: Annotated[
        Optional[str], typer.Option(metavar="HOST:PORT", help="Translate on a TF Serving server; https://… for TLS.")
    ] = None,
    grpc: Annotated[bool, typer.Option("--grpc", help="Use gRPC instead of REST with --server.")] = False,
    timeout_s: Annotated[float, typer.Option(help="Time limit for an image with --server, s.", min=0.1)] = TIMEOUT_S,
    in_flight: Annotated[
        int, typer.Option(help="Number of images that the server translates at a time, with --server.", min=1, max=64)
    ] = IN_FLIGHT,
    format: Annotated[
        Optional[str],
        choice(
            OUTPUT_FORMATS,
            "Format of the images, also of the slices of volumes; default: png, or tiff of floats and more than four "
            "channels, and NIfTI for volumes.",
        ),
    ] = None,
    flicker: Annotated[
        bool,
        typer.Option(
            "--flicker",
            help="Take the images for the frames of a film, by name, and say how far translations change where the "
            "inputs stay still. Videos always have it.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    engine: EngineOption = LOCAL,
    engine_option: EngineOptions = None,
    json_: Json = False,
) -> None:
    """Translate images with a trained model, each into a file of its own size."""
    from tfpix2pix.data.scale import check_size_to_resize_to
    from tfpix2pix.inference.between import Between
    from tfpix2pix.runs.recognize import recognize

    if size is not None:
        check_size_to_resize_to(size)
    if resize_back and size in (None, "own"):
        raise UserError("--resize-back must go with --size. Received it alone. Add --size training, for example.")
    if inputs and input_:
        raise UserError(
            "The inputs must be either images or parts by name. Received both. Leave the images or --input out."
        )
    if not (inputs or input_ or split or data or server) and (drawings := drawings_of(trained_path(model))):
        inputs = [drawings]
    if bool(inputs or input_) == bool(split) or (data and not split):
        received = "both" if inputs or input_ else "--data alone" if data else "neither"
        raise UserError(
            f"The inputs must be either images or a --split. Received {received}. "
            f"Name images or folders, or add --split (and --data) to translate the inputs of paired data."
        )
    if samples and noise == "off":
        raise UserError("--samples must go with noise. Received --noise off. Leave one of the two out.")
    if uncertainty and noise == "off":
        raise UserError("--uncertainty must go with noise. Received --noise off. Leave one of the two out.")
    if uncertainty and samples == 1:
        raise UserError("--samples must be 2 or more with --uncertainty. Received 1. Give 16, for example.")
    seeds = None if between is None else _seeds(between)
    Between.of(seeds, frames, gif, noise=noise, seed=seed, samples=samples, uncertainty=uncertainty)
    if tile and overlap is not None and overlap > tile // 2:
        raise UserError(
            f"--overlap must be at most half of --tile. Received {overlap} px of --tile {tile}. Change one of the two."
        )
    if server:
        local = {"--best": best, "--weights": weights, "--trust": trust, "--tile-as whole": tile_as == WHOLE}
        local[f"--engine {engine}"] = engine != LOCAL
        for option, value in local.items():
            if value:
                raise UserError(
                    f"{option} must go with a model on this machine. Received it with --server. "
                    f"Leave one of the two out."
                )
    elif grpc:
        raise UserError("--grpc must go with --server. Received it alone. Add --server HOST:PORT.")
    ENGINES[engine].check(engine_option or [])
    recognized = None if server else recognize(model)
    for path in inputs or ():
        if not path.exists():
            raise UserError(f"An input must be an image file or a folder. Received {path}, which does not exist.")
    if recognized is None:
        translator = _remote(server, model, grpc=grpc, timeout_s=timeout_s)
    else:
        translator = _local(recognized, best=best, weights=weights, trust=trust, tile_as=tile_as)
    fixed = translator.card.static_size_px
    if fixed and tile:
        raise UserError(
            f"--tile must go with a model of any size. Received it for a model of {fixed} px, its tiles. Leave it out."
        )
    if overlap is not None and not (tile or fixed):
        raise UserError("--overlap must go with --tile. Received it alone. Add --tile.")
    if tile_as and not (tile or fixed):
        raise UserError("--tile-as must go with --tile. Received it alone. Add --tile.")
    if server and tile:
        warnings.warn(
            "A server translates each tile as an image of its own, so colours may differ from tile to tile.",
            stacklevel=2,
        )
    from tfpix2pix.inference.files import translate_files
    from tfpix2pix.inference.uncertainty import FILES
    from tfpix2pix.inference.video import is_video, recorded, sentence

    given = _parts(input_, translator.card.config.data) if input_ else inputs or ()
    written = translate_files(
        translator, given, out=out, data=data, split=split, noise=noise,
        seed=seed, samples=samples, uncertainty=uncertainty, between=seeds, frames=frames, gif=gif, tile_px=tile,
        overlap_px=overlap, in_flight=in_flight if server else None, enlarge=enlarge, overwrite=overwrite, size=size,
        resize_back=resize_back, max_megapixels=max_megapixels, format=format, like=like, flicker=flicker,
        engine=engine, engine_options=engine_option or (), track=track("translate"),
    )  # fmt: skip
    targets = translator.card.config.data.targets
    count = len(written) // (FILES if uncertainty else len(targets or ("",)))
    measured = recorded(out) if flicker or any(map(is_video, inputs or ())) else {}
    lines = [f"{count} translated into {out}", *(sentence(name, figures) for name, figures in measured.items())]
    answer(
        json_,
        {"written": [str(path) for path in written], **({"flicker": measured} if measured else {})},
        "\n".join(lines),
    )


def _parts(options: list[str], config: DataConfig) -> dict[str, str]:
    """Returns the paths and numbers of --input by the names of the parts."""
    from tfpix2pix.data.stacks import example_of

    parts: dict[str, str] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not (name and equals and path) or name in parts:
            received = f"{name} twice" if name in parts else f"{option!r}"
            advice = f"Give {example_of(config)}".replace("`input`", "--input")
            raise UserError(f"--input must be NAME=PATH, once for each part. Received {received}. {advice}.")
        parts[name] = path
    return parts


def _seeds(text: str) -> list[int]:
    """Returns the seeds of --between."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--between must be two seeds, such as 0,1. Received {text!r}. Give two numbers.") from None


def _local(model: Recognized, *, best: bool, weights: str | None, trust: bool, tile_as: str | None) -> Translator:
    """Loads a model of this machine."""
    load_tensorflow()
    from tfpix2pix.runs.load import load

    return load(model, best=best, weights=weights, trust=trust, tile_as=tile_as)


def _remote(server: str, model: str, *, grpc: bool, timeout_s: float) -> RemoteModel:
    """Connects to a served model. REST works without TensorFlow. gRPC needs its message classes."""
    if grpc:
        load_tensorflow()
    from tfpix2pix.inference.remote.client import RemoteModel

    return RemoteModel(server, model, transport="grpc" if grpc else "rest", timeout_s=timeout_s)


@names_options(models="MODEL")
def demo(
    models: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="MODEL...",
            help="Run directories, SavedModel folders, .tflite, .keras or .onnx files; several are shown side by side. "
            "NAME=PATH names one.",
        ),
    ] = None,
    pretrained: Annotated[
        Optional[str], choice(PRETRAINED, "A trained model that comes with the package, in place of MODEL.")
    ] = None,
    data: Annotated[
        Optional[str],
        typer.Option(help="Folder of paired data. The page offers its held-out inputs; default: the model's own."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 lets other machines use the page.")
    ] = "127.0.0.1",
    port: Annotated[
        Optional[int], typer.Option(help="Port; default: the first free one from 7860.", min=1, max=65535)
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    upload_mb: Annotated[
        int, typer.Option(help="Size of the largest file that may be dropped, MB.", min=1, max=1024)
    ] = 20,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
) -> None:
    """Serve a page to draw on: paint or drop an input, and see its translations. Ctrl-C ends it."""
    from tfpix2pix.runs.recognize import named_path, recognize

    if bool(models) == bool(pretrained):
        raise UserError(
            f"A page must show either MODEL or a model by --pretrained. Received {'both' if models else 'neither'}. "
            f"Try tfpix2pix demo --pretrained {next(iter(PRETRAINED))}."
        )
    if pretrained:  # by its folder, so that a path of that name does not count
        models = [f"{pretrained}={FOLDER / pretrained}"]
    named = [named_path(text, "A model must be given as") for text in models]
    recognized = [(name, path, recognize(path)) for name, path in named]
    load_tensorflow()
    from tfpix2pix.inference.demo.serve import serve
    from tfpix2pix.runs.load import load

    opened = ((name, path, load(model, best=best, weights=weights, trust=trust)) for name, path, model in recognized)

    def ready(address: str) -> None:
        print(f"Open {address} (Ctrl-C ends it)", flush=True)  # Rich would print twice if Ctrl-C comes meanwhile
        if open_:
            webbrowser.open(address)

    with suppress(KeyboardInterrupt):  # Ctrl-C before the page is served
        serve(
            opened, data=data, drawings=examples_of(recognized[0][2].path), host=host, port=port, upload_mb=upload_mb,
            ready=ready,
        )  # fmt: skip
    out_console.print("Closed.")
