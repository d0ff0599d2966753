"""A server of archives that cuts, stalls and lies, and what is unpacked of them."""

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from tfpix2pix.data.download.archives import download

SIZES = {"train/0.jpg": 90_000, "train/1.jpg": 90_000, "train/2.jpg": 90_000, "val/1.jpg": 50_000}
FILES = {name: np.random.default_rng([*name.encode()]).bytes(size) for name, size in SIZES.items()}
PART, NOTE, RECORD = ".facades.tar.gz.part", ".facades.tar.gz.part.json", "facades.download.json"


def gz(data):
    """Without the time in it: names of tests are made of it, and all processes must find the same ones."""
    return gzip.compress(data, compresslevel=1, mtime=0)


def tar_gz(files, top="facades/", add=(), mode=0o644):
    """A .tar.gz of a folder with `files`; `add` are members of other kinds: (name, type, the name they link to)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(top + name)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
        for name, kind, target in add:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return gz(out.getvalue())


GOOD = tar_gz(FILES)
OTHER = tar_gz(FILES | {"val/2.jpg": b"new"})


class Site:
    """A server of one archive. `then` says how it answers the next requests; after them it answers well.

    status: another than 200; cut: bytes of the body that are sent before the connection ends; stall: the same, but the
    connection stays; ranges: whether `Range` is heeded; length: a Content-Length that is not true, None for none.
    """

    def __init__(self):
        self.body, self.headers, self.script, self.seen, self.release = GOOD, {"ETag": '"a"'}, [], [], threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.seen.append((self.path, dict(self.headers)))
                site.answer(self, **(site.script.pop(0) if site.script else {}))

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/sets/"

    def then(self, *answers):
        self.script = list(answers)
        return self

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, status=200, cut=None, stall=None, ranges=True, start=None, headers=(), **other):
        body, range_ = self.body, re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))
        sent = dict(self.headers)
        fits = request.headers.get("If-Range") in (None, sent.get("ETag"), sent.get("Last-Modified"))
        if status == 200 and range_ and ranges and fits:
            first = int(range_[1]) if start is None else start
            status = 206 if first < len(body) else 416
            sent["Content-Range"] = (
                f"bytes {first}-{len(body) - 1}/{len(body)}" if status == 206 else f"bytes */{len(body)}"
            )
            body = body[first:] if status == 206 else b""
        length = other.get("length", len(body))
        request.send_response(status)
        for name, value in (sent | ({} if length is None else {"Content-Length": str(length)}) | dict(headers)).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body[: cut if stall is None else stall])
        if stall is not None:
            request.wfile.flush()
            self.release.wait(20)

    def ranges(self):
        """Returns the ranges that were requested; None for the whole archive."""
        return [headers.get("Range") for _, headers in self.seen]


def fetch(site, out, **options):
    return download("facades", out, **{"mirror": site.url, "pause_s": 0, "timeout_s": 5, **options})


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def assert_whole(out, site, expected=FILES):
    assert files(out / "facades") == expected
    assert names(out) == ["facades", RECORD]
    assert json.loads((out / RECORD).read_text())["sha256"] == sha256(site.body)
