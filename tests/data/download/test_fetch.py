"""Downloads from a server that misbehaves: what arrives is whole and as expected, or one sentence says why not."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.download.site import (
    FILES,
    GOOD,
    NOTE,
    OTHER,
    PART,
    RECORD,
    Site,
    assert_whole,
    fetch,
    files,
    names,
    sha256,
)
from tfpix2pix.data.download import archives as module
from tfpix2pix.data.download.archives import ARCHIVES, BASE_URL, Downloaded, archive_url, download
from tfpix2pix.errors import RunError, UserError


class TestWhole:
    def test_a_data_set_is_fetched_unpacked_and_recorded(self, site, tmp_path):
        out = tmp_path / "new" / "data"
        downloaded = fetch(site, out)
        url = f"{site.url}facades.tar.gz"
        assert downloaded == Downloaded("facades", out / "facades", url, len(GOOD), sha256(GOOD), already_there=False)
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
        with pytest.raises(UserError, match=f"SHA-256 {'0' * 64}. Received .* of {first.sha256} .*correct `sha256`"):
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
        with pytest.raises(UserError, match="must not overwrite .*facades, which has no record.* as it is, move it"):
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
        with pytest.raises(UserError, match="must be where its URL says. Received .*`mirror`"):
            download("facades", tmp_path, mirror=mirror)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("digits", ["", "abc", "g" * 64, "0" * 63, "0" * 64 + "\n"])
    def test_a_hash_has_64_digits(self, site, tmp_path, digits):
        with pytest.raises(UserError, match="64 hexadecimal digits. Received"):
            fetch(site, tmp_path, sha256=digits)
        assert not site.seen

    def test_a_place_that_cannot_be_written(self, site, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="must be writable"):
            fetch(site, tmp_path / "file" / "data")


class TestCuts:
    def test_the_rest_is_asked_for_and_only_the_rest(self, site, tmp_path):
        site.then({"cut": 100_000}, {"cut": 50_000})
        fetch(site, tmp_path)
        assert site.ranges() == [None, "bytes=100000-", "bytes=150000-"]
        assert [headers.get("If-Range") for _, headers in site.seen] == [None, '"a"', '"a"']
        assert_whole(tmp_path, site)

    @settings(max_examples=25)
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
        monkeypatch.setattr("tfpix2pix.data.download.fetch.time", SimpleNamespace(sleep=pauses.append))
        bad = {"status": 500}
        site.then(bad, bad, bad, bad, {"cut": 100_000}, bad, bad, bad, bad)
        fetch(site, tmp_path, pause_s=1)
        assert pauses == [1, 2, 4, 8, 1, 1, 2, 4, 8]

    def test_after_attempts_without_news_what_arrived_is_kept(self, site, tmp_path):
        site.then({"cut": 100_000}, *[{"cut": 0}] * 3)
        size = len(GOOD)
        kept = "They are kept: repeat the command to resume"
        with pytest.raises(RunError, match=f"Received 100000 of {size} bytes from http.*, then a cut. {kept}"):
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
        with pytest.raises(RunError, match="Received 150000 of .*HTTP status 500. Try again, or .*`mirror`"):
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
            "from tfpix2pix.data.download.archives import download\n"
            f"download('facades', {str(tmp_path)!r}, mirror={site.url!r})"
        )
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            while not ((tmp_path / PART).exists() and (tmp_path / PART).stat().st_size == 2 << 16):
                assert process.poll() is None
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
