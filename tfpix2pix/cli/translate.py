"""`translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from tfpix2pix.cli import completion
from tfpix2pix.cli.models import Best, Noise, Trust, Weights
from tfpix2pix.cli.shared import Json, answer, check_choice, load_tensorflow, track
from tfpix2pix.errors import UserError

TIMEOUT_S, IN_FLIGHT = 60.0, 4


def translate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run directory, a SavedModel folder, a .tflite, .keras or .onnx file; with --server the served "
            "model: NAME, NAME:VERSION or NAME@LABEL.",
        ),
    ],
    inputs: Annotated[
        Optional[list[Path]], typer.Argument(metavar="INPUT...", help="Images and folders of them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the images: PNG, or TIFF of floats.")] = ...,
    data: Annotated[Optional[str], typer.Option(help="Folder of paired data, with --split.")] = None,
    split: Annotated[
        Optional[str],
        typer.Option(
            help="Translate the inputs of this split's pairs: train, val, test.", autocompletion=completion.splits
        ),
    ] = None,
    noise: Noise = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0, max=2**31 - 1)] = 0,
    samples: Annotated[
        Optional[int], typer.Option(help="Number of variants of each image to write, with different noise.", min=1)
    ] = None,
    tile: Annotated[
        Optional[int],
        typer.Option(help="Translate large images in overlapping tiles of this side, px.", min=16),
    ] = None,
    overlap: Annotated[
        Optional[int],
        typer.Option(help="Overlap of the tiles, px, at most half of the side; default: an eighth.", min=0),
    ] = None,
    enlarge: Annotated[
        int, typer.Option(help="Factor by which inputs are enlarged first, for super-resolution.", min=1, max=16)
    ] = 1,
    best: Best = False,
    weights: Weights = None,
    trust: Trust = False,
    server: Annotated[
        Optional[str], typer.Option(metavar="HOST:PORT", help="Translate on a TF Serving server; https://… for TLS.")
    ] = None,
    grpc: Annotated[bool, typer.Option("--grpc", help="Use gRPC instead of REST with --server.")] = False,
    timeout_s: Annotated[float, typer.Option(help="Time limit for an image with --server, s.", min=0.1)] = TIMEOUT_S,
    in_flight: Annotated[
        int, typer.Option(help="Number of images that are in flight at a time with --server.", min=1, max=64)
    ] = IN_FLIGHT,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    json_: Json = False,
) -> None:
    """Translate images with a trained model, each into a file of its own size."""
    from tfpix2pix.data import SPLITS
    from tfpix2pix.recognize import recognize

    check_choice("--noise", noise, ("on", "off"))
    check_choice("--split", split, SPLITS)
    if bool(inputs) == bool(split) or (data and not split):
        received = "both" if inputs else "--data alone" if data else "neither"
        raise UserError(
            f"Either images or --split must say what to translate. Received {received}. "
            f"Name images or folders, or give --split (and --data) for the inputs of paired data."
        )
    if samples and noise == "off":
        raise UserError("--samples must go with noise. Received --noise off. Leave it out.")
    if tile and overlap is not None and overlap > tile // 2:
        raise UserError(
            f"--overlap must be at most half of --tile. Received {overlap} px of --tile {tile}. Change one of the two."
        )
    if server:
        for option, given in {"--best": best, "--weights": weights, "--trust": trust}.items():
            if given:
                raise UserError(f"{option} is of models at hand. Received it with --server. Leave one of the two out.")
    elif grpc:
        raise UserError("--grpc must go with --server. Received it alone. Add --server HOST:PORT.")
    else:
        recognize(Path(model))
    for path in inputs or ():
        if not path.exists():
            raise UserError(f"An input must be an image file or a folder. Received {path}, which does not exist.")
    if server:
        translator = _remote(server, model, grpc=grpc, timeout_s=timeout_s)
    else:
        translator = _local(Path(model), best=best, weights=weights, trust=trust)
    fixed = translator.card.fixed_size_px
    if fixed and tile:
        raise UserError(f"--tile is of models of any size. Received it for tiles of {fixed} px, always. Leave it out.")
    if overlap is not None and not (tile or fixed):
        raise UserError("--overlap must go with --tile. Received it alone. Add --tile.")
    from tfpix2pix.translate import translate_files

    written = translate_files(
        translator, inputs or (), out=out, data=data, split=split, noise=noise, seed=seed, samples=samples,
        tile_px=tile, overlap_px=overlap, in_flight=in_flight if server else None, enlarge=enlarge, overwrite=overwrite,
        track=track("translate"),
    )  # fmt: skip
    answer(json_, {"written": [str(path) for path in written]}, f"{len(written)} translated into {out}")


def _local(model: Path, *, best: bool, weights: str | None, trust: bool):
    load_tensorflow()
    from tfpix2pix.artefacts import load

    return load(model, best=best, weights=weights, trust=trust)


def _remote(server: str, model: str, *, grpc: bool, timeout_s: float):
    """The served model: by REST without TensorFlow; gRPC's messages are TensorFlow's."""
    if grpc:
        load_tensorflow()
    from tfpix2pix.serving.client import RemoteModel

    return RemoteModel(server, model, transport="grpc" if grpc else "rest", timeout_s=timeout_s)
