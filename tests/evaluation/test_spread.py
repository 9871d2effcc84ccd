import statistics

import numpy as np
import pytest

from kvision.evaluation import Calibration, Evaluation, Spread, spread


def evaluation(right, calibration=None, names=("cat", "dog")):
    matrix = np.diag([right, 10 - right]).astype("int64")
    matrix[0, 1] = 10
    return Evaluation(names, matrix, 1.0, (), calibration)


def test_figures_by_hand():
    found = Spread((0.5, 0.7, 0.9))
    assert (found.mean, found.median, found.low, found.high) == (pytest.approx(0.7), 0.7, 0.5, 0.9)
    assert found.deviation == pytest.approx(0.2)  # with n - 1; with n it would be 0.163
    assert Spread((0.5,)).deviation is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((0.9888, 0.9832, 0.9777), "0.9832 ± 0.0056"),
        ((98.0, 99.0), "98.50 ± 0.71"),
        ((150.0, 250.0), "200 ± 71"),
        ((1.0, 1.0), "1"),
        ((0.123456,), "0.1235"),
    ],
)
def test_is_told_to_two_digits_of_the_deviation(values, told):
    assert str(Spread(values)) == told


def test_over_evaluations_reports_and_run_folders(tmp_path):
    runs = [evaluation(right, Calibration((right,), (0.9,), (0.8,), right / 10, 0.1)) for right in (3, 5, 8)]
    found = spread(runs)
    assert list(found) == ["top1", "top5", "ece", "mce", "nll", "brier"]
    assert found["top1"].values == (0.5, 0.5, 0.5) and found["nll"].values == (0.3, 0.5, 0.8)
    assert found["nll"].deviation == pytest.approx(statistics.stdev((0.3, 0.5, 0.8)))
    runs[0].save(tmp_path / "run" / "report.json")
    runs[1].save(tmp_path / "second.json")
    assert spread([tmp_path / "run", str(tmp_path / "second.json"), runs[2]]) == found
    assert list(spread([runs[0], evaluation(4)])) == ["top1", "top5"]  # what all of them know


def test_what_it_refuses(tmp_path):
    with pytest.raises(ValueError, match="at least one run"):
        spread([])
    with pytest.raises(ValueError, match=r"2: cat, (dog|fox).*2: cat, (fox|dog)"):
        spread([evaluation(1), evaluation(1, names=("cat", "fox"))])
    with pytest.raises(FileNotFoundError):
        spread([tmp_path])
