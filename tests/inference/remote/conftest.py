"""Served models: the smoke run's export, and small ones of every kind of image, written by the same exporter."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tests.inference.remote.server import ModelServer
from tfpix2pix.config.card import ModelCard
from tfpix2pix.export import EXPORTERS
from tfpix2pix.inference.remote import TRANSPORTS
from tfpix2pix.inference.remote.client import RemoteModel
from tfpix2pix.models.noise import noise_size
from tfpix2pix.runs.networks import build_generator

LABELS = {"facades": {"stable": 1, "canary": 2}}
KINDS = {  # name -> (data section, depth of the targets)
    "deep": ({"input_channels": 3, "input_range": (0, 4095), "target_range": (0, 4095)}, "uint16"),
    "gray": ({"input_channels": 1, "target_channels": 1}, "uint16"),
    "classes": ({"input_channels": 1, "input_classes": 4, "target_channels": 1, "target_classes": 3}, "uint8"),
    "floats": ({"input_channels": 1, "input_range": (-5, 5), "target_channels": 1, "target_range": (0, 9)}, "float32"),
    "many": ({"input_channels": 6}, "uint8"),
    "parts": ({"source": "folders", "inputs": [{"name": "labels", "classes": 3}, "instances"]}, "uint8"),
}  # fmt: skip


def write_model(path: Path, data: dict, dtype: str, seed: int = 0) -> None:
    """A generator of random weights as a SavedModel."""
    config = tiny_config(data=data, generator={"levels": 2})
    generator = build_generator(config, seed=seed, noise_input=True, input_size_px="any")
    card = ModelCard.of(config, 0, noise_size=noise_size(generator), target_dtype=dtype)
    path.mkdir(parents=True)
    EXPORTERS["saved_model"].write(generator, card, path)


@pytest.fixture(scope="session")
def models(smoke_exports, shared_folder) -> Path:
    """A folder as `tfpix2pix export` fills it, and one model that it did not write."""
    exported = Path(smoke_exports("saved_model").path)
    return shared_folder("models", lambda root: write_models(exported, root))


def write_models(exported: Path, root: Path) -> None:
    shutil.copytree(exported, root / "facades" / exported.name)
    for name, (data, dtype) in KINDS.items():
        write_model(root / name / "1", data, dtype)
    write_model(root / "facades" / "2", {"input_channels": 1}, "uint8", seed=1)
    foreign = tf.Module()
    foreign.half = tf.function(lambda x: {"y": x / 2}, input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    tf.saved_model.save(foreign, str(root / "foreign" / "1"), signatures=foreign.half)
    (root / "empty").mkdir()


@pytest.fixture(scope="module")  # the loaded models are 300 MB
def running(models):
    with ModelServer(models, LABELS) as server:
        yield server


@pytest.fixture
def server(running):
    """The server without what another test asked of it."""
    core = running.core
    core.delay_s, core.most_under_way, core.requests = 0.0, 0, []
    core.fail_next(0)
    yield running
    core.delay_s = 0.0
    core.fail_next(0)


@pytest.fixture(params=TRANSPORTS)
def transport(request) -> str:
    return request.param


@pytest.fixture
def connect(server, transport):
    """Connects to a model of the server by one transport."""
    opened = []

    def connect(model: str = "facades:1", **options) -> RemoteModel:
        opened.append(RemoteModel(options.pop("at", server.address(transport)), model, transport, **options))
        return opened[-1]

    yield connect
    for remote in opened:
        remote.close()


@pytest.fixture
def no_pauses(monkeypatch) -> list[float]:
    """Retries at once; the pauses that would have been."""
    pauses: list[float] = []
    monkeypatch.setattr("tfpix2pix.inference.remote.faults.sleep", pauses.append)
    return pauses


def picture(height: int, width: int, channels: int, dtype: type = np.uint8, most: int | None = None) -> np.ndarray:
    most = np.iinfo(dtype).max if most is None else most
    return np.random.default_rng(height).integers(0, most + 1, (height, width, channels), dtype)
