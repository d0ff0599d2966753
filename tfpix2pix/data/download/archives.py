"""Downloads the paper's datasets: resumes after a cut, compares with the first download, unpacks all or nothing."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tarfile
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from tfpix2pix.data.download.fetch import CHUNK_BYTES, OTHER_PLACE, Partial, Track, read_json
from tfpix2pix.destinations import check_writable
from tfpix2pix.errors import RunError, UserError, redact_url, unknown_name
from tfpix2pix.files import TEMPORARY, make_directory, sha256_of, whole_directory, whole_file

BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
CLASHES = (FileExistsError, IsADirectoryError, NotADirectoryError)  # a file and a folder of one name


def unpack(archive: Path, folder: Path, url: str, *, holds: str = "train", other_place: str = OTHER_PLACE) -> None:
    """Writes an archive's files into `folder`, without its single top folder.

    Args:
        archive: .tar.gz file.
        folder: existing folder.
        url: where the archive is from, for messages.
        holds: folder that the archive must hold.
        other_place: advice in messages.

    Raises:
        UserError: the archive is unfit.
    """
    root = folder / "._unpacked"  # a name that no file of the archive gets
    most, room = 20 * archive.stat().st_size + (64 << 20), shutil.disk_usage(folder).free
    try:
        with gzip.open(archive) as stream:
            while stream.read(CHUNK_BYTES):  # read to the checksum, to see that it is whole and not a bomb
                if stream.tell() > min(most, room):
                    over = f"it unpacks to more than {min(most, room):,} bytes"
                    raise tarfile.ReadError(over) if most < room else OSError(f"{over}, the free space")
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    name, parts = PureWindowsPath(member.name), PurePosixPath(member.name).parts
                    if name.anchor or ".." in name.parts or not (member.isdir() or member.isreg()) or member.issparse():
                        raise tarfile.ReadError(f"{member.name!r} is not a plain file below its folder")
                    if member.isdir() or any(part[:2] == "._" or part in (".DS_Store", "__MACOSX") for part in parts):
                        continue  # folders are made with their files; the others are what macOS adds
                    path = root.joinpath(*parts)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file, CHUNK_BYTES)
                if any(rest.strip(b"\0") for rest in iter(lambda: tar.fileobj.read(CHUNK_BYTES), b"")):
                    raise tarfile.ReadError("something follows its end")  # tarfile ends at a damaged header
        top = list(root.glob("*"))
        source = top[0] if len(top) == 1 and top[0].name != holds else root
        if not (source / holds).is_dir():
            raise tarfile.ReadError(f"it does not hold a folder {holds}/")
    except (*BROKEN, *CLASHES) as error:
        raise UserError(
            f"An archive must be a whole .tar.gz of plain files, with {holds}/ among them. Received {url}: "
            f"{error}. It was removed: try again, or {other_place}."
        ) from error
    for path in list(source.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(root)


BASE_URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/"


@dataclass(frozen=True)
class Archive:
    """Describes the archive of a dataset on the authors' server."""

    file_name: str
    size_mb: int | None  # approximate


_SIZES_MB = (("facades", 31), ("cityscapes", 113), ("maps", 246), ("edges2shoes", 2200), ("edges2handbags", 8600))
ARCHIVES = {name: Archive(f"{name}.tar.gz", size_mb) for name, size_mb in (*_SIZES_MB, ("night2day", None))}


@dataclass(frozen=True)
class Downloaded:
    """Describes a dataset that has been downloaded."""

    name: str
    path: Path  # the folder
    url: str  # of the archive, as are the next two; without user, password and query
    size_bytes: int = 0
    sha256: str = ""
    already_there: bool = False


def download(
    name: str, out: str | Path, *, mirror: str | None = None, sha256: str | None = None,
    track: Track = lambda done, total: None, timeout_s: float = 30.0, attempts: int = 5, pause_s: float = 1.0,
) -> Downloaded:  # fmt: skip
    """Downloads the dataset `name` into the folder `out/name`, unless a recorded download is there already.

    Args:
        mirror: URL of a folder of archives or of one archive.
        sha256: digest that the archive must have.
        track: called with the bytes that have arrived and the total, None if unknown.
        timeout_s: longest wait for the server's next bytes.
        attempts: tries in a row without new bytes before it gives up. `out/.name.tar.gz.part` and its `.json` keep
            the bytes that have arrived.
        pause_s: wait before the next try; doubled after each failure.

    Raises:
        UserError: an argument or folder is unfit, another process downloads the same, or the archive is missing, unfit
            or not the expected one. An unfit archive is removed.
        RunError: the connection or the disk fails.
    """
    if name not in ARCHIVES:
        raise UserError(unknown_name("A dataset", name, ARCHIVES))
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UserError(f"A SHA-256 must be 64 hexadecimal digits. Received {sha256!r}. Copy it whole or leave it out.")
    out = Path(out).expanduser()
    url, record = archive_url(name, mirror), out / f"{name}.download.json"
    new = Downloaded(name, out / name, redact_url(url))
    expected = sha256 and replace(new, sha256=sha256.lower())
    try:
        recorded = read_json(record, "url", "size_bytes", "sha256")
        recorded = recorded and replace(new, **recorded, already_there=True)
        if new.path.exists() or new.path.is_symlink():
            if not recorded:
                raise UserError(
                    f"A download must not overwrite a folder. Received {new.path}, which has no record "
                    f"of one. Use it as it is, move it, or choose another `out`."
                )
            _check_same(recorded, expected, "correct `sha256`")
            return recorded
        check_writable(out)
        make_directory(out)
        with Partial(url, out / f".{name}.tar.gz.part", track, timeout_s) as part:
            part.fetch(attempts, pause_s)
            new = replace(new, size_bytes=part.file.tell(), sha256=sha256_of(part.path))
            _check_same(new, expected, "correct `sha256`")
            _check_same(new, recorded, f"remove {record} to accept this one")
            for stale in out.glob(f".{name}.*{TEMPORARY}"):  # left by a killed process
                shutil.rmtree(stale, ignore_errors=True)
            with whole_directory(new.path) as folder:
                unpack(part.path, folder, new.url)
                if not recorded:
                    when = {"downloaded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                    values = {key: getattr(new, key) for key in ("name", "url", "size_bytes", "sha256")} | when
                    with whole_file(record) as temporary:
                        temporary.write_text(json.dumps(values, indent=2), encoding="utf-8")
            return new
    except OSError as error:
        raise RunError(
            f"A dataset must be written to {out}. Received: {error.strerror or error}. "
            f"Free space or check the disk, then repeat the command to resume."
        ) from error


def archive_url(name: str, mirror: str | None) -> str:
    """Returns `mirror` if it is an archive's URL, else the URL of `name` in the folder `mirror`.

    Raises:
        UserError: `mirror` is not an http or https URL.
    """
    path, mark, query = (BASE_URL if mirror is None else mirror).partition("?")
    if not re.match(r"https?://[^/#\s.]{1,63}(\.[^/#\s.]{1,63})*\.?(/|$)", path, re.IGNORECASE):
        raise UserError(
            f"A mirror must be an http or https URL. Received {redact_url(mirror)!r}. Write it like {BASE_URL}."
        )
    if not any(text.endswith((".tar.gz", ".tgz")) for text in (path, query)):
        path = f"{path.rstrip('/')}/{ARCHIVES[name].file_name}"
    return path + mark + query


def _check_same(received: Downloaded, expected: Downloaded | None, way_out: str) -> None:
    """Raises UserError if `received` has another hash than `expected`, or another size if that is known."""
    size = received.size_bytes
    if expected and (received.sha256, size) != (expected.sha256, expected.size_bytes or size):
        raise UserError(
            f"An archive must be the one expected, {expected.size_bytes or 'any'} bytes of SHA-256 "
            f"{expected.sha256}. Received {size} bytes of {received.sha256} from {received.url}. "
            f"Either {OTHER_PLACE}, or {way_out}."
        )
