import numpy as np

from kvision.evaluation import ExactMatch


def test_both_digits_are_right_or_it_is_a_mistake():
    labels = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 0]], "float32")
    lengths = np.array(
        [
            [0.9, 0.3, 0.2, 0.1],  # right
            [0.9, 0.2, 0.3, 0.1],  # one of two
            [0.9, 0.8, 0.1, 0.2],  # none
            [0.1, 0.6, 0.5, 0.5],  # an image with one digit
            [0.9, 0.4, 0.4, 0.1],  # a tie
        ],
        "float32",
    )
    metric = ExactMatch()
    for place, expected in enumerate([1, 0, 0, 1, 0]):
        metric.reset_state()
        metric.update_state(labels[[place]], lengths[[place]])
        assert float(metric.result()) == expected
    metric.reset_state()
    metric.update_state(labels, lengths)
    assert np.isclose(float(metric.result()), 0.4)
    assert ExactMatch.from_config(metric.get_config()).name == "exact_match"
