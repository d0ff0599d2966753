"""Files and folders appear whole or not at all."""

import pytest

from tfpix2pix.errors import RunError
from tfpix2pix.files import (
    file_name,
    json_lines,
    parsed_json,
    parsed_yaml,
    remove_leftovers,
    whole_directory,
    whole_file,
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
    assert file_name(text) == name
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("character", "aü😀")
def test_long_names_are_cut_and_stay_apart(tmp_path, character):
    names = {file_name(character * 400 + ending) for ending in "ab"}
    assert len(names) == 2
    for name in names:
        with whole_file(tmp_path / f"{name}-12.png") as temporary:
            temporary.touch()


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its aliases unfold to more than 100000 values"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 50_000, "nested too deeply"),
        ("a:\n  b: [", "line 2 is not YAML"),
        ("when: 2024-99-99", "month must be in 1..12"),
        ("n: " + "1" * 5000, "integer string conversion"),
        ("!!python/object:os.system x", "is not YAML"),
    ],
    ids=lambda text: text[:20],
)
def test_yaml_that_is_none_or_would_take_all_memory_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsed_yaml(text)


def test_yaml_with_aliases_is_read():
    assert parsed_yaml("a: &a {x: 1}\nb: *a\n") == {"a": {"x": 1}, "b": {"x": 1}}
    assert parsed_yaml("") is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", b"\xff"])
def test_json_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="nested too deeply|.*"):
        parsed_json(text)


@pytest.mark.parametrize("end", [b"", b'{"step": 3', b'{"step": 3, "l1": 0.1}}', b"\xff\x00\xfe", b"[" * 100_000, b"7"])
def test_lines_of_json_without_what_a_killed_process_left(tmp_path, end):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"l1": 0.5}\n{"step": 2, "l1": 0.1}\n' + end)
    assert json_lines(path, "step") == [{"step": 1}, {"step": 2, "l1": 0.1}]
    assert json_lines(tmp_path / "missing") == []
