"""An archive from the web, unpacked whole or not at all: plain files, below their folder, no more than fit."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from tfpix2pix.data.fetch import CHUNK_BYTES, OTHER_PLACE
from tfpix2pix.errors import UserError

BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
CLASHES = (FileExistsError, IsADirectoryError, NotADirectoryError)  # a file and a folder of one name


def unpack(archive: Path, folder: Path, url: str) -> None:
    """Writes an archive's files into `folder`, without its single top folder; raises UserError where it is unfit."""
    root = folder / "._unpacked"  # a name that no file of the archive gets
    most, room = 20 * archive.stat().st_size + (64 << 20), shutil.disk_usage(folder).free
    try:
        with gzip.open(archive) as stream:
            while stream.read(CHUNK_BYTES):  # once to its check sum: that it is whole, and no bomb
                if stream.tell() > min(most, room):
                    over = f"it unpacks to more than {min(most, room):,} bytes"
                    raise tarfile.ReadError(over) if most < room else OSError(f"{over}, the free space")
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    name, parts = PureWindowsPath(member.name), PurePosixPath(member.name).parts
                    if name.anchor or ".." in name.parts or not (member.isdir() or member.isreg()) or member.issparse():
                        raise tarfile.ReadError(f"{member.name!r} is no plain file below its folder")
                    if member.isdir() or any(part[:2] == "._" or part in (".DS_Store", "__MACOSX") for part in parts):
                        continue  # folders come with their files; the others are what macOS adds
                    path = root.joinpath(*parts)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file, CHUNK_BYTES)
                if any(rest.strip(b"\0") for rest in iter(lambda: tar.fileobj.read(CHUNK_BYTES), b"")):
                    raise tarfile.ReadError("something follows its end")  # tarfile ends at a damaged header
        top = list(root.glob("*"))
        source = top[0] if len(top) == 1 and top[0].name != "train" else root
        if not (source / "train").is_dir():
            raise tarfile.ReadError("it holds no folder train/")
    except (*BROKEN, *CLASHES) as error:
        raise UserError(
            f"An archive must be a whole .tar.gz of plain files, with train/ among them. Received {url}: "
            f"{error}. It was removed: try again, or {OTHER_PLACE}."
        ) from error
    for path in list(source.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(root)
