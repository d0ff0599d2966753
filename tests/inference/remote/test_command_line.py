"""`translate --server`: the same files as from the export itself, by both transports, and one sentence where not."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli, write_image
from tests.inference.remote.conftest import picture
from tfpix2pix.data.images import read_image
from tfpix2pix.inference.files import translate_files


@pytest.fixture
def folder(tmp_path):
    for height in (32, 45, 7):
        write_image(tmp_path / "in" / f"{height}.png", picture(height, 40, 1))
    return tmp_path / "in"


@pytest.mark.parametrize("noise", [{"samples": 2, "seed": 3}, {"between": (3, 4), "frames": 2}])
def test_the_files_are_those_of_the_export(noise, server, transport, models, folder, tmp_path):
    options = ["--grpc"] if transport == "grpc" else []
    code, out, err = run_cli(
        "translate", "facades:1", folder, "--server", server.address(transport), *options, "--out", tmp_path / "out",
        "--in-flight", "2", "--json",
        *(part for name, value in noise.items() for part in (f"--{name}", str(value).strip("()").replace(" ", ""))),
    )  # fmt: skip
    assert code == 0, err
    expected = translate_files(p2p.load(models / "facades" / "1"), [folder], out=tmp_path / "local", **noise)
    written = json.loads(out)["written"]
    assert [path.rsplit("/", 1)[1] for path in written] == [path.name for path in expected]
    for one, other in zip(written, expected, strict=True):
        difference = np.abs(np.asarray(Image.open(one)).astype(int) - read_image(other))
        assert difference.max() <= 1


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("nowhere", 2, "nowhere"),
        ("facades:9", 2, "9"),
        ("facades@beta", 2, "beta"),
        ("foreign", 2, "without model_card, translate_bytes.* Export it with `tfpix2pix export`"),
    ],
)
def test_a_model_that_is_not_there(server, folder, tmp_path, model, code, message):
    done, out, err = run_cli("translate", model, folder, "--server", server.address("rest"), "--out", tmp_path / "out")
    assert (done, out) == (code, "")
    assert err.startswith("Error: ") and len(err.splitlines()) == 1
    assert re.search(message, err)
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there(folder, tmp_path):
    code, _, err = run_cli("translate", "m", folder, "--server", "127.0.0.1:9", "--out", tmp_path / "out")
    assert code == 1
    assert err.startswith("Error: ") and len(err.splitlines()) == 1 and "127.0.0.1:9" in err


def test_one_bad_file_among_good_ones(server, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, _, err = run_cli(
        "translate", "facades:1", folder, "--server", server.address("rest"), "--out", tmp_path / "out"
    )
    assert code == 2
    assert "broken.png" in err and "The other 3 of 4 were translated" in err
    assert len(list((tmp_path / "out").iterdir())) == 3
