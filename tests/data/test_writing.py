"""`data pairs`: what is made on the fly, as files that give the same run."""

import numpy as np
import pytest
from skimage.data import astronaut

from tests.conftest import tiny_config, write_image
from tfpix2pix.data import OPERATORS
from tfpix2pix.data.opening import splits_of
from tfpix2pix.data.writing import write_pairs
from tfpix2pix.errors import UserError


@pytest.fixture
def photos(tmp_path):
    for index in range(5):
        write_image(tmp_path / "photos" / f"ä {index}.png", astronaut()[index * 40 :][:60, :50])
    return tmp_path / "photos"


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_files_are_the_pairs_made_on_the_fly(operator, photos, tmp_path):
    channels = {"mask": 4, "edges": 1, "grayscale": 1}.get(operator, 3)
    options = {"source": "photographs", "dir": str(photos), "operator": operator, "input_channels": channels}
    config = tiny_config(data=options)
    assert write_pairs(config.data, tmp_path / "out") == {"train": 4, "val": 1}
    written = tiny_config(data={"source": "folders", "dir": str(tmp_path / "out"), "input_channels": channels})
    for split, source in splits_of(config.data, config.seed).items():
        other = splits_of(written.data, written.seed)[split]
        assert list(other.names) == list(source.names)
        for index in range(len(source)):
            for image, same in zip(source.read(index), other.read(index), strict=True):
                np.testing.assert_array_equal(image, same)


def test_split_folders_stay(photos, tmp_path):
    for split in ("train", "val", "test"):
        write_image(tmp_path / "split" / split / "a.png", astronaut()[:60, :50])
    config = tiny_config(data={"source": "photographs", "dir": str(tmp_path / "split"), "input_channels": 1})
    assert write_pairs(config.data, tmp_path / "out") == {"train": 1, "val": 1, "test": 1}


def test_a_folder_that_exists_is_refused_and_nothing_is_left_of_a_failure(photos, tmp_path):
    config = tiny_config(data={"source": "photographs", "dir": str(photos), "input_channels": 1})
    with pytest.raises(UserError, match="must go into a new folder. Received .*photos, which exists"):
        write_pairs(config.data, photos)
    (photos / "z.png").write_text("no image")
    with pytest.raises(UserError, match="z.png, which is not in a supported format"):
        write_pairs(config.data, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}
