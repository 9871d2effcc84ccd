import numpy as np
import pytest
import tensorflow as tf

from kvision.data import RandomClutter, RandomProjection, RandomSimilarity, RandomSpline

# Section 4.1's R, RTS, P, E and TC, with the sizes that they make of 28 x 28.
TABLE = [
    (RandomSimilarity(), 28),
    (RandomSimilarity(45, (0.7, 1.2), (42, 42)), 42),
    (RandomProjection(), 28),
    (RandomSpline(), 28),
    (RandomClutter(), 60),
]
each_layer = pytest.mark.parametrize(("layer", "size"), TABLE, ids=["R", "RTS", "P", "E", "TC"])
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1))


def disc(count, radius=5.0, size=28):
    """Smooth round blobs in the middle, of a mass of pi r^2 / 3 each: cones."""
    away = np.hypot(*np.mgrid[(slice(-(size - 1) / 2, (size - 1) / 2 + 1),) * 2])
    return np.repeat(np.maximum(0, 1 - away / radius)[None, :, :, None], count, 0).astype("float32")


def centres(images):
    """Row and column of each image's centre of mass, from the middle."""
    images, middle = np.array(images)[..., 0], (images.shape[1] - 1) / 2
    grid = np.arange(images.shape[1]) - middle
    mass = images.sum((1, 2))
    return np.stack([(images.sum(2) @ grid) / mass, (images.sum(1) @ grid) / mass], -1)


@each_layer
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "float64"])
def test_a_dataset_does_what_eager_does_and_the_dtype_stays(layer, size, dtype):
    images = IMAGES.astype(dtype)
    mapped = tf.data.Dataset.range(2).map(lambda n: layer(images, seed=tf.stack([3, n])), 2)
    assert mapped.element_spec == tf.TensorSpec((5, size, size, 1), dtype)
    results = list(mapped)
    for number, result in enumerate(results):
        np.testing.assert_allclose(
            result, layer(images, seed=(3, number)), atol=1 if dtype in ("uint8", "int32") else 0.2
        )
    assert np.abs(np.float64(results[0]) - np.float64(results[1])).max() > 10


@each_layer
def test_images_differ_and_nothing_is_lit_from_outside(layer, size):
    shown = np.array(layer(disc(6), seed=(1, 2)))
    if layer.get_config().get("degrees") != 90:  # turned, a disc is itself
        assert all(np.abs(one - other).max() > 0.01 for one, other in zip(shown, shown[1:], strict=False))
    assert shown.min() >= 0 and shown.max() <= 1 + 1e-6
    assert not np.any(layer(np.zeros((2, 28, 28, 1), "float32"), seed=(1, 2)))


def test_rotation_is_about_the_middle_and_within_its_limits():
    """A disc in the middle stays; one to the right goes to where its angle says."""
    np.testing.assert_allclose(RandomSimilarity()(disc(4), seed=(1, 2)), disc(4), atol=0.1)
    moved = np.roll(disc(200), 7, axis=2)
    rows, columns = centres(RandomSimilarity(60)(moved, seed=(1, 2))).T
    np.testing.assert_allclose(np.hypot(rows, columns), 7, atol=0.1)
    angles = np.degrees(np.arctan2(rows, columns))
    assert angles.min() < -50 and angles.max() > 50 and np.abs(angles).max() < 61


def test_no_turn_is_the_identity():
    np.testing.assert_allclose(RandomSimilarity(0)(IMAGES.astype("float32"), seed=(1, 2)), IMAGES, atol=1e-3)


def test_scaled_images_lie_anywhere_on_the_canvas_and_whole():
    layer = RandomSimilarity(0, (0.7, 1.2), (42, 42))
    shown = np.array(layer(disc(300, 10.0), seed=(1, 2)))
    scales = np.sqrt(shown.sum((1, 2, 3)) / disc(1, 10.0).sum())
    assert 0.69 < scales.min() < 0.75 and 1.15 < scales.max() < 1.21
    offsets, room = centres(shown), (42 - 28 * scales[:, None]) / 2
    assert np.abs(offsets / room).max() < 1.03 and np.abs(offsets / room).max(0).min() > 0.95


@pytest.mark.parametrize("layer", [RandomProjection, RandomSpline])
def test_without_deviation_images_are_only_shrunk(layer):
    shown = np.array(layer((0.75, 0.75), 0.0)(disc(2, 10.0), seed=(1, 2)))
    np.testing.assert_allclose(shown, disc(2, 7.5), atol=0.05)
    np.testing.assert_allclose(layer((1, 1), 0)(IMAGES.astype("float32"), seed=(1, 2)), IMAGES, atol=0.1)


def test_a_projection_moves_corners_as_far_as_it_says():
    """The first corner of a white image is shifted by 2 pixels of standard deviation, to the outside or the inside."""
    shown = np.array(RandomProjection((1, 1), 2.0)(np.ones((100, 101, 101, 1), "float32"), seed=(1, 2)))[..., 0]
    diagonals = np.add(*np.mgrid[:101, :101])
    inside = np.where(shown > 0.5, diagonals, 999).min((1, 2))  # rows and columns that it has come inside
    # Their sum has a deviation of 2 sqrt(2), and a mean of that times sqrt(2 / pi) where it is positive.
    assert 0.3 < (inside > 0).mean() < 0.7 and 1.7 < inside[inside > 0].mean() < 3.2


def test_clutter_is_pieces_of_other_images_around_the_whole_one():
    images = np.stack([np.full((28, 28, 1), value, "float32") for value in (1, 2, 3)])
    shown = np.array(RandomClutter()(images, seed=(1, 2)))
    for value, canvas in zip((1, 2, 3), shown, strict=True):
        assert set(np.unique(canvas)) <= {0, 1, 2, 3}
        assert (canvas >= value).sum() >= 28 * 28
        others = np.isin(canvas, [other for other in (1, 2, 3) if other != value]).sum()
        assert 0 < others <= 6 * 36
    plain = np.array(RandomClutter((30, 40), patches=0)(IMAGES, seed=(1, 2)))
    found = [
        any(np.array_equal(canvas[i : i + 28, j : j + 28], image) for i in range(3) for j in range(13))
        for canvas, image in zip(plain, IMAGES, strict=True)
    ]
    assert all(found) and np.array_equal(plain.sum((1, 2, 3)), IMAGES.sum((1, 2, 3)))


def test_images_without_room_are_clear_errors():
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than the canvas"):
        RandomClutter((20, 60))(IMAGES, seed=(1, 2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="smaller than a piece"):
        RandomClutter(patch=30)(IMAGES, seed=(1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSimilarity(scales=(1.2, 0.7)), "scales are the smallest and the largest"),
        (lambda: RandomProjection((0, 1)), "scales are the smallest and the largest"),
        (lambda: RandomSimilarity(size=(0, 3)), "size is a height and a width"),
        (lambda: RandomSpline(deviation=-1), "deviation must be 0 or more"),
        (lambda: RandomSpline(points=15), "a square number"),
        (lambda: RandomClutter(patch=0), "size and patch are at least 1"),
    ],
)
def test_bad_arguments_are_clear_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
