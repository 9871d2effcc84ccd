import keras
import numpy as np
import pytest

from kvision.losses import MarginLoss


@pytest.mark.parametrize("labels", [[3], [[3]], np.eye(10, dtype="float32")[[3]]])
def test_by_hand(labels):
    """All lengths 0.5: (0.9 - 0.5)^2 for the class that is present, 0.5 (0.5 - 0.1)^2 for each of nine others."""
    lengths = np.full((1, 10), 0.5, "float32")
    assert float(MarginLoss()(np.array(labels), lengths)) == pytest.approx(0.16 + 9 * 0.5 * 0.16, abs=1e-6)  # 0.88
    authors = MarginLoss(scale=0.5 / 10)
    assert float(authors(np.array(labels), lengths)) == pytest.approx(0.044, abs=1e-6)


def test_two_digits_are_present():
    labels, lengths = np.array([[1, 1, 0, 0]]), np.array([[0.8, 1.0, 0.3, 0.05]], "float32")
    assert float(MarginLoss()(labels, lengths)) == pytest.approx(0.1**2 + 0.5 * 0.2**2, abs=1e-6)


def test_within_the_margins_nothing_is_lost_nor_learned():
    lengths = keras.ops.convert_to_tensor([[0.95, 0.05], [0.1, 0.9]])
    assert float(MarginLoss()(np.array([0, 1]), lengths)) == pytest.approx(0, abs=1e-12)


def test_the_mean_over_the_batch():
    lengths = np.array([[0.9, 0.0], [0.5, 0.0]], "float32")
    assert float(MarginLoss()(np.array([0, 0]), lengths)) == pytest.approx(0.16 / 2, abs=1e-6)


def test_config_and_bad_arguments():
    loss = MarginLoss(0.8, 0.2, 0.25, 0.5)
    again = MarginLoss.from_config(loss.get_config())
    assert (again.m_plus, again.m_minus, again.down_weight, again.scale) == (0.8, 0.2, 0.25, 0.5)
    with pytest.raises(ValueError, match="Margins are lengths"):
        MarginLoss(m_plus=0.1, m_minus=0.9)
