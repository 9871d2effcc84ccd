import numpy as np
import pytest

from kvision.visualize import reliability

COUNTS, CONFIDENCE, ACCURACY = (0, 0, 3, 1), (0, 0, 0.6, 0.9), (0, 0, 1.0, 0.5)


def test_bars_gaps_and_the_histogram():
    figure = reliability(COUNTS, CONFIDENCE, ACCURACY)
    above, below = figure.axes
    claimed, more, less = ([(bar.get_y(), bar.get_height()) for bar in bars] for bars in above.containers)
    np.testing.assert_allclose(claimed, [(0, 0.6), (0, 0.5)])  # of the bins that are not empty
    np.testing.assert_allclose(more, [(0.6, 0.4)])
    np.testing.assert_allclose(less, [(0.5, 0.4)])
    np.testing.assert_allclose(
        [bar.get_x() + bar.get_width() / 2 for bar in above.patches], [0.625, 0.875, 0.625, 0.875]
    )
    assert above.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert figure.get_suptitle() == "Reliability: calibration error 40.0%"
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], [0, 0, 0.75, 0.25])
    labels = [text.get_text() for text in below.get_legend().get_texts()]
    assert labels == ["mean confidence 67.5%", "mean accuracy 87.5%"]


@pytest.mark.parametrize("bins", [1, 15, 100])
def test_any_number_of_bins_is_drawn(bins):
    figure = reliability([1] * bins, [0.5] * bins, [0.25] * bins)
    figure.canvas.draw()
    assert len(figure.axes[0].patches) >= bins and len(figure.axes[1].patches) == bins


@pytest.mark.parametrize(
    ("counts", "confidence", "accuracy", "message"),
    [
        ([1, 1], [0.5], [0.5], r"\(2,\), \(1,\), \(1,\)"),
        ([0, 0], [0, 0], [0, 0], "0 in"),
        ([1], [1.5], [0.5], "lie in 0 to 1"),
        ([1], [0.5], [float("nan")], "lie in 0 to 1"),
    ],
)
def test_what_it_refuses(counts, confidence, accuracy, message):
    with pytest.raises(ValueError, match=message):
        reliability(counts, confidence, accuracy)
