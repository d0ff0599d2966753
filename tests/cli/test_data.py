"""`tfpix2pix data …` as a stranger uses it, in processes of its own."""

import functools
import http.server
import io
import json
import tarfile
import threading

import numpy as np
import pytest

from tests.conftest import make_combined, run_cli, write_image
from tests.data.test_recipes import SPLITS, picture
from tfpix2pix.data import OPERATORS


@pytest.mark.parametrize("command", ["download", "check", "pairs", "shard"])
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
