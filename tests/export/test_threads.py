"""One translator, many threads: a server calls it from as many as it has."""

import threading

import numpy as np
import pytest

from tests.conftest import tiny_config
from tests.export.helpers import generator_of
from tfpix2pix.config.card import ModelCard
from tfpix2pix.export import EXPORTERS
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size

THREADS = 200


def engine(name, folder):
    config = tiny_config()
    network = generator_of(config, noise_input=True)
    static = name != "run" and EXPORTERS[name].static
    card = ModelCard.of(config, 0, noise_size=noise_size(network), fixed_size_px=32 if static else None)
    if name == "run":
        return KerasEngine(network, card)
    path = folder / f"model.{name}"
    if not EXPORTERS[name].single_file:
        path.mkdir()
    EXPORTERS[name].write(network, card, path)
    return EXPORTERS[name].read(path)


@pytest.mark.parametrize("name", ["run", *EXPORTERS])
def test_every_thread_has_its_own_translation(name, tmp_path):
    translator = Translator(engine(name, tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (THREADS, 32, 32, 3), np.uint8)
    expected = [translator(image, noise="on", seed=seed) for seed, image in enumerate(images)]
    results: list[np.ndarray | None] = [None] * THREADS
    start = threading.Barrier(THREADS)

    def work(index):
        start.wait()
        results[index] = translator(images[index], noise="on", seed=index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [index for index in range(THREADS) if not np.array_equal(results[index], expected[index])] == []
