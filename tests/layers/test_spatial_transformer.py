import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import (
    Affine,
    Attention,
    Projective,
    SpatialSampler,
    SpatialTransformer,
    ThinPlateSpline,
    Translation,
)

TRANSFORMS = [Affine(), Attention(), Projective(), ThinPlateSpline(), ThinPlateSpline(9), Translation()]
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)


def theta(*values, batch=1):
    return np.array([values] * batch, "float32")


def points(transform, *parameters, size=(3, 3)):
    """Where the pixels of an output look at, from -1 to 1: `(H', W', 2)` of x and y."""
    x, y = transform.grid(theta(*parameters), *size)
    return np.stack([x[0], y[0]], axis=-1) - 1


def localisation():
    return keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, "relu")])


@each_transform
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 3), (28, 28), (33, 57), (224, 224)])
def test_the_identity_shows_the_image(transform, size):
    images = np.random.default_rng(0).normal(0, 10, (2, *size, 2)).astype("float32")
    shown = SpatialSampler(transform)([images, theta(*transform.identity, batch=2)])
    np.testing.assert_array_equal(shown, images)


@each_transform
def test_a_new_spatial_transformer_changes_nothing(transform):
    images = np.random.default_rng(0).normal(size=(2, 9, 6, 3)).astype("float32")
    layer = SpatialTransformer(localisation(), transform)
    np.testing.assert_array_equal(layer(images), images)
    assert not np.any(layer.theta.kernel)


def test_parameters():
    assert [transform.parameters for transform in TRANSFORMS] == [6, 3, 8, 32, 18, 2]


def test_shift_by_one_pixel():
    """t_x = 2 / (W - 1) on a ramp; beyond the border are zeros."""
    ramp = np.tile(np.arange(5, dtype="float32"), (5, 1))[None, :, :, None]
    shown = SpatialSampler()([ramp, theta(1, 0, 0.5, 0, 1, 0)])
    np.testing.assert_array_equal(shown[0, :, :, 0], [[1, 2, 3, 4, 0]] * 5)
    shown = SpatialSampler()([ramp.transpose(0, 2, 1, 3), theta(1, 0, 0, 0, 1, -0.5)])
    np.testing.assert_array_equal(shown[0, :, 0, 0], [0, 0, 1, 2, 3])


def test_mirrors_and_turns():
    images = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype("float32")
    mirrored = SpatialSampler()([images, theta(-1, 0, 0, 0, 1, 0)])
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-5)
    turned = SpatialSampler()([images, theta(0, 1, 0, -1, 0, 0)])  # x' = y, y' = -x
    np.testing.assert_allclose(turned, np.rot90(images, -1, axes=(1, 2)), atol=1e-5)


def test_another_size():
    """Corners go to corners; every other pixel of a finer output lies between two."""
    ramp = np.tile(np.arange(5, dtype="float32"), (3, 1))[None, :, :, None]
    shown = np.array(SpatialSampler(size=(2, 9))([ramp, theta(*Affine().identity)]))
    np.testing.assert_allclose(shown[0, :, :, 0], [np.arange(9) / 2] * 2, atol=1e-6)
    shown = SpatialSampler(size=(1, 1))([ramp, theta(*Affine().identity)])
    assert float(shown[0, 0, 0, 0]) == 2  # the middle


def test_attention_and_translation_are_affine():
    attended = points(Attention(), 0.5, 0.2, -0.1)
    np.testing.assert_allclose(attended, points(Affine(), 0.5, 0, 0.2, 0, 0.5, -0.1), atol=1e-6)
    np.testing.assert_allclose(points(Translation(0.5), 0.2, -0.1), attended, atol=1e-6)


def test_projective_by_hand():
    affine = points(Projective(), 0.9, 0.1, 0.2, -0.3, 1.1, 0, 0, 0)
    np.testing.assert_allclose(affine, points(Affine(), 0.9, 0.1, 0.2, -0.3, 1.1, 0), atol=1e-6)
    found = points(Projective(), 1, 0, 0, 0, 1, 0, 0.5, 0.25)
    for row, y in enumerate((-1, 0, 1)):
        for column, x in enumerate((-1, 0, 1)):
            expected = np.array([x, y]) / (0.5 * x + 0.25 * y + 1)
            np.testing.assert_allclose(found[row, column], expected, atol=1e-6)


@pytest.mark.parametrize("count", [4, 9, 16])
def test_spline_takes_control_points_to_their_places(count):
    """An output with as many pixels as there are control points has them there."""
    side = int(count**0.5)
    places = np.random.default_rng(0).uniform(-1, 1, (2, count)).astype("float32")
    found = points(ThinPlateSpline(count), *places.ravel(), size=(side, side))
    np.testing.assert_allclose(found.reshape(count, 2).T, places, atol=1e-5)


def test_spline_of_an_affine_map_is_that_map():
    """A plane bends nowhere."""
    spline = ThinPlateSpline()
    x, y = np.reshape(spline.identity, (2, 16))
    places = [*(0.8 * x - 0.3 * y + 0.1), *(0.2 * x + 1.1 * y - 0.2)]
    found = points(spline, *places, size=(5, 7))
    np.testing.assert_allclose(found, points(Affine(), 0.8, -0.3, 0.1, 0.2, 1.1, -0.2, size=(5, 7)), atol=1e-5)


@each_transform
def test_transform_gradient_is_finite_differences(transform):
    """At a generic transform, through a smooth function of the points."""
    random = np.random.default_rng(1)
    parameters = np.array([transform.identity]) + random.normal(0, 0.03, (1, transform.parameters))
    upstream = random.normal(size=(1, 6, 5)).astype("float32")

    def total(parameters):
        x, y = transform.grid(tf.convert_to_tensor(parameters, "float32"), 6, 5, (8, 9))
        return tf.reduce_sum((x * x / 8 + 0.5 * x * y / 8) * upstream)

    variable = tf.Variable(parameters, dtype="float32")
    with tf.GradientTape() as tape:
        value = total(variable)
    found, step = tape.gradient(value, variable).numpy()[0], 0.01
    for place in range(transform.parameters):
        shift = step * np.eye(transform.parameters)[place]
        expected = (total(parameters + shift) - total(parameters - shift)) / (2 * step)
        assert found[place] == pytest.approx(float(expected), abs=0.01 * float(np.abs(found).max()))


@each_transform
def test_gradient_goes_through_sampler_and_grid(transform):
    """On a linear image the chain rule is exact: V = 2 x + 3 y wherever the point lies inside."""
    random = np.random.default_rng(1)
    image = (2 * np.arange(9)[None, :] + 3 * np.arange(8)[:, None]).astype("float32")[None, :, :, None]
    parameters = tf.Variable(theta(*transform.identity) + random.normal(0, 0.02, (1, transform.parameters)))
    parameters = tf.Variable(tf.cast(parameters, "float32"))
    for training in (False, True):
        with tf.GradientTape(persistent=True) as tape:
            shown = SpatialSampler(transform, (4, 5))([image, parameters], training=training)[0, 1:-1, 1:-1, 0]
            x, y = transform.grid(parameters, 4, 5, (8, 9))
            expected = (2 * x + 3 * y)[0, 1:-1, 1:-1]
        np.testing.assert_allclose(shown, expected, atol=1e-4)
        found, expected = tape.gradient(shown, parameters), tape.gradient(expected, parameters)
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("transform", "parameters"),
    [
        (Affine(), [0] * 6),
        (Attention(), [0] * 3),
        (Attention(), [1e20, 0, 0]),
        (Projective(), [0] * 8),
        (Projective(), [1, 0, 0, 0, 1, 0, 1, 0]),  # the denominator is 0 in the first column
        (Projective(), [1, 0, 0, 0, 1, 0, -1e10, 1e10]),
        (ThinPlateSpline(), [0] * 32),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_degenerate_transforms_stay_finite(transform, parameters, training):
    images = np.random.default_rng(0).normal(size=(1, 5, 7, 2)).astype("float32")
    variable = tf.Variable(theta(*parameters))
    with tf.GradientTape() as tape:
        shown = SpatialSampler(transform)([images, variable], training=training)
        total = tf.reduce_sum(shown)
    assert np.isfinite(shown).all() and np.isfinite(tape.gradient(total, variable)).all()


def test_all_points_in_the_middle():
    images = np.random.default_rng(0).normal(size=(1, 5, 7, 2)).astype("float32")
    shown = np.array(SpatialSampler()([images, theta(*[0] * 6)]))
    np.testing.assert_allclose(shown, np.broadcast_to(images[:, 2:3, 3:4], shown.shape), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_parameters_are_float32_under_mixed_precision(policy):
    """A shift by 8 of 1,025 pixels, and a quarter."""
    keras.config.set_dtype_policy(policy)
    row = (np.arange(1025) % 8).astype("float32")[None, None, :, None]
    shown = SpatialSampler()([row, theta(1, 0, 8.25 / 512, 0, 1, 0)])
    np.testing.assert_array_equal(np.float32(shown)[0, 0, :4, 0], [0.25, 1.25, 2.25, 3.25])
    layer = SpatialTransformer(localisation())
    assert keras.backend.standardize_dtype(layer(row).dtype) == layer.compute_dtype
    assert layer.theta.compute_dtype == "float32"


def test_it_learns_where_to_look():
    """The shift between two images, from the images' difference alone."""
    columns, rows = np.meshgrid(np.linspace(-1, 1, 17), np.linspace(-1, 1, 17))
    blob = np.exp(-4 * ((columns - 0.2) ** 2 + (rows + 0.1) ** 2)).astype("float32")[None, :, :, None]
    target = np.exp(-4 * (columns**2 + rows**2)).astype("float32")[None, :, :, None]
    model = keras.Sequential([keras.Input((17, 17, 1)), SpatialTransformer(localisation(), Translation())])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(np.repeat(blob, 8, 0), np.repeat(target, 8, 0), epochs=80, verbose=0)
    layer = model.layers[-1]
    np.testing.assert_allclose(layer.theta(layer.localisation(blob))[0], [0.2, -0.1], atol=0.02)


def test_multiply_adds_are_the_localisation_and_the_regression():
    network = keras.Sequential([keras.layers.Conv2D(3, 3, use_bias=False), keras.layers.GlobalAveragePooling2D()])
    model = keras.Sequential([keras.Input((6, 7, 2)), SpatialTransformer(network)])
    assert count_macs(model) == 4 * 5 * 3 * (9 * 2) + 3 * 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: SpatialSampler()([x, np.zeros((1, 5))]), "6 parameters each.*Received: .*(1, 5)"),
        (lambda x: SpatialSampler(Projective())([x, np.zeros((1, 6))]), "Projective takes .* 8 parameters"),
        (lambda x: SpatialSampler(size=(0, 3)), "`size` is a height and a width"),
        (lambda x: SpatialTransformer(keras.layers.Conv2D(6, 1))(x), "`localisation` ends in vectors"),
        (lambda x: ThinPlateSpline(15), "`points` is a square number"),
        (lambda x: ThinPlateSpline(1), "`points` is a square number"),
    ],
)
def test_bad_input_is_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 4, 4, 2), "float32"))
