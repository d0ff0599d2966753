"""Every recipe of docs/data.md, line by line as it stands there, on data as it says; only networks and steps shrink."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests import real_pairs
from tests.conftest import others_slow, write_image
from tfpix2pix.cli import app
from tfpix2pix.data.images import read_image

DOC = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"\*\*(.+?)\*\*[^\n]*\n\n```\n(.+?)```", DOC.partition("\n## Recipes\n")[2], re.DOTALL))
SMALLER = [
    flag for setting in (
        "data.image_size_px=32", "generator.base_filters=8", "generator.levels=3", "discriminator.base_filters=8",
        "discriminator.receptive_field_px=16", "training.steps=2", "training.batch_size=1",
        "training.validation_images=1",
    ) for flag in ("--set", setting)
]  # fmt: skip


SPLITS = {"train": range(4), "val": range(4, 6)}


def smooth(index: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """A made photograph: coarse noise enlarged, 0 to 1."""
    coarse = np.random.default_rng(index).random((6, 6, channels))
    bands = [
        np.asarray(
            Image.fromarray(coarse[..., band].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        )
        for band in range(channels)
    ]
    return np.clip(np.stack(bands, axis=-1), 0, 1)


def picture(index: int, height: int = 80, width: int = 80, channels: int = 3) -> np.ndarray:
    return np.rint(smooth(index, height, width, channels) * 255).astype(np.uint8)


def facades(folder):
    """Drawings as the photographs, and their label maps in the colours of facades."""
    real_pairs.write(folder / "facades", real_pairs.label_maps(6, size_px=256), held_out=2)


def shoes(folder):
    """Drawings as the photographs, and their lines as the edges."""
    real_pairs.write(folder / "edges2shoes", real_pairs.drawings(6, size_px=256), held_out=2)


def pairs(folder, name, write, inputs="input", targets="target"):
    """`write(input path, target path, index)` for four pairs to train on and two held out."""
    for split, indices in SPLITS.items():
        for side in (inputs, targets):
            (folder / name / split / side).mkdir(parents=True)
        for index in indices:
            write(*(folder / name / split / side / f"{index}" for side in (inputs, targets)), index)


def two_folders(folder):
    def write(image, target, index):
        photograph = picture(index)
        write_image(image.with_suffix(".png"), 255 - photograph)
        write_image(target.with_suffix(".jpg"), photograph)

    pairs(folder, "two", write, "A", "B")


def cells(folder):
    def write(image, target, index):
        values = (smooth(index, 90, 80, 1)[..., 0] * 65535).astype(np.uint16)
        tifffile.imwrite(image.with_suffix(".tif"), values)
        tifffile.imwrite(target.with_suffix(".tiff"), 65535 - values)

    pairs(folder, "cells", write)


def sprites(folder):
    for split, indices in SPLITS.items():
        for index in indices:
            image = picture(index, channels=4)
            both = np.concatenate([image, 255 - image], axis=1)
            write_image(folder / "sprites" / split / f"{index}.png", both)


def satellite(folder):
    def write(image, target, index):
        bands = (smooth(index, 80, 80, 5) * 6 - 3).astype(np.float32)
        np.save(image.with_suffix(".npy"), bands)
        np.save(target.with_suffix(".npy"), bands.mean(axis=-1))

    pairs(folder, "satellite", write)


def streets(folder):
    def write(image, target, index):
        photograph = picture(index)
        label_map = photograph[..., :1] // 32
        label_map[:4] = 255
        write_image(image.with_suffix(".png"), label_map)
        write_image(target.with_suffix(".jpg"), photograph)

    pairs(folder, "streets", write)


def odd(folder):
    def write(image, target, index):
        photograph = picture(index, *((300, 500), (81, 67))[index % 2])
        write_image(image.with_suffix(".png"), 255 - photograph)
        write_image(target.with_suffix(".png"), photograph)

    pairs(folder, "odd", write)


def scans(folder):
    rows = ["input,target,split"]
    for index in range(6):
        photograph = picture(index)
        write_image(folder / "scans" / "Blätter roh" / f"Übung {index}, vorn.png", 255 - photograph)
        write_image(folder / "scans" / "fertig" / f"写真 {index}.png", photograph)
        split = "train" if index < 4 else "val"
        rows.append(f'"Blätter roh/Übung {index}, vorn.png",fertig/写真 {index}.png,{split}')
    (folder / "scans" / "pairs.csv").write_text("\n".join(rows), encoding="utf-8")


def photos(folder):
    for index in range(5):
        write_image(folder / "photos" / f"{index}.png", picture(index))


DATA = {
    "Labels to photographs: facades": facades,
    "Photographs to label maps: facades by class": facades,
    "Edges to shoes": shoes,
    "Two folders of different extensions": two_folders,
    "16-bit grayscale TIFF to TIFF": cells,
    "RGBA PNG": sprites,
    "Five channels in NPY files": satellite,
    "Label maps of class indices": streets,
    "300×500 px and odd sizes": odd,
    "A table": scans,
    "A folder of photographs": photos,
    "TFRecord shards": sprites,
}
# What the translations are: how many, of which shape where all are alike, of which depth.
RESULTS = {
    "Labels to photographs: facades": (2, (256, 256, 3), np.uint8),
    "Photographs to label maps: facades by class": (2, (256, 256, 1), np.uint8),
    "Edges to shoes": (2, (256, 256, 3), np.uint8),
    "16-bit grayscale TIFF to TIFF": (2, (90, 80, 1), np.uint16),
    "RGBA PNG": (2, (80, 80, 4), np.uint8),
    "Five channels in NPY files": (2, (80, 80, 1), np.float32),
    "300×500 px and odd sizes": (2, None, np.uint8),
    "TFRecord shards": (2, (80, 80, 4), np.uint8),
    "A folder of photographs": (1, (80, 80, 3), np.uint8),
}
USUAL = (2, (80, 80, 3), np.uint8)


def test_every_recipe_is_tried():
    assert set(RECIPES) == set(DATA) and len(RECIPES) == 12
    assert all(len(recipe.splitlines()) == 3 for recipe in RECIPES.values())


QUICK = (
    "Photographs to label maps: facades by class", "16-bit grayscale TIFF to TIFF", "A table", "TFRecord shards",
)  # fmt: skip


@pytest.mark.parametrize("name", others_slow(DATA, *QUICK))
def test_recipe(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    DATA[name](tmp_path / "data")
    for line in RECIPES[name].splitlines():
        program, *arguments = shlex.split(line)
        assert program == "tfpix2pix"
        assert not app([*arguments, *(SMALLER if arguments[0] == "train" else [])], standalone_mode=False), line
    count, shape, dtype = RESULTS.get(name, USUAL)
    written = sorted(path for path in (tmp_path / "translated").rglob("*") if path.is_file())
    assert len(written) == count
    for path in written:
        translation = read_image(path, palette="indices" if "label" in name else "colors")
        assert translation.dtype == dtype
        assert shape is None or translation.shape == shape
    if name.startswith("300"):
        assert {read_image(path).shape[:2] for path in written} == {(300, 500), (81, 67)}
    if "to label maps" in name:
        assert Image.open(written[0]).mode == "P"
        assert read_image(written[0], palette="indices").max() < 12
