"""`tfpix2pix data …` as a stranger uses it, in processes of its own."""

import functools
import http.server
import io
import json
import shlex
import tarfile
import threading
from itertools import pairwise

import numpy as np
import pytest

from tests.conftest import make_combined, run_cli, write_image
from tests.data.test_recipes import SPLITS, picture
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data import OPERATORS
from tfpix2pix.data.opening import open_sources


@pytest.mark.parametrize("command", ["download", "check", "match", "align", "pairs", "shard"])
def test_help_has_an_example(command):
    code, out, _ = run_cli("data", command, "--help")
    assert code == 0
    assert f"Example: tfpix2pix data {command}" in " ".join(out.split())


class TestCheck:
    def test_clean_data_are_exit_code_0_and_faults_3(self, tmp_path):
        for split, indices in SPLITS.items():
            for index in indices:
                photograph = picture(index)
                write_image(tmp_path / split / f"{index}.png", np.concatenate([photograph, 255 - photograph], axis=1))
        code, out, err = run_cli("data", "check", tmp_path)
        assert (code, err) == (0, "")
        assert "6 pairs" in out
        (tmp_path / "train" / "1.png").write_bytes((tmp_path / "train" / "0.png").read_bytes())
        (tmp_path / "val" / "4.png").write_bytes(b"")
        code, out, err = run_cli("data", "check", tmp_path, "--json", "--html", tmp_path / "check.html")
        assert (code, err) == (3, "")
        assert {finding["kind"] for finding in json.loads(out)["findings"]} == {"duplicate", "unreadable"}
        assert "<html" in (tmp_path / "check.html").read_text()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("nowhere",), "`data.dir` must be an existing folder. Received nowhere"),
            ((), "DIR must be given"),
            ((".", "--config", "facade"), "Did you mean 'facades'?"),
            ((".", "--set", "data.image=3"), "A key of `data` must be one of"),
        ],
    )
    def test_mistakes_are_one_sentence(self, tmp_path, arguments, message):
        code, out, err = run_cli("data", "check", *arguments, cwd=tmp_path)
        assert (code, out) == (2, "")
        assert message in err and "Traceback" not in err


class TestTrainReadsTheSame:
    """`data check` reads the pairs that `train` reads with the same configuration, or by the command that it prints."""

    def layouts(self, folder):
        for index in range(6):
            photograph, drawing = picture(index), 255 - picture(index)
            write_image(folder / "combined" / "inner" / f"{index}.png", np.concatenate([photograph, drawing], axis=1))
            for side, image in (("A", photograph), ("B", drawing)):
                write_image(folder / "gan" / f"train{side}" / f"{index}.png", image)
                write_image(folder / "two words" / f"of {side}" / f"{index}.png", image)
        rows = [f"gan/trainA/{index}.png,gan/trainB/{index}.png" for index in range(6)]
        (folder / "pairs.csv").write_text("\n".join(["input,target", *rows]))

    @pytest.mark.parametrize("name", ["combined", "gan", "two words", "pairs.csv"])
    @pytest.mark.parametrize("more", [(), ("--set", "data.held_out_fraction=0.5"), ("--set", "data.files=top")])
    def test_by_the_command_that_it_prints(self, tmp_path, name, more):
        self.layouts(tmp_path)
        code, out, err = run_cli("data", "check", name, *more, "--json", cwd=tmp_path)
        if code == 2:
            assert "top" in more[1] and "must hold images" in err
            return
        words = shlex.split(json.loads(out)["train"])
        assert words[:4] == ["tfpix2pix", "train", "--data", name]
        overrides = [value for option, value in pairwise(words) if option == "--set"]
        config = resolve_config("own", overrides, data_dir=str(tmp_path / name))
        sources = open_sources(config.data, config.seed)
        pairs = json.loads(out)["pairs"]
        assert {split: len(source) for split, source in sources.items()} == {key: pairs[key] for key in sources}
        np.testing.assert_array_equal(sources["train"].read(0)[0], 255 - sources["train"].read(0)[1])
        assert (sources["train"].read(0)[0] == picture(int(sources["train"].names[0].rpartition("/")[2]))).all()

    def test_by_a_configuration_of_ones_own(self, tmp_path):
        """The folder's layout decides nothing then, as it decides nothing for `train`: both say what to add."""
        self.layouts(tmp_path)
        (tmp_path / "mine.yaml").write_text("data: {held_out_fraction: 0.5}")
        check = run_cli("data", "check", "gan", "--config", "mine.yaml", cwd=tmp_path)
        train = run_cli("train", "mine.yaml", "--data", "gan", "--run", "run", cwd=tmp_path)
        assert check == train and check[0] == 2 and "--set data.source=folders --set data.input_folder=A" in check[2]

    def test_the_run_is_named_after_the_configuration(self, tmp_path):
        self.layouts(tmp_path)
        (tmp_path / "my ct.yaml").write_text("data: {dir: combined}")
        _, out, _ = run_cli("data", "check", "--config", "my ct.yaml", "--json", cwd=tmp_path)
        assert shlex.split(json.loads(out)["train"]) == ["tfpix2pix", "train", "my ct.yaml", "--run", "runs/my ct"]


class TestPairsAndShards:
    def test_an_operator_that_a_user_adds_can_be_chosen(self, tmp_path, monkeypatch):
        write_image(tmp_path / "photos" / "0.png", picture(0))
        command = ("data", "pairs", tmp_path / "photos", "--operator", "mine", "--out", tmp_path / "pairs")
        code, _, err = run_cli(*command)
        assert code == 2 and "--operator must be one of: edges, grayscale, mask, " in err
        monkeypatch.setitem(OPERATORS, "mine", OPERATORS["grayscale"])
        assert run_cli(*command)[0] == 0

    def test_pairs_then_shards(self, tmp_path):
        for index in range(5):
            write_image(tmp_path / "photos" / f"{index}.png", picture(index))
        out = tmp_path / "pairs"
        code, text, err = run_cli("data", "pairs", tmp_path / "photos", "--operator", "mask", "--out", out, "--json")
        assert (code, err) == (0, "")
        assert json.loads(text) == {"path": str(out), "pairs": {"train": 4, "val": 1}}
        code, text, _ = run_cli(
            "data", "shard", out, "--out", tmp_path / "shards", "--set", "data.input_channels=4", "--json"
        )
        assert code == 0
        assert json.loads(text)["pairs"] == {"train": 4, "val": 1}
        code, _, err = run_cli("data", "pairs", tmp_path / "photos", "--operator", "mask", "--out", out)
        assert code == 2 and "must go into a new folder" in err

    @pytest.mark.parametrize("command", [("pairs", "--operator", "edges"), ("shard",)])
    def test_a_folder_without_images(self, tmp_path, command):
        name, *options = command
        code, _, err = run_cli("data", name, tmp_path, *options, "--out", tmp_path / "out")
        assert code == 2
        assert "must hold images" in err and "Traceback" not in err
        assert list(tmp_path.iterdir()) == []

    def test_an_operator_that_is_none(self, tmp_path):
        code, _, err = run_cli("data", "pairs", tmp_path, "--operator", "edge", "--out", tmp_path / "out")
        assert code == 2 and "Did you mean 'edges'?" in err


class TestDownload:
    @pytest.fixture
    def server(self, tmp_path):
        """The facades, as an archive of made pictures, on a server of its own; yields its URL."""
        make_combined(tmp_path / "made" / "facades" / "train")
        make_combined(tmp_path / "made" / "facades" / "val", count=1)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as file:
            file.add(tmp_path / "made" / "facades", arcname="facades")
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "facades.tar.gz").write_bytes(archive.getvalue())

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
            threading.Thread(target=served.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{served.server_port}/"
            served.shutdown()

    def test_a_data_set_arrives_once(self, server, tmp_path):
        code, out, err = run_cli("data", "download", "facades", "--mirror", server, cwd=tmp_path)
        assert (code, err) == (0, "")
        assert "tfpix2pix train facades --data data/facades --run runs/facades" in out
        assert len(list((tmp_path / "data" / "facades" / "train").iterdir())) == 3
        code, out, _ = run_cli("data", "download", "facades", "--mirror", server, "--json", cwd=tmp_path)
        assert code == 0
        assert json.loads(out)["already_there"]

    def test_the_names_are_listed(self):
        assert json.loads(run_cli("data", "download", "--json")[1])["facades"] == 31
        assert "edges2handbags  about 8600 MB" in run_cli("data", "download")[1]

    @pytest.mark.parametrize(
        ("name", "message"),
        [("maps", "--mirror"), ("facade", "Did you mean 'facades'?")],
    )
    def test_what_is_not_there(self, server, tmp_path, name, message):
        code, _, err = run_cli("data", "download", name, "--mirror", server, cwd=tmp_path)
        assert code == 2
        assert message in err and "Traceback" not in err
        assert not (tmp_path / "data" / name).exists()
