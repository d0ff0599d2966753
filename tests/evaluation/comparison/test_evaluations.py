"""Evaluation folders, read: as they were written, or refused in a sentence."""

import json

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored, write
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison import read_evaluation
from tfpix2pix.evaluation.folder import Record

VALUES = np.random.default_rng(0).uniform(0.2, 0.6, 12)


@pytest.fixture
def folder(tmp_path):
    psnr = np.where(np.arange(12) == 3, np.nan, 10 * VALUES)
    return write(tmp_path / "a", scored("facades", {"l1": VALUES, "psnr_db": psnr}, whole={"fid": 120.5}))


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_was_written_is_read(folder):
    read, expected = read_evaluation(folder), scored("facades", {"l1": VALUES, "psnr_db": 10 * VALUES})
    assert read.name == "facades"
    assert read.path == folder
    assert read.images == tuple(f"{number:03}" for number in range(12))
    np.testing.assert_array_equal(read.rows["l1"], VALUES)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(read.rows["psnr_db"])), [3])
    np.testing.assert_array_equal(read.replicates["l1"], expected.replicates["l1"])
    assert read.replicates["fid"].tolist() == [120.5]
    assert read.figures["l1"] == expected.figures["l1"]
    assert read.members == ()


def test_the_record_is_read_as_it_was_written(folder):
    content = json.loads((folder / "metrics.json").read_text())
    assert read_evaluation(folder).record.to_json() == content
    assert list(content) == list(Record.model_fields)


def test_a_record_of_an_older_version_lacks_keys(folder):
    content = json.loads((folder / "metrics.json").read_text())
    for key in ("model", "kind", "step", "package_version", "created", "at_own_size", "not_measured", "notes"):
        del content[key]
    for key in ("of", "attribution", "target_levels"):
        content["data"].pop(key, None)
    for key in ("statistics", "noise", "variants", "segmenter", "features"):
        del content["protocol"][key]
    (folder / "metrics.json").write_text(json.dumps(content))
    record = read_evaluation(folder).record
    assert (record.step, record.notes, record.data.target_levels, record.protocol.segmenter) == (None, [], None, None)
    assert record.to_json() == content  # nothing is made up


def test_keys_of_a_newer_version_are_kept(folder):
    change(folder / "metrics.json", hardware="H200")
    assert read_evaluation(folder).record.to_json()["hardware"] == "H200"


def test_it_can_be_given_a_name(folder):
    assert read_evaluation(str(folder), "baseline").name == "baseline"


def test_a_folder_that_is_no_evaluation_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"^An evaluation must be a folder that `tfpix2pix evaluate` wrote\. .*which is not a folder"
    ):
        read_evaluation(tmp_path / "none")
    with pytest.raises(UserError, match=r"has no metrics\.json\. Evaluate the model first\.$"):
        read_evaluation(tmp_path)
    (tmp_path / "metrics.json").write_text('{"loss": 1}')
    with pytest.raises(UserError, match="no format version"):
        read_evaluation(tmp_path)


def test_another_format_version_is_refused(folder):
    change(folder / "metrics.json", format_version=2)
    with pytest.raises(UserError, match=r"must be of format version 1\. Received .* of 2\. Evaluate the model again"):
        read_evaluation(folder)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_a_row(path):
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def without_psnr(path):
    np.savez(path, **{name: values for name, values in np.load(path).items() if name != "psnr_db"})


def of_fewer_replicates(path):
    np.savez(path, **{name: values[:50] for name, values in np.load(path).items()})


def of_another_value(path):
    np.savez(path, **{name: values + 1 for name, values in np.load(path).items()})


DAMAGES = {
    "metrics.json, cut off": ("metrics.json", cut, ""),
    "metrics.json, no data": ("metrics.json", lambda path: change(path, data={}), "`data.dir`"),
    "metrics.json, no numbers": (
        "metrics.json",
        lambda path: change(path, figures={"l1": {"metric": "l1", "value": "0.3", "better": "lower"}}),
        "`figures.l1.value`",
    ),
    "per_image.csv, gone": ("per_image.csv", lambda path: path.unlink(), "missing"),
    "per_image.csv, a row less": ("per_image.csv", without_a_row, "11 images of 12"),
    "per_image.csv, no names": ("per_image.csv", lambda path: path.write_text("l1\n0.5\n"), "name"),
    "per_image.csv, words": ("per_image.csv", lambda path: path.write_text("name,l1\na,much\n"), ""),
    "per_image.csv, empty": ("per_image.csv", lambda path: path.write_text(""), "0 images of 12"),
    "bootstrap.npz, gone": ("bootstrap.npz", lambda path: path.unlink(), "missing"),
    "bootstrap.npz, cut off": ("bootstrap.npz", cut, ""),
    "bootstrap.npz, text": ("bootstrap.npz", lambda path: path.write_text("no"), ""),
    "bootstrap.npz, empty": ("bootstrap.npz", lambda path: path.write_bytes(b""), ""),
    "bootstrap.npz, a figure less": ("bootstrap.npz", without_psnr, "psnr_db"),
    "bootstrap.npz, fewer replicates": ("bootstrap.npz", of_fewer_replicates, "(50,) for 200"),
    "bootstrap.npz, of another evaluation": ("bootstrap.npz", of_another_value, "l1 is 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(folder, damage):
    file, spoil, reason = DAMAGES[damage]
    spoil(folder / file)
    with pytest.raises(UserError, match=rf"with a damaged {file}: .*\. Evaluate the model again\.$") as caught:
        read_evaluation(folder)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_groups_are_counted_in_a_record_that_does_not_say_how_many(tmp_path):
    groups = [f"g{number // 4}" for number in range(12)]
    folder = write(tmp_path / "a", scored("a", {"l1": VALUES}, groups=groups, group="^(.*)_"))
    assert read_evaluation(folder).drawn == 3
    content = json.loads((folder / "metrics.json").read_text())
    del content["data"]["groups"]
    (folder / "metrics.json").write_text(json.dumps(content))
    assert read_evaluation(folder).drawn == 12  # nothing says it
    (folder / "per_group.csv").write_text("group,images,l1\ng0,4,0.1\ng1,4,0.2\ng2,4,0.3\n")
    assert read_evaluation(folder).drawn == 3
