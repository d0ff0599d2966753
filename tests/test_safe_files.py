"""JSON and YAML of other programs: they are read within bounds, and a ValueError refuses damaged text."""

import pytest

from tfpix2pix.safe_files import parse_json, parse_yaml, read_json_lines

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its aliases unfold to more than 100000 values"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 50_000, "nested too deeply"),
        ("a: \x00", "is not YAML"),
        ("a:\n  b: [", "line 2 is not YAML"),
        ("when: 2024-99-99", "month must be in 1..12"),
        ("n: " + "1" * 5000, "integer string conversion"),
        ("!!python/object:os.system x", "is not YAML"),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_yaml_and_yaml_that_would_take_all_memory_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)


def test_yaml_with_aliases_is_read():
    assert parse_yaml("a: &a {x: 1}\nb: *a\n") == {"a": {"x": 1}, "b": {"x": 1}}
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", b"\xff"])
def test_damaged_json_is_refused(text):
    with pytest.raises(ValueError, match="nested too deeply|.*"):
        parse_json(text)


@pytest.mark.parametrize("end", [b"", b'{"step": 3', b'{"step": 3, "l1": 0.1}}', b"\xff\x00\xfe", b"[" * 100_000, b"7"])
def test_lines_of_json_without_what_a_killed_process_left(tmp_path, end):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"l1": 0.5}\n{"step": 2, "l1": 0.1}\n' + end)
    assert read_json_lines(path, "step") == [{"step": 1}, {"step": 2, "l1": 0.1}]
    assert read_json_lines(tmp_path / "missing") == []
