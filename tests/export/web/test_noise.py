"""The page's noise in Node, beside that of `translate`."""

import numpy as np
import pytest

from tests.export.helpers import SEEDS, vector_of
from tests.export.web.node import in_node, needs_node

pytestmark = needs_node


@pytest.mark.parametrize("length", [1, 3, 4, 4098])
def test_a_seed_gives_bit_for_bit_the_vector_of_translate(length, tmp_path):
    code = "console.log(JSON.stringify(data.seeds.map((seed) => [...t.noiseOf(seed, data.length)])));"
    vectors = in_node(tmp_path, "noise", code, {"seeds": SEEDS, "length": length})
    for seed, vector in zip(SEEDS, vectors, strict=True):
        np.testing.assert_array_equal(np.float64(vector), vector_of(seed, length))


def test_a_seed_draws_the_style_that_translate_draws(tmp_path):
    styles = np.random.default_rng(0).uniform(size=(7, 4)).round(6)
    code = "console.log(JSON.stringify(data.seeds.map((seed) => [...t.drawnNoise(seed, 4, data.styles)])));"
    vectors = in_node(tmp_path, "noise", code, {"seeds": SEEDS, "styles": styles.tolist()})
    for seed, vector in zip(SEEDS, vectors, strict=True):
        place = int(vector_of(seed, 1)[0] * np.float32(7))
        np.testing.assert_array_equal(np.float32(vector), np.float32(styles[place]))
