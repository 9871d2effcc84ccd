import numpy as np
import pytest
import tensorflow as tf

from kvision.data import RandomClutter, RandomProjection, RandomSimilarity, RandomSpline
from kvision.data.augmentation.warp import sample

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


SEED = tf.constant([3, 5], tf.int64)
RAMPS = np.stack(np.mgrid[:28, :28][::-1], -1)[None].astype("float32")  # column and row of each pixel


def check_uniform(draws, low, high):
    """Kolmogorov's test at 1 in 1000."""
    parts = np.sort((np.asarray(draws).ravel() - low) / (high - low))
    assert np.abs(parts - (np.arange(len(parts)) + 0.5) / len(parts)).max() < 1.95 / np.sqrt(len(parts))


def many(layer, images, count):
    """What the layer makes of these images with many seeds, (count, B, H, W, C)."""
    results = tf.data.Dataset.range(count).map(lambda n: layer(images, seed=tf.stack([1, n]))).batch(count)
    return results.get_single_element().numpy()


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
def test_images_differ_and_nothing_is_lit_from_outside(layer, size):
    shown = np.array(layer(disc(6), seed=(1, 2)))
    assert shown.shape == (6, size, size, 1)
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


@pytest.mark.parametrize(("layer", "limit", "scales"), [(TABLE[0][0], 90, None), (TABLE[1][0], 45, (0.7, 1.2))])
def test_angles_scales_and_places_are_uniform(layer, limit, scales):
    degrees, scale, place = layer.draw((28, 28), 4000, SEED)
    check_uniform(degrees, -limit, limit)
    room = ((layer.size or (28, 28))[0] - 28 * scale.numpy()) / 2
    if scales is None:
        assert np.all(scale == 1) and not np.any(place)
    else:
        check_uniform(scale, *scales)
        check_uniform(place / room[:, None], -1, 1)
        drawn = np.stack([degrees, scale, *(place.numpy().T / room)])
        assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 4 / np.sqrt(4000)


@pytest.mark.parametrize(("layer", "deviation", "points"), [(TABLE[2][0], 5.0, 4), (TABLE[3][0], 1.5, 16)])
def test_points_move_normally_and_scales_are_uniform(layer, deviation, points):
    count = 4000
    scale, moved = layer.draw(tf.zeros((count, 28, 15, 1)), SEED, points)
    check_uniform(scale, 0.75, 1)
    pixels = moved.numpy() * np.array([[7], [13.5]])  # halves of the image, x and y
    assert np.abs(pixels.mean(0)).max() < 4.5 * deviation / np.sqrt(count)
    assert np.abs(pixels.std(0) / deviation - 1).max() < 4.5 / np.sqrt(2 * count)
    assert abs((np.abs(pixels) < deviation).mean() - 0.6827) < 4 * np.sqrt(0.22 / pixels.size)
    each = np.concatenate([pixels.reshape(count, -1).T, scale.numpy().reshape(1, -1)])
    assert np.abs(np.corrcoef(each) - np.eye(len(each))).max() < 5 / np.sqrt(count)


def test_a_projection_takes_the_diagonals_to_the_diagonals():
    """Where those of the four moved corners cross, the middle of the image is seen."""
    layer, images = RandomProjection((0.75, 0.75), 2.0), np.repeat(RAMPS, 50, 0)
    scale, moved = (part.numpy() for part in layer.draw(tf.constant(images), SEED, 4))
    x, y = (scale * [[-1, 1, -1, 1], [-1, -1, 1, 1]] + moved).transpose(1, 2, 0) * 13.5 + 13.5
    # From corner 0 to corner 3, as far as the line from corner 1 to corner 2.
    across, along = (x[3] - x[0], y[3] - y[0]), (x[2] - x[1], y[2] - y[1])
    part = ((x[1] - x[0]) * along[1] - (y[1] - y[0]) * along[0]) / (across[0] * along[1] - across[1] * along[0])
    crossing = [
        tf.constant(axis[:, None, None], tf.float32) for axis in (x[0] + part * across[0], y[0] + part * across[1])
    ]
    np.testing.assert_allclose(sample(layer(images, seed=SEED), *crossing), np.full((50, 1, 1, 2), 13.5), atol=0.02)
    assert np.std(crossing) > 0.5


def test_a_spline_shows_moved_points_at_its_control_points():
    """Of 4 x 4 over 28 pixels the inner ones are at 9 and 18."""
    layer, images = RandomSpline((1, 1), 1.5), np.repeat(RAMPS, 500, 0)
    _, moved = layer.draw(tf.constant(images), SEED, 16)
    moved = tf.reshape(moved, [500, 2, 4, 4])[:, :, 1:3, 1:3].numpy().transpose(0, 2, 3, 1) * 13.5
    shown = layer(images, seed=SEED)[:, 9:19:9, 9:19:9]
    np.testing.assert_allclose(shown, RAMPS[:, 9:19:9, 9:19:9] + moved, atol=2e-3)


def test_clutter_is_strewn_evenly():
    """Around a black image: how many pixels six pieces of 6 x 6 cover, if each of 55 x 55 places is as likely."""
    images = tf.constant(np.stack([np.zeros((28, 28, 1)), np.ones((28, 28, 1))]), tf.float32)
    count, shown = 800, many(RandomClutter(), images, 800)[:, 0, :, :, 0]
    line = np.minimum(np.minimum(np.arange(60) + 1, 60 - np.arange(60)), 6) / 55  # of a window over a row
    lit = 1 - (1 - np.outer(line, line)) ** 6
    assert abs(shown.sum((1, 2)).mean() - lit.sum()) < 4 * shown.sum((1, 2)).std() / np.sqrt(count)
    assert np.abs(shown.mean(0) - lit).max() < 5 * np.sqrt(lit.max() / count)
    assert shown.sum((1, 2)).max() == 6 * 36


def test_images_and_pieces_are_of_any_other_image_at_any_place():
    spots = np.zeros((4000, 3, 4, 1), "uint8")
    spots[:, 0, 0] = 1
    places = np.array(RandomClutter((8, 10), patches=0, patch=1)(spots, seed=SEED)).reshape(4000, 80).argmax(1)
    counts = np.bincount(places, minlength=80).reshape(8, 10)
    assert counts[:6, :7].sum() == 4000 and np.abs(counts[:6, :7] - 4000 / 42).max() < 4 * np.sqrt(4000 / 42)

    images, layer = np.arange(1, 6, dtype="uint8").reshape(5, 1, 1, 1), RandomClutter((40, 40), patches=1, patch=1)
    shown = many(layer, images, 400)
    for own in range(1, 6):
        found = [np.any(shown[:, own - 1] == other, (1, 2, 3)).mean() for other in range(1, 6) if other != own]
        assert np.abs(np.array(found) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 400)


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
