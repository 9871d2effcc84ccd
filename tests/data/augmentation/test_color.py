import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf

from kvision.data import ColorJitter, PCALighting
from kvision.data.augmentation import color

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3))
GREY = np.array([0.299, 0.587, 0.114])


def uniform(values, low, high):
    """Kolmogorov's distance of the values from the uniform distribution, over its bound at one in a thousand."""
    values = (np.sort(values) - low) / (high - low)
    return np.abs(values - (np.arange(len(values)) + 0.5) / len(values)).max() * np.sqrt(len(values)) / 1.95


def test_lighting_adds_one_colour_to_each_image():
    images = PCALighting()(IMAGES.astype("float32"), seed=(0, 0)).numpy()
    added = images - IMAGES
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-4)
    assert len(np.unique(added[:, 0, 0].round(3))) == added[:, 0, 0].size
    rounded = PCALighting()(IMAGES.astype("uint8"), seed=(0, 0))
    np.testing.assert_array_equal(rounded, np.clip(np.round(images), 0, 255))


def test_lighting_has_the_covariance_of_its_components():
    count, deviation = 20000, 0.1
    added = PCALighting(deviation)(np.zeros((count, 1, 1, 3), "float32"), seed=(0, 1)).numpy()[:, 0, 0]
    vectors, values = np.array(color.IMAGENET_EIGENVECTORS), np.array(color.IMAGENET_EIGENVALUES)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)
    along = added @ vectors / 255 / values / deviation  # three independent standard normal variables
    assert np.abs(along.mean(0)).max() < 4 / np.sqrt(count)
    np.testing.assert_array_less(np.abs(np.cov(along.T) - np.eye(3)), 4 * np.sqrt(2 / count))


def test_lighting_by_hand():
    """One component, green and a bit of blue: the factor is the same."""
    layer = PCALighting(1.0, (0.5, 0, 0), ((0, 0, 1), (0.8, 0, 0), (0.6, 0, 0)))
    red, green, blue = layer(np.full((1, 1, 1, 3), 100, "float64"), seed=(0, 2)).numpy()[0, 0, 0] - 100
    assert red == 0 and abs(green) > 1
    assert green / 0.8 == pytest.approx(blue / 0.6, rel=1e-4)
    (factor,) = tf.random.stateless_normal([1, 3], tf.constant([0, 2], tf.int64))[:, 0]
    assert green == pytest.approx(255 * 0.5 * 0.8 * float(factor), rel=1e-4)


def test_nothing_asked_for_changes_nothing():
    for layer in (PCALighting(0.0), ColorJitter(0, 0, 0)):
        for dtype in ("uint8", "float32"):
            np.testing.assert_array_equal(layer(IMAGES.astype(dtype), seed=(0, 0)), IMAGES)


def one_by_one(image, steps):
    """What torchvision does, on one image."""
    image = image.astype("float64")
    for name, factor in steps:
        if name == "hue":
            pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3)]
            pixels = [colorsys.hsv_to_rgb((hue + factor) % 1, *rest) for hue, *rest in pixels]
            image = np.reshape(pixels, image.shape)
            continue
        grey = (image @ GREY)[..., None]
        other = {"brightness": 0, "contrast": grey.mean(), "saturation": grey}[name]
        image = np.clip(factor * image + (1 - factor) * other, 0, 255)
    return image


def drawn(monkeypatch, layer, images, seed):
    """The result for images, and the steps that each took with their factors, in its order."""
    calls, turns = [], []
    blended, turned = color._blended, color._turned

    def spy(images, *parameters):
        calls.append([parameter.numpy() for parameter in parameters[:3]])
        return blended(images, *parameters)

    def spy_on_hue(images, turn):
        turns.append(turn.numpy())
        return turned(images, turn)

    monkeypatch.setattr(color, "_blended", spy)
    monkeypatch.setattr(color, "_turned", spy_on_hue)
    result = layer(images, seed=seed).numpy()
    steps = []
    for index in range(len(images)):
        steps.append([])
        for number, (own, grey, mean) in enumerate(calls):
            for a, b, c in zip(own[index], grey[index], mean[index], strict=True):
                assert (b == 0 or b == 1 - a) and (c == 0 or c == 1 - a) and (b == 0 or c == 0)
                if a != 1:
                    steps[-1].append(("saturation" if b else "contrast" if c else "brightness", float(a)))
            if turns and number == 0:
                steps[-1].append(("hue", float(turns[0][index])))
    return result, steps


@pytest.mark.parametrize(
    "strengths", [(0.4, 0.4, 0.4, 0.0), (0.9, 2.0, 3.0, 0.0), (0.5, 1.0, 2.0, 0.5), (0, 0, 0, 0.5)]
)
def test_jitter_is_what_steps_one_by_one_make(monkeypatch, strengths):
    """With strong factors, most steps clip: in another order, the result is another."""
    images = np.random.default_rng(1).uniform(0, 255, (100, 4, 5, 3)).astype("float32")
    result, steps = drawn(monkeypatch, ColorJitter(*strengths), images, (0, 0))
    expected = [one_by_one(image, step) for image, step in zip(images, steps, strict=True)]
    np.testing.assert_allclose(result, expected, atol=2e-2)
    assert all(len(step) == np.count_nonzero(strengths) for step in steps)
    backwards = [one_by_one(image, step[::-1]) for image, step in zip(images, steps, strict=True)]
    assert np.count_nonzero(strengths) == 1 or np.abs(result - backwards).max() > 5


@pytest.mark.parametrize(("hue", "orders"), [(0.0, 6), (0.2, 24)])
def test_every_order_is_as_likely_and_factors_are_uniform(monkeypatch, hue, orders):
    count = 6000
    layer = ColorJitter(0.4, 1.5, 0.2, hue)
    _, steps = drawn(monkeypatch, layer, np.zeros((count, 1, 1, 3), "float32"), (0, 1))
    names, shares = np.unique([" ".join(name for name, _ in step) for step in steps], return_counts=True)
    names_of_steps = ["brightness", "contrast", "saturation"] + ["hue"] * (hue > 0)
    assert set(names) == {" ".join(order) for order in itertools.permutations(names_of_steps)}
    assert np.abs(shares / count - 1 / orders).max() < 4 * np.sqrt(1 / orders / count)
    for name, low, high in [
        ("brightness", 0.6, 1.4),
        ("contrast", 0, 2.5),
        ("saturation", 0.8, 1.2),
        ("hue", -hue, hue),
    ]:
        factors = [value for step in steps for this, value in step if this == name]
        assert len(factors) == (count if name in names_of_steps else 0)
        assert not factors or uniform(factors, low, high) < 1


def test_steps_by_hand():
    """A black and a light pixel, brighter by 1.5 and with twice the contrast: 0, 255 (clipped) -> mean 127.5 -> ..."""
    pixels = np.array([0, 200], "float32").reshape(1, 1, 2, 1) * np.ones(3, "float32")

    def blended(steps):
        parameters = [[(factor, 0, (1 - factor) * (name == "contrast")) for name, factor in steps]]
        own, grey, mean = np.transpose(np.array(parameters, "float32"), (2, 0, 1))
        return color._blended(*map(tf.constant, (pixels, own, grey, mean)), tf.zeros([], tf.uint8))[0, 0, :, 0]

    brighten, contrast = ("brightness", 1.5), ("contrast", 0.5)
    np.testing.assert_array_equal(blended([brighten, contrast]), [64, 191])  # 127.5 -+ 63.75
    np.testing.assert_array_equal(blended([contrast, brighten]), [75, 225])  # 50 and 150 come first


def test_hue_turns_by_a_part_of_the_circle():
    pixels = np.array([[255, 0, 0], [0, 200, 0], [10, 10, 250], [90, 90, 90], [255, 255, 0]], "float32")[None, None]
    third = color._turned(tf.constant(pixels), tf.constant([1 / 3])).numpy()
    np.testing.assert_allclose(third, np.roll(pixels, 1, -1), atol=1e-3)
    half = color._turned(tf.constant(pixels), tf.constant([-0.5])).numpy()[0, 0]
    np.testing.assert_allclose(half[0], [0, 255, 255], atol=1e-3)  # red and cyan
    np.testing.assert_allclose(half[-1], [0, 0, 255], atol=1e-3)  # yellow and blue


def test_one_channel_has_no_saturation_and_no_hue():
    images = IMAGES[..., :1].astype("uint8")
    np.testing.assert_array_equal(ColorJitter(0, 0, 0.9, 0.5)(images, seed=(0, 0)), images)
    changed = ColorJitter(0.4, 0, 0.9, 0.5)(images[:, :1, :1].astype("float32"), seed=(0, 0)) / images[:, :1, :1]
    assert len(np.unique(changed)) == len(images)
    constant = ColorJitter(0, 0.9)(np.full((2, 3, 3, 1), 77, "uint8"), seed=(0, 0))
    np.testing.assert_array_equal(constant, np.full((2, 3, 3, 1), 77))  # it is its own mean


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PCALighting(-0.1), "deviation must be 0 or more, got -0.1"),
        (lambda: PCALighting(eigenvalues=(1, 2)), r"eigenvalues are three, eigenvectors \(3, 3\), got \(1, 2\) and"),
        (lambda: PCALighting(eigenvectors=((1, 0, 0), (0, 1, 0))), r"eigenvalues are three"),
        (lambda: PCALighting()(IMAGES[..., :1], seed=(0, 0)), r"red, green and blue, got the shape \(6, 4, 5, 1\)"),
        (lambda: ColorJitter(contrast=-1), r"must be 0 or more, hue in \[0, 0.5\], got 0.4, -1, 0.4 and 0.0"),
        (lambda: ColorJitter(hue=0.6), r"hue in \[0, 0.5\], got .* and 0.6"),
        (lambda: ColorJitter()(IMAGES[..., :2], seed=(0, 0)), r"with 1 or 3 channels, got the shape \(6, 4, 5, 2\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
