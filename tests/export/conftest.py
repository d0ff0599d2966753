"""Exports that hold a program beside the model find it, or their tests are skipped."""

import pytest

from tfpix2pix.export import EXPORTERS


@pytest.fixture(autouse=True)
def _runtime_of_a_format(request: pytest.FixtureRequest) -> None:
    """A test of a row of EXPORTERS, a parameter, has the program that the row's exports hold."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if any(isinstance(name, str) and name in EXPORTERS and EXPORTERS[name].runtime for name in parameters.values()):
        request.getfixturevalue("litert")
