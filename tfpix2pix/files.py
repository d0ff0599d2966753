"""Writes files and folders whole or not at all: to a temporary sibling, which is renamed when it is complete."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tfpix2pix.errors import RunError, UserError

TEMPORARY = ".tfpix2pix-tmp"  # ending of the names of files that are not complete yet
LEFTOVER = f".*{TEMPORARY}"
SYSTEM_FILES = re.compile(r"\._.*|\.DS_Store|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # that macOS and Windows add
SYSTEM_FOLDERS = re.compile(  # that Synology, Windows and macOS add
    r"@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information|__MACOSX|lost\+found", re.IGNORECASE
)
LONGEST_NAME_BYTES = 200  # file systems allow 255; the rest is for endings that are added
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(1, 10))}
EXPANDED = re.compile(r"[*?\[]" if os.name == "nt" else r"[*?\[\\]")  # by TensorFlow, in some paths
CACHE_VARIABLE = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path` and renames it to `path` if the block ends without an error.

    `durable`: wait for the disk, so that the file survives a power failure. Files that can be
    computed again need not survive it.
    """
    with _whole(path, path.parent, lambda temporary: temporary.replace(path), durable) as temporary:
        yield temporary


@contextmanager
def whole_directory(path: Path, *, clear: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Yields a temporary empty folder, calls `clear()` at the end and renames the folder to `path`.

    If `path` is a folder already, a link to one, or a mount point, the entries of the temporary folder are moved into
    it. Files with other names stay.
    """
    path = path.resolve()
    exists = path.is_dir()

    def move(temporary: Path) -> None:
        clear()
        if not exists:
            temporary.replace(path)
            return
        for entry in sorted(temporary.iterdir()):
            entry.replace(path / entry.name)

    with _whole(path, path if exists else path.parent, move) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def _whole(path: Path, folder: Path, move: Callable[[Path], object], durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path in `folder` and calls `move` at the end, which brings its content to `path`."""
    shortened = f"{path.name[:40]}.{zlib.crc32(os.fsencode(path.name)):08x}"  # file systems limit a name's length
    unique = f"{secrets.token_hex(4)}.{os.getpid()}"  # machines that share a disk have processes of the same number
    temporary = folder / f".{shortened}.{unique}{TEMPORARY}"
    make_directory(folder)
    try:
        _remove(temporary)
        yield temporary
        if durable:
            _to_disk(temporary)
        move(temporary)
        if durable:
            _to_disk(folder, deep=False)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, None)
        raise RunError(
            f"{path} must be written whole. Received: {error.strerror or error}. "
            f"{'Free space or choose' if full else 'Choose'} another place, then try again."
        ) from error
    finally:
        with suppress(OSError):  # of a disk that is gone; the error above says it
            _remove(temporary)


def safe_file_name(text: str) -> str:
    """Returns a file name for a name in a card, manifest, table or a server's answer.

    The result is one part of a path: it cannot lead to another folder or to a device. A safe name stays the same,
    unless it is longer than 200 bytes.
    """
    forbidden = '<>:"/\\|?*' if os.name == "nt" else "/"
    name = "".join("_" if c in forbidden or unicodedata.category(c) == "Cc" else c for c in text)
    if os.name == "nt":
        name = name.rstrip(". ")
        name = f"_{name}" if name.partition(".")[0].upper() in DEVICES else name
    if not name.strip("."):
        return "_" * max(1, len(name))
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        name = f"{os.fsencode(name)[: LONGEST_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"
    return name


def safe_path(text: str) -> str:
    """Returns a relative path for the name of a pair, whose folders are kept: each part by `safe_file_name`."""
    return "/".join(map(safe_file_name, text.split("/")))


def as_bytes(text: str) -> bytes:
    """Returns text in UTF-8. It may hold a file name of any bytes, which Python has as lone surrogates."""
    return text.encode(errors="surrogatepass")


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8. The lone surrogates of a file name that is not UTF-8 become `\\udce9`, as JSON has them."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def plain_path(path: Path) -> Iterator[str]:
    """Yields a path to `path` that TensorFlow takes literally.

    TensorFlow expands `*`, `?` and brackets in some paths, and takes no names that are not UTF-8. In place of such a
    path it gets a link in a temporary folder, as long as the block lasts. If it is a folder, it must exist. Files whose
    names begin with that of `path` and a dot, the parts of a checkpoint, are linked too.
    """
    if not EXPANDED.search(str(path)) and as_bytes(str(path)).decode(errors="replace") == str(path):
        yield str(path)
        return
    path = path.absolute()
    parts = [part.name for part in path.parent.iterdir() if part.name.startswith(f"{path.name}.")]
    with tempfile.TemporaryDirectory(prefix="tfpix2pix-") as folder:
        link = Path(folder) / "link"
        try:
            for name in (path.name, *parts):
                (link.parent / f"link{name.removeprefix(path.name)}").symlink_to(path.with_name(name))
        except OSError:  # Windows lets only some users make links
            link = path
        yield str(link)


def cache_directory() -> Path:
    """Returns the folder of the cache: `tfpix2pix` in $XDG_CACHE_HOME or ~/.cache, on Windows in %LOCALAPPDATA%.

    Raises:
        UserError: the variable is not set and the user has no home folder.
    """
    try:
        return Path(os.environ.get(CACHE_VARIABLE) or Path("~/.cache").expanduser()) / "tfpix2pix"
    except RuntimeError as error:
        raise UserError(
            f"The cache must have a folder. Received no home folder. Set {CACHE_VARIABLE} to a folder."
        ) from error


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _to_disk(path: Path, *, deep: bool = True) -> None:
    """Waits until a file, or a folder with all its files, would survive a power failure.

    A name must not reach the disk before its content.
    """
    for entry in [*path.rglob("*"), path] if deep and path.is_dir() else [path]:
        try:
            descriptor = os.open(entry, os.O_RDONLY)
        except OSError:  # some systems do not open folders
            continue
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some file systems cannot do it
                raise
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary siblings that killed processes left in `folder`."""
    for path in folder.glob(LEFTOVER):
        _remove(path)


def make_directory(path: Path) -> None:
    """Creates the folder `path` and its parents. Raises UserError if that is not possible."""
    try:
        path.resolve().mkdir(parents=True, exist_ok=True)  # for a link, its target
    except OSError as error:
        raise UserError(f"The folder {path} must be writable. Received: {error.strerror}. Choose another.") from error


def digest_of(*parts: Any) -> str:
    """Returns the SHA-256 of plain data, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def stamp_of(path: Path) -> tuple[str, int, int]:
    """Returns what changes with the content of a file: its size and the time of its last change, after its name."""
    try:
        status = path.stat()
    except OSError:  # whoever reads it says so
        return path.name, -1, -1
    return path.name, status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file of any size, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
