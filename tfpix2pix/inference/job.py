"""Translates many inputs by the workers of an engine, and goes on where a killed job stopped.

The folder of the translations holds a folder of the job: its description, and a list of the inputs in groups that share
no batch. A worker loads the model once, and translates a group at a time from plain data. A file is written whole or
not at all, so a file that is there is finished, if the description is that of the same model, options and inputs.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from tfpix2pix._version import __version__
from tfpix2pix.data.scalars import Scalar
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import digest_of, make_directory, remove_leftovers, stamp_of, whole_file
from tfpix2pix.inference.batching import GROUP, ImageTranslator, NotWritten
from tfpix2pix.inference.inputs import READERS, WaysOf
from tfpix2pix.inference.items import Input, Writer
from tfpix2pix.inference.steps import Options, Steps
from tfpix2pix.parallel import Outcome
from tfpix2pix.safe_files import parse_json

FOLDER, DESCRIPTION, LIST = ".tfpix2pix-translate", "job.json", "inputs.jsonl"


@dataclass(frozen=True)
class Origin:
    """Says where a translator was loaded from, so that other processes can load it too.

    Attributes:
        load: a function that can be pickled, which returns the translator.
        files: files that it is read from.
    """

    load: Callable[[], ImageTranslator]
    files: Callable[[], Iterable[Path]]


class Description(BaseModel):
    """Holds the content of `job.json`."""

    format_version: Literal[1] = 1
    package_version: str = __version__
    digest: str  # of all that decides the translations: model, options and inputs
    card: str  # digest of the model's card
    options: dict[str, Any]
    kind: str  # a key of `READERS`
    data: str | None = None  # folder of the pairs of `split`
    split: str | None = None
    offsets: list[int]  # of the groups in `inputs.jsonl`, bytes
    count: int  # of the inputs
    replaced: dict[str, tuple[int, int]] = {}  # files of others that the job replaces: time and number by path


@dataclass(frozen=True)
class Source:
    """Says how inputs are read: a key of `READERS` and what it is given."""

    kind: str
    data: str | None = None
    split: str | None = None


def translate_by_workers(
    run: Callable[..., list[Any]],
    translator: ImageTranslator,
    items: Sequence[Input],
    source: Source,
    options: Options,
    steps: Steps,
    check: Callable[[bool], None],
) -> list[Outcome]:
    """Returns the outcomes of all inputs, as `Steps.run` yields them. Inputs that are finished are left out.

    Args:
        run: runs an engine, as `EngineRow.run` with its options.
        steps: of this process, whose reader counts the notes of all workers.
        check: checks that every file can be written, before the first is. It is given whether the job is continued.

    Raises:
        UserError: the workers cannot load the translator, or read or write the job's folder; or as `check`.
        RunError: the engine does not run to its end.
    """
    origin = getattr(translator, "origin", None)
    if origin is None:
        raise UserError(
            "`engine` beam must go with a model that workers can load. Received one of a server, or one that was not "
            "loaded from a path. Name a run or an export, and leave `server` out."
        )
    volume = next((item for item in items if item.volume), None)
    if volume is not None:
        raise UserError(
            f"`engine` beam must go with images. Received the volume {volume.files[0]}, which is written with all of "
            f"its slices. Leave `engine` out."
        )
    out = steps.writer.folder
    folder = out / FOLDER
    rows = [_row(item) for item in items]
    card = digest_of(translator.card.model_dump_json())
    stamps = [stamp_of(path) for path in sorted(origin.files())]
    digest = digest_of(__version__, card, stamps, asdict(options), asdict(source), rows)
    job = _description(folder)
    goes_on = job is not None and job.digest == digest
    check(goes_on)
    if goes_on:
        remove_leftovers(out)
    else:
        taken = (path for item in items for path in steps.writer.paths(item) if path.exists())
        replaced = {str(path.relative_to(out)): _identity(path) for path in taken}
        job = Description(
            digest=digest, card=card, options=asdict(options), **asdict(source), offsets=[], count=len(items),
            replaced=replaced,
        )  # fmt: skip
        _write(folder, job, rows)
    is_finished = partial(_is_finished, job, steps.writer)
    left = [not is_finished(item) for item in items]
    groups = [group for group in range(-(-len(items) // GROUP)) if any(left[group * GROUP : (group + 1) * GROUP])]
    if not all(left):
        before = f"{len(items) - sum(left)} of {len(items)} images were translated before"
        warnings.warn(f"{before} by the same job. They stay as they are.", stacklevel=3)
    answers = run(partial(open_job, origin.load, out.absolute()), groups, folder=folder) if groups else []
    refused = next((answer["refused"] for answer in answers if "refused" in answer), None)
    if refused:
        raise UserError(refused)
    failed = {}
    for answer in answers:
        steps.reader.notes.update(answer["notes"])
        steps.reader.clipped.update(answer["clipped"])
        for index, of_disk, message in answer["failed"]:
            failed[index] = NotWritten(message) if of_disk else UserError(message)
    missing = [index for index, item in enumerate(items) if index not in failed and not is_finished(item)]
    if missing:
        raise RunError(
            f"Every image must be there after the job. Received {items[missing[0]].name} that is not, and "
            f"{len(missing) - 1} more. Check that all workers write to one disk, then start the same command again."
        )
    return [
        Outcome(item, None if index in failed else steps.writer.paths(item), failed.get(index))
        for index, item in enumerate(items)
    ]


def open_job(load: Callable[[], ImageTranslator], out: Path) -> Callable[[int], dict[str, Any]]:
    """Loads a job's model in a worker. Returns a function that translates a group of inputs.

    The function's result is plain data: `failed`, (number of the input, whether the disk was the reason, message) of
    each that failed, `notes`, and `clipped` values. It is `refused`, a message, if this worker can translate nothing.
    """
    try:
        job = _description(out / FOLDER)
        if job is None:
            raise UserError(
                f"Every worker must reach the folder of the translations. Received {out}, which a worker does not "
                f"find. Name a folder on a disk that all machines share."
            )
        translator = load()
        if digest_of(translator.card.model_dump_json()) != job.card:
            raise UserError(
                f"The model must stay the same while workers translate. Received {translator.card.name!r}, which has "
                f"changed. Wait until its training has ended, then translate into another folder."
            )
        options = Options(**job.options)
        steps = Steps.of(translator, out, options)
        ways_of = READERS[job.kind](steps.reader.card, job.data, job.split)
    except UserError as error:
        message = str(error)
        return lambda group: {"refused": message}

    def translate(group: int) -> dict[str, Any]:
        items = list(_items(out / FOLDER / LIST, job, group, ways_of))
        steps.reader.notes.clear()
        steps.reader.sizes.clear()
        steps.reader.clipped.clear()
        numbers = {item.name: index for index, item in enumerate(items, group * GROUP)}
        outcomes = list(steps.complete(items, partial(_is_finished, job, steps.writer)))
        failed = [
            (numbers[done.item.name], isinstance(done.error, NotWritten), str(done.error))
            for done in outcomes
            if done.error
        ]
        return {"failed": failed, "notes": dict(steps.reader.notes), "clipped": steps.reader.clipped.plain()}

    return translate


def forget(out: Path) -> None:
    """Removes the description of a job in `out`, where other files of the same names are about to be written."""
    if _description(out / FOLDER) is not None:
        for name in (DESCRIPTION, LIST):
            (out / FOLDER / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            (out / FOLDER).rmdir()


def shared_path(path: str | Path | None) -> str | None:
    """Returns a path that means the same in another folder of another machine."""
    if path is None or "://" in str(path):
        return path
    return str(Path(path).expanduser().absolute())


def _row(item: Input) -> dict[str, Any]:
    files = [str(path.absolute()) for path in item.files]
    scalars = [[scalar.value, scalar.where] for scalar in item.scalars]
    stamps = [stamp_of(path) for path in item.files]
    return {"name": item.name, "files": files, "scalars": scalars, "stamps": stamps}


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def _is_finished(job: Description, writer: Writer, item: Input) -> bool:
    """Returns True if the job has written all files of an input."""
    for path in writer.paths(item):
        if not path.exists():
            return False
        replaced = job.replaced.get(str(path.relative_to(writer.folder))) if job.replaced else None
        if replaced and tuple(replaced) == _identity(path):
            return False
    return True


def _write(folder: Path, job: Description, rows: Sequence[dict[str, Any]]) -> None:
    make_directory(folder)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    with whole_file(folder / LIST) as temporary, temporary.open("wb") as file:
        for index, row in enumerate(rows):
            if index % GROUP == 0:
                job.offsets.append(file.tell())
            described = {key: row[key] for key in ("name", "files", "scalars")}
            file.write(json.dumps(described).encode() + b"\n")
    with whole_file(folder / DESCRIPTION) as temporary:
        temporary.write_text(json.dumps(job.model_dump()))


def _description(folder: Path) -> Description | None:
    try:
        return Description.model_validate(parse_json((folder / DESCRIPTION).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def _items(path: Path, job: Description, group: int, ways_of: WaysOf) -> Iterator[Input]:
    with path.open("rb") as file:
        file.seek(job.offsets[group])
        for index in range(group * GROUP, min((group + 1) * GROUP, job.count)):
            row = parse_json(file.readline().decode())
            files = tuple(map(Path, row["files"]))
            scalars = tuple(Scalar(value, where) for value, where in row["scalars"])
            ways = ways_of(index, files, scalars)
            yield Input(row["name"], ways.whole, files, open=ways.open, scalars=scalars, stored=ways.stored)
