import numpy as np

from kvision.layers.lab import lab, rgb


def test_known_colours():
    """L*, a*, b* of sRGB's corners under D65, as every table of colours has them."""
    corners = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]], "float32")
    expected = [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.2], [87.73, -86.18, 83.18], [32.3, 79.19, -107.86]]
    np.testing.assert_allclose(100 * np.asarray(lab(corners)), [*expected, [53.39, 0, 0]], atol=0.05)


def test_there_and_back():
    x = np.stack(np.meshgrid(*[np.linspace(0, 1, 6)] * 3), -1).astype("float32")
    np.testing.assert_allclose(rgb(lab(x)), x, atol=1e-4)
