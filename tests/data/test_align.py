"""Pairs whose target is shifted by known px, written anew: what comes out is cut from what was drawn, to the px."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.conftest import run_cli, write_image
from tests.data.doctor.helpers import combine, config_of, examined, scene
from tfpix2pix.data import align as align_module
from tfpix2pix.data.align import align
from tfpix2pix.data.formats import decode
from tfpix2pix.data.images import read_image
from tfpix2pix.errors import RunError, UserError

HEIGHT, WIDTH, ROOM = 90, 120, 40
SHIFTS = {"a": (0, 0), "b": (3, 0), "c": (0, -7), "d": (-5, 4), "e": (11, 9)}  # name -> px down and right


def drawn(seed, down=0, right=0):
    """A scene larger than its pair. The pair, and what both sides show: all of the photograph and drawing there."""
    photo, drawing = scene(seed, size_px=200)
    cut = (slice(ROOM, ROOM + HEIGHT), slice(ROOM, ROOM + WIDTH))
    moved = (slice(ROOM - down, ROOM - down + HEIGHT), slice(ROOM - right, ROOM - right + WIDTH))
    shared = (
        slice(ROOM + max(0, -down), ROOM + HEIGHT - max(0, down)),
        slice(ROOM + max(0, -right), ROOM + WIDTH - max(0, right)),
    )
    return (photo[cut], drawing[moved]), (photo[shared], drawing[shared])


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "shifts.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def of_folders(folder, **data):
    return config_of(folder, source="folders", **data).data


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_combined_images_are_cut_to_what_both_halves_show(tmp_path):
    expected = {}
    for seed, (name, shift) in enumerate(SHIFTS.items()):
        pair, expected[name] = drawn(seed, *shift)
        write_image(tmp_path / "in" / ("val" if name == "e" else "train") / f"{name}.png", combine(*pair))
    before = contents(tmp_path / "in")
    result = align(config_of(tmp_path / "in").data, tmp_path / "out")
    assert contents(tmp_path / "in") == before
    assert {row.name: (row.dy, row.dx) for row in result.rows} == SHIFTS
    assert result.counts == {"moved": 4, "aligned": 1, "unclear": 0, "too far": 0, "sizes differ": 0}
    assert {*contents(tmp_path / "out")} == {*before, "shifts.csv"}
    for name, sides in expected.items():
        (path,) = (tmp_path / "out").rglob(f"{name}.png")
        np.testing.assert_array_equal(read_image(path), combine(*sides))
    assert (tmp_path / "out/train/a.png").read_bytes() == before["train/a.png"]
    rows = table(tmp_path / "out")
    assert list(rows["d"]) == ["split", "name", "dy", "dx", "strength", "done"]
    assert [rows["d"][key] for key in ("split", "dy", "dx", "done")] == ["train", "-5", "4", "moved"]
    assert float(rows["d"]["strength"]) > 6 and rows["e"]["split"] == "val" and rows["a"]["done"] == "aligned"


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_whichever_half_is_the_input(tmp_path, side):
    pair, expected = drawn(1, 4, -6)
    axis, order = 0 if side in ("top", "bottom") else 1, 1 if side in ("left", "top") else -1
    write_image(tmp_path / "in" / "0.png", np.concatenate(pair[::order], axis=axis))
    result = align(config_of(tmp_path / "in", input_side=side).data, tmp_path / "out")
    assert (result.rows[0].dy, result.rows[0].dx) == (4, -6)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "0.png"), np.concatenate(expected[::order], axis=axis))


@pytest.mark.parametrize("layout", ["{split}/{name}", "{name}/{split}", "{split}{name}", "{name}"])
def test_folders_keep_their_layout_and_a_pair_aligned_anew_has_no_shift(tmp_path, layout):
    pair, expected = drawn(2, -8, 3)
    for name, image in zip(("input", "target"), pair, strict=True):
        for number in range(3):
            write_image(tmp_path / "in" / layout.format(split="train", name=name) / "sub" / f"{number}.png", image)
    align(of_folders(tmp_path / "in"), tmp_path / "out")
    for name, image in zip(("input", "target"), expected, strict=True):
        path = tmp_path / "out" / layout.format(split="train", name=name) / "sub" / "1.png"
        np.testing.assert_array_equal(read_image(path), image)
    again = align(of_folders(tmp_path / "out"), tmp_path / "again")
    assert {(row.dy, row.dx, row.done) for row in again.rows} == {(0, 0, "aligned")}


def deep(image):
    return image.astype(np.uint16) * 11 + 900  # 12 bits in 16


def as_float(image):
    return (image / np.float32(255)).astype(np.float32)


KINDS = {  # suffix, how an image is stored, how it is written
    "16 bits": (".png", lambda image: deep(image[..., 0]), lambda path, image: Image.fromarray(image).save(path)),
    "16 bits, color": (".tif", deep, lambda path, image: tifffile.imwrite(path, image, photometric="rgb")),
    "float": (".tiff", lambda image: as_float(image[..., 0]), tifffile.imwrite),
    "array of five channels": (".npy", lambda image: as_float(np.concatenate([image, image[..., :2]], -1)), np.save),
    "array of float64": (".npy", lambda image: image[..., 1] / 255, np.save),
}


@pytest.mark.parametrize("kind", KINDS)
def test_depth_and_format_stay(tmp_path, kind):
    suffix, stored, write = KINDS[kind]
    pair, expected = drawn(3, 5, -3)
    for name, image in zip(("input", "target"), pair, strict=True):
        (tmp_path / "in" / name).mkdir(parents=True)
        write(tmp_path / "in" / name / f"0{suffix}", stored(image))
    channels = {f"{name}_channels": 5 if "five" in kind else 3 for name in ("input", "target")}
    result = align(of_folders(tmp_path / "in", **channels), tmp_path / "out")
    assert (result.rows[0].dy, result.rows[0].dx) == (5, -3)
    for name, image in zip(("input", "target"), expected, strict=True):
        path = tmp_path / "out" / name / f"0{suffix}"
        written = np.load(path) if suffix == ".npy" else tifffile.imread(path) if "tif" in suffix else None
        written = np.asarray(Image.open(path)) if written is None else written
        assert written.dtype == stored(image).dtype and written.shape == stored(image).shape
        np.testing.assert_array_equal(written, stored(image))


def test_sides_of_opposite_contrast_and_a_label_map(tmp_path):
    """Dark for light; and a palette of class indices, which stay what they are."""
    (photo, drawing), (seen, map_) = drawn(4, -6, -2)
    colors, indices = np.unique(drawing.reshape(-1, 3), axis=0, return_inverse=True)
    for path in ("inverted/input", "inverted/target", "classes/input", "classes/target"):
        (tmp_path / path).mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "inverted/input/0.png")
    Image.fromarray(255 - drawing).save(tmp_path / "inverted/target/0.png")
    Image.fromarray(photo).save(tmp_path / "classes/input/0.png")
    labels = Image.fromarray(indices.reshape(drawing.shape[:2]).astype(np.uint8))
    labels.putpalette(colors.astype(np.uint8).ravel().tolist())
    labels.save(tmp_path / "classes/target/0.png")
    options = {"classes": {"target_classes": len(colors), "target_channels": 1}}
    for name, shown in (("inverted", 255 - map_), ("classes", map_)):
        align(of_folders(tmp_path / name, **options.get(name, {})), tmp_path / "out" / name)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / name / "input/0.png"), seen)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / name / "target/0.png"), shown)
    data = (tmp_path / "out/classes/target/0.png").read_bytes()
    rows = slice(6, None), slice(2, None)  # of the input; the target, which lies higher and to the left, ends earlier
    np.testing.assert_array_equal(
        decode(data, palette="indices")[..., 0], indices.reshape(drawing.shape[:2])[: -rows[0].start, : -rows[1].start]
    )


def test_what_cannot_be_corrected_is_copied_and_listed(tmp_path):
    (photo, drawing), _ = drawn(5, 9, 0)
    rng = np.random.default_rng(0)
    sides = {
        "far": (photo, drawing),
        "flat": (photo, np.full_like(photo, 200)),
        "noise": tuple(rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)),
        "tiny": (photo[:12, :12], drawing[:12, :12]),
        "sizes": (photo, drawing[:80]),
    }
    for name, pair in sides.items():
        for side, image in zip(("input", "target"), pair, strict=True):
            write_image(tmp_path / "in" / "train" / side / f"{name}.png", image)
    result = align(of_folders(tmp_path / "in"), tmp_path / "out", most_px=8)
    assert {row.name: row.done for row in result.rows} == {
        "far": "too far", "flat": "unclear", "noise": "unclear", "tiny": "unclear", "sizes": "sizes differ",
    }  # fmt: skip
    assert result.left == {
        "unclear": ["train/flat", "train/noise", "train/tiny"], "too far": ["train/far"],
        "sizes differ": ["train/sizes"],
    }  # fmt: skip
    copies = contents(tmp_path / "out")
    assert {path: data for path, data in copies.items() if path != "shifts.csv"} == contents(tmp_path / "in")
    rows = table(tmp_path / "out")
    assert (rows["far"]["dy"], rows["far"]["dx"]) == ("9", "0")
    assert rows["noise"]["dy"] == rows["noise"]["dx"] == rows["tiny"]["strength"] == ""


def test_inputs_of_several_files_are_cut_together(tmp_path):
    (photo, drawing), (seen, map_) = drawn(6, 2, 7)
    for name, image in (("photo", photo), ("gray", photo[..., :1]), ("target", drawing)):
        write_image(tmp_path / "in" / "train" / name / "0.png", image)
    data = of_folders(tmp_path / "in", inputs=[{"name": "photo"}, {"name": "gray", "channels": 1}], input_channels=4)
    align(data, tmp_path / "out")
    for name, image in (("photo", seen), ("gray", seen[..., :1]), ("target", map_)):
        np.testing.assert_array_equal(read_image(tmp_path / "out/train" / name / "0.png"), image)


def test_weights_are_cut_with_the_target(tmp_path):
    pair, expected = drawn(6, 2, 7)
    body, seen_body = drawn(7, 2, 7)  # its drawing is as large as the target and lies where the target does
    for name, image in (("input", pair[0]), ("target", pair[1]), ("mask", body[1][..., :1])):
        write_image(tmp_path / "in/train" / name / "0.png", image)
    (row,) = align(of_folders(tmp_path / "in", weight="mask"), tmp_path / "out").rows
    assert (row.dy, row.dx, row.done) == (2, 7, "moved")
    for name, image in (("input", expected[0]), ("target", expected[1]), ("mask", seen_body[1][..., :1])):
        np.testing.assert_array_equal(read_image(tmp_path / "out/train" / name / "0.png"), image)
    (again,) = align(of_folders(tmp_path / "out", weight="mask"), tmp_path / "again").rows
    assert again.done == "aligned"


def make_pairs(folder, count=3, shift=(4, 2)):
    for seed in range(count):
        write_image(folder / "train" / f"{seed}.png", combine(*drawn(seed, *shift)[0]))
    return folder


class TestMistakes:
    def test_the_output_is_new_and_outside_the_data(self, tmp_path):
        data = config_of(make_pairs(tmp_path / "in")).data
        for out, message in (
            (tmp_path / "in", "`out` must be a new or empty folder. Received"),
            (tmp_path / "in" / "aligned", "`out` must lie outside the data folder, which would hold every pair twice"),
        ):
            with pytest.raises(UserError, match=message):
                align(data, out)
        (tmp_path / "empty").mkdir()
        assert align(data, tmp_path / "empty").counts["moved"] == 3

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("table", "Received `data.source: table`. Put the files into two folders."),
            ("photographs", "whose inputs are made from the targets. Name a folder of pairs."),
            ("openmoji", "must lie in combined images or in folders .* Received `data.source: openmoji`"),
        ],
    )
    def test_other_layouts_are_refused(self, tmp_path, source, message):
        options = {"operator": "blur"} if source == "photographs" else {}
        data = config_of(make_pairs(tmp_path / "in"), source=source, **options).data
        with pytest.raises(UserError, match=message):
            align(data, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_an_error_or_an_interruption_leaves_nothing(self, tmp_path, monkeypatch):
        folder = make_pairs(tmp_path / "in")
        (folder / "train" / "9.png").write_bytes(b"")
        with pytest.raises(UserError, match="Every image must be readable and whole. Received .*9.png"):
            align(config_of(folder).data, tmp_path / "out")
        left = align(config_of(folder, on_error="skip").data, tmp_path / "skipped")
        assert len(left.rows) == 3 and not (tmp_path / "skipped" / "train" / "9.png").exists()

        def interrupted(items, total):
            yield next(iter(items))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            align(config_of(folder, on_error="skip").data, tmp_path / "out", track=interrupted)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(align_module, "_cut", full)
        with pytest.raises(RunError, match="must be written whole. Received: No space left"):
            align(config_of(folder, on_error="skip").data, tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"in", "skipped"}


class TestCommand:
    def test_it_writes_what_it_says(self, tmp_path):
        folder = make_pairs(tmp_path / "in", count=4)
        rng = np.random.default_rng(0)
        write_image(folder / "train" / "noise.png", rng.integers(0, 256, (HEIGHT, 2 * WIDTH, 3), np.uint8))
        code, out, err = run_cli("data", "align", folder, "--out", tmp_path / "out")
        assert (code, err) == (0, "")
        text = " ".join(out.split())
        assert "5 pairs, 4 of them moved, 0 aligned already" in text
        assert "Copied as they are, 1 without a clear peak: train/noise." in text and "shifts.csv" in text
        code, out, _ = run_cli("data", "align", folder, "--out", tmp_path / "near", "--most-px", 3, "--json")
        values = json.loads(out)
        assert values["counts"] == {"moved": 0, "aligned": 0, "unclear": 1, "too far": 4, "sizes differ": 0}
        assert values["left"]["too far"] == [f"train/{seed}" for seed in range(4)]
        assert values["pairs"][0] | {"strength": 0} == {
            "split": "train", "name": "0", "dy": 4, "dx": 2, "strength": 0, "done": "too far",
        }  # fmt: skip

    def test_pairs_that_are_left_out_are_named_and_counted(self, tmp_path):
        folder = make_pairs(tmp_path / "in", count=2)
        for name in ("8", "9"):
            (folder / "train" / f"{name}.png").write_bytes(b"")
        options = ("data", "align", folder, "--set", "data.on_error=skip")
        code, out, err = run_cli(*options, "--out", tmp_path / "out")
        text = " ".join(out.split())
        assert (code, err) == (0, "") and "2 pairs, 2 of them moved" in text
        assert "Left out, 2 that cannot be read or do not fit: 8 and 9. The first: Every image must be" in text
        left_out = json.loads(run_cli(*options, "--out", tmp_path / "other", "--json")[1])["left_out"]
        assert [*left_out] == ["8", "9"] and all("readable and whole" in message for message in left_out.values())
        assert align(config_of(make_pairs(tmp_path / "whole", count=1)).data, tmp_path / "third").left_out == ()

    def test_mistakes_are_one_sentence_in_its_own_words(self, tmp_path):
        folder = make_pairs(tmp_path / "in", count=1)
        code, out, err = run_cli("data", "align", folder, "--out", folder)
        assert (code, out) == (2, "") and err.startswith("Error: --out must be a new or empty folder. Received")
        code, _, err = run_cli("data", "align", tmp_path / "nowhere", "--out", tmp_path / "out")
        assert code == 2 and "must be an existing folder" in err
        code, _, err = run_cli("data", "align", folder, "--out", tmp_path / "out", "--most-px", 0)
        assert code == 2 and "--most-px" in err


def test_the_doctor_finds_nothing_in_what_was_aligned(tmp_path):
    rng = np.random.default_rng(1)
    for seed in range(10):
        write_image(tmp_path / "in" / f"{seed}.png", combine(*drawn(seed, *rng.integers(-12, 13, 2))[0]))
    assert list(examined(tmp_path / "in").kinds) == ["misaligned"]
    align(config_of(tmp_path / "in").data, tmp_path / "out")
    assert "misaligned" not in examined(tmp_path / "out").kinds
