import json

import pytest

from kvision.visualize import curves

HISTORY = {
    "loss": [2.0, 1.5, 1.0],
    "accuracy": [0.1, 0.5, 0.7],
    "val_loss": [2.1, 1.7],
    "learning_rate": [0.1, 0.1, 0.01],
}


def contents(figure):
    """By axes: title, and the points and label of each line."""
    return {
        axes.get_title("left"): [(line.get_label(), line.get_xydata().tolist()) for line in axes.lines]
        for axes in figure.axes
    }


def test_a_metric_and_its_validation_share_axes():
    assert contents(curves(HISTORY)) == {
        "loss": [("training", [[1, 2.0], [2, 1.5], [3, 1.0]]), ("validation", [[1, 2.1], [2, 1.7]])],
        "accuracy": [("training", [[1, 0.1], [2, 0.5], [3, 0.7]])],
        "learning rate": [("training", [[1, 0.1], [2, 0.1], [3, 0.01]])],
    }
    legends = [axes.get_legend() is not None for axes in curves(HISTORY).axes]
    assert legends == [True, False, False]


def test_reads_json(tmp_path):
    (tmp_path / "history.json").write_text(json.dumps(HISTORY))
    for path in (tmp_path / "history.json", str(tmp_path / "history.json")):
        assert contents(curves(path)) == contents(curves(HISTORY))


@pytest.mark.parametrize("epochs", [1, 2, 25, 300])
def test_epochs_start_at_1_and_are_whole(epochs):
    figure = curves({"loss": [1.0] * epochs})
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == int(tick) and 1 <= tick <= epochs for tick in ticks)
    assert (axes.lines[0].get_marker() == "o") == (epochs <= 30)  # one epoch is a point, not an invisible line


def test_averaged_weights_share_them_too():
    history = {**HISTORY, "val_loss_average": [1.9, 1.8], "val_top5_average": [0.5], "moving_average": [1.0]}
    found = contents(curves(history))
    assert found["loss"][2] == ("averaged weights", [[1, 1.9], [2, 1.8]])
    assert found["top5"] == [("averaged weights", [[1, 0.5]])] and "moving average" in found


def test_several_trainings_have_a_mean_and_a_range(tmp_path):
    """As far as the shortest goes, of the metrics that all have."""
    (tmp_path / "history.json").write_text(json.dumps({"loss": [4.0, 3.0], "accuracy": [0.5, 0.6]}))
    figure = curves(HISTORY, tmp_path / "history.json", {"loss": [3.0, 3.0, 0.5]})
    assert contents(figure) == {"loss": [("training", [[1, 3.0], [2, 2.5]])]}
    (band,) = figure.axes[0].collections
    low, high = band.get_paths()[0].vertices.min(0), band.get_paths()[0].vertices.max(0)
    assert (low.tolist(), high.tolist()) == ([1, 1.5], [2, 4.0])
    assert not curves(HISTORY).axes[0].collections


def test_validation_alone():
    assert contents(curves({"val_loss": [1.0]})) == {"loss": [("validation", [[1, 1.0]])]}


@pytest.mark.parametrize("histories", [[], [{}], [{"loss": []}], [{"loss": [1.0]}, {"accuracy": [1.0]}]])
def test_refuses_an_empty_history(histories):
    with pytest.raises(ValueError, match="values for every metric"):
        curves(*histories)
