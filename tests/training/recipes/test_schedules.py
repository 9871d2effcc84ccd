"""Schedules in epochs become Keras's in steps: values by hand, at the very step where they change."""

import numpy as np
import pytest

from kvision.training import Constant, Cosine, Exponential, Halving, Plateau, Polynomial, Steps

STEPS = 10  # in an epoch
CASES = [  # schedule, rate, epochs, {step: rate}
    (Constant(), 3.0, 30, {0: 3.0, 299: 3.0}),
    (Steps(at=(30, 60, 80)), 0.1, 90, {0: 0.1, 299: 0.1, 300: 0.01, 599: 0.01, 600: 1e-3, 799: 1e-3, 800: 1e-4}),
    (Steps(at=(60, 120, 160), factor=0.2), 0.1, 200, {599: 0.1, 600: 0.02, 1200: 4e-3, 1600: 8e-4, 1999: 8e-4}),
    (Steps(at=(2.5,)), 1.0, 4, {24: 1.0, 25: 0.1}),
    (Exponential(0.96, every=8), 0.01, 250, {0: 0.01, 79: 0.01, 80: 0.0096, 800: 0.01 * 0.96**10}),
    (Exponential(0.5, every=2, staircase=False), 1.0, 9, {0: 1.0, 10: 0.5**0.5, 20: 0.5, 40: 0.25}),
    (Exponential(0.1, floor=0.03), 1.0, 9, {9: 1.0, 10: 0.1, 20: 0.03, 90: 0.03}),
    (Polynomial(0.5), 0.01, 4, {0: 0.01, 30: 0.005, 40: 0.0, 50: 0.0}),
    (Polynomial(), 0.01, 4, {10: 0.0075, 20: 0.005}),
    (Cosine(), 0.4, 9, {0: 0.4, 30: 0.3, 45: 0.2, 60: 0.1, 90: 0.0}),
    (Halving(), 0.02, 400, {0: 0.02, 1999: 0.02, 2000: 2e-3, 2999: 2e-3, 3000: 2e-4, 3500: 2e-5}),
    (Plateau(), 0.1, 90, {0: 0.1, 899: 0.1}),  # a callback's work
]


def rates(schedule, rate, epochs, steps):
    found = schedule(rate, STEPS, epochs)
    return [float(found(step)) if callable(found) else found for step in steps]


@pytest.mark.parametrize(("schedule", "rate", "epochs", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_by_hand(schedule, rate, epochs, expected):
    schedule.check(epochs)
    assert rates(schedule, rate, epochs, expected) == pytest.approx(list(expected.values()), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("schedule", "rate", "epochs", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_stretched_they_come_to_the_same_rates_later(schedule, rate, epochs, expected):
    later = schedule.stretched(3)
    assert rates(later, rate, 3 * epochs, [3 * step for step in expected]) == pytest.approx(
        list(expected.values()), rel=1e-4, abs=1e-7
    )
    assert later.stretched(1 / 3) == schedule == type(schedule)(**vars(schedule))
    assert hash(schedule) == hash(type(schedule)(**vars(schedule)))


def test_drops_come_at_the_step_that_is_nearest_to_their_epoch():
    """32,000 of 64,000 steps of CIFAR-10 in batches of 128 are 81.92 epochs of 390.625 steps."""
    schedule = Steps(at=(81.92, 122.88))(0.1, 390.625, 163.84)
    found = [float(schedule(step)) for step in (31_999, 32_000, 47_999, 48_000)]
    np.testing.assert_allclose(found, [0.1, 0.01, 0.01, 0.001], rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (Steps(at=(30, 60, 80)), "times 0.1 after epoch 30, 60 and 80"),
        (Steps(at=(81.92,), factor=0.2), "times 0.2 after epoch 81.92"),
        (Exponential(0.96, every=8 / 6), "times 0.96 every 1.33 epochs"),
        (Exponential(0.96, 4, False, 0.001), "times 0.96 every 4 epochs, smoothly, to 0.001 of it"),
        (Plateau(drops=3), "times 0.1 when val_accuracy stays for 5 epochs, 3 times at most"),
        (Cosine(), "half a cosine to 0"),
    ],
)
def test_they_print_as_sentences(schedule, sentence):
    assert str(schedule) == sentence


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps(at=()), "one epoch or more"),
        (lambda: Steps(at=(60, 30)), r"in order. Received: \(60, 30\)"),
        (lambda: Steps(at=(0, 30)), "above 0"),
        (lambda: Steps(at=(30,), factor=0), "`factor` is positive"),
        (lambda: Steps(at=(30, 60)).check(60), "drops after 60 epochs, and the training has 60.*adapted"),
        (lambda: Exponential(1.1), r"`factor` lies in \(0, 1\]"),
        (lambda: Exponential(0.9, every=0), "`every` above 0"),
        (lambda: Exponential(0.9, floor=2), r"`floor` in \[0, 1\]"),
        (lambda: Polynomial(0), "`power` is positive"),
        (lambda: Halving(-0.1), "`factor` is positive"),
        (lambda: Plateau(factor=1.0), r"`factor` lies in \(0, 1\)"),
        (lambda: Plateau(mode="best"), "`mode` 'max' or 'min'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
