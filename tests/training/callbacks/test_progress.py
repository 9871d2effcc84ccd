"""One line of truth: in a terminal it moves, in a file there is one for each epoch."""

import io
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.training import Progress, WeightAverage
from kvision.training.callbacks.progress import _clock

NUMBER = r"-?[\d.]+(?:e[+-]\d+)?"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Slow(keras.callbacks.Callback):
    """Steps that take a while, so that the line has something to show."""

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0.05)


def fit(progress, *others, epochs=3, batches=None, validation=None, **arguments):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.random.default_rng(0).normal(size=(20, 8, 8, 1)), np.arange(20) % 2
    batches = batches or tf.data.Dataset.from_tensor_slices((x, y)).batch(3)
    callbacks = [*others, progress]
    model.fit(batches, epochs=epochs, verbose=0, shuffle=False, validation_data=validation, callbacks=callbacks)


def test_a_file_has_a_line_for_each_epoch(capsys):
    fit(Progress(), Slow(), WeightAverage(0.9), validation=(np.zeros((4, 8, 8, 1)), np.zeros(4)))
    out, _ = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 3 and "\r" not in out and "\x1b" not in out
    names = ["accuracy", "loss", "val_accuracy", "val_loss", "val_accuracy_average", "val_loss_average"]
    metrics = ", ".join(f"{name} {NUMBER}" for name in names)
    for number, line in enumerate(lines, 1):
        left = r"; \d:\d\d in all" if number < 3 else ""
        assert re.fullmatch(rf"epoch {number}/3, \d:\d\d; {NUMBER} images/s{left}; {metrics}", line), line
        # 20 images in 7 steps of 0.05 s or more
        assert 0 < float(re.search(rf"({NUMBER}) images/s", line)[1]) < 20 / 7 / 0.05


def test_a_terminal_sees_it_move(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    fit(Progress(out), Slow())
    text = out.getvalue()
    assert text.count("\n") == 3 and text.endswith("\x1b[K\n")
    looks = re.split(r"\x1b\[K\n?", text)[:-1]
    assert len(looks) > 4 and all(look.startswith("\r") for look in looks)
    moving = [look for look in looks if "step" in look]
    assert all(len(look) <= 80 for look in moving)
    first = next(look for look in moving if "images/s" in look)
    assert re.match(
        rf"\repoch \d/3, step [2-7]/7; {NUMBER} images/s; \d:\d\d left in epoch, \d:\d\d in all; acc", first
    )
    assert "in all" not in moving[-1]  # the last epoch
    final = [look for look in looks if "step" not in look]
    assert [look[:10] for look in final] == [f"\repoch {number}/3" for number in (1, 2, 3)]
    assert all("accuracy" in look and "loss" in look for look in final)


def test_a_length_that_is_not_known_is_learnt():
    out = Terminal()
    data = tf.data.Dataset.range(7).filter(lambda i: True).map(lambda i: (tf.ones((3, 8, 8, 1)), tf.zeros((3,))))
    with pytest.warns(UserWarning, match="ran out of data"):
        fit(Progress(out), Slow(), epochs=2, batches=data)
    first, second = out.getvalue().split("\n")[:2]
    assert re.search(r"step [2-7]; ", first) and "left in epoch" not in first and "in all" in first
    assert re.search(r"step [2-7]/7; .* left in epoch", second)


def test_a_single_step_has_no_rate():
    out = io.StringIO()
    data = tf.data.Dataset.from_tensors((tf.ones((3, 8, 8, 1)), tf.zeros((3,))))
    fit(Progress(out), epochs=2, batches=data)
    assert re.fullmatch(rf"(epoch [12]/2, 0:\d\d; accuracy {NUMBER}, loss {NUMBER}\n){{2}}", out.getvalue())


def test_clock():
    assert [_clock(seconds) for seconds in (0.4, 59.6, 61, 3599.9, 36000)] == [
        "0:00",
        "1:00",
        "1:01",
        "1:00:00",
        "10:00:00",
    ]
