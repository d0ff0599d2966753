"""A proxy of the machine is left out, and a site for each test."""

import pytest

from tests.data.download.site import Site


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()
