"""Downloads from a server that misbehaves: what arrives is whole and as expected, or one sentence says why not."""

import errno
import gzip
import hashlib
import io
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix.data import download as module
from tfpix2pix.data.download import ARCHIVES, BASE_URL, Downloaded, archive_url, download
from tfpix2pix.data.unpack import unpack
from tfpix2pix.errors import RunError, UserError

RANDOM = np.random.default_rng(0)
FILES = {f"train/{index}.jpg": RANDOM.bytes(90_000) for index in range(3)} | {"val/1.jpg": RANDOM.bytes(50_000)}
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
        body, asked = self.body, re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))
        sent = dict(self.headers)
        fits = request.headers.get("If-Range") in (None, sent.get("ETag"), sent.get("Last-Modified"))
        if status == 200 and asked and ranges and fits:
            first = int(asked[1]) if start is None else start
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
        """What the requests asked for, None for the whole."""
        return [headers.get("Range") for _, headers in self.seen]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


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


class TestWhole:
    def test_a_data_set_is_fetched_unpacked_and_recorded(self, site, tmp_path):
        out = tmp_path / "new" / "data"
        found = fetch(site, out)
        url = f"{site.url}facades.tar.gz"
        assert found == Downloaded("facades", out / "facades", url, len(GOOD), sha256(GOOD), already_there=False)
        assert_whole(out, site)
        record = json.loads((out / RECORD).read_text())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.pop("downloaded"))
        assert record == {"name": "facades", "url": url, "size_bytes": len(GOOD), "sha256": sha256(GOOD)}
        assert [path for path, _ in site.seen] == ["/sets/facades.tar.gz"]
        assert site.seen[0][1]["Accept-Encoding"] == "identity"

    def test_what_is_there_is_not_fetched_again(self, site, tmp_path):
        first = fetch(site, tmp_path)
        assert fetch(site, tmp_path, mirror="http://elsewhere.invalid/") == replace(first, already_there=True)
        assert fetch(site, tmp_path, sha256=first.sha256.upper()).already_there
        assert len(site.seen) == 1
        with pytest.raises(UserError, match=f"SHA-256 {'0' * 64}. Received .* of {first.sha256} .*correct --sha256"):
            fetch(site, tmp_path, sha256="0" * 64)
        assert_whole(tmp_path, site)

    def test_a_password_is_neither_stored_nor_said(self, site, tmp_path):
        secret = site.url.replace("//", "//ann:s3cret@")
        fetch(site, tmp_path, mirror=f"{secret}facades.tar.gz?token=s3cret")
        assert "Authorization" in site.seen[0][1]
        assert site.seen[0][0].endswith("?token=s3cret")
        assert "s3cret" not in (tmp_path / RECORD).read_text()
        for mirror in (secret.replace("http:", "ftp:"), f"{secret}missing.tar.gz?token=s3cret"):
            site.then({"status": 404})
            with pytest.raises(UserError) as error:
                fetch(site, tmp_path / "other", mirror=mirror)
            assert "s3cret" not in str(error.value)

    def test_a_folder_of_other_origin_is_left_alone(self, site, tmp_path):
        (tmp_path / "facades").mkdir()
        (tmp_path / "facades" / "mine.png").write_text("mine")
        with pytest.raises(UserError, match="must not overwrite .*facades, which has no record.*--data, move"):
            fetch(site, tmp_path)
        assert files(tmp_path) == {"facades/mine.png": b"mine"} and not site.seen

    def test_nor_is_a_link_that_leads_nowhere(self, site, tmp_path):
        (tmp_path / "facades").symlink_to("nowhere")
        with pytest.raises(UserError, match="must not overwrite"):
            fetch(site, tmp_path)
        assert names(tmp_path) == ["facades"] and not site.seen

    def test_a_folder_that_was_removed_comes_back(self, site, tmp_path):
        fetch(site, tmp_path)
        record = (tmp_path / RECORD).read_bytes()
        shutil.rmtree(tmp_path / "facades")
        assert not fetch(site, tmp_path, mirror=f"{site.url}again").already_there
        assert_whole(tmp_path, site)
        assert (tmp_path / RECORD).read_bytes() == record

    def test_progress_rises_to_the_whole(self, site, tmp_path):
        site.then({"cut": 130_000}, {"cut": 70_000})
        steps = []
        fetch(site, tmp_path, track=lambda *step: steps.append(step))
        done, totals = zip(*steps, strict=True)
        assert list(done) == sorted(done) and done[-1] == len(GOOD)
        assert set(totals) == {len(GOOD)}

    def test_without_a_content_length_the_total_is_unknown(self, site, tmp_path):
        site.then({"length": None})
        steps = []
        fetch(site, tmp_path, track=lambda *step: steps.append(step))
        assert steps[-1] == (len(GOOD), None)
        assert_whole(tmp_path, site)

    def test_a_gzip_that_the_server_calls_an_encoding_stays_one(self, site, tmp_path):
        site.headers["Content-Encoding"] = "gzip"
        assert fetch(site, tmp_path).sha256 == sha256(GOOD)
        assert_whole(tmp_path, site)


class TestNames:
    def test_the_papers_data_sets(self):
        assert {name: (archive.file_name, archive.size_mb) for name, archive in ARCHIVES.items()} == {
            "facades": ("facades.tar.gz", 31),
            "cityscapes": ("cityscapes.tar.gz", 113),
            "maps": ("maps.tar.gz", 246),
            "edges2shoes": ("edges2shoes.tar.gz", 2200),
            "edges2handbags": ("edges2handbags.tar.gz", 8600),
            "night2day": ("night2day.tar.gz", None),
        }

    def test_an_unknown_name_lists_the_known(self, tmp_path):
        with pytest.raises(UserError, match="one of: facades, .*Received 'facade'. Did you mean 'facades'"):
            download("facade", tmp_path)

    @pytest.mark.parametrize(
        ("mirror", "url"),
        [
            (None, f"{BASE_URL}maps.tar.gz"),
            ("https://host/sets", "https://host/sets/maps.tar.gz"),
            ("https://host/sets/", "https://host/sets/maps.tar.gz"),
            ("http://host", "http://host/maps.tar.gz"),
            ("HTTP://host:80/sets?key=1", "HTTP://host:80/sets/maps.tar.gz?key=1"),
            ("https://host/m.tar.gz", "https://host/m.tar.gz"),
            ("https://host/m.tgz?key=1", "https://host/m.tgz?key=1"),
            ("https://host/get?file=m.tar.gz", "https://host/get?file=m.tar.gz"),
            ("https://host/m.tar.gz/", "https://host/m.tar.gz/maps.tar.gz"),
        ],
    )
    def test_a_mirror_is_a_folder_or_an_archive(self, mirror, url):
        assert archive_url("maps", mirror) == url

    @pytest.mark.parametrize(
        "mirror",
        [
            "",
            "sets",
            "ftp://host/sets/",
            "file:///sets/",
            "http://",
            "http:///sets",
            "/sets",
            "http://a..b/",
            "http://" + "a" * 64,
        ],
    )
    def test_what_is_no_mirror(self, tmp_path, mirror):
        with pytest.raises(UserError, match=f"must be an http or https URL. Received '{mirror}'. Write"):
            download("facades", tmp_path, mirror=mirror)

    @pytest.mark.parametrize("mirror", ["http://[", "http://host:port/"])
    def test_nor_is_an_url_that_cannot_be_parsed(self, tmp_path, mirror):
        with pytest.raises(UserError, match="must be where its URL says. Received .*--mirror URL"):
            download("facades", tmp_path, mirror=mirror)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("digits", ["", "abc", "g" * 64, "0" * 63, "0" * 64 + "\n"])
    def test_a_hash_has_64_digits(self, site, tmp_path, digits):
        with pytest.raises(UserError, match="64 hexadecimal digits. Received"):
            fetch(site, tmp_path, sha256=digits)
        assert not site.seen

    def test_a_place_that_cannot_be_written(self, site, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="must be one that can be written"):
            fetch(site, tmp_path / "file" / "data")


class TestCuts:
    def test_the_rest_is_asked_for_and_only_the_rest(self, site, tmp_path):
        site.then({"cut": 100_000}, {"cut": 50_000})
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-", "bytes=150000-"]
        assert [headers.get("If-Range") for _, headers in site.seen] == [None, '"a"', '"a"']
        assert_whole(tmp_path, site)

    @settings(max_examples=25, deadline=None)
    @given(cuts=st.lists(st.integers(0, len(GOOD)), max_size=4))
    def test_wherever_it_is_cut_the_bytes_are_the_same(self, tmp_path_factory, cuts):
        site, out = Site().then(*({"cut": cut} for cut in cuts)), tmp_path_factory.mktemp("cuts")
        try:
            assert fetch(site, out).sha256 == sha256(GOOD)
            assert_whole(out, site)
        finally:
            site.close()

    def test_a_server_without_ranges_starts_again(self, site, tmp_path):
        site.then({"cut": 100_000}, {"ranges": False, "cut": 50_000}, {"ranges": False})
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-", "bytes=50000-"]
        assert_whole(tmp_path, site)

    @pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
    def test_an_archive_that_changes_meanwhile_starts_again(self, site, tmp_path, header):
        site.headers = {header: "Mon, 01 Jan 2024 00:00:00 GMT"}

        def change(done, total):
            if done >= 100_000:
                site.headers, site.body = {header: "Tue, 02 Jan 2024 00:00:00 GMT"}, OTHER

        site.then({"cut": 100_000})
        fetch(site, tmp_path, track=change)
        assert site.ranges() == [None, "bytes=100000-"]
        assert_whole(tmp_path, site, FILES | {"val/2.jpg": b"new"})

    def test_a_weak_tag_gives_way_to_the_date(self, site, tmp_path):
        site.headers = {"ETag": 'W/"a"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        site.then({"cut": 100_000})
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-"]
        assert site.seen[1][1]["If-Range"] == "Mon, 01 Jan 2024 00:00:00 GMT"

    @pytest.mark.parametrize(
        "answer",
        [{"start": 5}, {"headers": {"ETag": '"b"'}}, {"headers": {"Content-Range": "bytes"}}, {"start": len(GOOD)}],
    )
    def test_a_range_that_does_not_fit_starts_again(self, site, tmp_path, answer):
        site.then({"cut": 100_000}, answer)
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-", None]
        assert_whole(tmp_path, site)

    def test_a_silent_server_is_asked_again(self, site, tmp_path):
        site.then({"stall": 1 << 16}, {"stall": 0})
        fetch(site, tmp_path, timeout_s=0.2)
        assert site.ranges() == [None, "bytes=65536-", "bytes=65536-"]
        assert_whole(tmp_path, site)

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_servers_own_failure_is_waited_for(self, site, tmp_path, status):
        site.then({"status": status}, {"cut": 100_000}, {"status": status})
        fetch(site, tmp_path)
        assert site.ranges() == [None, None, "bytes=100000-", "bytes=100000-"]
        assert_whole(tmp_path, site)

    def test_pauses_double_and_news_reset_them(self, site, tmp_path, monkeypatch):
        pauses = []
        monkeypatch.setattr(module.time, "sleep", pauses.append)
        bad = {"status": 500}
        site.then(bad, bad, bad, bad, {"cut": 100_000}, bad, bad, bad, bad)
        fetch(site, tmp_path, pause_s=1)
        assert pauses == [1, 2, 4, 8, 1, 1, 2, 4, 8]

    def test_after_attempts_without_news_what_arrived_is_kept(self, site, tmp_path):
        site.then({"cut": 100_000}, *[{"cut": 0}] * 3)
        size = len(GOOD)
        with pytest.raises(RunError, match=f"Received 100000 of {size} bytes from http.*, then a cut. .*kept.*goes on"):
            fetch(site, tmp_path, attempts=3)
        assert len(site.seen) == 4
        assert names(tmp_path) == [PART, NOTE]
        assert (tmp_path / PART).read_bytes() == GOOD[:100_000]
        fetch(site, tmp_path)
        assert site.ranges()[-1] == "bytes=100000-"
        assert_whole(tmp_path, site)

    def test_a_server_that_always_starts_again_and_cuts_brings_no_news(self, site, tmp_path):
        site.headers = {}
        site.then(*[{"cut": 100_000, "ranges": False}] * 9)
        with pytest.raises(RunError, match="Received 100000 of"):
            fetch(site, tmp_path, attempts=3)
        assert len(site.seen) == 4

    def test_where_nothing_answers(self, site, tmp_path):
        site.close()
        with pytest.raises(RunError, match="Received 0 of . bytes from http.*, then [Cc]onnection refused"):
            fetch(site, tmp_path, attempts=2)
        assert names(tmp_path) == []

    def test_what_an_earlier_process_left_is_trusted_only_with_a_validator(self, site, tmp_path):
        site.headers = {}
        site.then({"cut": 100_000}, {"cut": 50_000}, {"status": 500})
        with pytest.raises(RunError, match="Received 150000 of .*HTTP status 500. Try again, or .*--mirror URL"):
            fetch(site, tmp_path, attempts=1)
        assert site.ranges() == [None, "bytes=100000-", "bytes=150000-"]  # within one call it is
        assert "If-Range" not in site.seen[1][1]
        assert names(tmp_path) == []
        fetch(site, tmp_path)
        assert site.ranges()[-1] is None
        assert_whole(tmp_path, site)

    @pytest.mark.parametrize("note", [None, "{", "[]", '{"url": "http://other/facades.tar.gz", "validator": "a"}'])
    def test_nor_without_a_note_of_where_it_is_from(self, site, tmp_path, note):
        (tmp_path / PART).write_bytes(b"x" * 1000)
        if note is not None:
            (tmp_path / NOTE).write_text(note)
        fetch(site, tmp_path)
        assert site.ranges() == [None]
        assert_whole(tmp_path, site)

    def test_a_killed_process_is_gone_on_from(self, site, tmp_path):
        site.then({"stall": 2 << 16})
        code = (
            f"from tfpix2pix.data.download import download; download('facades', {str(tmp_path)!r}, mirror={site.url!r})"
        )
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            until = time.monotonic() + 20
            while not ((tmp_path / PART).exists() and (tmp_path / PART).stat().st_size == 2 << 16):
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.02)
            with pytest.raises(UserError, match="by one process at a time. Received .*part, held by another"):
                fetch(site, tmp_path)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert names(tmp_path) == [PART, NOTE]
        fetch(site, tmp_path)
        assert site.ranges() == [None, f"bytes={2 << 16}-"]
        assert_whole(tmp_path, site)

    def test_an_interrupt_while_it_arrives_keeps_it(self, site, tmp_path):
        def interrupt(done, total):
            if done:
                raise KeyboardInterrupt

        pytest.raises(KeyboardInterrupt, fetch, site, tmp_path, track=interrupt)
        assert names(tmp_path) == [PART, NOTE]
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=65536-"]
        assert_whole(tmp_path, site)

    def test_an_interrupt_while_it_is_unpacked_keeps_the_whole(self, site, tmp_path, monkeypatch):
        def interrupt(archive, folder, url):
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, "unpack", interrupt)
            pytest.raises(KeyboardInterrupt, fetch, site, tmp_path)
        assert names(tmp_path) == [PART, NOTE]
        assert (tmp_path / PART).read_bytes() == GOOD
        fetch(site, tmp_path)
        assert site.ranges() == [None, f"bytes={len(GOOD)}-"]  # answered by 416: there is no more
        assert_whole(tmp_path, site)

    def test_what_a_killed_unpacking_left_is_removed(self, site, tmp_path):
        (tmp_path / ".facades.1.tfpix2pix-tmp" / "train").mkdir(parents=True)
        fetch(site, tmp_path)
        assert_whole(tmp_path, site)


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
    def test_an_archive_that_is_not_there_is_asked_for_once(self, site, tmp_path, status):
        site.then({"status": status, "length": 0, "cut": 0})
        with pytest.raises(UserError, match=f"HTTP status {status} from {site.url}facades.tar.gz.* --mirror URL"):
            fetch(site, tmp_path)
        assert len(site.seen) == 1 and names(tmp_path) == []

    def test_nor_are_endless_or_odd_redirections_followed(self, site, tmp_path):
        for where in ("ftp://host/", site.url):
            site.then(*[{"status": 302, "headers": {"Location": where}}] * 50)
            with pytest.raises(UserError, match="must be where its URL says.*--mirror URL"):
                fetch(site, tmp_path)
            assert names(tmp_path) == []

    def test_what_has_arrived_outlives_a_refusal(self, site, tmp_path):
        site.then({"cut": 100_000}, {"status": 429})
        with pytest.raises(UserError, match="HTTP status 429"):
            fetch(site, tmp_path)
        assert names(tmp_path) == [PART, NOTE]

    def test_another_archive_than_the_recorded_is_removed(self, site, tmp_path):
        fetch(site, tmp_path)
        shutil.rmtree(tmp_path / "facades")
        site.body, site.headers = OTHER, {"ETag": '"b"'}
        with pytest.raises(
            UserError, match=f"{len(GOOD)} bytes of .*{sha256(GOOD)}. Received {len(OTHER)} .*remove .*json"
        ):
            fetch(site, tmp_path)
        assert names(tmp_path) == [RECORD]
        (tmp_path / RECORD).unlink()
        fetch(site, tmp_path)
        assert_whole(tmp_path, site, FILES | {"val/2.jpg": b"new"})

    def test_so_is_another_of_the_same_size(self, site, tmp_path):
        fetch(site, tmp_path)
        shutil.rmtree(tmp_path / "facades")
        site.body = GOOD[:-1] + b"?"
        with pytest.raises(UserError, match=sha256(site.body)):
            fetch(site, tmp_path)
        assert names(tmp_path) == [RECORD]

    def test_another_than_the_hash_given_is_removed(self, site, tmp_path):
        with pytest.raises(UserError, match=f"any bytes of SHA-256 {'0' * 64}. Received .*{sha256(GOOD)} .*--sha256"):
            fetch(site, tmp_path, sha256="0" * 64)
        assert names(tmp_path) == []
        assert fetch(site, tmp_path, sha256=sha256(GOOD).upper()).sha256 == sha256(GOOD)

    def test_a_record_that_cannot_be_read_counts_for_none(self, site, tmp_path):
        (tmp_path / RECORD).write_text("{")
        fetch(site, tmp_path)
        assert_whole(tmp_path, site)

    def test_a_length_too_long_is_a_cut(self, site, tmp_path):
        site.then(*[{"length": len(GOOD) + 10, "ranges": False}] * 9)
        with pytest.raises(RunError, match=f"Received {len(GOOD)} of {len(GOOD) + 10} bytes"):
            fetch(site, tmp_path, attempts=2)
        assert names(tmp_path) == [PART, NOTE]

    @pytest.mark.parametrize("size", [len(GOOD) - 1, len(GOOD) // 2, 1, 0])
    def test_a_length_too_short_is_an_archive_that_is_not_whole(self, site, tmp_path, size):
        site.then({"length": size})
        with pytest.raises(UserError, match="must be a whole .tar.gz .*It was removed: try again, or .*--mirror URL"):
            fetch(site, tmp_path)
        assert names(tmp_path) == []


def plain(archive):
    return gzip.decompress(archive)


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def pax_bomb():
    """A header that promises much more text than memory holds, and some of it."""
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[156:157], header[124:136] = b"x", b"%011o\0" % (1 << 32)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    return gz(bytes(header) + bytes(80 << 20))


class TestArchives:
    @pytest.mark.parametrize(
        ("add", "name"),
        [
            (("/tmp/evil", tarfile.DIRTYPE, ""), "'/tmp/evil'"),
            (("../evil", tarfile.REGTYPE, ""), "'../evil'"),
            (("facades/../../evil", tarfile.REGTYPE, ""), "'facades/../../evil'"),
            (("..", tarfile.DIRTYPE, ""), "'..'"),
            (("facades\\..\\..\\evil", tarfile.REGTYPE, ""), "evil'"),
            (("C:\\evil", tarfile.REGTYPE, ""), "evil'"),
            (("facades/train/link", tarfile.SYMTYPE, "/etc"), "'facades/train/link'"),
            (("facades/train/link", tarfile.LNKTYPE, "facades/train/0.jpg"), "'facades/train/link'"),
            (("facades/.DS_Store", tarfile.SYMTYPE, "/etc"), "'facades/.DS_Store'"),
            (("facades/fifo", tarfile.FIFOTYPE, ""), "'facades/fifo'"),
            (("facades/tty", tarfile.CHRTYPE, ""), "'facades/tty'"),
            (("facades/disk", tarfile.BLKTYPE, ""), "'facades/disk'"),
        ],
    )
    def test_only_plain_files_below_the_folder(self, site, tmp_path, add, name):
        site.body = tar_gz(FILES, add=[add])
        with pytest.raises(
            UserError,
            match=f"plain files.*Received {site.url}.*: {re.escape(name)} is no plain file"
            if "\\" not in add[0]
            else "is no plain file",
        ):
            fetch(site, tmp_path / "data")
        assert names(tmp_path / "data") == [] and names(tmp_path) == ["data"]
        assert not Path("/tmp/evil").exists()

    @pytest.mark.parametrize("body", [tar_gz({"train/zeros": bytes(80 << 20)}), pax_bomb()], ids=["data", "headers"])
    def test_a_bomb_is_refused(self, site, tmp_path, body):
        site.body = body
        with pytest.raises(UserError, match="it unpacks to more than ..,...,... bytes"):
            fetch(site, tmp_path)
        assert names(tmp_path) == []

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"<!doctype html><title>Gone</title>", "[Nn]ot a gzipped file"),
            (b"", "empty file"),
            (gz(b"<!doctype html>"), "."),
            (gz(b"<!doctype html>" * 1000), "."),
            (GOOD[:100_000], "end-of-stream"),
            (GOOD[:-3], "end-of-stream"),
            (damaged(GOOD, 100_000), "."),
            (damaged(GOOD, len(GOOD) - 6), "CRC"),
            (GOOD + b"more", "[Nn]ot a gzipped file"),
            (gz(plain(GOOD)[:100_000]), "unexpected end of data"),
            (gz(damaged(plain(GOOD), 512 + 90_112 + 10)), "something follows its end"),
            (tar_gz({}), "no folder train/"),
            (tar_gz({"a/train/1.jpg": b"1"}), "no folder train/"),
            (tar_gz({"train": b"1"}), "no folder train/"),
            (tar_gz({"train": b"1", "train/1.jpg": b"1"}), "Not a directory|File exists"),
            (tar_gz({"train/1.jpg": b"1", "train": b"1"}), "Is a directory"),
            (tar_gz({"train/1.jpg": b"1"}, add=[("facades/train/a\0b", tarfile.REGTYPE, "")]), None),
        ],
    )
    def test_what_is_no_archive_of_a_data_set_is_removed(self, site, tmp_path, body, why):
        site.body = body
        if why is None:  # names end at a zero byte
            fetch(site, tmp_path)
            assert set(files(tmp_path / "facades")) == {"train/1.jpg", "train/a"}
            return
        with pytest.raises(UserError, match=f"must be a whole .tar.gz .*Received {site.url}.*({why}).*It was removed"):
            fetch(site, tmp_path)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("top", ["", "./", "./facades/", "elsewhere/"])
    def test_the_single_top_folder_is_left_out_whatever_its_name(self, site, tmp_path, top):
        site.body = tar_gz(FILES, top=top)
        fetch(site, tmp_path)
        assert_whole(tmp_path, site)

    def test_train_alone_is_no_top_folder(self, site, tmp_path):
        site.body = tar_gz({"train/1.jpg": b"1", "train/train/2.jpg": b"2"}, top="")
        fetch(site, tmp_path)
        assert_whole(tmp_path, site, {"train/1.jpg": b"1", "train/train/2.jpg": b"2"})

    def test_what_macos_adds_is_left_out(self, site, tmp_path):
        junk = {"._train": b"x", "train/._1.jpg": b"x", "train/.DS_Store": b"x", "__MACOSX/train/1.jpg": b"x"}
        site.body = tar_gz(
            {"._facades": b"x"} | {f"facades/{name}": data for name, data in (FILES | junk).items()}, top=""
        )
        fetch(site, tmp_path)
        assert_whole(tmp_path, site)

    def test_permissions_are_not_taken_from_it(self, site, tmp_path):
        site.body = tar_gz(FILES, mode=0o6777)
        fetch(site, tmp_path)
        (tmp_path / "mine").touch()
        modes = {path.stat().st_mode for path in (tmp_path / "facades").rglob("*.jpg")}
        assert modes == {(tmp_path / "mine").stat().st_mode}

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), min_size=1, max_size=3))
    def test_a_damaged_header_is_one_sentence_or_harmless(self, tmp_path_factory, changes):
        out = tmp_path_factory.mktemp("damaged")
        header = bytearray(tarfile.TarInfo("facades/train/1.jpg").tobuf(tarfile.GNU_FORMAT))
        for at, byte in changes:
            header[at] = byte
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
        (out / "a.tar.gz").write_bytes(gz(bytes(header) + plain(tar_gz({"train/2.jpg": b"2"}))))
        (out / "unpacked").mkdir()
        sentence = ""
        try:
            unpack(out / "a.tar.gz", out / "unpacked", "url")
        except UserError as error:
            sentence = str(error)
        assert not sentence or "must be a whole .tar.gz" in sentence
        assert names(out) == ["a.tar.gz", "unpacked"]


class TestDisk:
    def test_room_is_looked_for_first(self, site, tmp_path, monkeypatch):
        usage = namedtuple("usage", "free")
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(2 * len(GOOD) - 1))
        with pytest.raises(RunError, match=f"Received: no room for {2 * len(GOOD):,} bytes, .*Free space"):
            fetch(site, tmp_path)
        assert names(tmp_path) == []
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(2 * len(GOOD)))
        fetch(site, tmp_path)

    def test_an_answer_without_a_length_ends_where_the_room_does(self, site, tmp_path, monkeypatch):
        usage = namedtuple("usage", "free")
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(len(GOOD)))
        site.then({"length": None})
        with pytest.raises(RunError, match=f"Received: no room for more than {len(GOOD) // 2:,} bytes"):
            fetch(site, tmp_path)

    def test_a_disk_that_fills_up_keeps_what_arrived(self, site, tmp_path):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
            with pytest.raises(RunError, match="must be written to .*. Received: File too large. Free space"):
                fetch(site, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert names(tmp_path) == [PART, NOTE]
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-"]
        assert_whole(tmp_path, site)

    def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive(self, site, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(module.shutil, "copyfileobj", full)
            with pytest.raises(RunError, match="Received: No space left on device. Free space"):
                fetch(site, tmp_path)
        assert names(tmp_path) == [PART, NOTE]
        fetch(site, tmp_path)
        assert_whole(tmp_path, site)


def test_two_threads_of_downloads_do_not_mix(site, tmp_path):
    """One of the two gets the lock; the other is told so, or finds the data set there."""
    outcomes = []

    def one():
        try:
            outcomes.append(fetch(site, tmp_path).already_there)
        except UserError as error:
            outcomes.append(str(error))

    site.then({"stall": 0}, {})
    first = threading.Thread(target=one)
    first.start()
    while not site.seen:
        time.sleep(0.01)
    one()
    site.release.set()
    first.join()
    assert "by one process at a time" in outcomes[0] and outcomes[1] is False
    assert_whole(tmp_path, site)


def test_a_file_system_without_locks_will_do(site, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    fetch(site, tmp_path)
    assert_whole(tmp_path, site)
