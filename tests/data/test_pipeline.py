"""What step t sees is a function of (configuration, seed, t)."""

import itertools

import numpy as np
import pytest

from tests.conftest import write_image
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

CONFIG = DataConfig(image_size_px=8, jitter_ratio=1.25, cache_mb=1)


def numbered(count: int) -> Source:
    """Pairs whose input is everywhere their own index."""

    def read(index):
        return np.full((12, 12, 3), index, np.uint8), np.full((12, 12, 3), index + 100, np.uint8)

    return Source([str(i) for i in range(count)], read)


def batches(first=0, total=12, seed=0, batch_size=2, source=None, config=CONFIG):
    iterable = training_batches(
        source or numbered(5), config, batch_size=batch_size, seed=seed, first_step=first, total_steps=total
    )
    return [(x.numpy(), y.numpy()) for x, y in iterable]


def indices(pairs):
    return [round((image[0, 0, 0] + 1) * 127.5) for x, _ in pairs for image in x]


def equal(a, b):
    return len(a) == len(b) and all(
        np.array_equal(p, q) for p, q in zip(itertools.chain(*a), itertools.chain(*b), strict=True)
    )


def test_a_batch_is_float32_pairs_in_the_signed_range():
    pairs = batches()
    assert len(pairs) == 12
    x, y = pairs[0]
    assert x.shape == y.shape == (2, 8, 8, 3)
    assert x.dtype == np.float32
    np.testing.assert_allclose((y - x) * 127.5, 100, atol=1e-3)  # the target of this input


def test_the_same_seed_gives_the_same_batches_and_another_does_not():
    assert equal(batches(), batches())
    assert indices(batches()) != indices(batches(seed=1))


@pytest.mark.parametrize("first", [1, 5, 11, 12])
def test_starting_later_is_the_rest_of_starting_at_zero(first):
    assert equal(batches(first=first), batches()[first:])


def test_each_epoch_shows_each_pair_once_in_its_own_order():
    seen = indices(batches(total=15, batch_size=1))
    epochs = [seen[start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_crops_differ_between_epochs_of_one_pair():
    gradient = np.broadcast_to(np.arange(0, 240, 20, dtype=np.uint8)[:, None, None], (12, 12, 3))
    source = Source(["one"], lambda index: (gradient, gradient))
    pairs = batches(total=8, batch_size=1, source=source)
    assert len({x.tobytes() for x, _ in pairs}) > 1
    assert all(np.array_equal(x, y) for x, y in pairs)


def test_the_cache_changes_nothing_but_the_number_of_reads():
    reads = []

    def read(index):
        reads.append(index)
        return numbered(5).read(index)

    source = Source(["a"] * 5, read)
    cached = batches(source=source)
    assert len(reads) <= 10  # parallel readers may meet at the same pair once
    without = batches(source=source, config=CONFIG.model_copy(update={"cache_mb": 0}))
    assert len(reads) >= 24
    assert equal(cached, without)


def test_what_differs_by_epoch_is_read_anew_every_epoch():
    """Random holes: functions of (example, epoch), never kept from the first epoch."""

    def at_epoch(index, epoch):
        return np.full((12, 12, 3), 10 * index + epoch, np.uint8), np.zeros((12, 12, 3), np.uint8)

    source = Source(["a", "b"], lambda index: at_epoch(index, 0), at_epoch=at_epoch)
    assert sorted(indices(batches(source=source, total=6, batch_size=1))) == [0, 1, 2, 10, 11, 12]
    assert equal(batches(source=source, total=6)[3:], batches(source=source, first=3, total=6))
    assert indices([(x.numpy(), y) for x, y in evaluation_batches(source, CONFIG)]) == [0, 10]


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_every_batch_without_overlap(workers):
    parts = [
        [
            (x.numpy(), y.numpy())
            for x, y in training_batches(
                numbered(5), CONFIG, batch_size=4, seed=0, first_step=3, total_steps=9, worker=worker, workers=workers
            )
        ]
        for worker in range(workers)
    ]
    whole = batches(first=3, total=9, batch_size=4)
    joined = [tuple(np.concatenate(images) for images in zip(*step, strict=True)) for step in zip(*parts, strict=True)]
    assert equal(joined, whole)


@pytest.mark.parametrize(("worker", "workers"), [(0, 3), (2, 2), (-1, 2)])
def test_workers_that_cannot_share_are_refused(worker, workers):
    with pytest.raises(ValueError, match="share a batch evenly"):
        training_batches(
            numbered(5), CONFIG, batch_size=4, seed=0, first_step=0, total_steps=1, worker=worker, workers=workers
        )


def test_any_parallelism_gives_the_same_batches(monkeypatch):
    results = []
    for parallel in (1, 2, 16):
        monkeypatch.setattr("tfpix2pix.data.pipeline.PARALLEL_READS", parallel)
        results.append(batches(config=CONFIG.model_copy(update={"cache_mb": 0})))
    assert equal(results[0], results[1]) and equal(results[0], results[2])


def test_evaluation_goes_evenly_through_a_source():
    source = numbered(10)
    assert indices([(x.numpy(), y) for x, y in evaluation_batches(source, CONFIG, count=5)]) == [0, 2, 4, 6, 8]
    assert len(evaluation_batches(source, CONFIG)) == 10
    assert len(evaluation_batches(source, CONFIG, count=99)) == 10


def test_an_unreadable_file_stops_with_its_own_sentence(tmp_path):
    from tfpix2pix.data.images import read_image

    path = write_image(tmp_path / "vanishing.png", np.zeros((12, 12, 3), np.uint8))
    path.write_bytes(b"gone")
    source = Source(["x"], lambda index: (read_image(path),) * 2)
    with pytest.raises(UserError, match="vanishing.png"):
        batches(source=source)
