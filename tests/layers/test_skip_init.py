import numpy as np

from kvision.layers import SkipInit

X = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")


def test_starts_at_zero_and_scales_by_alpha_and_gain():
    layer = SkipInit(0.2)
    assert not np.any(layer(X))
    layer.gain.assign(3.0)
    np.testing.assert_allclose(layer(X), 0.6 * X, rtol=1e-6)
    assert layer.count_params() == 1
