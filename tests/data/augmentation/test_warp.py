import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kvision.data import RandomAffine
from kvision.data.augmentation.warp import sample
from kvision.layers import bilinear_sampler

SEED = tf.constant([3, 5], tf.int64)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 9, 12, 2))
OFF = {"rotation": 0.0, "right": 0.0, "down": 0.0, "scale": 1.0, "mirror": 1.0, "shear": 0.0, "stretch": 1.0}


class Fixed(RandomAffine):
    """The affine map of the given parameters."""

    def __init__(self, **parameters):
        super().__init__()
        self.parameters = {**OFF, **parameters}

    def draw(self, count, seed):
        return {name: tf.fill([count], value) for name, value in self.parameters.items()}


def sampled(images, x, y, *arguments):
    return sample(tf.constant(images), tf.constant(x), tf.constant(y), *arguments)


def nothing(**arguments):
    return RandomAffine(
        **{"rotation": 0, "translation": 0, "scale": 1, "flip": 0, "shear": 0, "stretch": 1} | arguments
    )


def spot(right, up, size=61):
    """One image that is bright around a point, from the centre."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.maximum(0, 4 - np.hypot(x - right, y + up))[None, :, :, None].astype("float32")


def found(image):
    """How far right and up of the centre the spot is."""
    y, x = np.mgrid[: image.shape[1], : image.shape[2]] - (image.shape[1] - 1) / 2
    shown = np.array(image)[0, :, :, 0]
    return (x * shown).sum() / shown.sum(), -(y * shown).sum() / shown.sum()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect"])
def test_without_any_part_it_is_the_identity(dtype, fill_mode):
    layer = nothing(fill_mode=fill_mode, fill_value=7)
    np.testing.assert_array_equal(layer(IMAGES.astype(dtype), seed=SEED), IMAGES)
    np.testing.assert_array_equal(layer(IMAGES[:, :1, :1].astype(dtype), seed=SEED), IMAGES[:, :1, :1])


@pytest.mark.parametrize(
    ("name", "low", "high", "scale"),
    [
        ("rotation", 0, 360, lambda value: value),
        ("right", -10, 10, lambda value: value),
        ("down", -10, 10, lambda value: value),
        ("scale", math.log(1 / 1.6), math.log(1.6), np.log),
        ("shear", -20, 20, lambda value: value),
        ("stretch", math.log(1 / 1.3), math.log(1.3), np.log),
    ],
)
def test_parameters_are_uniform(name, low, high, scale):
    """Kolmogorov's test at 1 in 1000."""
    count = 4000
    drawn = scale(RandomAffine().draw(count, SEED)[name].numpy())
    parts = np.sort((drawn - low) / (high - low))
    assert np.abs(parts - (np.arange(count) + 0.5) / count).max() < 1.95 / math.sqrt(count)


def test_parameters_are_independent_and_mirrors_have_their_probability():
    count = 4000
    drawn = np.stack([values.numpy() for values in RandomAffine(flip=0.3).draw(count, SEED).values()])
    assert np.abs(np.corrcoef(drawn) - np.eye(7)).max() < 4 / math.sqrt(count)
    mirrors = drawn[list(OFF).index("mirror")]
    assert set(mirrors) == {-1, 1} and abs((mirrors < 0).mean() - 0.3) < 4 * math.sqrt(0.21 / count)


def test_one_number_is_to_either_side():
    assert RandomAffine(30).rotation == (-30, 30)


def test_right_angles_and_mirrors_are_exact():
    images = np.random.default_rng(1).integers(0, 256, (3, 10, 10, 2)).astype("uint8")
    np.testing.assert_array_equal(nothing(rotation=(90, 90))(images, seed=SEED), np.rot90(images, 1, (1, 2)))
    np.testing.assert_array_equal(nothing(rotation=(180, 180))(images, seed=SEED), images[:, ::-1, ::-1])
    np.testing.assert_array_equal(nothing(flip=1)(images, seed=SEED), images[:, :, ::-1])


@pytest.mark.parametrize(
    ("parameters", "before", "after"),
    [
        ({"right": 5.0, "down": -3.0}, (0, 0), (5, 3)),
        ({"rotation": 30.0}, (10, 0), (10 * math.cos(math.pi / 6), 5)),
        ({"scale": 1.5}, (10, 4), (15, 6)),
        ({"stretch": 1.25}, (8, 10), (10, 8)),
        # A line that leans by 20 degrees stands upright.
        ({"shear": 20.0}, (10 * math.sin(math.pi / 9), 10 * math.cos(math.pi / 9)), (0, 10)),
        ({"shear": 20.0}, (10, 0), (10, 0)),
        # The translation comes first: the spot has gone to the right before it is turned upwards,
        ({"right": 8.0, "rotation": 90.0}, (0, 0), (0, 8)),
        # then the rotation: what was at the right is above when the height shrinks,
        ({"rotation": 90.0, "stretch": 1.25}, (10, 0), (0, 8)),
        ({"rotation": 90.0, "shear": 20.0}, (10 * math.cos(math.pi / 9), -10 * math.sin(math.pi / 9)), (0, 10)),
        # and last the mirror: what has been turned to the upper left is at the upper right.
        ({"rotation": 120.0, "mirror": -1.0}, (10, 0), (5, 10 * math.sin(math.pi / 3))),
    ],
)
def test_parts_and_their_order_by_where_a_point_goes(parameters, before, after):
    np.testing.assert_allclose(found(Fixed(**parameters)(spot(*before), seed=SEED)), after, atol=0.05)


@pytest.mark.parametrize(
    ("fill_mode", "scipys"), [("constant", "grid-constant"), ("nearest", "nearest"), ("reflect", "mirror")]
)
@pytest.mark.parametrize("compiled", [True, False])
def test_sampling_is_that_of_scipy(fill_mode, scipys, compiled):
    x, y = np.random.default_rng(2).uniform(-25, 35, (2, 3, 20, 15)).astype("float32")
    x[0, :8], y[0, :8] = np.random.default_rng(3).uniform(-1.5, 9.5, (2, 8, 15))
    expected = [
        [ndimage.map_coordinates(image[..., c], [v, u], order=1, mode=scipys, cval=50.0) for c in range(2)]
        for image, u, v in zip(IMAGES.astype("float64"), x, y, strict=True)
    ]
    signature = [tf.TensorSpec(shape, "float32") for shape in [(None,) * 3 + (2,), (None,) * 3, (None,) * 3]]
    run = tf.function(
        lambda images, x, y: sample(images, x, y, fill_mode, 50.0), input_signature=None if compiled else signature
    )
    shown = run(*map(tf.constant, (IMAGES.astype("float32"), x, y)))
    np.testing.assert_allclose(np.moveaxis(shown, -1, 1), expected, atol=2e-3)
    whole = sampled(IMAGES.astype("uint8"), x, y, fill_mode, 50.0)
    assert np.abs(np.float32(whole) - shown).max() <= 0.501


def test_sampling_is_that_of_the_layer():
    x, y = np.random.default_rng(4).uniform(-3, 14, (2, 3, 7, 8)).astype("float32")
    images = IMAGES.astype("float32")
    np.testing.assert_allclose(sampled(images, x, y), bilinear_sampler.sample(images, x, y), atol=1e-3)


def test_images_of_one_row_or_column():
    for images in (IMAGES[:, :1], IMAGES[:, :, :1]):
        y, x = (
            np.float32(np.broadcast_to(axis, images.shape[:3]))
            for axis in np.mgrid[: images.shape[1], : images.shape[2]]
        )
        for fill_mode in ("constant", "nearest", "reflect"):
            np.testing.assert_array_equal(sampled(images, x, y, fill_mode), images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": (10, 0)}, r"rotation must be the least and the most degrees.*got \(10, 0\)"),
        ({"rotation": -5}, "got -5"),
        ({"translation": -1}, r"translation must be in \[0, inf\], got -1"),
        ({"scale": 0.5}, r"scale must be in \[1, inf\], got 0.5"),
        ({"flip": 2}, r"flip must be in \[0, 1\], got 2"),
        ({"shear": 90}, r"shear must be in \[0, 89.9\], got 90"),
        ({"stretch": 0}, r"stretch must be in \[1, inf\], got 0"),
        ({"fill_mode": "wrap"}, "fill_mode must be one of constant, nearest, reflect, got 'wrap'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomAffine(**arguments)
