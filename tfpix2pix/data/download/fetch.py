"""Downloads one file by range requests, and resumes after every cut of the connection."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from tfpix2pix.errors import RunError, UserError, redact_url
from tfpix2pix.safe_files import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CHUNK_BYTES = 1 << 16
OTHER_PLACE = "name another place by `mirror`"
Track = Callable[[int, "int | None"], None]  # (bytes that have arrived, bytes in all if known)


def read_json(path: Path, *keys: str) -> dict | None:
    """Reads the values of `keys` from a JSON file. Returns None if the file does not exist or lacks one."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        return {key: values[key] for key in keys}
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


class Partial:
    """Downloads an archive into the file `path`, which it locks. A note beside it records the archive's URL."""

    def __init__(self, url: str, path: Path, track: Track, timeout_s: float, *, other_place: str = OTHER_PLACE) -> None:
        self.other_place = other_place  # advice in messages
        self._url, self.url = url, redact_url(url)  # `url` is shown and stored
        self.path, self.track, self.timeout_s = path, track, timeout_s
        self.note, self.file, self.total, self.whole = path.with_name(f"{path.name}.json"), path.open("ab"), None, False
        try:
            if fcntl is not None:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system releases it with the process
        except OSError as error:
            if isinstance(error, BlockingIOError):  # other errors: the file system has no locks
                raise UserError(
                    f"An archive must be downloaded by one process at a time. Received {path}, held by another. Wait "
                    f"for that to end."
                ) from None
        note = read_json(self.note, "url", "validator")
        known = note is not None and note["url"] == self.url
        self.validator = note["validator"] if known else None  # ETag or date of the archive that the bytes are from
        if not self.validator:  # without it, the rest could be from another archive
            self.file.truncate(self.file.seek(0))

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        done = self.whole and kind in (None, UserError)  # unpacked, or unfit
        if done or not (self.validator and self.file.tell()):
            self.note.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        self.file.close()

    def fetch(self, attempts: int, pause_s: float) -> None:
        """Sends requests until all bytes have arrived. Raises RunError after `attempts` in a row without new bytes."""
        failures, most = 0, self.file.tell()
        while failure := self.request():
            failures, most = 0 if self.file.tell() > most else failures + 1, max(most, self.file.tell())
            if failures >= attempts:
                kept = "They are kept: repeat the command to resume" if self.validator else "Try again"
                raise RunError(
                    f"An archive must arrive whole. Received {self.file.tell()} of {self.total or '?'} "
                    f"bytes from {self.url}, then {failure}. {kept}, or {self.other_place}."
                )
            time.sleep(pause_s * 2 ** max(failures - 1, 0))
        self.file.flush()
        self.whole = True

    def request(self) -> str:
        """Sends one request. Returns "" if the archive is complete then, else why it is not.

        Raises:
            UserError: another request would fail in the same way.
        """
        have, headers = self.file.tell(), {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self.validator}  # requests omits a header that is None
        try:
            with requests.get(self._url, headers=headers, stream=True, timeout=self.timeout_s) as response:
                status, answer = response.status_code, response.headers
                sent = re.match(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", answer.get("Content-Range", ""))
                start, total = (int(group) if group else None for group in sent.groups()) if sent else (None, None)
                etag, length = answer.get("ETag", ""), answer.get("Content-Length", "")
                validator = answer.get("Last-Modified") if etag[:2] in ("", "W/") else etag
                if status >= 500:
                    return f"HTTP status {status}"
                if have and status == 416 and total == have:
                    return ""
                same = start == have and self.total in (None, total) and validator in (None, self.validator)
                if have and (status == 416 or (status == 206 and not same)):
                    self.file.truncate(self.file.seek(0))
                    return "an answer that does not continue from there"
                if status not in ((200, 206) if have else (200,)):
                    raise requests.HTTPError(f"HTTP status {status}")
                if status == 200:  # the whole file, whatever the request's range
                    self.file.truncate(self.file.seek(0))
                    have, self.validator = 0, validator
                    self.note.write_text(json.dumps({"url": self.url, "validator": self.validator}), encoding="utf-8")
                self.total = total or (have + int(length) if length.isdecimal() else None)
                most = (shutil.disk_usage(self.note.parent).free + have) // 2  # its files need as much room
                if self.total and self.total > most:
                    raise OSError(f"no room for {2 * self.total - have:,} bytes, the archive and its files")
                for block in response.raw.stream(CHUNK_BYTES, decode_content=False):
                    self.file.write(block)
                    if self.file.tell() > most:  # if the answer does not state its length
                        raise OSError(f"no room for more than {most:,} bytes and as many of its files")
                    self.track(self.file.tell(), self.total)
                return "" if self.total in (None, self.file.tell()) else "a cut"
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:  # urllib3's while the body is read
            while error.__context__:  # the innermost error has the system's own words
                error = error.__context__
            return "silence" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or "a cut"
        except requests.RequestException as error:
            raise UserError(
                f"An archive must be where its URL says. Received {error} from {self.url}. The link may be dead: "
                f"{self.other_place}."
            ) from error
