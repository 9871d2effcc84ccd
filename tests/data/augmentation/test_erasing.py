import numpy as np
import pytest
import tensorflow as tf

from kvision.data import Cutout, RandomErasing

GREY = np.full((1, 64, 48, 1), -1, "int16")  # no fill is -1: what is erased shows


def boxes(layer, count, image=GREY, seed=(0, 1)):
    """Top, bottom, left, right of each erased box, (count, 4); all zero for images left as they are."""
    images = np.repeat(image, count, 0)
    erased = tf.function(layer)(images, seed=seed).numpy()[..., 0] != -1  # eager loops over images are slow
    rows, columns = erased.any(2), erased.any(1)
    found = []
    for side in (rows, columns):
        found += [side.argmax(1), side.shape[1] - side[:, ::-1].argmax(1)]
    found = np.stack(found, 1) * erased.any((1, 2))[:, None]
    np.testing.assert_array_equal(erased.sum((1, 2)), (found[:, 1] - found[:, 0]) * (found[:, 3] - found[:, 2]))
    return found


def kolmogorov(values, distribution):
    """Distance of the values from a continuous distribution, in units where 1.95 is passed once in a thousand times."""
    values = np.sort(distribution(np.asarray(values, "float64")))
    return np.abs(values - (np.arange(len(values)) + 0.5) / len(values)).max() * np.sqrt(len(values))


@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_each_image_is_erased_with_the_probability(probability):
    count = 2000
    share = (boxes(RandomErasing(probability), count)[:, 1] > 0).mean()
    assert abs(share - probability) <= 4 * np.sqrt(probability * (1 - probability) / count)


def test_areas_and_aspects_are_uniform_where_every_box_fits():
    """A box of at most a quarter of the image, up to 2 to 1, always fits: nothing is drawn again."""
    area, aspect = (0.05, 0.25), (0.5, 2)
    top, bottom, left, right = boxes(RandomErasing(1, area, aspect), 1000, np.full((1, 200, 200, 1), -1, "int16")).T
    height, width = bottom - top, right - left
    part, ratio = height * width / 200**2, height / width
    assert area[0] * 0.97 < part.min() and part.max() < area[1] * 1.02  # sides are rounded
    assert aspect[0] * 0.97 < ratio.min() and ratio.max() < aspect[1] * 1.03
    assert kolmogorov(part, lambda s: np.clip((s - 0.05) / 0.2, 0, 1)) < 1.95
    assert kolmogorov(ratio, lambda r: np.clip((r - 0.5) / 1.5, 0, 1)) < 1.95  # uniform, not its logarithm
    assert abs(np.corrcoef(part, ratio)[0, 1]) < 4 / np.sqrt(1000)
    for start, size in ((top, height), (left, width)):  # corners: uniform in the room that is left
        assert kolmogorov((start + 0.5) / (200 - size + 1), lambda u: u) < 1.95


def test_boxes_that_do_not_fit_are_drawn_again():
    """The rejected sampling of Algorithm 1, loop for loop, has the same areas and aspects."""
    rng, expected = np.random.default_rng(0), []
    while len(expected) < 4000:
        part, ratio = rng.uniform(0.02, 0.4), rng.uniform(0.3, 1 / 0.3)
        height, width = round(np.sqrt(part * 64 * 48 * ratio)), round(np.sqrt(part * 64 * 48 / ratio))
        if height < 64 and width < 48:
            expected.append((height, width))
    expected = np.array(expected)
    top, bottom, left, right = boxes(RandomErasing(1), 4000).T
    found = np.stack([bottom - top, right - left], 1)
    assert found.max(0).tolist() == [63, 47]
    for value in (lambda sides: sides[:, 0], lambda sides: sides[:, 1], lambda sides: sides[:, 0] * sides[:, 1]):
        a, b = value(found), value(expected)
        assert abs(a.mean() - b.mean()) < 4 * np.sqrt((a.var() + b.var()) / 4000)
        assert abs(a.std() - b.std()) < 0.05 * b.std()


def test_an_image_that_no_box_fits_stays():
    image = np.full((3, 4, 400, 1), -1, "int16")
    assert not boxes(RandomErasing(1, (0.3, 0.4), (1, 2)), 3, image[:1]).any()


def test_random_pixels_are_uniform_in_all_channels_and_images():
    images = np.full((64, 64, 64, 3), -1, "int32")
    erased = RandomErasing(1)(images, seed=(0, 2)).numpy()
    pixels = erased[erased[..., 0] >= 0]
    assert len(pixels) > 40_000 and pixels.min() == 0 and pixels.max() == 255
    expected = pixels.size / 256
    squares = ((np.bincount(pixels.ravel(), minlength=256) - expected) ** 2 / expected).sum()
    assert abs(squares - 255) < 4 * np.sqrt(2 * 255)  # chi squared of 255 degrees of freedom
    assert np.abs(np.corrcoef(pixels.T) - np.eye(3)).max() < 4 / np.sqrt(len(pixels))
    firsts = {image[image[..., 0] >= 0][:2].tobytes() for image in erased}
    assert len(firsts) == 64


def test_every_dtype_gets_the_same_boxes_and_pixels():
    results = [RandomErasing(1)(np.zeros((3, 16, 16, 3), dtype), seed=(0, 0)) for dtype in ("uint8", "float32")]
    np.testing.assert_array_equal(*results)
    assert results[0].numpy().max() > 200


@pytest.mark.parametrize("layer", [RandomErasing(1, fill=(7, 8.6, 300)), Cutout(8, fill=(7, 8.6, 300))])
def test_colours_are_rounded_and_clipped_for_integers(layer):
    erased = layer(np.full((5, 32, 32, 3), 99, "uint8"), seed=(0, 0)).numpy()
    assert {tuple(pixel) for pixel in erased.reshape(-1, 3)} == {(99, 99, 99), (7, 9, 255)}


@pytest.mark.parametrize("length", [1, 5, 16, 200])
def test_the_centre_of_a_cutout_is_any_pixel(length):
    """Each side is all places of a window over the border: every one occurs, and no other."""
    height, width, before = 64, 48, length // 2
    found = boxes(Cutout(length), 6000)
    for size, sides in ((height, found[:, :2]), (width, found[:, 2:])):
        starts = np.arange(size) - before
        places = np.stack([starts.clip(0), (starts + length).clip(max=size)], 1)
        values, counts = np.unique(sides, axis=0, return_counts=True)
        expected, times = np.unique(places, axis=0, return_counts=True)
        np.testing.assert_array_equal(values, expected)
        mean = 6000 * times / size
        assert (np.abs(counts - mean) < 4.5 * np.sqrt(mean)).all()


def test_a_cutout_is_at_least_a_quarter_of_the_square():
    found = boxes(Cutout(16), 2000)
    areas = (found[:, 1] - found[:, 0]) * (found[:, 3] - found[:, 2])
    assert areas.min() >= 8**2 and areas.max() == 16**2
    assert (areas < 16**2).any()


def test_the_rest_of_the_image_stays():
    images = np.random.default_rng(0).integers(1, 256, (20, 12, 10, 3)).astype("uint8")
    for layer in (RandomErasing(1, fill=0), Cutout(6)):
        erased = layer(images, seed=(0, 0)).numpy()
        kept = erased.any(-1)
        np.testing.assert_array_equal(erased[kept], images[kept])
        assert (~kept).any((1, 2)).all()


def test_probability_zero_leaves_unknown_sizes_alone():
    traced = tf.function(
        lambda images: RandomErasing(0)(images, seed=(0, 0)), [tf.TensorSpec((None, None, None, None), tf.uint8)]
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3)).astype("uint8")
    np.testing.assert_array_equal(traced(images), images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomErasing(1.5), r"probability must be in \[0, 1\], got 1.5"),
        (lambda: RandomErasing(area=(0.4, 0.02)), r"part of the image, in \(0, 1\], got \(0.4, 0.02\)"),
        (lambda: RandomErasing(area=(0, 0.4)), r"in \(0, 1\], got \(0, 0.4\)"),
        (lambda: RandomErasing(aspect=(0, 1)), r"height / width, above 0, got \(0, 1\)"),
        (lambda: Cutout(0), "length must be 1 or more pixels, got 0"),
        (lambda: Cutout(4, fill=(1, 2))(GREY, seed=(0, 0)), "fill has 2 numbers, the images 1 channels"),
        (lambda: RandomErasing(1, fill=(1, 2))(GREY, seed=(0, 0)), "fill has 2 numbers, the images 1 channels"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
