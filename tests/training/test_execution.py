"""Many steps in a call: the same numbers as one by one, and as `fit`."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tests.training.test_pix2pix import data, weights
from tfpix2pix.errors import UserError
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.execution import Execution

ONE = tf.distribute.get_strategy()


def dataset(pairs=6):
    return tf.data.Dataset.from_tensor_slices(data(pairs)).batch(1, drop_remainder=True)


def trained(counts, **options):
    model = build_model(tiny_config())
    execution = Execution(model.train_step, dataset(), ONE, **options)
    calls = [execution(count) for count in counts]
    return model, {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}


def test_how_many_steps_a_call_makes_no_difference():
    one, losses = trained([1] * 6)
    many, same_losses = trained([4, 2])
    assert losses.keys() == same_losses.keys() >= {"g/l1", "d/real"}
    for name in losses:
        np.testing.assert_array_equal(losses[name], same_losses[name])
        assert losses[name].shape == (6,)
    for a, b in zip(weights(one), weights(many), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_gives_the_numbers_of_the_loop():
    looped, _ = trained([6])
    fitted = build_model(tiny_config())
    fitted.fit(dataset(), epochs=1, verbose=0)
    for a, b in zip(weights(looped), weights(fitted), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_by_xla_the_numbers_are_nearly_the_same():
    _, losses = trained([3])
    _, compiled = trained([3], jit_compile=True)
    for name in ("g/l1", "d/real", "d/fake"):
        np.testing.assert_allclose(losses[name], compiled[name], rtol=0.02)


def test_a_readers_error_comes_as_it_was_raised():
    from contextlib import contextmanager

    @contextmanager
    def own_errors():
        try:
            yield
        except tf.errors.OpError:
            raise UserError("The file is broken.") from None

    def broken(x, y):
        with tf.control_dependencies([tf.debugging.assert_greater(tf.reduce_max(x), 9.0)]):
            return tf.identity(x), y

    model = build_model(tiny_config())
    with pytest.raises(UserError, match="The file is broken"):
        Execution(model.train_step, dataset().map(broken), ONE, own_errors=own_errors)(1)


def graphs_of_a_step(precision):
    """Weak references to the graphs that one step is traced in."""
    model, graphs = build_model(tiny_config(training={"precision": precision})), []

    def step(batch):
        graphs.append(weakref.ref(tf.compat.v1.get_default_graph()))
        return model.train_step(batch)

    Execution(step, dataset(), ONE)(1)
    assert graphs
    return graphs


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_graph_of_a_finished_run_is_released(precision):
    """TensorFlow keeps the graphs of custom gradients until the process ends, and Keras's optimisers make such. The
    graph of a step holds the weights, and the reader with the pairs that it has in memory."""
    graphs = graphs_of_a_step(precision)
    gc.collect()
    assert not [graph for graph in graphs if graph() is not None]
