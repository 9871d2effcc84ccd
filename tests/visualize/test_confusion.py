import numpy as np
import pytest

from kvision.visualize import confusion

MATRIX = np.array([[3, 1, 0], [0, 2_000, 0], [0, 0, 0]])


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_rows_are_truth_and_are_normalized():
    axes, scale = confusion(MATRIX, ["cat", "dog", "fox"]).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "truth")
    assert labels(axes.xaxis) == labels(axes.yaxis) == ["cat", "dog", "fox"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3", (1, 0): "1", (1, 1): "2,000"}  # (column, row)
    assert scale.get_ylabel() == "share of the true class"


@pytest.mark.parametrize(
    ("classes", "ticks", "counts"), [(1, 1, 1), (20, 20, 20), (21, 21, 0), (60, 60, 0), (1000, 20, 0)]
)
def test_many_classes(classes, ticks, counts):
    figure = confusion(np.eye(classes, dtype="int64"), [f"class {i}" for i in range(classes)])
    axes = figure.axes[0]
    assert (len(axes.get_xticks()), len(axes.get_yticks()), len(axes.texts)) == (ticks, ticks, counts)
    assert max(figure.get_size_inches()) <= 12
    figure.canvas.draw()


def test_a_lone_cell_of_a_thousand_classes_is_visible():
    matrix = 50 * np.eye(1000, dtype="int64")
    names = [str(i) for i in range(1000)]
    pixels = []
    for cell in 0, 5:
        matrix[700, 300] = cell
        figure = confusion(matrix, names)
        figure.set_dpi(150)
        figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()).astype(int))
    assert np.abs(pixels[1] - pixels[0])[..., :3].max() > 40


def test_names_are_taken_literally_and_shortened():
    axes = confusion(np.eye(2), ["$x^2", "a\nvery long name of a class indeed"]).axes[0]
    assert labels(axes.yaxis) == ["$x^2", "a very long name of…"]
    axes.figure.canvas.draw()


@pytest.mark.parametrize("matrix", [np.eye(2), np.ones((3, 2)), np.ones(3), -np.eye(3)])
def test_refuses_what_is_no_confusion_matrix(matrix):
    with pytest.raises(ValueError, match=r"counts of shape \(3, 3\)"):
        confusion(matrix, ["cat", "dog", "fox"])
