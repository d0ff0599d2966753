"""Translates files into files, for `tfpix2pix translate` and from Python, by a reader, a translator and a writer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tfpix2pix.data.splits import would_be_pairs
from tfpix2pix.engines import ENGINES, LOCAL, EngineRow
from tfpix2pix.errors import RunError, UserError, first_of
from tfpix2pix.inference.batching import ImageTranslator, NotWritten
from tfpix2pix.inference.inputs import inputs_of_files, inputs_of_parts, inputs_of_split
from tfpix2pix.inference.items import Writer
from tfpix2pix.inference.job import Source, forget, shared_path, translate_by_workers
from tfpix2pix.inference.steps import Options, Steps
from tfpix2pix.inference.video import check_alone, check_flicker, flicker_of_files, is_video, record, translate_videos
from tfpix2pix.parallel import Outcome
from tfpix2pix.tables import row


def translate_files(
    translator: ImageTranslator,
    inputs: Sequence[str | Path] | Mapping[str, str | Path | float] = (),
    *,
    out: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    noise: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    uncertainty: bool = False,
    between: Sequence[int] | None = None,
    frames: int | None = None,
    gif: bool = False,
    tile_px: int | None = None,
    overlap_px: int | None = None,
    in_flight: int | None = None,
    enlarge: int = 1,
    size: str | int | None = None,
    resize_back: bool = False,
    max_megapixels: float | None = None,
    format: str | None = None,
    like: str | Path | None = None,
    flicker: bool = False,
    overwrite: bool = False,
    engine: str = LOCAL,
    engine_options: Sequence[str] = (),
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[Path]:
    """Translates image files, the images of folders, or the inputs of a split of paired data into files in `out`.

    The files are PNG, or TIFF if the targets were floats or had more than four channels. Label maps are palette PNG.
    Videos become MP4 files, each frame by the same noise (`translate_videos`).
    Volumes (NIfTI files, and folders of DICOM files of one series) are translated slice by slice into NIfTI files. If a
    target lies in several files (`data.targets`), each part has a folder of its name in `out`.

    Args:
        translator: a `Translator`, or a `RemoteModel` of a server.
        inputs: image files, volumes and folders of them. For a model with `data.inputs`: the name of each part -> a
            file or a folder; files in the folders match by their names. A scalar is a number, or a CSV file as
            `scalars.csv`.
        data: folder of paired data as the model was trained on, in place of the one in its card; with `split`.
        split: `train`, `val` or `test`: translate the inputs of that split's pairs.
        noise: `on` or `off`; None: as in the model card.
        seed: seed of the noise, which is the same for all images.
        samples: number of variants of each image by different noise, `<name>-1.png` and so on. They have noise.
        uncertainty: write, in place of variants, the mean of `samples` translations (None: 16) of each image, and how
            far they differ: `<name>-deviation.tif`, their standard deviation in the values of the target's files, and
            `<name>-deviation.png`, a heat map of it, whose scale is in `<name>-deviation.json`.
        between: two seeds: write, in place of one translation, `frames` of them on a path from the noise of the first
            seed to that of the second, `<name>-01.png` and so on. Each frame's noise is as likely as any draw.
        frames: number of translations with `between`, the first and the last included; None: 16.
        gif: write the frames as one animation, `<name>.gif`, there and back, with `between`. It has 8 bits and up to
            256 colours a frame.
        tile_px: translate in tiles of this side that overlap by `overlap_px`, as `Translator` does. If the files become
            TIFF, TIFF files and arrays of more than 8 megapixels are read, translated and written in parts, unless they
            are resized (docs/large-images.md).
        overlap_px: least overlap of tiles; None: a quarter of the side, or an eighth if tiles are translated alone.
        in_flight: number of images that a server translates at a time; None: one batch of one size at a time. Tiles
            go one image at a time.
        enlarge: enlarge every input by this factor first (bicubic), as super-resolution was trained.
        size: the scale to translate at. `own`: that of the files; `training`: that of the network's training images,
            in which an image keeps its shape; or px, in place of the training images' side. None: `own` for images at
            nearly the scale of the training images, for networks of crops (`data.fit`), and with `tile_px` or
            `enlarge`. All others are brought to the training scale, and their translations back to the files' size.
        resize_back: resize translations to the size of their files; with `size`.
        max_megapixels: most pixels of an image file, millions, or of a row of tiles if it is read in parts; None: as
            the model's training (`data.max_megapixels`).
        format: `png`, `tiff` or `npy`, also of the slices of volumes; None: NIfTI for volumes, and for images PNG, or
            TIFF for floats and more than four channels.
        like: an image file like the targets, whose style all translations get, in place of noise.
        flicker: take the images for the frames of a film, in the order of their names, and write `flicker.json`: how
            far consecutive translations differ where the inputs stay still. Videos always have it.
        overwrite: replace files of the same names in `out`.
        engine: `local`, this process, or `beam`: the workers of an Apache Beam pipeline, which load the model from its
            path. All paths must mean the same to them. A job that was killed goes on if it is started again by the
            same call: files that are there stay.
        engine_options: options of the pipeline, each `KEY=VALUE` or `KEY`, as on the command line of a Beam program:
            `runner=FlinkRunner`.
        track: wraps the results to show progress, with the engine `local`.

    Returns:
        The paths of the files, in the order of the inputs.

    Raises:
        UserError: no image is given, an image is unreadable (the readable ones are translated), a name is taken, or
            options do not go together.
        RunError: a translation cannot be written to the disk (the others are).
    """
    options = Options(
        noise, seed, samples, uncertainty, between, frames, gif, tile_px, overlap_px, in_flight, enlarge, size,
        resize_back, max_megapixels, format, like and str(like),
    )  # fmt: skip
    options.path()
    if videos := [] if split or isinstance(inputs, Mapping) else [Path(path) for path in inputs if is_video(path)]:
        check_alone(videos, len(inputs), local=engine == LOCAL)
        return translate_videos(translator, videos, Path(out), options, overwrite=overwrite, track=track)
    if flicker:
        check_flicker(options, of_files=not (split or isinstance(inputs, Mapping)))
    engine_row = _engine(engine, list(engine_options))
    card, out = options.allowed(translator.card), Path(out)
    folder = data or card.config.data.dir if split else None
    if split:
        source = Source("split", shared_path(folder), split)
        items = list(inputs_of_split(card, folder, split))
    elif isinstance(inputs, Mapping):
        source, items = Source("parts"), list(inputs_of_parts(inputs, card, out))
    else:
        source, items = Source("files"), list(inputs_of_files(inputs, card, out))
    if not items:
        raise UserError("An image must be given. Received none. Name files or folders, or a `split`.")
    of_volumes = any(item.slice for item in items)
    if flicker and of_volumes:
        raise UserError("`flicker` must go with images. Received volumes. Leave `flicker` out.")
    steps = Steps.of(translator, out, options, of_volumes=of_volumes)

    def check(replaces: bool) -> None:
        within = None if folder is None else Path(folder)
        steps.writer.check(items, within=within, overwrite=replaces)
        if would_be_pairs(card.config.data, out):
            warnings.warn(
                f"{out} is in the model's data folder, where later runs read the translations as pairs. Move it away, "
                f"and choose an `out` elsewhere.",
                stacklevel=3,
            )

    if engine_row.run is None:
        check(overwrite)
        forget(out)
        results = list(track(steps.run(items), len(items)))
    else:
        if overwrite:
            forget(out)
        run = partial(engine_row.run, options=list(engine_options))
        results = translate_by_workers(
            run, translator, items, source, options, steps, lambda goes_on: check(overwrite or goes_on)
        )
    for note, count in steps.reader.notes.items():
        warnings.warn(f"{count} of {len(items)} images {note}", stacklevel=2)
    if clipped := steps.reader.clipped.sentence(len(items)):
        warnings.warn(clipped, stacklevel=2)
    _check_all_translated(results, steps.writer)
    written = [path for done in results for path in done.result]
    if flicker:
        record(out, {out.name: flicker_of_files([item.files[0] for item in items], written, card)})
    return written


def _engine(name: str, options: list[str]) -> EngineRow:
    """Returns a row of `ENGINES`. Raises UserError if the name, or an option, is unknown."""
    try:
        engine = row(ENGINES, "`engine`", name)
    except ValueError as error:
        raise UserError(str(error)) from None
    engine.check(options)
    return engine


def _check_all_translated(results: Sequence[Outcome], writer: Writer) -> None:
    """Raises an error that names the images that could not be translated or written, with the first reason, and the
    volumes that are not written because of them.

    It is a RunError if that is of the disk, else a UserError.
    """
    failed = [(done.item.name, done.error) for done in results if done.error]
    lost = sorted(writer.lost(done.item for done in results if done.error))
    if not failed and not lost:
        return
    translated = sum(not done.error and done.item.volume not in lost for done in results)
    done = f" The other {translated} of {len(results)} were translated into {writer.folder}." if translated else ""
    unwritten = f"A volume is written with all of its slices: {', '.join(lost)} could not be." if lost else ""
    if not failed:
        raise UserError(f"{unwritten} Correct the slices that `data.on_error: skip` leaves out.{done}")
    kind = RunError if isinstance(failed[0][1], NotWritten) else UserError
    raise kind(f"{first_of(failed, 'could not be translated')}{' ' * bool(lost)}{unwritten}{done}")
