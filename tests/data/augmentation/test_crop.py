import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kvision.data import RandomCrop, RandomResizedCrop, RandomScaleCrop

SEED = tf.constant([3, 5], tf.int64)
COUNT = 4000
LAYERS = {
    "crop": RandomCrop((20, 30)),
    "scale": RandomScaleCrop((20, 30), (32, 64)),
    "resized": RandomResizedCrop((20, 30)),
    "square": RandomScaleCrop((20, 30), (32, 64), square=True),
    "cubic": RandomResizedCrop(30, interpolation="bicubic", log_aspect=True),
}


def windows(layer, height, width, count=COUNT):
    """Top, left, height and width, (count,) each."""
    found = np.array(layer.windows(tf.constant(height), tf.constant(width), count, SEED))
    assert found.shape == (count, 4) and found.dtype == np.int32
    assert found.min() >= 0 and found[:, 2:].min() > 0
    assert (found[:, 0] + found[:, 2]).max() <= height and (found[:, 1] + found[:, 3]).max() <= width
    return found.T


def check_uniform(draws, low=0.0, high=1.0, distribution=lambda part: part):
    """Kolmogorov's test at 1 in 1000, of draws that are many and continuous."""
    parts = np.sort(distribution((np.asarray(draws, "float64").ravel() - low) / (high - low)))
    ranks = (np.arange(len(parts)) + 0.5) / len(parts)
    assert np.abs(parts - ranks).max() < 1.95 / np.sqrt(len(parts))


@pytest.mark.parametrize("name", LAYERS)
def test_the_window_is_told_in_advance(name):
    """With the same seed, of an image whose size is not known when the graph is traced."""
    layer = LAYERS[name]
    seen = tf.function(lambda image, seed: layer(image, seed=seed)).get_concrete_function(
        tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((2,), tf.int64)
    )
    for number, (height, width) in enumerate([(40, 70), (33, 32), (50, 41), (64, 64)]):
        image = np.random.default_rng(number).integers(64, 192, (height, width, 3)).astype("uint8")  # Pillow clips
        top, left, rows, columns = layer.window(image.shape, (7, number))
        cut = image[top : top + rows, left : left + columns]
        result = seen(tf.constant(image), tf.constant([7, number], tf.int64))
        assert result.shape == (*layer.size, 3) and result.dtype == tf.uint8
        np.testing.assert_allclose(result, layer.resize(tf.constant(cut)), atol=1)
        kernel = Image.BICUBIC if name == "cubic" else Image.BILINEAR
        expected = cut if name == "crop" else Image.fromarray(cut).resize(layer.size[::-1], kernel)
        np.testing.assert_allclose(np.int32(result), np.int32(expected), atol=1)


def test_every_place_is_as_likely():
    top, left, height, width = windows(RandomCrop((6, 7)), 8, 10)
    assert set(height) == {6} and set(width) == {7}
    counts = np.histogram2d(top, left, [range(4), range(5)])[0]
    assert np.abs(counts - COUNT / 12).max() < 4 * np.sqrt(COUNT / 12)


def test_a_batch_has_a_window_for_each_image():
    images = np.arange(80).reshape(1, 8, 10, 1) + np.zeros((40, 1, 1, 1), int)
    crops = RandomCrop((6, 7))(images, seed=SEED).numpy()
    top, left, _, _ = windows(RandomCrop((6, 7)), 8, 10, 40)
    np.testing.assert_array_equal(crops[:, 0, 0, 0], 10 * top + left)
    np.testing.assert_array_equal(crops, crops[:, :1, :1] + images[:, :6, :7])


def test_images_smaller_than_the_window_are_named():
    for image in (np.zeros((5, 9, 3)), np.zeros((9, 5, 3)), np.zeros((2, 5, 9, 3))):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"windows of \(6, 6\).*smaller"):
            RandomCrop(6)(image, seed=SEED)


def test_the_shorter_side_is_any_integer_of_its_range():
    """The window of 224 pixels of an image that becomes S is 224 short / S: S is read from that of a large image."""
    top, left, height, width = windows(RandomScaleCrop(224, (256, 512)), 6000, 9000, 10000)
    np.testing.assert_array_equal(height, width)
    sizes = 224 * 6000 / height
    assert np.abs(sizes - np.round(sizes)).max() < 0.11
    counts = np.bincount(np.int64(np.round(sizes)))[256:]
    assert len(counts) == 257 and counts.min() > 0
    chi = ((counts - 10000 / 257) ** 2).sum() / (10000 / 257)
    assert abs(chi - 256) < 4 * np.sqrt(2 * 256)
    check_uniform(top / (6000 - height))
    check_uniform(left / (9000 - width))


def test_scaled_windows_by_hand():
    """30 x 40 becomes 60 x 80: the window of 10 x 20 is one of 5 x 10, and a ramp is half as steep."""
    layer = RandomScaleCrop((10, 20), (60, 60))
    _, _, height, width = windows(layer, 30, 40)
    assert set(height) == {5} and set(width) == {10}
    ramp = np.broadcast_to(np.arange(40, dtype="float32")[None, :, None], (30, 40, 1))
    shown = layer(ramp, seed=SEED).numpy()
    np.testing.assert_allclose(np.diff(shown[:, 1:-1, 0], axis=1), 0.5, atol=1e-4)
    image = np.random.default_rng(0).integers(0, 256, (10, 10, 3))
    np.testing.assert_array_equal(RandomScaleCrop(10, (10, 10))(image, seed=SEED), image)


@pytest.mark.parametrize(("height", "width"), [(6000, 9000), (9000, 6000)])
def test_windows_of_the_square_in_the_middle(height, width):
    """As AlexNet's: of 3000 pixels on the longer side, 1500 at each end are never seen; of the rest all are."""
    corners = np.array(windows(RandomScaleCrop(224, (256, 256), square=True), height, width))
    sides, room = corners[2:], 6000 - 5250
    assert (sides == 5250).all()
    longer, shorter = corners[:2] if height > width else corners[1::-1]
    check_uniform(longer, 1500, 1500 + room + 1)
    check_uniform(shorter, 0, room + 1)


@pytest.mark.parametrize("log", [False, True])
def test_area_is_uniform_and_so_is_the_aspect_or_its_logarithm(log):
    area, aspect = RandomResizedCrop(log_aspect=log).draw(COUNT, SEED)
    assert area.shape == aspect.shape == (COUNT, 10)
    check_uniform(area, 0.08, 1)
    if log:
        check_uniform(np.log(aspect), np.log(3 / 4), np.log(4 / 3))
    else:  # half of them are turned by a right angle
        part = lambda ratio: (ratio - 3 / 4) / (4 / 3 - 3 / 4)  # noqa: E731
        check_uniform(aspect, distribution=lambda ratio: (part(ratio) + 1 - part(1 / ratio)) / 2)
    assert abs(np.corrcoef(np.ravel(area), np.log(aspect).ravel())[0, 1]) < 4 / np.sqrt(10 * COUNT)
    assert abs(np.corrcoef(area[:, 0], area[:, 1])[0, 1]) < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (4000, 2000)])
def test_the_first_try_that_fits_is_taken_at_any_place(height, width):
    layer = RandomResizedCrop(224)
    areas, aspects = layer.draw(COUNT, tf.random.split(SEED, 2)[0])
    rooms = []
    for (top, left, rows, columns), area, aspect in zip(
        windows(layer, height, width).T, areas.numpy(), aspects.numpy(), strict=True
    ):
        for part, ratio in zip(area, aspect, strict=True):
            expected = np.array([np.sqrt(part * height * width / ratio), np.sqrt(part * height * width * ratio)])
            if np.all(np.round(expected) <= (height, width)):
                break
        else:
            expected = np.array([min(height, width)] * 2)
            assert (top, left) == tuple(([height, width] - expected) // 2)
        assert np.abs([rows, columns] - expected).max() <= 0.51
        rooms.append([(top + 0.5) / (height - rows + 1), (left + 0.5) / (width - columns + 1)])
    top, left = np.array(rooms)[np.any(np.array(rooms) != 0.5, 1)].T
    check_uniform(top)
    check_uniform(left)


def test_the_centre_is_taken_where_nothing_fits():
    """8% of an image of 10 x 400 at a ratio of 4/3 or less is higher than 10."""
    for size, expected in [(5, (0, 195, 10, 10)), ((5, 10), (0, 190, 10, 20)), ((10, 5), (0, 197, 10, 5))]:
        np.testing.assert_array_equal(windows(RandomResizedCrop(size), 10, 400, 3).T, [expected] * 3)


def test_the_whole_image_is_the_identity():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3))
    for dtype in ("uint8", "float32"):
        layer = RandomResizedCrop(16, (1, 1), (1, 1))
        np.testing.assert_array_equal(layer(images.astype(dtype), seed=SEED), images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCrop(0), "size must be one or two positive integers, got 0"),
        (lambda: RandomCrop((3, 0)), r"positive integers, got \(3, 0\)"),
        (lambda: RandomScaleCrop(224, (200, 300)), r"not below the size 224, got \(200, 300\)"),
        (lambda: RandomScaleCrop(224, (300, 256)), r"in order, not below the size 224, got \(300, 256\)"),
        (lambda: RandomScaleCrop(interpolation="cubic"), "one of bilinear, bicubic, got 'cubic'"),
        (lambda: RandomResizedCrop(area=(0, 1)), r"area must be .* in \(0, 1\], got \(0, 1\)"),
        (lambda: RandomResizedCrop(area=(0.5, 1.1)), r"got \(0.5, 1.1\)"),
        (lambda: RandomResizedCrop(aspect=(2, 1)), r"aspect must be .* above 0, got \(2, 1\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_does_not_shrink_needs_no_antialiasing():
    """Both resizes are one where the window is not larger than the result, either way."""
    layer, random = RandomResizedCrop((20, 24)), np.random.default_rng(0)
    for height, width in [(20, 24), (3, 24), (7, 5), (1, 1)]:
        window = tf.constant(random.integers(0, 256, (height, width, 3)), tf.uint8)
        np.testing.assert_allclose(layer._plain(window), layer._antialiased(window), atol=1e-3)
    window = tf.constant(random.integers(0, 256, (30, 5, 3)), tf.uint8)
    assert np.abs(layer._plain(window) - layer._antialiased(window)).max() > 10
    for size in [(30, 5), (5, 30), (15, 15)]:
        window = tf.constant(random.integers(0, 256, (*size, 3)), tf.float32)
        np.testing.assert_allclose(layer.resize(window), layer._antialiased(window), atol=1e-3)
