"""Files and folders appear whole or not at all."""

import json
import os
from pathlib import Path

import pytest

from tfpix2pix.errors import RunError
from tfpix2pix.files import (
    as_bytes,
    plain_path,
    remove_leftovers,
    safe_file_name,
    whole_directory,
    whole_file,
    write_text,
)


def test_a_file_appears_when_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with whole_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_nothing_stays_behind_a_failure(tmp_path, whole):
    def fail():
        with whole(tmp_path / "thing") as temporary:
            (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
            raise KeyError

    pytest.raises(KeyError, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_is_one_sentence(tmp_path):
    def fail():
        with whole_file(tmp_path / "file"):
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="Received: No space left on device. Free space"):
        fail()


def test_an_earlier_file_survives_a_failure(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    pytest.raises(KeyError, fail)
    assert path.read_text() == "before"


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_that_is_there_is_filled(tmp_path, link):
    """As one that a container mounts, in place of which no other can be put."""
    (tmp_path / "disk").mkdir()
    path = tmp_path / "disk"
    if link:
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "disk")
    (path / "mine").write_text("mine")
    number = path.stat().st_ino
    with whole_directory(path) as temporary:
        (temporary / "new").write_text("x")
        assert not (path / "new").exists()
    assert path.stat().st_ino == number
    assert sorted(file.name for file in path.iterdir()) == ["mine", "new"]


def test_of_leftovers_those_of_others_stay(tmp_path):
    for name in (".notes.tmp", ".a.1.tfpix2pix-tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".notes.tmp"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.b (1)", "a.b (1)"), ("Früchte", "Früchte"), ("a/b", "a_b"), ("../../etc/passwd", ".._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"), ("..", "__"), (".", "_"), ("", "_"), ("a\x00b\x1b[2Jc", "a_b_[2Jc"),
        (".hidden", ".hidden"), ("\udcff", "\udcff"),
    ],
)  # fmt: skip
def test_a_name_from_elsewhere_is_one_part_of_a_path(tmp_path, text, name):
    assert safe_file_name(text) == name
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("character", "aü😀")
def test_long_names_are_cut_and_stay_apart(tmp_path, character):
    names = {safe_file_name(character * 400 + ending) for ending in "ab"}
    assert len(names) == 2
    for name in names:
        with whole_file(tmp_path / f"{name}-12.png") as temporary:
            temporary.touch()


FOREIGN = os.fsdecode(b"caf\xe9")  # a name that is not UTF-8


@pytest.mark.parametrize("name", [FOREIGN, "\ud800", "ق😀", "a\nb", '"<&'])
def test_text_of_any_name_is_written_and_json_reads_it_back(tmp_path, name):
    write_text(tmp_path / "a.json", json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": name}
    assert as_bytes(name).decode(errors="surrogatepass") == name


@pytest.mark.parametrize("name", ["plain", "[a] b*?", FOREIGN, "back\\slash"])
def test_tensorflow_is_given_a_path_that_it_takes_literally(tmp_path, name):
    (tmp_path / name).mkdir()
    with plain_path(tmp_path / name) as plain:
        Path(plain, "file").write_text("x")
        assert plain.encode() and not set("*?[\\") & set(plain)
        assert (plain == str(tmp_path / name)) == (name == "plain")
    assert (tmp_path / name / "file").read_text() == "x"
    assert name == "plain" or not Path(plain).exists()


def test_the_parts_of_a_checkpoint_are_found_under_a_plain_name(tmp_path):
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / f"[m]-1.{suffix}").write_text(suffix)
    with plain_path(tmp_path / "[m]-1") as plain:
        assert Path(f"{plain}.index").read_text() == "index"
        assert Path(f"{plain}.data-00000-of-00001").read_text() == "data-00000-of-00001"


@pytest.mark.parametrize("name", [b"x" * 255, b"\xe9" * 255, "😀".encode() * 63, b"-", b"a\nb", b" ", b"a."])
def test_every_name_that_the_disk_takes_can_be_written_whole(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    with whole_file(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_what_is_in_the_way_of_the_temporary_file_is_one_sentence(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tfpix2pix.files._remove", refuse)

    def fail():
        with whole_file(tmp_path / "file"):
            pass

    with pytest.raises(RunError, match="Received: Permission denied"):
        fail()
