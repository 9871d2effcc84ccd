"""Lightness by hand: what MATLAB's imadjust, histeq and adapthisteq are defined by."""

import keras
import numpy as np
import pytest

from kvision.layers import AdaptiveHistogramEqualization, HistogramEqualization, ImageAdjustment

LAYERS = [ImageAdjustment, HistogramEqualization, AdaptiveHistogramEqualization]
RANDOM = np.random.default_rng(0)


def apply(layer, values, shape=None):
    """The layer on one image of one channel, as an array of the values' shape."""
    values = np.asarray(values, "float32")
    return np.asarray(layer(values.reshape(1, *(shape or values.shape), 1))).reshape(values.shape)


def test_adjustment_of_a_ramp():
    """300 pixels from 0 to 299: three on either side saturate, so that 3 becomes black and 296 white."""
    ramp = np.arange(300.0)
    y = apply(ImageAdjustment(value_range=(0, 1000)), RANDOM.permutation(ramp), (15, 20))
    y = np.sort(y.ravel())
    np.testing.assert_allclose(y, np.clip((ramp - 3) / 293, 0, 1) * 1000, atol=1e-2)
    assert (y == 0).sum() == (y >= 1000).sum() == 4


def test_adjustment_of_an_adjusted_image_and_of_a_constant():
    x = RANDOM.uniform(0.3, 0.5, (10, 9))
    once = apply(ImageAdjustment(0.1), x)
    np.testing.assert_allclose(apply(ImageAdjustment(0.1), once), once, atol=1e-6)
    np.testing.assert_allclose(apply(ImageAdjustment(), np.full((4, 5), 0.3)), 0.3, atol=1e-6)


def test_equalization_by_hand():
    """Above the lowest, 2, are 6 of 8 pixels: 5 has two of them at or below it, 9 three, 200 all."""
    y = apply(HistogramEqualization(value_range=(0, 255)), [[2, 5, 9, 200], [200, 200, 5, 2]])
    np.testing.assert_allclose(y, np.array([[0, 2, 3, 6], [6, 6, 2, 0]]) / 6 * 255, rtol=1e-5)


def test_equalization_leaves_an_even_histogram_alone():
    x = np.arange(256.0).reshape(16, 16)
    np.testing.assert_allclose(apply(HistogramEqualization(value_range=(0, 255)), x), x, atol=1e-3)


def test_equalization_makes_the_histogram_nearly_uniform():
    """Darkened normal noise: each of 8 bins gets an eighth of the pixels, within two levels of grey."""
    x = np.round(np.clip(RANDOM.normal(60, 20, (64, 64)), 0, 255)) / 255
    before, after = (np.histogram(v, 8, (0, 1))[0] / v.size for v in (x, apply(HistogramEqualization(), x)))
    assert before.max() > 0.5 and abs(after - 1 / 8).max() < 0.04


def test_equalization_sees_only_the_order():
    levels = np.sort(RANDOM.choice(256, 40, replace=False))
    picture = RANDOM.integers(0, 40, (9, 11))
    layer = HistogramEqualization(value_range=(0, 255))
    np.testing.assert_allclose(apply(layer, levels[picture]), apply(layer, picture * 3), atol=1e-3)


def test_one_tile_without_a_limit_is_the_definition_of_equalization():
    x = RANDOM.uniform(size=(7, 12))
    bins = np.round(x * 255).astype(int)
    shares = np.array([(bins <= b).sum() - (bins == bins.min()).sum() for b in bins.ravel()])
    expected = (shares / shares.max()).reshape(x.shape)
    np.testing.assert_allclose(apply(AdaptiveHistogramEqualization(1, 1.0), x), expected, atol=1e-6)
    np.testing.assert_array_equal(apply(AdaptiveHistogramEqualization(1, 1.0), x), apply(HistogramEqualization(), x))


def test_tiles_by_hand():
    """Two tiles of 4 columns. The left map takes (0, .2, .4) to (0, .5, 1), the right one (0, .4, .6) to (0, .5, 1).

    Centres are at 1.5 and 5.5: at column 0 the left tile alone counts, at 3 it counts 5/8, at 7 the right one alone.
    """
    layer = AdaptiveHistogramEqualization((1, 2), 1.0, bins=6)
    left, right = [0.4, 0, 0.2, 0.4], [0.4, 0, 0.6, 0.6]  # counts 1, 1, 2 and 1, 1, 2
    maps = {0.0: (0, 0), 0.2: (1 / 3, 0), 0.4: (1, 1 / 3), 0.6: (1, 1)}
    weights = np.clip((np.arange(8) - 1.5) / 4, 0, 1)
    expected = [(1 - w) * maps[v][0] + w * maps[v][1] for v, w in zip(left + right, weights, strict=True)]
    np.testing.assert_allclose(apply(layer, [left + right]), [expected], atol=1e-6)


def test_clipping_by_hand():
    """Of 8 pixels and 4 bins none may hold more than 2 + round(0.25 * 6) = 4: the 3 above go to all, 3/4 each."""
    layer = AdaptiveHistogramEqualization(1, 0.25, bins=4)
    clipped = np.asarray(layer.clip(keras.ops.convert_to_tensor([[7.0, 1, 0, 0]])))
    np.testing.assert_allclose(clipped, [[4.75, 1.75, 0.75, 0.75]])
    y = apply(layer, [[0, 0, 0, 0, 0, 0, 0, 1 / 3]])
    np.testing.assert_allclose(y, [[0] * 7 + [1.75 / 3.25]], atol=1e-6)


def test_local_contrast_is_what_tiles_enhance():
    """A faint pattern in the dark, a faint one in the light: one histogram cannot spread both, eight by eight can."""
    x = np.where(np.arange(48) < 24, 0.2, 0.8) + 0.02 * RANDOM.integers(0, 2, (48, 48))
    y = apply(AdaptiveHistogramEqualization(clip_limit=0.5), x)
    inner = np.s_[6:42, 6:18]
    assert y[inner].std() > 5 * x[inner].std()


@pytest.mark.parametrize("layer", LAYERS)
def test_greys_stay_grey_and_are_what_their_lightness_becomes(layer):
    grey = np.round(RANDOM.uniform(0.2, 0.6, (1, 16, 16, 1)), 2).astype("float32")
    y = np.asarray(layer()(np.repeat(grey, 3, -1)))
    np.testing.assert_allclose(y, np.repeat(y[..., :1], 3, -1), atol=2e-5)
    order = np.argsort(grey.ravel(), kind="stable")
    if layer is not AdaptiveHistogramEqualization:  # one map for the whole image, which keeps the order
        assert (np.diff(y[..., 0].ravel()[order]) >= -1e-5).all()
        assert y.min() < 0.01 and y.max() > 0.99


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_range_is_only_a_unit_and_is_kept(layer, channels):
    x = RANDOM.integers(0, 256, (2, 16, 16, channels)).astype("float32")
    y, unit = np.asarray(layer(value_range=(0, 255))(x)), np.asarray(layer()(x / 255))
    np.testing.assert_allclose(y, 255 * unit, atol=1e-2)
    assert y.min() >= 0 and y.max() <= 255
    np.testing.assert_array_equal(layer(value_range=(0, 255))(x.astype("uint8")), y)
    np.testing.assert_array_equal(layer()(x[1:] / 255)[0], unit[1])


@pytest.mark.parametrize("layer", LAYERS)
def test_inside_xla_with_any_size(layer):
    """What a committee computes in an exported model."""
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer()(inputs))
    x = RANDOM.uniform(size=(3, 17, 16, 3)).astype("float32")
    plain = model.predict(x, verbose=0)
    model.compile(jit_compile=True)
    # A rounding error can move a value to the bin beside it: one level of grey for a pixel or two.
    assert np.mean(np.abs(model.predict(x, verbose=0) - plain) > 1e-4) < 0.02


def test_adjustment_has_a_gradient_at_black_and_white():
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, ImageAdjustment()(keras.layers.Conv2D(3, 1)(inputs)))
    model.compile("sgd", "mse")
    x = np.concatenate([np.zeros((1, 4, 4, 3)), np.ones((1, 4, 4, 3))]).astype("float32")
    assert np.isfinite(model.train_on_batch(x, x)) and all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    ("layer", "arguments", "shape", "message"),
    [
        (ImageAdjustment, dict(fraction=0.5), (8, 8, 1), r"`fraction` lies in \[0, 0.5\)"),
        (ImageAdjustment, dict(value_range=(1, 0)), (8, 8, 1), "`value_range` is the lowest and the highest"),
        (HistogramEqualization, {}, (8, 8, 2), "1 channel .* or 3 .*Received: images of shape"),
        (HistogramEqualization, dict(bins=1), (8, 8, 1), "`bins` is at least 2"),
        (AdaptiveHistogramEqualization, dict(tiles=0), (8, 8, 1), "`tiles` is one or two integers"),
        (AdaptiveHistogramEqualization, dict(clip_limit=2), (8, 8, 1), "`clip_limit` lies in"),
        (AdaptiveHistogramEqualization, {}, (8, 7, 1), "a pixel at least for each of 8x8 tiles"),
    ],
)
def test_bad_arguments(layer, arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(**arguments)(keras.Input(shape))
