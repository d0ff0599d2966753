"""What a folder looks like when nobody says."""

import pytest

from tfpix2pix.data.guess import guess_source


@pytest.mark.parametrize(
    ("files", "path", "settings"),
    [
        (["train", "val"], ".", {}),
        (["A", "B"], ".", {"source": "folders", "input_folder": "A", "target_folder": "B"}),
        (["A"], ".", {}),
        (
            ["train/input", "train/target"],
            ".",
            {"source": "folders", "input_folder": "input", "target_folder": "target"},
        ),
        (["a/val", "b/val"], ".", {"source": "folders", "input_folder": "a", "target_folder": "b"}),
        ([], "pairs.CSV", {"source": "table"}),
        ([], "pairs.tsv", {"source": "table"}),
        ([], "nowhere", {}),
    ],
)
def test_a_folder_says_how_its_pairs_lie(tmp_path, files, path, settings):
    for name in files:
        (tmp_path / name).mkdir(parents=True)
    assert guess_source(tmp_path / path) == settings


def test_shards_are_known_by_their_manifest(tmp_path):
    (tmp_path / "shards.json").touch()
    assert guess_source(tmp_path) == {"source": "shards"}
