"""The paper's data sets from the web: resumed after a cut, held to the first download, unpacked whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tfpix2pix.data.fetch import OTHER_PLACE, Partial, Track, read_json
from tfpix2pix.data.unpack import unpack
from tfpix2pix.destinations import check_writable
from tfpix2pix.errors import RunError, UserError, redact_url, unknown_name
from tfpix2pix.files import TEMPORARY, make_directory, sha256_of, whole_directory, whole_file

BASE_URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/"


@dataclass(frozen=True)
class Archive:
    file_name: str
    size_mb: int | None  # about


_SIZES_MB = (("facades", 31), ("cityscapes", 113), ("maps", 246), ("edges2shoes", 2200), ("edges2handbags", 8600))
ARCHIVES = {name: Archive(f"{name}.tar.gz", size_mb) for name, size_mb in (*_SIZES_MB, ("night2day", None))}


@dataclass(frozen=True)
class Downloaded:
    name: str
    path: Path  # the folder
    url: str  # this and the next two of the archive; without user, password and query
    size_bytes: int = 0
    sha256: str = ""
    already_there: bool = False


def download(
    name: str, out: str | Path, *, mirror: str | None = None, sha256: str | None = None,
    track: Track = lambda done, total: None, timeout_s: float = 30.0, attempts: int = 5, pause_s: float = 1.0,
) -> Downloaded:  # fmt: skip
    """Fetches the data set `name` into the folder `out/name`; where it is there and recorded, nothing is fetched.

    `mirror` is the URL of a folder of archives or of one archive. After `attempts` tries in a row that brought nothing
    new it gives up; `out/.name.tar.gz.part` and its `.json` keep what has arrived. Raises UserError for an argument or
    a folder that will not do, a second download at the same time, an archive that is missing, unfit or another than
    expected (it is removed); RunError where the connection or the disk fails.
    """
    if name not in ARCHIVES:
        raise UserError(unknown_name("A data set", name, ARCHIVES))
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UserError(f"A SHA-256 must be 64 hexadecimal digits. Received {sha256!r}. Copy it whole or leave it out.")
    out = Path(out).expanduser()
    url, record = archive_url(name, mirror), out / f"{name}.download.json"
    new = Downloaded(name, out / name, redact_url(url))
    given = sha256 and replace(new, sha256=sha256.lower())
    try:
        recorded = read_json(record, "url", "size_bytes", "sha256")
        recorded = recorded and replace(new, **recorded, already_there=True)
        if new.path.exists() or new.path.is_symlink():
            if not recorded:
                raise UserError(
                    f"A download must not overwrite a folder. Received {new.path}, which has no record "
                    f"of one. Use it as it is with --data, move it, or choose another --out."
                )
            _check_same(recorded, given, "correct --sha256")
            return recorded
        check_writable(out)
        make_directory(out)
        with Partial(url, out / f".{name}.tar.gz.part", track, timeout_s) as part:
            part.fetch(attempts, pause_s)
            new = replace(new, size_bytes=part.file.tell(), sha256=sha256_of(part.path))
            _check_same(new, given, "correct --sha256")
            _check_same(new, recorded, f"remove {record} to accept this one")
            for stale in out.glob(f".{name}.*{TEMPORARY}"):  # of a process that was killed
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
            f"A data set must be written to {out}. Received: {error.strerror or error}. "
            f"Free space or mend the disk, then give the same command to go on."
        ) from error


def archive_url(name: str, mirror: str | None) -> str:
    """`mirror` if it is an archive's URL, else that of `name` in the folder `mirror`; raises UserError where none."""
    path, mark, query = (BASE_URL if mirror is None else mirror).partition("?")
    if not re.match(r"https?://[^/#\s.]{1,63}(\.[^/#\s.]{1,63})*\.?(/|$)", path, re.IGNORECASE):
        raise UserError(
            f"A mirror must be an http or https URL. Received {redact_url(mirror)!r}. Write it like {BASE_URL}."
        )
    if not any(text.endswith((".tar.gz", ".tgz")) for text in (path, query)):
        path = f"{path.rstrip('/')}/{ARCHIVES[name].file_name}"
    return path + mark + query


def _check_same(found: Downloaded, expected: Downloaded | None, way_out: str) -> None:
    """Raises UserError where `found` has another hash than expected, or another size if one is."""
    if expected and (found.sha256, found.size_bytes) != (expected.sha256, expected.size_bytes or found.size_bytes):
        raise UserError(
            f"An archive must be the one expected, {expected.size_bytes or 'any'} bytes of SHA-256 "
            f"{expected.sha256}. Received {found.size_bytes} bytes of {found.sha256} from {found.url}. "
            f"Either {OTHER_PLACE}, or {way_out}."
        )
