"""Fingerprints of pairs: they name each changed pair, and reading them takes little time."""

import pytest

from tfpix2pix.data.fingerprints import PART_BYTES, changes, digest_of, fingerprints
from tfpix2pix.data.pairs import Source


def source_of(files):
    """A source of pairs that lie in these files, by name."""
    return Source(list(files), read=None, files=lambda index: (list(files.values())[index],))


def test_names_and_contents_count_and_times_do_not(tmp_path):
    files = {name: tmp_path / f"{name}.png" for name in ("a", "b")}
    for name, path in files.items():
        path.write_text(name)
    before = fingerprints(source_of(files))
    files["a"].write_text("a")
    assert fingerprints(source_of(files)) == before
    files["a"].write_text("x")
    now = fingerprints(source_of(files))
    assert now["a"] != before["a"] and now["b"] == before["b"]


@pytest.mark.parametrize("place", [0, PART_BYTES - 1, PART_BYTES, -PART_BYTES, -1])
def test_the_beginning_and_the_end_of_a_large_file_count(place, tmp_path):
    path = tmp_path / "a.tif"
    content = bytearray(3 * PART_BYTES if place < PART_BYTES else 2 * PART_BYTES)
    path.write_bytes(content)
    before = fingerprints(source_of({"a": path}))
    content[place] = 1
    path.write_bytes(content)
    assert fingerprints(source_of({"a": path})) != before


def test_of_many_pairs_some_are_looked_into_and_all_are_named(tmp_path):
    files = {f"{number}": tmp_path / f"{number}" for number in range(10)}
    for path in files.values():
        path.write_text("x")
    digests = fingerprints(source_of(files), at_most=4)
    assert list(digests) == list(files)
    assert [name for name, digest in digests.items() if digest] == ["0", "2", "5", "7"]


def test_pairs_without_files_of_their_own_are_names():
    assert fingerprints(Source(["a", "b"], read=None)) == {"a": "", "b": ""}


def test_digests_that_a_source_knows_are_taken(tmp_path):
    assert fingerprints(Source(["a", "b"], read=None, digests=["1", "2"]), at_most=0) == {"a": "1", "b": "2"}


def test_a_file_that_cannot_be_read_is_left_to_whoever_reads_it(tmp_path):
    assert fingerprints(source_of({"a": tmp_path / "gone"})) == {"a": ""}


def test_what_differs_is_named():
    before = {"train": {"a": "1", "b": "1", "c": "1", "d": "", "e": "1"}, "val": {"v": "1"}}
    now = {"train": {"b": "2", "c": "1", "d": "9", "e": "", "f": "1"}, "val": {"v": "1"}}
    assert list(changes(before, now)) == [
        "train lacks 1 pair ('a'), has 1 pair more ('f'), holds other images in 1 pair ('b')"
    ]
    assert list(changes(before, before)) == []
    many = {"train": {str(number): "1" for number in range(5)}}
    assert list(changes(many, {"train": {}})) == ["train lacks 5 pairs ('0', '1', '2', …)"]


def test_one_digest_stands_for_all_and_for_no_other():
    one = {"train": {"a": "1"}, "val": {"b": "2"}}
    assert digest_of(one) == digest_of({"val": {"b": "2"}, "train": {"a": "1"}})
    others = [{"train": {"a": "1"}}, {"train": {"b": "1"}, "val": {"b": "2"}}, {"train": {"a": "1", "b": "2"}}]
    assert len({digest_of(splits) for splits in (one, *others)}) == 4
