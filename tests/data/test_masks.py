"""Masks in every encoding: gray, one bit, palettes and arrays of bool are read alike, decided once for a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import tiny_config, write_image
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data.doctor import examine, quick_lines
from tfpix2pix.data.labels import decided_values, read_labels, read_side, to_classes
from tfpix2pix.data.opening import open_source, read_otherwise, with_class_values
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.resuming import to_resume

BLACK_WHITE = ((0, 0, 0), (255, 255, 255))
RED_BLUE_GRAY = ((255, 0, 0), (0, 0, 255), (128, 128, 128))
MASK = np.random.default_rng(0).integers(0, 2, (32, 32), np.uint8)
WHITE = np.ones((32, 32), np.uint8)


def photograph(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def palette_picture(indices, colors):
    picture = Image.fromarray(indices)
    picture.putpalette(np.ravel(colors).tolist())
    return picture


def as_array(mask, dtype, white):
    return lambda path: np.save(path, (mask * white).astype(dtype))


MASKS = {  # encoding -> (suffix, a function of a mask of 0 and 1 that returns how to write it)
    "gray": (".png", lambda mask: Image.fromarray(mask * np.uint8(255)).save),
    "gray-16-bit": (".png", lambda mask: Image.fromarray(mask * np.uint16(65535)).save),
    "gray-tiff": (".tif", lambda mask: Image.fromarray(mask * np.uint8(255)).save),
    "gray-gif": (".gif", lambda mask: Image.fromarray(mask * np.uint8(255)).save),
    "gray-palette": (".png", lambda mask: Image.fromarray(mask * np.uint8(255)).convert("P").save),
    "gray-alpha": (".png", lambda mask: Image.fromarray(np.dstack([mask * np.uint8(255), mask * 0 + 255])).save),
    "two-colours-palette": (".png", lambda mask: palette_picture(mask, BLACK_WHITE).save),
    "palette-white-first": (".png", lambda mask: palette_picture(1 - mask, BLACK_WHITE[::-1]).save),
    "palette-tiff-white-first": (".tif", lambda mask: palette_picture(1 - mask, BLACK_WHITE[::-1]).save),
    "one-bit": (".png", lambda mask: Image.fromarray(mask > 0).save),
    "one-bit-tiff": (".tif", lambda mask: Image.fromarray(mask > 0).save),
    "one-bit-gif": (".gif", lambda mask: Image.fromarray(mask > 0).save),
    "bool-array": (".npy", lambda mask: as_array(mask, bool, 1)),
    "array": (".npy", lambda mask: as_array(mask, np.uint8, 255)),
}


def write_pairs(folder, kind, masks, split="train"):
    for index, mask in enumerate(masks):
        suffix, write = MASKS[kind]
        path = folder / split / "target" / f"{index}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(mask)(path)
        write_image(folder / split / "input" / f"{index}.png", photograph(index + 10 * len(split)))
    return folder


def masks_config(folder, **options):
    settings = {"source": "folders", "dir": str(folder), "target_classes": 2, "image_size_px": 32, **options}
    return DataConfig.model_validate(settings)


@pytest.mark.parametrize("colors", [None, BLACK_WHITE, BLACK_WHITE[::-1]], ids=["values", "colours", "exchanged"])
@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_is_read_in_every_encoding(tmp_path, kind, colors):
    """By its values, or by the colours if there are any, also where all of it is white."""
    write_pairs(tmp_path, kind, [MASK, WHITE, 1 - MASK])
    config = with_class_values(masks_config(tmp_path, class_colors=colors), 0)
    source = open_source(config, "train", 0)
    for index, mask in enumerate((MASK, WHITE, 1 - MASK)):
        expected = 1 - mask if colors == BLACK_WHITE[::-1] else mask
        np.testing.assert_array_equal(source.read(index)[1][..., 0], expected)
    (result,) = {examine(config).exit_code, examine(masks_config(tmp_path, class_colors=colors)).exit_code}
    assert result == 0


def test_masks_whose_palettes_are_exchanged_are_read_by_their_levels(tmp_path):
    """Half of the files number white first, half black."""
    write_pairs(tmp_path, "two-colours-palette", [MASK, 1 - MASK])
    for index, mask in ((2, MASK), (3, WHITE)):
        palette_picture(1 - mask, BLACK_WHITE[::-1]).save(tmp_path / "train" / "target" / f"{index}.png")
        write_image(tmp_path / "train" / "input" / f"{index}.png", photograph(index))
    config = with_class_values(masks_config(tmp_path), 0)
    assert config.target_class_values == (0, 255)
    source = open_source(config, "train", 0)
    for index, mask in enumerate((MASK, 1 - MASK, MASK, WHITE)):
        np.testing.assert_array_equal(source.read(index)[1][..., 0], mask)
    assert examine(config).findings == ()
    before = masks_config(tmp_path, target_class_values="indices")  # a run that has recorded it goes on
    np.testing.assert_array_equal(open_source(before, "train", 0).read(2)[1][..., 0], 1 - MASK)


def test_a_palette_of_one_level_says_nothing_so_its_indices_count(tmp_path):
    palette_picture(MASK, ((0, 0, 0), (0, 0, 0))).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png", 2, masks_config(tmp_path))[..., 0], MASK)


@pytest.mark.parametrize("kind", MASKS)
def test_without_training_pairs_black_and_white_are_a_mask(tmp_path, kind):
    write_pairs(tmp_path, kind, [MASK], split="val")
    config = with_class_values(masks_config(tmp_path), 0)
    assert config.target_class_values is None
    np.testing.assert_array_equal(open_source(config, "val", 0).read(0)[1][..., 0], MASK)


def test_the_training_pairs_decide_once_and_a_run_records_it(tmp_path):
    """A later file with one value only is read as the run has decided, by translation, too."""
    write_pairs(tmp_path / "data", "gray", [MASK, 1 - MASK])
    write_pairs(tmp_path / "data", "gray", [WHITE, WHITE], split="val")
    plan = plan_training(tiny_config(data=masks_config(tmp_path / "data").model_dump()), tmp_path / "run")
    assert plan.config.data.target_class_values == (0, 255)
    assert plan.notes == (
        "Label maps of the target: 0 is class 0, 255 is class 1 (`data.target_class_values`, by the training pairs).",
    )
    card = ModelCard.from_json(ModelCard.of(plan.config, 1).to_json(), "a card")
    assert card.config == plan.config
    assert (plan.sources["val"].read(0)[1] == 1).all()
    assert (read_side(tmp_path / "data" / "val" / "target" / "0.png", 1, card.config.data) == 1).all()
    again = to_resume(card.config, tiny_config(data=masks_config(tmp_path / "data").model_dump()))
    assert again == card.config


def test_indices_0_and_1_are_no_mask_and_nothing_is_said(tmp_path):
    for index in range(2):
        write_image(tmp_path / "target" / f"{index}.png", MASK[..., np.newaxis])
        write_image(tmp_path / "input" / f"{index}.png", photograph())
    before = masks_config(tmp_path)
    now = with_class_values(before, 0)
    assert now.class_values == (None, "indices")
    assert read_otherwise(before, now) == []


@pytest.mark.parametrize(
    ("options", "values", "decided"),
    [
        ({}, {0, 255}, (0, 255)),
        ({}, {3, 9}, (3, 9)),
        ({}, {0, 1}, "indices"),
        ({}, {0, 128, 255}, "indices"),
        ({}, {255}, "indices"),
        ({}, set(), "indices"),
        ({"ignore_class": 255}, {0, 255}, "indices"),
        ({"target_classes": 3}, {0, 255}, "indices"),
        ({"class_colors": BLACK_WHITE}, {0, 1}, "indices"),
        ({"class_colors": BLACK_WHITE}, {0, 3, 250, 255}, "colors"),
        ({"class_colors": BLACK_WHITE}, {0, 65535}, "colors"),
        ({"class_colors": ((0, 0, 0), (255, 0, 0))}, {1, 2}, "indices"),  # indices from 1 are not black
    ],
)  # fmt: skip
def test_what_the_values_of_training_decide(options, values, decided):
    config = DataConfig.model_validate({"target_classes": 2, **options})
    assert decided_values(config.target_classes, config, values) == decided


def test_a_mask_of_more_values_is_refused_with_advice_that_works(tmp_path):
    """A blurred edge: neither indices nor two values, but near black or white."""
    blurred = (MASK * 255).astype(np.uint8)
    blurred[:, ::8] = 100
    write_image(tmp_path / "target" / "0.png", blurred[..., np.newaxis])
    write_image(tmp_path / "input" / "0.png", photograph())
    config = with_class_values(masks_config(tmp_path, held_out_fraction=0), 0)
    with pytest.raises(
        UserError, match=r"indices 0 to 1\. Received the value 100 in .*`data\.class_colors`.*\[0,255\]"
    ):
        open_source(config, "train", 0).read(0)
    config = with_class_values(masks_config(tmp_path, held_out_fraction=0, class_colors=BLACK_WHITE), 0)
    label_map = open_source(config, "train", 0).read(0)[1]
    np.testing.assert_array_equal(label_map[..., 0], blurred > 127)
    given = masks_config(tmp_path, held_out_fraction=0, target_classes=3, target_class_values=[0, 100, 255])
    label_map = open_source(given, "train", 0).read(0)[1]
    np.testing.assert_array_equal(label_map[..., 0], np.digitize(blurred, [50, 200]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_class_values": [0, 255, 3]}, "`data.target_class_values` must be 2 different values"),
        ({"target_class_values": [7, 7]}, "`data.target_class_values` must be 2 different values"),
        ({"target_class_values": "colors"}, "`data.target_class_values` must be other than colors, without `data.cla"),
        ({"target_class_values": [0, 255], "ignore_class": 255}, "`data.ignore_class` must be another value than tho"),
    ],
)
def test_values_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate({"target_classes": 2, **options})


def test_a_translated_mask_is_read_back_by_a_model_of_masks(tmp_path):
    """A translation holds class indices, whatever the values of the training files."""
    config = DataConfig.model_validate({"target_classes": 2, "target_class_values": (0, 255)})
    palette_picture(MASK, ((0, 0, 0), (128, 0, 0))).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_side(tmp_path / "a.png", 1, config)[..., 0], MASK)
    with pytest.raises(UserError, match=r"must hold the values \[0, 255\]\. Received the value 7 in a mask"):
        to_classes(np.full((2, 2, 1), 7, np.uint8), 2, config, "a mask", (0, 255))


class TestOnePicture:
    """One drawing of three classes in several encodings."""

    INDICES = np.random.default_rng(1).integers(0, 3, (32, 32), np.uint8)
    ORDER = np.array([2, 0, 1])  # place of each class in the palette
    CONFIG = DataConfig.model_validate({"input_classes": 3, "class_colors": RED_BLUE_GRAY, "image_size_px": 32})

    def files(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        drawn = Image.fromarray(np.array(RED_BLUE_GRAY, np.uint8)[self.INDICES])
        drawn.save(folder / "rgb.png")
        drawn.convert("P", palette=Image.Palette.ADAPTIVE, colors=3).save(folder / "adaptive.png")
        palette_picture(
            self.ORDER[self.INDICES].astype(np.uint8), np.array(RED_BLUE_GRAY)[np.argsort(self.ORDER)]
        ).save(folder / "permuted.png")
        drawn.save(folder / "drawn.gif")
        return sorted(folder.iterdir())

    def test_it_has_the_same_classes_wherever_it_is_read(self, tmp_path):
        files = self.files(tmp_path / "input")
        for file in files:
            write_image(tmp_path / "target" / f"{file.stem}.png", photograph())
            np.testing.assert_array_equal(read_side(file, 0, self.CONFIG)[..., 0], self.INDICES)
            np.testing.assert_array_equal(read_labels(file, 3, self.CONFIG)[..., 0], self.INDICES)
        (tmp_path / "table.csv").write_text(
            "\n".join(["input,target", *(f"input/{f.name},target/{f.stem}.png" for f in files)])
        )
        whole = {"held_out_fraction": 0}
        folders = self.CONFIG.model_copy(update={"source": "folders", "dir": str(tmp_path), **whole})
        write_shards(folders, str(tmp_path / "shards"))
        table = self.CONFIG.model_copy(update={"source": "table", "dir": str(tmp_path / "table.csv"), **whole})
        shards = self.CONFIG.model_copy(update={"source": "shards", "dir": str(tmp_path / "shards"), **whole})
        for config in (folders, table, shards):
            source = open_source(with_class_values(config, 0), "train", 0)
            assert len(source) == 4
            for index in range(4):
                np.testing.assert_array_equal(source.read(index)[0][..., 0], self.INDICES)
        assert examine(folders).kinds == {"duplicate": 1}  # the doctor sees one picture, four times

    def test_runs_of_before_read_the_indices_of_palettes_as_they_did(self, tmp_path):
        self.files(tmp_path)
        settings = json.loads(ModelCard.of(tiny_config(data=self.CONFIG.model_dump()), 1).to_json())
        del settings["config"]["data"]["input_class_values"], settings["config"]["data"]["target_class_values"]
        before = ModelCard.from_json(json.dumps(settings), "a card").config.data
        assert before.class_values == ("palette_indices", None)
        permuted = read_side(tmp_path / "permuted.png", 0, before)[..., 0]
        np.testing.assert_array_equal(permuted, self.ORDER[self.INDICES])
        directory = RunDirectory(tmp_path / "run")
        directory.path.mkdir()
        (directory.path / "config.yaml").write_text(json.dumps(settings["config"]))
        assert directory.config().data == before

    def test_a_palette_whose_index_stands_for_no_class_is_read_by_its_indices(self, tmp_path):
        """VOC and Cityscapes: no colour stands for no class."""
        (tmp_path / "input").mkdir()
        indices = self.INDICES.copy()
        indices[0] = 255
        colors = [*RED_BLUE_GRAY, *[(224, 224, 192)] * 253]
        palette_picture(indices, colors).save(tmp_path / "input" / "a.png")
        write_image(tmp_path / "target" / "a.png", photograph())
        update = {"source": "folders", "dir": str(tmp_path), "ignore_class": 255, "held_out_fraction": 0}
        before = self.CONFIG.model_copy(update=update)
        config = with_class_values(before, 0)
        np.testing.assert_array_equal(open_source(config, "train", 0).read(0)[0][..., 0], indices)
        assert config.input_class_values == "palette_indices"
        (line,) = read_otherwise(before, config)
        assert "palette files are read by their indices, because `data.ignore_class`" in line


def test_gray_indices_are_indices_though_there_are_colours_to_show_them(tmp_path):
    label_map = np.arange(3, dtype=np.uint8).reshape(1, 3, 1)
    config = DataConfig.model_validate({"input_classes": 3, "class_colors": RED_BLUE_GRAY})
    np.testing.assert_array_equal(to_classes(label_map, 3, config, "x"), label_map)
    with pytest.raises(UserError, match="class indices 0 to 2. Received the value 3 in x"):
        to_classes(label_map + 1, 3, config, "x")
    with pytest.raises(UserError, match="must be drawn in the colours"):  # black and white are not among them
        to_classes(np.zeros((2, 2, 1), bool), 3, config, "x")


BLACK_RED_BLUE = ((0, 0, 0), (255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif", ".bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_gray_indices_are_read_alike_however_many_channels_hold_them(tmp_path, mode, suffix):
    """A GIF, or a picture of three equal channels, would be black everywhere by the colours."""
    indices = np.random.default_rng(1).integers(0, 3, (32, 32), np.uint8)
    config = DataConfig.model_validate({"input_classes": 3, "class_colors": BLACK_RED_BLUE})
    if mode == "LA" and suffix in (".bmp", ".gif"):
        pytest.skip("not written")
    picture = Image.fromarray(indices).convert(mode)
    if suffix == ".gif":
        picture = picture.convert("RGB" if mode == "RGBA" else mode)
    picture.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_labels(tmp_path / f"a{suffix}", 3, config)[..., 0], indices)


def test_a_second_channel_that_is_not_opaque_is_refused():
    """It may be the channel of a class."""
    one_hot = np.dstack([1 - MASK, MASK]) * np.uint8(255)
    with pytest.raises(UserError, match="class indices 0 to 1. Received 2 channels of uint8 in x"):
        to_classes(one_hot, 2, DataConfig.model_validate({"input_classes": 2}), "x")


def test_gray_colours_of_classes_are_colours():
    """Black alone says nothing, and a gray that is a colour of a class is one."""
    black, dark = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 1, np.uint8)
    config = DataConfig.model_validate({"input_classes": 2, "class_colors": BLACK_WHITE[::-1]})
    assert (to_classes(black, 2, config, "x") == 1).all()
    config = DataConfig.model_validate({"input_classes": 2, "class_colors": ((1, 1, 1), (200, 0, 0))})
    assert (to_classes(dark, 2, config, "x") == 0).all()


def test_a_bool_array_is_a_black_and_white_picture(tmp_path):
    np.save(tmp_path / "a.npy", MASK > 0)
    image = read_side(tmp_path / "a.npy", 0, DataConfig())
    assert image.dtype == np.uint8 and set(np.unique(image)) == {0, 255}


class TestDoctor:
    def test_a_class_that_never_occurs_in_training_is_reported(self, tmp_path):
        """The old advice for a mask of 0 and 255, to ignore 255, leaves nothing but class 0."""
        write_pairs(tmp_path, "gray", [MASK, 1 - MASK])
        write_pairs(tmp_path, "one-bit", [MASK], split="val")
        (finding,) = examine(masks_config(tmp_path, ignore_class=255, class_names=["road", "car"])).findings
        assert (finding.kind, finding.split) == ("absent", "train")
        assert finding.message == "Class 1 (car) occurs in no target of the training split: it cannot be learned."

    def test_it_says_what_it_took_the_values_for(self, tmp_path):
        write_pairs(tmp_path, "gray", [MASK, 1 - MASK])
        result = examine(masks_config(tmp_path))
        assert result.findings == ()
        assert result.notes[0].startswith("Label maps of the target: 0 is class 0, 255 is class 1 (`data.target_class_")

    def numbered_anew(self, folder, orders, colors=RED_BLUE_GRAY):
        """Each file has the colours of three classes in an order of its own, as `quantize` and GIF write them."""
        indices = np.random.default_rng(5).integers(0, 3, (32, 32))
        for position, order in enumerate(orders):
            path = folder / "target" / f"{position}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            permuted = np.argsort(order)[np.roll(indices, position)].astype(np.uint8)
            palette_picture(permuted, np.array(colors)[list(order)]).save(path)
            write_image(folder / "input" / f"{position}.png", photograph(position))
        return masks_config(folder, target_classes=3, held_out_fraction=0)

    def test_palettes_that_number_the_colours_differently_are_one_finding(self, tmp_path):
        config = self.numbered_anew(tmp_path, [(0, 1, 2), (0, 1, 2), (0, 2, 1), (2, 1, 0)])
        (finding,) = examine(config).findings
        assert (finding.kind, finding.pairs) == ("palettes", (("train", 0), ("train", 2)))
        assert [Path(file).name for file in finding.files] == ["0.png", "2.png"]
        assert "#808080 is index 2 in" in finding.message or "#0000ff is index 1 in" in finding.message
        (line, _) = quick_lines(examine(config))[:2]  # what a run says when it starts
        assert line.startswith("palettes: Palettes of the targets number") and "Set `data.class_colors`" in line
        by_colors = config.model_copy(update={"class_colors": RED_BLUE_GRAY})
        assert examine(by_colors).findings == ()

    def test_palettes_of_one_order_or_of_other_colours_are_no_fault(self, tmp_path):
        assert examine(self.numbered_anew(tmp_path / "one", [(0, 1, 2), (0, 1, 2)])).findings == ()
        config = self.numbered_anew(tmp_path / "two", [(0, 1, 2)])
        other = np.random.default_rng(9).integers(0, 3, (32, 32)).astype(np.uint8)
        palette_picture(other, ((1, 2, 3), (4, 5, 6), (7, 8, 9))).save(tmp_path / "two" / "target" / "1.png")
        write_image(tmp_path / "two" / "input" / "1.png", photograph(1))
        assert examine(config).findings == ()

    @pytest.mark.parametrize("other", [[], [{"name": "height", "channels": 1, "range": [0, 4095]}]])
    def test_label_maps_among_the_parts_of_inputs_are_looked_at_too(self, tmp_path, other):
        """The stack of a label map alone is uint8, and with an image of a range it is float32."""
        config = self.numbered_anew(tmp_path, [(0, 1, 2), (0, 1, 2), (2, 1, 0)])
        for index in range(3):
            write_image(tmp_path / "height" / f"{index}.png", photograph(index + 20)[..., 0].astype(np.uint16) * 16)
        inputs = [*other, {"name": "map", "kind": "labels", "folder": "target", "classes": 4}]
        settings = {"source": "folders", "dir": str(tmp_path), "inputs": inputs, "target_folder": "input"}
        data = DataConfig(**settings, image_size_px=32, held_out_fraction=0)
        absent, palettes = sorted(examine(data).findings, key=lambda finding: finding.kind)
        assert absent.message == "Class 3 occurs in no `map` of the inputs of the training split: it cannot be learned."
        assert palettes.kind == "palettes" and "Palettes of the `map` of the inputs number" in palettes.message
        assert [Path(file).parent.name for file in palettes.files] == ["target", "target"]
        by_colors = data.model_copy(update={"class_colors": (*RED_BLUE_GRAY, (9, 99, 9))})
        assert {finding.kind for finding in examine(by_colors).findings} == {"absent"}
        assert config.target_classes == 3

    def test_a_label_map_beside_an_input_of_several_files_is_looked_at_in_its_own_files(self, tmp_path):
        self.numbered_anew(tmp_path, [(0, 1, 2), (0, 1, 2), (2, 1, 0)])
        for index in range(3):
            write_image(tmp_path / "more" / f"{index}.png", photograph(9 + index))
        data = DataConfig(
            source="folders", dir=str(tmp_path), inputs=["input", "more"], target_classes=3, image_size_px=32,
            held_out_fraction=0,
        )  # fmt: skip
        (finding,) = examine(data).findings
        assert finding.kind == "palettes"
        assert [Path(file).parent.name for file in finding.files] == ["target", "target"]

    def test_every_missing_class_of_each_side_is_reported(self, tmp_path):
        for index in range(2):
            write_image(tmp_path / "input" / f"{index}.png", np.full((32, 32, 1), 3 * index, np.uint8))
            write_image(tmp_path / "target" / f"{index}.png", np.full((32, 32, 1), 1 - index, np.uint8))
        config = masks_config(tmp_path, input_classes=4, held_out_fraction=0)
        messages = [finding.message for finding in examine(config).findings]
        assert [message[:24] for message in messages] == ["Class 1 occurs in no inp", "Class 2 occurs in no inp"]

    def test_pairs_that_were_not_looked_at_may_have_the_class(self, tmp_path):
        write_pairs(tmp_path, "gray", [MASK * 0, MASK, MASK * 0])
        assert examine(masks_config(tmp_path, target_class_values=[0, 255]), at_most=1).findings == ()


def test_the_setting_is_written_and_read(tmp_path):
    for values in ("indices", "palette_indices", [0, 255]):
        config = make_config({"data": {"target_classes": 2, "target_class_values": values}})
        assert make_config(config.model_dump(mode="json")) == config
