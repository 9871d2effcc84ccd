import numpy as np
import pytest
import tensorflow as tf

from kvision.data import CutMix

PER = pytest.mark.parametrize("per", ["batch", "sample"])


def seed(number):
    return tf.constant([0, number], tf.int64)


def numbered(count, height=20, width=28):
    """Images of one value each: 0, 1, 2, ..."""
    return np.tile(np.arange(count, dtype="int32")[:, None, None, None], (1, height, width, 1))


def mixed(layer, images, number=0):
    mix = tf.function(layer.mix)  # eager loops over images are slow
    return [part.numpy() for part in mix(tf.constant(images), seed(number))]


@PER
def test_labels_weigh_exactly_the_pixels_of_each(per):
    images, labels = numbered(12), np.eye(12, dtype="float32")
    for number in range(10):
        result, parts = CutMix(per=per)(images, labels, seed=(0, number))
        counts = np.stack([np.bincount(image.ravel(), minlength=12) for image in result.numpy()])
        np.testing.assert_allclose(parts.numpy() * 20 * 28, counts, atol=1e-4)
        assert (counts[np.arange(12), np.arange(12)] > 0).any()


@PER
def test_the_partners_box_comes_from_the_same_place(per):
    rng = np.random.default_rng(0)
    images = rng.permuted(np.arange(6 * 20 * 28).astype("int32")).reshape(6, 20, 28, 1)
    result, partners, own = mixed(CutMix(per=per), images, 1)
    kept = result == images
    np.testing.assert_array_equal(np.where(kept, images, images[partners]), result)
    np.testing.assert_array_equal(np.sort(partners), np.arange(6))
    others = partners != np.arange(6)
    np.testing.assert_allclose(kept.mean((1, 2, 3))[others], own[others], atol=1e-6)
    assert (own < 1).any()
    for outside in kept[..., 0]:  # a box: rows and columns span all that changed
        inside = ~outside
        np.testing.assert_array_equal(inside, inside.any(1)[:, None] & inside.any(0)[None])


def test_one_box_for_the_batch_or_one_for_each_image():
    assert len(np.unique(mixed(CutMix(), numbered(50))[2])) == 1
    assert len(np.unique(mixed(CutMix(per="sample"), numbered(50))[2])) > 25


def reference(rng, count, height, width):
    """rand_bbox of the authors' code, loop for loop: top, bottom, left, right."""
    found = []
    for _ in range(count):
        scale = np.sqrt(1 - rng.beta(1, 1))
        half_width, half_height = int(width * scale) // 2, int(height * scale) // 2
        x, y = rng.integers(width), rng.integers(height)
        found.append(
            (max(y - half_height, 0), min(y + half_height, height), max(x - half_width, 0), min(x + half_width, width))
        )
    return np.array(found)


def test_boxes_are_those_of_the_authors_code():
    count, (height, width) = 4000, (20, 28)
    result, partners, own = mixed(CutMix(per="sample"), numbered(count, height, width))
    changed = (result != numbered(count, height, width))[..., 0]
    rows, columns = changed.any(2).sum(1), changed.any(1).sum(1)
    expected = reference(np.random.default_rng(0), count, height, width)
    tall, wide = expected[:, 1] - expected[:, 0], expected[:, 3] - expected[:, 2]
    tall, wide = tall * (wide > 0), wide * (tall > 0)
    for found, other in ((rows, tall), (columns, wide), (1 - own, tall * wide / (height * width))):
        assert abs(found.mean() - other.mean()) < 4 * np.sqrt((found.var() + other.var()) / count)
        assert abs(found.std() - other.std()) < 0.05 * other.std()
    everywhere = changed.mean(0)  # how often each pixel is pasted: most in the middle
    assert (everywhere > 0.02).all() and everywhere[10, 14] > 2 * everywhere[0, 0]


def test_before_the_border_cuts_it_the_part_is_uniform():
    """Boxes that touch no border tell lambda: 1 - h w / (H W) is uniform on what fits, up to rounding to even sides."""
    size = 400
    _, _, own = mixed(CutMix(per="sample"), np.zeros((3000, 1, 1, 1), "int32"))
    assert set(own) == {1.0}  # one pixel: int(sqrt(1 - p)) is 0
    result, _, own = mixed(CutMix(per="sample"), numbered(600, size, 8))
    changed = (result != numbered(600, size, 8))[..., 0].any(2)
    start, stop = changed.argmax(1), size - changed[:, ::-1].argmax(1)
    whole = changed.any(1) & (start > 0) & (stop < size)
    scale = (stop - start)[whole] / size
    # Centres leave room with probability 1 - s: the density of s is proportional to 2 s (1 - s), here for sides > 0.
    low = 2 / 8  # narrower boxes have no column
    cumulated = lambda s: s**2 - 2 * s**3 / 3  # noqa: E731
    distribution = (cumulated(np.sort(scale)) - cumulated(low)) / (cumulated(1) - cumulated(low))
    count = whole.sum()
    assert count > 120
    assert np.abs(distribution - (np.arange(count) + 0.5) / count).max() < 1.95 / np.sqrt(count)


@PER
@pytest.mark.parametrize("probability", [0, 0.5, 1])
def test_batches_or_images_are_mixed_with_the_probability(per, probability):
    layer = CutMix(probability=probability, per=per)
    size = 40
    if per == "sample":
        own = mixed(layer, np.zeros((2000, size, size, 1), "uint8"))[2]
    else:
        draw = tf.function(lambda number: layer.mix(tf.zeros((2, size, size, 1)), tf.stack([0, number]))[2][0])
        own = np.array([draw(number) for number in tf.range(400, dtype=tf.int64)])
    share, empty = (own < 1).mean(), (2 / size) ** 2  # sides below two pixels leave no box
    assert share <= probability + 4 * np.sqrt(probability * (1 - probability) / len(own))
    assert share >= (probability - empty) - 4 * np.sqrt(0.25 / len(own)) * (probability > 0)


@PER
def test_without_alpha_or_probability_nothing_is_mixed(per):
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3)).astype("uint8")
    labels = np.eye(5, dtype="float32")
    for layer in (CutMix(0.0, per=per), CutMix(probability=0.0, per=per)):
        result, parts = layer(images, labels, seed=(0, 0))
        np.testing.assert_array_equal(result, images)
        np.testing.assert_array_equal(parts, labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CutMix(-1), "alpha must be 0 or more, got -1"),
        (lambda: CutMix(probability=2), r"probability must be in \[0, 1\], got 2"),
        (lambda: CutMix(per="image"), 'per must be "batch" or "sample", got \'image\''),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
