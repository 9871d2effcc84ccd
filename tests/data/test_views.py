import numpy as np
import pytest
import tensorflow as tf

from kvision.data import Crops144, GridCrops, Mirrored, TenCrops, Whole, resize_for_evaluation

PROTOCOLS = [
    TenCrops(8, 10),
    TenCrops(8, 8, "bicubic"),
    Crops144(8, (8, 9, 12, 14)),
    Crops144(7, (10, 10, 10, 9), "bicubic"),
    Mirrored(8, 0.75, "bicubic"),
    Mirrored((6, 9)),
    GridCrops(8, 11),
    GridCrops(8, 8, 2, "bicubic"),
]


def places(height, width):
    """An image whose every pixel holds its row and its column."""
    return np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).astype("float32")


def waves(height, width):
    rows, columns = np.arange(height)[:, None, None], np.arange(width)[:, None]
    return (127 + 120 * np.sin(rows / 3) * np.cos(columns / 4 + np.arange(3))).astype("uint8")


def corners(views):
    """Where the pixel at the top left of each view was."""
    return views.numpy()[:, 0, 0].tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_counts_sizes_and_unknown_shapes(protocol):
    expected = [protocol.count, *(protocol.size if isinstance(protocol.size, tuple) else (protocol.size,) * 2), 3]
    traced = tf.function(protocol, input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    assert traced.get_concrete_function().output_shapes.as_list() == expected
    for shape in [(14, 21), (23, 12), (10, 10), (5, 7)]:
        views = protocol(waves(*shape))
        assert (views.dtype, views.shape) == (tf.float32, expected)
        np.testing.assert_allclose(traced(waves(*shape)), views, atol=1e-4)


def test_the_papers_numbers():
    assert (TenCrops.count, Crops144.count, Mirrored.count) == (10, 144, 2)
    assert TenCrops()(waves(300, 260)).shape == (10, 224, 224, 3)
    assert Crops144()(waves(230, 260)).shape == (144, 224, 224, 3)
    assert (GridCrops().count, GridCrops(grid=2).count, Whole.count) == (50, 8, 2)
    assert GridCrops(shorter=384)(waves(390, 420)).shape == (50, 224, 224, 3)
    assert Whole()(waves(230, 300)).shape == (2, 256, 333, 3)


@pytest.mark.parametrize(
    "protocol",
    [
        TenCrops(8, 12),
        Crops144(8, (8, 10, 12, 14)),
        Mirrored((8, 6), 0.5),
        GridCrops(8, 14),
        GridCrops(8, 14, 4),
        Whole(14),
    ],
)
@pytest.mark.parametrize("shape", [(14, 28), (28, 14), (16, 16)])  # even margins: mirrored, the centre is the centre
def test_a_mirrored_image_has_the_same_views(protocol, shape):
    views, mirrored = protocol(waves(*shape)).numpy(), protocol(waves(*shape)[:, ::-1]).numpy()
    half = protocol.count // 2
    np.testing.assert_array_equal(views[half:], views[:half, :, ::-1])
    assert np.abs(views[half:] - views[:half]).max() > 1
    distances = np.abs(views[:, None] - mirrored[None]).max((2, 3, 4))
    assert distances.min(0).max() < 0.01 and distances.min(1).max() < 0.01


def test_ten_crops_in_the_order_of_torchvision():
    """AlexNet's 224 of 256; an image whose shorter side is 256 is not resized."""
    views = TenCrops()(places(256, 301))
    starts = [[0, 0], [0, 77], [32, 0], [32, 77], [16, 38]]  # half of 77 is rounded to even
    assert corners(views) == starts + [[top, left + 223] for top, left in starts]
    np.testing.assert_array_equal(views[3], places(256, 301)[32:, 77:])
    np.testing.assert_array_equal(views[9], places(256, 301)[16:240, 38:262][:, ::-1])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_centre_is_that_of_the_single_crop(interpolation):
    for shape in [(40, 61), (53, 37), (20, 20)]:
        views = TenCrops(28, 32, interpolation)(waves(*shape))
        expected = resize_for_evaluation(waves(*shape), 28, 0.875, interpolation)
        np.testing.assert_allclose(views[4], expected, atol=1e-3)
        single = Mirrored(28, 0.875, interpolation)(waves(*shape))
        np.testing.assert_array_equal(single, [expected, expected[:, ::-1]])


def test_fifty_crops_are_a_grid():
    """25 of 4x4 on 9x12, from border to border: rows 0 to 5, columns 0 to 8; halves of a pixel are rounded outwards."""
    views = GridCrops(4, 9)(places(9, 12))
    expected = [[row, column] for row in (0, 1, 2, 4, 5) for column in (0, 2, 4, 6, 8)]
    assert corners(views[:25]) == expected
    np.testing.assert_array_equal(views[25:], views[:25, :, ::-1])
    assert corners(GridCrops(4, 9, 2)(places(9, 12))[:4]) == [[0, 0], [0, 8], [5, 0], [5, 8]]


def test_the_whole_image_keeps_its_proportions():
    views = Whole(6)(places(12, 18))
    assert views.shape == (2, 6, 9, 2)
    assert corners(views)[0] == pytest.approx([5 / 7, 5 / 7])  # 0, 1 and 2 by 3, 3 and 1: the triangle at the border
    np.testing.assert_array_equal(views[1], views[0, :, ::-1])
    np.testing.assert_array_equal(Whole(12)(places(12, 18))[0], places(12, 18))


def test_144_crops_by_hand():
    """At a scale of 6: squares at 0, 2 and 4 along the longer side of 10, and in each the crops of 4 from 6."""
    landscape, portrait = places(6, 10), places(10, 6)
    crops = [[0, 0], [0, 2], [2, 0], [2, 2], [1, 1]]
    for image, squares in (landscape, [[0, 0], [0, 2], [0, 4]]), (portrait, [[0, 0], [2, 0], [4, 0]]):
        views = Crops144(4, (6, 6, 6, 6))(image)
        np.testing.assert_array_equal(views[18:72], tf.tile(views[:18], (3, 1, 1, 1)))
        for number, (top, left) in enumerate(squares):
            *cut, whole = views[6 * number : 6 * number + 6]
            assert corners(tf.stack(cut)) == [[top + row, left + column] for row, column in crops]
            expected = resize_for_evaluation(image[top : top + 6, left : left + 6], 4)
            np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_144_crops_take_each_scale():
    """The first crop of each scale sees 1 / scale of the shorter side, the resized squares all of it."""
    views = Crops144(8, (8, 16, 32, 64))(np.float32(np.arange(64)[:, None, None] + np.zeros((64, 64, 1)))).numpy()
    spans = np.ptp(views[:72, :, 0, 0].reshape(4, 18, 8), axis=-1)
    np.testing.assert_allclose(spans[:, 0], [56, 28, 14, 7], atol=3)
    np.testing.assert_allclose(spans[:, 5::6], 56, atol=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TenCrops(0), "size must be a positive integer, got 0"),
        (lambda: TenCrops(224, 200), "shorter must not be below the size 224 of the views, got 200"),
        (lambda: TenCrops(interpolation="area"), "interpolation must be one of bilinear, bicubic, got 'area'"),
        (lambda: Crops144(299), "shorter must not be below the size 299 of the views, got 256"),
        (lambda: Crops144(8, (8, 9)), r"four scales, got \(8, 9\)"),
        (lambda: GridCrops(8, 7), "shorter must not be below the size 8 of the views, got 7"),
        (lambda: GridCrops(8, 9, 1), "grid must be 2 or more rows and columns, got 1"),
        (lambda: Whole(0), "shorter must not be below the size 1 of the views, got 0"),
        (lambda: TenCrops()(np.zeros((1, 8, 8, 3))), r"one image \(H, W, C\), got \(1, 8, 8, 3\)"),
        (lambda: Mirrored(8)(np.zeros((8, 8))), r"one image \(H, W, C\), got \(8, 8\)"),
        (lambda: Mirrored(0)(np.zeros((8, 8, 3))), "size must be one or two positive integers, got 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
