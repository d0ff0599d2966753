"""Shards hold files as they are: what is read from them, and what a run makes of it, is the files' own, bit for bit."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, run_cli, tiny_config, write_image
from tests.data.test_scalars import WIND
from tests.data.test_targets import PARTS, write_pair
from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.fingerprints import fingerprints
from tfpix2pix.data.guess import SHARDS_MANIFEST
from tfpix2pix.data.opening import open_sources, splits_of
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.shard_job import length_of_record, record_of
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import RunError, UserError


def make_folders(folder):
    """Photographs and label maps, palettes among them, of different extensions."""
    rng = np.random.default_rng(0)
    for index in range(7):
        write_image(folder / "target" / f"ä {index}.png", rng.integers(0, 256, (40, 36, 3), np.uint8))
        label_map = Image.fromarray(rng.integers(0, 3, (40, 36), np.uint8))
        label_map.putpalette([9] * 768)
        (folder / "input").mkdir(exist_ok=True)
        label_map.save(folder / "input" / f"ä {index}.gif")


def combined(folder):
    for split, count in (("train", 5), ("val", 2), ("test", 1)):
        make_combined(folder / split, count=count)
    return {"dir": str(folder), "source": "combined", "input_side": "right"}


def undivided(folder):
    make_combined(folder, count=8)
    return {"dir": str(folder), "source": "combined", "held_out_fraction": 0.25}


def folders(folder):
    make_folders(folder)
    return {"dir": str(folder), "source": "folders", "input_classes": 3}


def table(folder):
    make_folders(folder)
    lines = [f"input/ä {index // 2}.gif,target/ä {index}.png" for index in range(7)]  # inputs with two targets
    (folder / "pairs.csv").write_text("\n".join(["input,target", *lines]), encoding="utf-8")
    return {"dir": str(folder / "pairs.csv"), "source": "table", "input_classes": 3}


KINDS = [combined, undivided, folders, table]


def several(folder):
    """Inputs with a number, and targets in several files."""
    for split, seeds in (("train", range(5)), ("val", range(5, 7))):
        for seed in seeds:
            write_pair(folder / split, f"{seed}", seed)
    (folder / "scalars.csv").write_text("name,wind\n" + "".join(f"{seed},{seed / 3}\n" for seed in range(7)))
    return {"dir": str(folder), "source": "folders", "inputs": [{"name": "input"}, WIND], "targets": PARTS}


def both(kind, tmp_path, shard_mb=0, **sections) -> tuple[Config, Config]:
    """The configuration over files, and the same over shards of them; 0 MB: every pair in a shard of its own."""
    (tmp_path / "files").mkdir()
    data = kind(tmp_path / "files")
    files = tiny_config(data=data, **sections)
    write_shards(files.data, str(tmp_path / "shards"), shard_mb=shard_mb)
    sharded = {**data, "dir": str(tmp_path / "shards"), "source": "shards"}
    return files, tiny_config(data=sharded, **sections)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_split_holds_the_same_pairs(kind, seed, tmp_path):
    files, sharded = both(kind, tmp_path, seed=seed)
    for split, source in splits_of(files.data, files.seed).items():
        other = splits_of(sharded.data, sharded.seed)[split]
        assert list(other.names) == list(source.names)
        for index in range(len(source)):
            for image, same in zip(source.read(index), other.read(index), strict=True):
                np.testing.assert_array_equal(image, same)
                assert image.dtype == same.dtype
    assert all(len(splits_of(files.data, files.seed)[split]) for split in ("train", "val"))


def test_undivided_data_are_divided_by_the_seed_that_reads_them(tmp_path):
    files, sharded = both(undivided, tmp_path)
    splits = set()
    for seed in range(3):
        of_files, of_shards = (splits_of(config.data, seed) for config in (files, sharded))
        assert list(of_shards["val"].names) == list(of_files["val"].names)
        splits.add(tuple(of_shards["val"].names))
    assert len(splits) > 1


def test_another_image_under_the_same_name_has_another_fingerprint(tmp_path):
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        files, sharded = both(combined, folder)
        if number:
            write_image(folder / "files" / "train" / "1.png", np.full((40, 80, 3), 7, np.uint8))
            write_shards(files.data, str(folder / "more"), shard_mb=0)
            data = sharded.data.model_copy(update={"dir": str(folder / "more")})
            sharded = sharded.model_copy(update={"data": data})
        digests.append(fingerprints(splits_of(sharded.data, sharded.seed)["train"]))
    assert {name for name in digests[0] if digests[0][name] != digests[1][name]} == {"1"}


@pytest.mark.parametrize("shard_mb", [0, 128])
def test_a_run_over_shards_ends_in_the_same_weights(shard_mb, tmp_path, quiet):
    weights = []
    least = least_config().model_dump(include={"generator", "objective"})
    for config in both(folders, tmp_path, shard_mb, **least):
        run = p2p.train(config, run_dir=tmp_path / f"run-{config.data.source}", console=quiet)
        weights.append([path.read_bytes() for path in sorted(run.directory.checkpoints.rglob("*.safetensors"))])
    assert weights[0] and weights[0] == weights[1]


def test_the_cache_of_files_changes_nothing(tmp_path):
    _, sharded = both(combined, tmp_path, shard_mb=1)
    results = []
    for room_mb in (0, 1024):
        data = sharded.data.model_copy(update={"cache_mb": 0, "cache_files_mb": room_mb})
        source = open_sources(data, sharded.seed)["train"]
        results.append(list(training_batches(source, data, batch_size=1, seed=0, first_step=0, total_steps=12)))
    for batch, same in zip(*results, strict=True):
        for image, other in zip(batch, same, strict=True):
            np.testing.assert_array_equal(image, other)


@pytest.mark.parametrize("kind", [combined, folders])
def test_rectangles_of_shards_are_those_of_the_files(kind, tmp_path):
    """By the command, to the batches of training, which jitter and flip."""
    (tmp_path / "files").mkdir()
    data = {**kind(tmp_path / "files"), "image_size_px": [32, 64]}
    settings = [f"--set=data.{key}={json.dumps(value)}" for key, value in data.items() if key != "dir"]
    code, _, err = run_cli("data", "shard", tmp_path / "files", "--out", tmp_path / "shards", *settings)
    assert code == 0, err
    batches = []
    for changes in ({}, {"source": "shards", "dir": str(tmp_path / "shards")}):
        config = tiny_config(data={**data, **changes})
        source = open_sources(config.data, config.seed)["train"]
        batches.append(list(training_batches(source, config.data, batch_size=2, seed=0, first_step=0, total_steps=6)))
    of_files, of_shards = batches
    for batch, same in zip(of_files, of_shards, strict=True):
        for image, other in zip(batch, same, strict=True):
            assert image.shape[:3] == (2, 32, 64)
            np.testing.assert_array_equal(image, other)
    assert not np.array_equal(of_files[0][1], of_files[1][1])


def test_any_tfrecord_reader_reads_them(tmp_path):
    both(folders, tmp_path)
    paths = sorted(str(path) for path in (tmp_path / "shards").glob("*.tfrecord"))
    assert len(paths) == 7
    record = next(iter(tf.data.TFRecordDataset(paths)))
    names = ("name", "input", "input_suffix", "target", "target_suffix")
    features = tf.io.parse_single_example(record, {name: tf.io.FixedLenFeature([], tf.string) for name in names})
    name = features["name"].numpy().decode()
    assert features["input"].numpy() == (tmp_path / "files" / "input" / f"{name}.gif").read_bytes()
    assert features["target_suffix"].numpy() == b".png"


class TestRefused:
    def test_a_damaged_shard_is_named(self, tmp_path):
        _, sharded = both(combined, tmp_path, shard_mb=1)
        shard = tmp_path / "shards" / "train-00000.tfrecord"
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        source = splits_of(sharded.data, sharded.seed)["train"]
        with pytest.raises(UserError, match=r"as it was written. Received .*train-00000.tfrecord, in which the pair '"):
            [source.read(index) for index in range(len(source))]
        shard.unlink()
        with pytest.raises(UserError, match=r"must be readable. Received .*train-00000.tfrecord"):
            splits_of(sharded.data, sharded.seed)["train"].read(0)

    @pytest.mark.parametrize(
        ("folders", "advice"),
        [(["input", "target"], "data.source=folders --set data.input_folder=input"), ([], "data.source=combined")],
    )
    def test_a_folder_of_files_is_to_be_read_by_another_source(self, tmp_path, folders, advice):
        for name in folders:
            (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=f"without {SHARDS_MANIFEST}. Name .* in files add `--set {advice}"):
            splits_of(tiny_config(data={"dir": str(tmp_path), "source": "shards"}).data, 0)

    @pytest.mark.parametrize("manifest", [None, "{", "[]", '{"format_version": 2}'])
    def test_a_folder_without_a_manifest_is_none(self, tmp_path, manifest):
        if manifest is not None:
            (tmp_path / SHARDS_MANIFEST).write_text(manifest)
        with pytest.raises(UserError, match="must be a folder of shards that `tfpix2pix data shard` wrote. Received"):
            splits_of(tiny_config(data={"dir": str(tmp_path), "source": "shards"}).data, 0)
        with pytest.raises(UserError, match="Add `data`, or set"):
            splits_of(tiny_config(data={"source": "shards"}).data, 0)

    @pytest.mark.parametrize(
        ("where", "value", "message"),
        [
            (("shards", 0), "../secret.tfrecord", r"shards\.0 does not fit"),
            (("shards", 0), "/etc/passwd", r"shards\.0 does not fit"),
            (("splits", "train", "offset", 0), 2**62, r"splits\.train\.offset\.0 does not fit"),
            (("splits", "train", "offset", 0), -1, r"splits\.train\.offset\.0 does not fit"),
            (("splits", "train", "length", 0), 2**40, r"splits\.train\.length\.0 does not fit"),
            (("splits", "train", "shard", 0), 9, "The number of a pair's shard must be below 8. Received 9"),
            (("splits", "train", "names"), [], "The lists of a split must be of one length"),
            (("files_a_pair",), 0, "`files_a_pair` must be 1 or more"),
        ],
    )
    def test_a_manifest_that_leads_elsewhere_is_refused(self, tmp_path, where, value, message):
        _, sharded = both(combined, tmp_path)
        path = Path(sharded.data.dir) / SHARDS_MANIFEST
        part = manifest = json.loads(path.read_text())
        for key in where[:-1]:
            part = part[key]
        part[where[-1]] = value
        path.write_text(json.dumps(manifest))
        with pytest.raises(UserError, match=f"must be a folder of shards .*{message}"):
            splits_of(sharded.data, sharded.seed)

    @pytest.mark.parametrize("record", [b"", b"\xff" * 50, b"\n\x00"])
    def test_a_record_of_something_else_is_refused_though_its_checksum_is_right(self, tmp_path, record):
        _, sharded = both(combined, tmp_path)
        folder = Path(sharded.data.dir)
        manifest = json.loads((folder / SHARDS_MANIFEST).read_text())
        part = manifest["splits"]["train"]
        part["length"][0], part["crc32"][0] = len(record), zlib.crc32(record)
        (folder / SHARDS_MANIFEST).write_text(json.dumps(manifest))
        shard = bytearray((folder / manifest["shards"][part["shard"][0]]).read_bytes())
        shard[part["offset"][0] : part["offset"][0] + len(record)] = record
        (folder / manifest["shards"][part["shard"][0]]).write_bytes(shard)
        with pytest.raises(UserError, match="A shard must hold the files of pairs"):
            splits_of(sharded.data, sharded.seed)["train"].read(0)

    def test_an_offset_beyond_the_shard_is_a_damaged_pair(self, tmp_path):
        _, sharded = both(combined, tmp_path)
        path = Path(sharded.data.dir) / SHARDS_MANIFEST
        manifest = json.loads(path.read_text())
        manifest["splits"]["train"]["offset"][0] = 2**49
        manifest["splits"]["train"]["length"][0] = 2**30
        path.write_text(json.dumps(manifest))
        with pytest.raises(UserError, match="A shard must be as it was written"):
            splits_of(sharded.data, sharded.seed)["train"].read(0)

    def test_a_folder_that_holds_something_is_never_written_into(self, tmp_path):
        config = tiny_config(data=combined(tmp_path))
        with pytest.raises(UserError, match="must go into a new folder. Received .*train"):
            write_shards(config.data, str(tmp_path / "train"))

    def test_inputs_made_on_the_fly_are_written_first(self, tmp_path):
        with pytest.raises(UserError, match="`data.source: photographs`. Write pairs with `tfpix2pix data pairs`"):
            write_shards(tiny_config(data={"source": "photographs", "dir": str(tmp_path)}).data, str(tmp_path / "out"))

    def test_a_place_that_tensorflow_cannot_reach_is_one_sentence(self, tmp_path):
        with pytest.raises(RunError, match="must be written whole. Received: .* for nosuch://x/y.*tensorflow-io"):
            write_shards(tiny_config(data=combined(tmp_path)).data, "nosuch://x/y")

    def test_what_cannot_be_read_is_not_packed(self, tmp_path):
        data = combined(tmp_path / "files")
        (tmp_path / "files" / "train" / "1.png").write_bytes(b"")
        with pytest.raises(UserError, match="1.png, which cannot be read: it is empty"):
            write_shards(tiny_config(data=data).data, str(tmp_path / "out"))
        skipping = tiny_config(data={**data, "on_error": "skip"})
        assert write_shards(skipping.data, str(tmp_path / "out"))["train"] == 4

    def test_nothing_is_left_where_a_file_goes_missing(self, tmp_path):
        config = tiny_config(data=combined(tmp_path / "files"))

        def track(items, total):
            for number, item in enumerate(items):
                if number == 3:
                    item[1].files(item[2])[0].unlink()
                yield item

        with pytest.raises(UserError, match="Every image must be readable"):
            write_shards(config.data, str(tmp_path / "shards"), track=track)
        assert {path.name for path in tmp_path.iterdir()} == {"files"}


def test_the_manifest_says_where_each_pair_lies(tmp_path):
    both(combined, tmp_path, shard_mb=1)
    manifest = json.loads((tmp_path / "shards" / SHARDS_MANIFEST).read_text())
    assert manifest["files_a_pair"] == 1
    assert manifest["shards"] == ["train-00000.tfrecord", "val-00000.tfrecord", "test-00000.tfrecord"]
    assert {split: len(part["names"]) for split, part in manifest["splits"].items()} == {
        "train": 5,
        "val": 2,
        "test": 1,
    }


def test_pairs_and_folders_of_every_name_are_packed(tmp_path):
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"x" * 251, b"[a] b*?", b"a\nb", b"-")]
    files = tmp_path / os.fsdecode(b"[files] \xe9")
    for index, name in enumerate(sorted(names)):
        write_image(files / f"{name}.png", np.full((8, 16, 3), index, np.uint8))
    out = str(tmp_path / os.fsdecode(b"[out] b*? \xe9"))
    assert write_shards(DataConfig(dir=str(files), image_size_px=8), out) == {"all": 5}
    source = SOURCES["shards"](DataConfig(source="shards", dir=out, image_size_px=8, held_out_fraction=0), "train", 0)
    assert sorted(source.names) == sorted(names)
    assert all((source.read(index)[0] == sorted(names).index(name)).all() for index, name in enumerate(source.names))


class Workers:
    """An engine for tests: another process's view of the parts, the last first, of which `most` are answered."""

    def __init__(self, monkeypatch, most=None):
        self.monkeypatch, self.most, self.parts = monkeypatch, most, []

    def __call__(self, open_job, parts, folder):
        answers = {}
        with self.monkeypatch.context() as patch:
            patch.chdir("/")
            answer = open_job()
            for part in list(reversed(parts))[: self.most]:
                answers[part] = answer(part)
                self.parts.append(part)
        if len(answers) < len(parts):
            raise RunError("The workers were stopped.")
        return [answers[part] for part in parts]


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", [*KINDS, several])
@pytest.mark.parametrize("shard_mb", [0, 1])
def test_workers_write_the_bytes_of_one_process(kind, shard_mb, tmp_path, monkeypatch):
    files, _ = both(kind, tmp_path, shard_mb)
    relative = files.data.model_copy(update={"dir": os.path.relpath(files.data.dir, tmp_path)})
    monkeypatch.chdir(tmp_path)
    counts = write_shards(relative, "others", files.seed, shard_mb=shard_mb, run=Workers(monkeypatch))
    assert sum(counts.values()) in (7, 8)
    assert content(tmp_path / "others") == content(tmp_path / "shards")


def test_numbers_that_change_are_another_job(tmp_path, monkeypatch):
    files, _ = both(several, tmp_path)
    with pytest.raises(RunError, match="were stopped"):
        write_shards(files.data, str(tmp_path / "others"), shard_mb=0, run=Workers(monkeypatch, most=2))
    numbers = tmp_path / "files" / "scalars.csv"
    numbers.write_text(numbers.read_text().replace("4,", "4,1"))
    with pytest.raises(UserError, match="must go into a new folder"):
        write_shards(files.data, str(tmp_path / "others"), shard_mb=0, run=Workers(monkeypatch))


def test_shards_of_a_stopped_job_are_not_written_again(tmp_path, monkeypatch):
    files, _ = both(combined, tmp_path)
    out, engine = tmp_path / "others", Workers(monkeypatch, most=5)
    with pytest.raises(RunError, match="were stopped"):
        write_shards(files.data, str(out), shard_mb=0, run=engine)
    with pytest.raises(UserError, match="`data.dir` must be a folder of shards"):
        SOURCES["shards"](DataConfig(dir=str(out), source="shards"), "train", 0)
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    assert len(done) == 5
    (out / ".train-00000.tfrecord.1.tfpix2pix-tmp").write_text("half")
    with pytest.raises(UserError, match="must go into a new folder"):
        write_shards(files.data, str(out), shard_mb=1, run=Workers(monkeypatch))  # another job
    write_shards(files.data, str(out), shard_mb=0, run=Workers(monkeypatch))
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    assert content(out) == content(tmp_path / "shards")
    with pytest.raises(UserError, match="must go into a new folder"):
        write_shards(files.data, str(out), shard_mb=0, run=Workers(monkeypatch))


def test_a_pair_that_cannot_be_packed_is_named_by_workers(tmp_path, monkeypatch):
    files, _ = both(combined, tmp_path)
    (tmp_path / "files" / "val" / "1.png").write_text("no image")
    with pytest.raises(UserError, match=r"1\.png"):
        write_shards(files.data, str(tmp_path / "others"), shard_mb=0, run=Workers(monkeypatch))
    with pytest.raises(UserError, match="must go into a folder of a disk that all machines share"):
        write_shards(files.data, "gs://bucket/others", run=Workers(monkeypatch))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_the_length_of_a_record_is_known_before(size, tmp_path):
    paths = (tmp_path / "a.png", tmp_path / "b.tiff")
    for path in paths:
        path.write_bytes(bytes(size))
    for name in ("a", "ä" * 64):
        record = record_of(name, paths, DataConfig())
        assert length_of_record(name, paths, DataConfig()) == len(record)
