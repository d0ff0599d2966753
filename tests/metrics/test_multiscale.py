"""MS-SSIM as the paper writes it, pixel by pixel, and where its conventions show. TensorFlow's is in test_sets.py."""

import numpy as np
import pytest
from skimage.data import astronaut, chelsea
from skimage.filters import gaussian
from skimage.metrics import structural_similarity

from tfpix2pix.metrics.bootstrap import Resampling
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.images import MSSSIM, WEIGHTS, similarities, windowed
from tfpix2pix.metrics.scoring import measure

TARGET = astronaut()[:256, :256].astype(np.float64) / 127.5 - 1
BLURRED = gaussian(TARGET, 2, channel_axis=-1)


def of(translation, target):
    return measure([Example("", translation, None, target)], ["ms_ssim"], Setting())["ms_ssim"]


def twin(translation, target):
    """Wang, Simoncelli and Bovik 2003, eq. 7: every window cut out and weighted by a full 11×11 kernel."""
    offsets = np.arange(11) - 5
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    values = []
    for channel in range(target.shape[-1]):
        x, y = ((image[..., channel] + 1) / 2 for image in (translation, target))
        terms = []
        for scale in range(5):
            a, b = (np.lib.stride_tricks.sliding_window_view(image, (11, 11)) for image in (x, y))
            mean_a, mean_b = ((cut * kernel).sum((-2, -1)) for cut in (a, b))
            off_a, off_b = a - mean_a[..., None, None], b - mean_b[..., None, None]
            var_a, var_b, both = ((product * kernel).sum((-2, -1)) for product in (off_a**2, off_b**2, off_a * off_b))
            structure = (2 * both + 0.03**2) / (var_a + var_b + 0.03**2)
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            terms.append((structure.mean(), (luminance * structure).mean()))
            if scale == 4:
                break
            x, y = (image.reshape(image.shape[0] // 2, 2, -1, 2).mean((1, 3)) for image in (x, y))
        kept = [max(structure, 0) for structure, _ in terms[:4]] + [max(terms[4][1], 0)]
        values.append(np.prod(np.power(kept, (0.0448, 0.2856, 0.3001, 0.2363, 0.1333))))
    return np.mean(values)


@pytest.mark.parametrize("change", [lambda image: gaussian(image, 2, channel_axis=-1), lambda image: image * 0.5 + 0.2])
def test_equals_the_formula_window_by_window(change):
    target = TARGET[:176, :192]
    assert of(change(target), target) == pytest.approx(twin(change(target), target), abs=1e-12)


def test_the_last_scale_alone_is_scikit_images_ssim():
    """Of one scale it is SSIM, over windows inside the image: scikit-image leaves out the same 5 px of border."""
    target, other = TARGET[:21, :21], BLURRED[:21, :21]
    pair = ((image + 1) / 2 for image in (target, other))
    options = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert of(other, target) == pytest.approx(structural_similarity(*pair, data_range=1.0, **options), abs=1e-12)


def test_windows_lie_inside():
    assert windowed(np.ones((11, 30, 3))).shape == (1, 20, 3)
    np.testing.assert_allclose(windowed(np.full((20, 20, 1), 0.3)), 0.3)


@pytest.mark.parametrize(("size", "scales"), [(22, 2), (43, 2), (44, 3), (88, 4), (175, 4), (176, 5), (256, 5)])
def test_as_many_scales_as_hold_a_window(size, scales, monkeypatch):
    from tfpix2pix.metrics import images as multiscale

    seen = []
    monkeypatch.setattr(multiscale, "similarities", lambda a, b: seen.append(a[0].shape) or similarities(a, b))
    of(BLURRED[:size, :], TARGET[:size, :])
    assert len(seen) == scales
    assert min(seen[-1][:2]) >= 11


def test_fewer_scales_have_weights_that_sum_to_1():
    """Of a patternless pair luminance alone differs: its power is the last weight's share."""
    dark, light = np.full((44, 44, 1), -0.8), np.full((44, 44, 1), 0.6)  # 0.1 and 0.8 of white
    luminance = (2 * 0.1 * 0.8 + 0.01**2) / (0.1**2 + 0.8**2 + 0.01**2)
    assert of(dark, light) == pytest.approx(luminance ** (WEIGHTS[2] / sum(WEIGHTS[:3])), rel=1e-9)


def test_opposite_structure_counts_as_0():
    assert of(-TARGET, TARGET) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (2, 3), (10, 10), (11, 400), (177, 201)])
def test_no_size_fails(size):
    target = TARGET[: size[0], : size[1]]
    target = np.resize(target, (*size, 3)) if target.shape[:2] != size else target
    assert of(target, target) == pytest.approx(1)
    assert of(-target, target) < 1


def test_replicates_are_weighted_means_over_images():
    photographs = (TARGET, chelsea()[:256, :256] / 127.5 - 1)
    examples = [
        Example(str(i), gaussian(image, 1 + i, channel_axis=-1), None, image) for i, image in enumerate(photographs)
    ]
    metric, resampling, per_image, weights = MSSSIM(), Resampling(50, seed=3), [], []
    for example in examples:
        weights.append(resampling.weights(example.name))
        per_image.append(metric.update(example, weights[-1])["ms_ssim"])
    figure = metric.result()["ms_ssim"]
    assert figure[0] == pytest.approx(np.mean(per_image))
    total = np.sum(weights, axis=0)
    drawn = total > 0
    assert not drawn.all()  # a replicate without an image is NaN
    np.testing.assert_allclose(figure[drawn], (np.array(per_image) @ np.array(weights))[drawn] / total[drawn])
    assert np.isnan(figure[~drawn]).all()
