"""Archives: what is refused, what is unpacked, and what a full disk leaves."""

import errno
import gzip
import re
import resource
import shutil
import tarfile
import threading
import time
from collections import namedtuple
from pathlib import Path

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
    assert_whole,
    fetch,
    files,
    gz,
    names,
    sha256,
    tar_gz,
)
from tfpix2pix.data.download import archives as module
from tfpix2pix.data.download.archives import unpack
from tfpix2pix.errors import RunError, UserError


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
    def test_an_archive_that_is_not_there_is_asked_for_once(self, site, tmp_path, status):
        site.then({"status": status, "length": 0, "cut": 0})
        with pytest.raises(UserError, match=f"HTTP status {status} from {site.url}facades.tar.gz.* by `mirror`"):
            fetch(site, tmp_path)
        assert len(site.seen) == 1 and names(tmp_path) == []

    def test_nor_are_endless_or_odd_redirections_followed(self, site, tmp_path):
        for where in ("ftp://host/", site.url):
            site.then(*[{"status": 302, "headers": {"Location": where}}] * 50)
            with pytest.raises(UserError, match="must be where its URL says.*by `mirror`"):
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
        with pytest.raises(UserError, match=f"any bytes of SHA-256 {'0' * 64}. Received .*{sha256(GOOD)} .*`sha256`"):
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
        with pytest.raises(UserError, match="must be a whole .tar.gz .*It was removed: try again, or .*by `mirror`"):
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
            match=f"plain files.*Received {site.url}.*: {re.escape(name)} is not a plain file"
            if "\\" not in add[0]
            else "is not a plain file",
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
            (tar_gz({}), "does not hold a folder train/"),
            (tar_gz({"a/train/1.jpg": b"1"}), "does not hold a folder train/"),
            (tar_gz({"train": b"1"}), "does not hold a folder train/"),
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

    @settings(max_examples=60)
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
