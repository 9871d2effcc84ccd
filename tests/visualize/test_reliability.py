import numpy as np
import pytest

from kvision.visualize import reliability

COUNTS, CONFIDENCE, ACCURACY = (0, 0, 3, 1), (0, 0, 0.6, 0.9), (0, 0, 1.0, 0.5)


def test_bars_gaps_and_the_histogram():
    above, below = reliability(COUNTS, CONFIDENCE, ACCURACY).axes
    bars = [(bar.get_x(), bar.get_y(), bar.get_height()) for bar in above.patches]
    np.testing.assert_allclose(bars[:2], [(0.5, 0, 1), (0.75, 0, 0.5)])  # accuracy, of the bins that are not empty
    np.testing.assert_allclose(bars[2:], [(0.5, 0.6, 0.4), (0.75, 0.5, 0.4)])  # between it and the confidence
    assert above.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert [text.get_text() for text in above.texts] == ["calibration error 40.0%"]
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], [0, 0, 0.75, 0.25])
    labels = [text.get_text() for text in below.get_legend().get_texts()]
    assert labels == ["mean confidence 67.5%", "mean accuracy 87.5%"]


@pytest.mark.parametrize("bins", [1, 15, 100])
def test_any_number_of_bins_is_drawn(bins):
    figure = reliability([1] * bins, [0.5] * bins, [0.25] * bins)
    figure.canvas.draw()
    assert figure.get_suptitle() == "Reliability" and len(figure.axes[0].patches) == 2 * bins


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
