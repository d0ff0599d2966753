"""Which way round a set is, and which pairs are the other way."""

import numpy as np
import pytest

from tests.conftest import write_image
from tests.data.doctor.helpers import combine, examined, make_set, recompressed, scene, told
from tfpix2pix.data.doctor.measure import texture


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_note_says_what_a_run_would_learn(tmp_path, side):
    (note,) = examined(make_set(tmp_path), input_side=side).notes
    if side == "left":
        assert note == (
            "The left half (input) looks like a photograph and the right (target) like a drawing: a run learns "
            "photograph -> drawing. For the other direction: `--set data.input_side=right`."
        )
    else:
        assert note.startswith("The right half (input) looks like a drawing and the left (target) like a photograph")
        assert note.endswith("`--set data.input_side=left`.")


def test_halves_above_each_other(tmp_path):
    for seed in range(6):
        write_image(tmp_path / f"{seed}.png", np.concatenate(scene(seed), axis=0))
    (note,) = examined(tmp_path, input_side="bottom").notes
    assert "The bottom half (input) looks like a drawing" in note and "data.input_side=top" in note


def test_folders_and_tables_are_turned_otherwise(tmp_path):
    rows = ["input,target"]
    for seed in range(6):
        for folder, image in zip(("photos", "{maps}"), scene(seed), strict=True):
            write_image(tmp_path / folder / f"{seed}.png", image)
        rows.append(f"photos/{seed}.png,{{maps}}/{seed}.png")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    (note,) = examined(tmp_path, source="folders", input_folder="photos", target_folder="{maps}").notes
    assert "The inputs, in photos/, look like photographs and the targets, in {maps}/, like drawings" in note
    assert "`--set data.input_folder={maps} --set data.target_folder=photos`" in note
    (note,) = examined(tmp_path / "pairs.csv", source="table").notes
    assert f"exchange the words input and target in the first line of {tmp_path / 'pairs.csv'}" in note


def test_no_note_where_both_sides_look_alike(tmp_path):
    for seed in range(8):
        photo, _ = scene(seed)
        write_image(tmp_path / f"{seed}.png", combine(photo, 255 - photo))
    assert examined(tmp_path).notes == ()


def test_no_note_of_a_few_pairs(tmp_path):
    assert examined(make_set(tmp_path, train=2, val=1)).notes == ()


@pytest.mark.parametrize("quality", [None, 60])
def test_a_pair_the_other_way_round(tmp_path, quality):
    write_image(make_set(tmp_path, train=12) / "train" / "3.png", combine(*scene(3)[::-1]))
    if quality:
        for path in sorted(tmp_path.rglob("*.png")):
            recompressed(path, path.with_suffix(".jpg"), quality)
            path.unlink()
    result = examined(tmp_path)
    assert told(result) == [("swapped", "train", ("3",))]
    assert "Its input looks like a drawing and its target like a photograph" in result.findings[0].message


def test_where_no_way_is_clear_none_is_wrong(tmp_path):
    for seed in range(8):
        write_image(tmp_path / f"{seed}.png", combine(*scene(seed)[:: 1 if seed % 2 else -1]))
    result = examined(tmp_path)
    assert result.findings == () and result.notes == ()


def test_texture_of_what_is_flat_and_what_is_noise():
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert texture(flat) == 0
    step = flat.copy()
    step[:, 32:] = 255
    assert texture(step) == 0
    assert texture(scene(0)[0]) > texture(scene(0)[1]) + 0.1
