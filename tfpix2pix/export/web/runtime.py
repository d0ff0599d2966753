"""Obtains LiteRT.js, which runs .tflite files in browsers: from a folder of the user, or once from an npm registry."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.data.download.archives import unpack
from tfpix2pix.data.download.fetch import Partial
from tfpix2pix.errors import RunError, UserError, redact_url
from tfpix2pix.files import cache_directory, make_directory, whole_directory
from tfpix2pix.safe_files import read_regular_file

PACKAGE, VERSION = "@litertjs/core", "2.5.3"
LICENSE = "Apache-2.0"
REGISTRY = "https://registry.npmjs.org"
SHA512 = "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ=="  # of the archive
CORE = "dist/index.js"
# Builds by the name that the page gives them. Browsers without relaxed SIMD need the second.
BUILDS = {"relaxed": "wasm/litert_wasm_internal", "compatible": "wasm/litert_wasm_compat_internal"}
FILES = {  # of the package that a page needs -> SHA-512
    CORE: "WyevdHDt3wZauUKrGQed/ea70cEFa+sFfazl2IifPB0hMKs6PW6NuiYRJGawcsVBYPW0m8IirkbgJ/IoEubgjg==",
    f"{BUILDS['relaxed']}.js": (
        "JZ9MvSWnB+ac8pnfAAHqbXmABeAQKLKGBr4rVjuxSCS086XfQwwMYeGOqFpkOra00aeku00Pvy7tidOWKzfiVQ=="
    ),
    f"{BUILDS['relaxed']}.wasm": (
        "lBRMVBl1mFmdM60cKswGj6dbJJmSy8pwJE7QOHJ1dLDLINbj2vansEi01FGBhyGsfiz4RSlF1FCF3ZzE9b/76Q=="
    ),
    f"{BUILDS['compatible']}.js": (
        "irVXOG35yzX+ryulgJ1DzF613I41WPhTnlieQ3RYFziHxOkJ8IZ/HhMtYPUyGrLM5O5kpoD6YEJyEXJkoGAeug=="
    ),
    f"{BUILDS['compatible']}.wasm": (
        "5a+qwg0hp8q+ziVjA3FqISZf7BDgBqibS9eeprffsTtsVD92M4BmHCx78ect4PHshl1P0ntbKOk3rwxZnaVnMQ=="
    ),
}
OTHER_PLACE = f"name a folder of {PACKAGE} {VERSION}, unpacked, by `runtime`"


@dataclass(frozen=True)
class Runtime:
    """Holds the files of the runtime, checked against `FILES`."""

    core: str
    loaders: dict[str, str]  # by build
    binaries: dict[str, bytes]


def obtain(folder: str | Path | None = None, *, timeout_s: float = 30.0, attempts: int = 5) -> Runtime:
    """Returns the runtime in `folder`, an unpacked package. None: that in the cache, which is fetched if it is missing.

    Raises:
        UserError: the folder does not hold this version, or the registry gave another archive.
        RunError: the registry cannot be reached, or the cache cannot be written.
    """
    if folder is not None:
        return _read(Path(folder).expanduser())
    cached = cached_folder()
    with suppress(UserError):  # missing or damaged
        return _read(cached)
    _fetch(cached, timeout_s, attempts)  # not while that error is handled: messages name the cause of their own
    return _read(cached)


def cached_folder() -> Path:
    """Returns the folder that the fetched runtime is kept in."""
    return cache_directory() / f"litertjs-core-{VERSION}"


def registry() -> str:
    """Returns the URL of npm's registry: npm's environment variable, the `registry` of .npmrc here or in the home
    folder, or the public one."""
    variables = {name.lower(): value for name, value in os.environ.items() if value}
    files = (Path(".npmrc"), Path(variables.get("npm_config_userconfig", "~/.npmrc")))
    values = [variables.get("npm_config_registry", "")]
    for file in files:
        try:
            lines = file.expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, RuntimeError, UnicodeDecodeError):
            continue
        for key in (f"{PACKAGE.partition('/')[0]}:registry", "registry"):
            values += [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == key]
    url = next((value for value in values if re.match("https?://", value)), REGISTRY)
    return url.rstrip("/")


def _read(folder: Path) -> Runtime:
    contents = {}
    for name, expected in FILES.items():
        try:
            contents[name] = read_regular_file(folder / name)
        except OSError as error:
            raise UserError(
                f"A runtime must be the unpacked npm package {PACKAGE} {VERSION}. Received {folder}, in which {name} "
                f"cannot be read: {error.strerror}. Unpack `npm pack {PACKAGE}@{VERSION}` and name its folder package/."
            ) from error
        digest = base64.b64encode(hashlib.sha512(contents[name]).digest()).decode()
        if digest != expected:
            raise UserError(
                f"A runtime must be {PACKAGE} {VERSION} as it was published. Received {folder}, in which {name} has "
                f"another SHA-512: it is damaged or of another version. Unpack `npm pack {PACKAGE}@{VERSION}` again."
            )
    return Runtime(
        contents[CORE].decode(),
        {build: contents[f"{path}.js"].decode() for build, path in BUILDS.items()},
        {build: contents[f"{path}.wasm"] for build, path in BUILDS.items()},
    )


def _fetch(folder: Path, timeout_s: float, attempts: int) -> None:
    """Downloads the archive of the package, checks its SHA-512 and writes its files into `folder`."""
    url = f"{registry()}/{PACKAGE}/-/{PACKAGE.rpartition('/')[2]}-{VERSION}.tgz"
    make_directory(folder.parent)
    part = folder.with_name(f".{folder.name}.tgz.part")
    try:
        with Partial(url, part, lambda done, total: None, timeout_s, other_place=OTHER_PLACE) as archive:
            archive.fetch(attempts, pause_s=0.5)
            digest = hashlib.sha512(part.read_bytes()).digest()
            if base64.b64encode(digest).decode() != SHA512:
                raise UserError(
                    f"The archive of {PACKAGE} {VERSION} must have the SHA-512 {SHA512}. Received another from "
                    f"{redact_url(url)}. It was removed: check npm's `registry`, or {OTHER_PLACE}."
                )
            shutil.rmtree(folder, ignore_errors=True)  # if it is damaged
            with whole_directory(folder) as temporary:
                unpack(part, temporary, redact_url(url), holds="dist", other_place=OTHER_PLACE)
                for path in [path for path in temporary.rglob("*") if path.is_file()]:
                    if path.relative_to(temporary).as_posix() not in FILES:
                        path.unlink()
    except OSError as error:
        raise RunError(
            f"The runtime must be written to {folder.parent}. Received: {error.strerror or error}. Free space, or "
            f"{OTHER_PLACE}."
        ) from error
