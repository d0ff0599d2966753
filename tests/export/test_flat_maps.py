"""Flat backgrounds: every format is as near to float64 on blank paper and on line drawings as on photographs."""

import numpy as np
import pytest

from tests.export.flat import SIZE_PX, flat_view
from tfpix2pix.export import EXPORTERS, FAITHFUL
from tfpix2pix.export.verify import verify
from tfpix2pix.inference.parity import distance, drawings, in_float64, photographs


@pytest.fixture(scope="module")
def view():
    return flat_view()


@pytest.fixture(scope="module")
def images():
    return [*photographs(SIZE_PX, 3), *drawings(SIZE_PX, 3)]


@pytest.fixture(scope="module")
def reference(view, images):
    exact = in_float64(view)
    return [exact(image, None) for image in images]


def test_the_network_makes_what_can_be_compared(reference):
    assert all(np.std(image) > 0.3 for image in reference)


def test_keras_in_float32(view, images, reference):
    """With sums over a map at once 2.6e-4 on blank paper."""
    assert distance([view(image, None) for image in images], reference).max_abs_error < 2e-5


@pytest.mark.parametrize(
    ("name", "most"), [("saved_model", 2e-5), ("tflite", 2e-5), ("onnx", 2e-5), ("keras", FAITHFUL.max_abs_error)]
)
def test_every_format(name, most, view, images, reference, tmp_path):
    """With sums over a map at once 2.4e-4 (TFLite), 3.3e-4 (ONNX), 2.5e-4 (.keras)."""
    exporter, path = EXPORTERS[name], tmp_path / f"model.{name}"
    exporter.write(view.generator, view.card, path)
    exported = exporter.read(path)
    assert distance([exported(image, None) for image in images], reference).max_abs_error < most
    report = verify(view, exported, images[-3:], FAITHFUL, name, path, path)
    assert report.max_abs_error < most
    assert report.max_error_levels == pytest.approx(report.max_abs_error * 127.5)
    assert report.keras_max_abs_error < 2e-5
