import numpy as np
import pytest

from kvision.visualize import spread


def test_a_point_for_each_run_and_one_deviation_around_the_mean():
    figure = spread({"top-1": [0.5, 0.7, 0.9], "Brier": [0.1, 0.2, 0.3]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["top-1", "Brier"]
    band, mean, points = figure.axes[0].lines
    np.testing.assert_allclose(band.get_xdata(), [0.5, 0.9])
    np.testing.assert_allclose(mean.get_xdata(), [0.7])
    assert list(points.get_xdata()) == [0.5, 0.7, 0.9]
    figure.canvas.draw()


def test_one_run_has_no_deviation():
    assert len(spread({"top-1": [0.5]}).axes[0].lines) == 2


@pytest.mark.parametrize("figures", [{}, {"a": []}, {"a": [1], "b": [1, 2]}])
def test_what_it_refuses(figures):
    with pytest.raises(ValueError, match="a value for every run"):
        spread(figures)
