import numpy as np
import pytest
import tensorflow as tf

from kvision.data import AugMix, RandAugment

ZEROS = np.zeros((2000, 1, 1, 3), "float32")


def augmented(layer, images=ZEROS, seed=(0, 0)):
    return tf.function(layer)(images, seed=seed).numpy()


class Counting(RandAugment):
    """Five operations that leave a trace: a digit to the base of four."""

    def operations(self):
        return [lambda image, digit=digit: image + 4.0**digit for digit in range(5)]


@pytest.mark.parametrize("rate", [0, 0.6, 1])
def test_randaugment_draws_operations_for_each_image(rate):
    values = augmented(Counting(3, rate=rate))[:, 0, 0, 0].astype(int)
    times = values[:, None] // 4 ** np.arange(5) % 4  # how often each operation was applied
    total = times.sum(1)
    assert total.max() <= 3
    assert abs(total.mean() - 3 * rate) <= 4 * np.sqrt(3 * rate * (1 - rate) / 2000)
    part = rate / 5
    assert (np.abs(times.mean(0) - 3 * part) <= 4 * np.sqrt(3 * part * (1 - part) / 2000)).all()
    if rate == 1:
        assert abs((times == 3).any(1).mean() - 1 / 25) < 4 * np.sqrt(0.04 / 2000)  # draws are independent


def test_randaugment_of_nothing():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype("uint8")
    for layer in (RandAugment(0), RandAugment(rate=0)):
        np.testing.assert_array_equal(augmented(layer, images), images)


class Adding(AugMix):
    """Operations that add one: a chain adds its depth."""

    def operations(self):
        return [lambda image: image + 1.0] * 9


def test_augmix_mixes_chains_by_algorithm_1():
    """(1 - m) sum w_i d_i for m ~ U(0, 1), w ~ Dirichlet(1, 1, 1), d ~ U{1, 2, 3}: mean 1, variance 4/9."""
    added = augmented(Adding())[:, 0, 0, 0]
    assert added.min() >= 0 and added.max() <= 3
    assert abs(added.mean() - 1) < 4 * np.sqrt(4 / 9 / 2000)
    assert abs(added.var() - 4 / 9) < 0.06
    same = augmented(Adding(depth=(2, 2)))[:, 0, 0, 0]  # weights sum to 1: 2 (1 - m) is uniform
    assert np.abs(np.sort(same) / 2 - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / np.sqrt(2000)
    nothing = augmented(Adding(depth=(0, 0)), ZEROS[:10] + 7)
    np.testing.assert_allclose(nothing, 7, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 1.0, 5.0])
def test_augmix_weighs_chains_by_the_dirichlet_distribution(alpha):
    """Each operation adds to another channel: the variance of a weight is (k - 1) / (k^2 (k alpha + 1)), mean 1 / k."""

    class Telling(AugMix):
        def operations(self):
            return [lambda image, channel=channel: image + tf.one_hot(channel, 9) for channel in range(9)]

    added = augmented(Telling(chains=2, depth=(1, 1), alpha=alpha), np.zeros((2000, 1, 1, 9), "float32"))[:, 0, 0]
    total = added.sum(1)
    added = added[total > 1e-3] / total[total > 1e-3, None]  # without the image's own weight
    chosen = added > 0.5
    assert np.isfinite(added).all() and (chosen.sum(1) <= 1).all()
    counts = chosen.sum(0)  # of all nine operations
    mean = counts.sum() / 9
    assert (np.abs(counts - mean) < 4 * np.sqrt(mean)).all()
    # Two chains with weights w and 1 - w: squares sum to w^2 + (1 - w)^2, or to 1 if both chose the same operation.
    squares = (added**2).sum(1)
    expected = 1 / 9 + 8 / 9 * 2 * (1 / 4 + 1 / (4 * (2 * alpha + 1)))
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(len(squares)) + 1e-5


@pytest.fixture(scope="module")
def augmix():
    return AugMix(0.3)


def test_operations_are_as_strong_as_the_severity(augmix):
    """The authors' strengths: up to 4 - 1 bits, inverted above 256 (1 - 0.3), 9 degrees, shear 0.09, shift 1/10."""
    ramp = tf.reshape(tf.repeat(tf.range(256.0), 48), [64, 64, 3])

    def applied(which, image=ramp):
        seeds = [tf.constant([0, number], tf.int64) for number in range(40)]
        return np.stack([augmix.apply(image, tf.constant(which), seed).numpy() for seed in seeds])

    contrast = applied(0, 50 + ramp / 4)
    np.testing.assert_allclose((contrast.min(), contrast.max()), (0, 255), atol=1e-3)
    assert np.ptp(applied(1, 50 + ramp / 4)) > 200  # equalized
    steps = {len(np.unique(image)) for image in applied(2)}
    assert steps == {16, 8}  # four bits, or three
    solarized = applied(3)
    changed = solarized != ramp.numpy()
    assert ramp.numpy()[changed.any(0)].min() >= 256 * 0.7 and changed.any()
    np.testing.assert_array_equal(solarized[changed], (255 - ramp.numpy() + 0 * solarized)[changed])

    point = np.zeros((64, 64, 3), "float32")
    point[31, 56] = 1

    def seen(which):
        """Where the point is, from the middle of the image: rows and columns."""
        moved = applied(which, tf.constant(point))[..., 0]
        moved = moved / moved.sum((1, 2), keepdims=True)
        return (moved.sum(2) * (np.arange(64) - 31.5)).sum(1), (moved.sum(1) * (np.arange(64) - 31.5)).sum(1)

    y, x = seen(4)
    angle = np.degrees(np.arctan2(y, x) - np.arctan2(-0.5, 24.5))
    assert np.abs(angle).max() <= 9.1 and np.ptp(angle) > 4
    for which, axis, limit in ((5, 1, 0.09 * 64), (6, 0, 0.09 * 64), (7, 1, 6.4), (8, 0, 6.4)):
        moves = [place - start for place, start in zip(seen(which), (-0.5, 24.5), strict=True)]
        assert np.abs(moves[axis]).max() <= limit + 0.01 and np.ptp(moves[axis]) > limit / 3
        np.testing.assert_allclose(moves[1 - axis], 0, atol=1e-4)


def test_operations_draw_from_the_seed_alone(augmix):
    """keras-cv's generators and TensorFlow's global one are never asked."""
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype("float32"))
    generator = tf.random.get_global_generator()
    before = generator.state.numpy()
    for layer in (augmix, RandAugment()):
        random = 0
        for which in range(len(layer.operations())):
            first, again, other = (
                layer.apply(images, tf.constant(which), tf.constant([0, number], tf.int64)) for number in (1, 1, 2)
            )
            np.testing.assert_array_equal(first, again)
            random += int((first.numpy() != other.numpy()).any())
        assert random >= len(layer.operations()) - 3  # auto-contrast and equalize are not; posterize has two results
    np.testing.assert_array_equal(generator.state, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandAugment(-1), "count must be 0 or more operations, got -1"),
        (lambda: RandAugment(magnitude=9), r"magnitude must be in \[0, 1\], got 9"),
        (lambda: RandAugment(deviation=-1), r"deviation must be in \[0, 1\], got -1"),
        (lambda: RandAugment(rate=2), r"rate must be in \[0, 1\], got 2"),
        (lambda: AugMix(0), r"severity must be in \(0, 1\], got 0"),
        (lambda: AugMix(chains=0), "chains must be 1 or more, got 0"),
        (lambda: AugMix(depth=(3, 1)), r"from 0 on, got \(3, 1\)"),
        (lambda: AugMix(alpha=0), "alpha must be above 0, got 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
