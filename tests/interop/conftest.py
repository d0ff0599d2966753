"""Models of others are many and whole: what Keras keeps of each is let go of."""

import gc

import keras
import pytest


@pytest.fixture(autouse=True)
def _let_go():
    yield
    keras.utils.clear_session()
    gc.collect()
