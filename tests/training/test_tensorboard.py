"""What TensorBoard reads of a run."""

import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as ServerAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata

from tfpix2pix.training.tensorboard import TensorBoard


def read(directory, reader=EventAccumulator):
    return reader(str(directory)).Reload()


def points(events, tag):
    """(step, value) of each event of a tag."""
    return [(event.step, tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]


def use_all(board):
    board.scalars(3, {"g/l1": 0.25, "images_per_s": 2.0})
    board.image(3, "samples", np.full((8, 9, 3), 7, np.uint8))
    board.text(0, "config", "    seed: 0")
    board.histograms(3, {"kernel": keras.Variable(np.arange(30.0), name="kernel")})
    board.hparams({"seed": 0})
    trace = board.profile(1, 2)
    trace.at(1)
    trace.at(2)
    trace.close()
    board.flush()
    board.close()


def test_what_is_written_is_read_back(tmp_path):
    use_all(TensorBoard(tmp_path))
    events = read(tmp_path)
    tags = {"g/l1", "images_per_s", "samples", "config", "weights/kernel", "_hparams_/session_start_info"}
    assert set(events.Tags()["tensors"]) == tags
    assert points(events, "g/l1") == [(3, 0.25)]
    ((step, (width, height, png)),) = points(events, "samples")
    assert (step, width, height) == (3, b"9", b"8")
    np.testing.assert_array_equal(tf.io.decode_png(png), np.full((8, 9, 3), 7))
    assert points(events, "config") == [(0, b"    seed: 0")]
    ((step, buckets),) = points(events, "weights/kernel")
    assert step == 3 and buckets.shape == (30, 3) and buckets[:, 2].tolist() == [1] * 30


def test_a_disabled_one_takes_every_call_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use_all(TensorBoard(None))
    use_all(TensorBoard(None, first_step=5))
    assert list(tmp_path.iterdir()) == []


def test_flushed_events_can_be_read_while_a_run_goes_on(tmp_path):
    board = TensorBoard(tmp_path)
    board.scalars(1, {"x": 1.0})
    board.flush()
    assert points(read(tmp_path), "x") == [(1, 1.0)]
    board.close()


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([1.0, 2.0, np.nan], 2),
        ([-np.inf, 1.0, np.inf], 1),
        ([-3e38, 3e38], 2),
        ([0.0] * 5, 5),
        ([0.0, 1e-45], 2),
        (7.0, 1),
        (np.array([1, 2, 3], np.int64), 3),
        (keras.Variable([1.0, 2.0], dtype="bfloat16"), 2),
    ],
)
def test_a_histogram_is_of_the_finite_values(values, count, tmp_path):
    board = TensorBoard(tmp_path)
    board.histograms(1, {"w": values})
    board.close()
    ((_, buckets),) = points(read(tmp_path), "weights/w")
    assert np.isfinite(buckets).all() and buckets[:, 2].sum() == count


@pytest.mark.parametrize("values", [[np.nan, np.inf], []])
def test_a_variable_without_a_finite_value_has_no_histogram(values, tmp_path):
    board = TensorBoard(tmp_path)
    board.histograms(1, {"w": np.array(values)})
    board.close()
    assert read(tmp_path).Tags()["tensors"] == []


def test_the_configuration_is_seen_by_the_hparams_plugin(tmp_path):
    flat = {"training.steps": 400, "lr": 2e-4, "gan": "vanilla", "flip": True, "mask": None, "layers": [64, 128]}
    board = TensorBoard(tmp_path)
    board.hparams(flat)
    board.close()
    metadata = read(tmp_path).SummaryMetadata("_hparams_/session_start_info")
    info = hparams_metadata.parse_session_start_info_plugin_data(metadata.plugin_data.content)
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}
    assert values == {**flat, "mask": "None", "layers": "[64, 128]"}


def write_and_resume(directory, first_step):
    board = TensorBoard(directory)
    for step in range(1, 6):
        board.scalars(step, {"x": float(step), "rare": 0.0} if step == 5 else {"x": float(step)})
    board.text(0, "config", "seed: 0")
    board.close()
    time.sleep(1.1)  # event files of one second are read in no certain order
    board = TensorBoard(directory, first_step)
    board.scalars(first_step + 1, {"x": 40.0})
    board.close()


def test_a_resumed_run_supersedes_what_its_checkpoint_does_not_know(tmp_path):
    write_and_resume(tmp_path, first_step=3)
    events = read(tmp_path, ServerAccumulator)
    assert points(events, "x") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]
    assert points(events, "rare") == []
    assert points(events, "config") == [(0, b"seed: 0")]


def trace_files(directory):
    return list((directory / "plugins" / "profile").rglob("*.xplane.pb"))


def test_a_trace_is_of_the_steps_asked_for(tmp_path):
    board = TensorBoard(tmp_path)
    board.scalars(1, {"x": 1.0})
    trace = board.profile(2, 4)
    running = []
    for step in range(1, 8):
        trace.at(step)
        running.append(trace.running)
        tf.reduce_sum(tf.ones((8, 8)))
    trace.close()
    board.scalars(7, {"x": 7.0})
    board.close()
    assert running == [False, True, True, False, False, False, False]
    assert len(trace_files(tmp_path)) == 1
    assert points(read(tmp_path, ServerAccumulator), "x") == [(1, 1.0), (7, 7.0)]  # no trace's file hides it


def test_a_trace_is_of_one_call_of_steps_at_least(tmp_path):
    trace = TensorBoard(tmp_path).profile(10, 20)
    running = []
    for step in (0, 100, 200):
        trace.at(step)
        running.append(trace.running)
    assert running == [False, True, False]
    assert len(trace_files(tmp_path)) == 1


def test_a_trace_ends_with_its_run(tmp_path):
    trace = TensorBoard(tmp_path).profile(0, 100)
    trace.at(1)
    trace.close()
    trace.close()
    trace.at(2)
    assert not trace.running and len(trace_files(tmp_path)) == 1


def test_a_run_resumed_after_the_steps_to_trace_traces_none(tmp_path):
    trace = TensorBoard(tmp_path, first_step=30).profile(10, 20)
    trace.at(31)
    trace.close()
    assert trace_files(tmp_path) == []


def test_a_trace_that_cannot_be_written_is_a_warning(tmp_path):
    board = TensorBoard(tmp_path / "board")
    (tmp_path / "board" / "plugins").write_text("a file, where a folder should be")
    trace = board.profile(0, 1)
    trace.at(0)
    with pytest.warns(
        UserWarning, match="The trace of the steps 0 to 1 cannot be written: .*Training continues without it"
    ):
        trace.at(1)


def test_a_profiler_that_runs_already_is_left_to_who_started_it(tmp_path):
    tf.profiler.experimental.start(str(tmp_path / "other"))
    trace = TensorBoard(tmp_path / "board").profile(0, 1)
    with pytest.warns(UserWarning, match="Another profiler is running"):
        trace.at(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace.at(1)
        trace.close()
    tf.profiler.experimental.stop()
    assert trace_files(tmp_path / "other") and not trace_files(tmp_path / "board")
