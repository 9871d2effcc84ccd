import keras
import numpy as np
import pytest

from kvision.optimizers import AtLeast, Halving, Warmup


def test_warmup_climbs_linearly_and_joins_the_schedule_without_a_jump():
    """Goyal et al.: 5 epochs from eta to k eta; a batch of 8,192 is k = 32 times 256, so 0.1 to 3.2."""
    steps = 5 * 156
    schedule = Warmup(keras.optimizers.schedules.PiecewiseConstantDecay([2000], [3.2, 0.32]), steps, start=0.1)
    rates = np.array([float(schedule(step)) for step in range(0, 2100, 10)])
    assert rates[0] == pytest.approx(0.1) and float(schedule(steps)) == pytest.approx(3.2)
    np.testing.assert_allclose(np.diff(rates[:79]), (3.2 - 0.1) / steps * 10, rtol=1e-3)
    assert rates[79:201] == pytest.approx(3.2) and rates[-1] == pytest.approx(0.32)


def test_cosine_after_warmup_is_the_cosine():
    cosine = keras.optimizers.schedules.CosineDecay(0.4, 100)
    schedule = Warmup(cosine, 10)
    assert [float(schedule(s)) for s in (10, 50, 100)] == pytest.approx([float(cosine(s)) for s in (10, 50, 100)])
    assert float(schedule(5)) == pytest.approx(float(cosine(10)) / 2)


@pytest.mark.parametrize("inner", [0.1, keras.optimizers.schedules.CosineDecay(0.1, 50)])
def test_survives_serialization_inside_an_optimizer(inner):
    optimizer = keras.optimizers.SGD(Warmup(inner, 10, start=0.01))
    again = keras.optimizers.SGD.from_config(optimizer.get_config())
    steps = (0, 4, 10, 40)
    ours, theirs = optimizer._learning_rate, again._learning_rate
    assert [float(ours(s)) for s in steps] == [float(theirs(s)) for s in steps]


def test_bad_arguments():
    with pytest.raises(ValueError, match="not negative"):
        Warmup(0.1, -1)
    assert float(Warmup(0.1, 0)(3)) == pytest.approx(0.1)


def test_halving_drops_when_half_of_the_rest_has_passed():
    """FractalNet's 400 epochs from 0.02: drops after 200, 300, 350, 375, ..."""
    schedule = Halving(0.02, 400)
    before, after = ([float(schedule(step)) for step in steps] for steps in ((0, 199, 299, 349), (200, 300, 350, 375)))
    assert before == pytest.approx([0.02, 0.02, 0.002, 0.0002], rel=1e-5)
    assert after == pytest.approx([0.002, 0.0002, 2e-5, 2e-6], rel=1e-5)
    for steps in (400, 1001, 31_250):  # every exact power, and what lies just before it
        for power in range(1, 5):
            drop = steps - steps / 2**power
            assert float(Halving(1.0, steps)(np.ceil(drop))) == pytest.approx(0.1**power, rel=1e-4)
            assert float(Halving(1.0, steps)(np.ceil(drop) - 1)) == pytest.approx(0.1 ** (power - 1), rel=1e-4)
    assert np.isfinite(float(schedule(400))) and float(schedule(500)) == float(schedule(400)) > 0


def test_halving_survives_serialization_and_follows_a_warmup():
    optimizer = keras.optimizers.SGD(Warmup(Halving(0.1, 80, 0.5), 10))
    again = keras.optimizers.SGD.from_config(optimizer.get_config())
    assert [float(again._learning_rate(step)) for step in (5, 10, 40)] == pytest.approx([0.05, 0.1, 0.05])


def test_halving_names_bad_arguments():
    with pytest.raises(ValueError, match="`steps` is at least 1"):
        Halving(0.1, 0)


def test_a_constant_warmup_ends_in_a_jump():
    """ResNet-110: 0.01 for 400 steps, then 0.1 (He et al., section 4.2)."""
    schedule = Warmup(0.1, 400, start=0.01, gradual=False)
    assert [float(schedule(step)) for step in (0, 399, 400, 401)] == pytest.approx([0.01, 0.01, 0.1, 0.1])


def test_a_delayed_schedule_begins_when_the_warmup_ends():
    """As in NFNets' code: a half cosine over what is left after 10 of 110 steps."""
    schedule = Warmup(keras.optimizers.schedules.CosineDecay(1.6, 100), 10, delay=True)
    expected = [0.0, 0.8, 1.6, 0.8 * (1 + np.cos(np.pi / 4)), 0.8, 0.0]
    assert [float(schedule(step)) for step in (0, 5, 10, 35, 60, 110)] == pytest.approx(expected, abs=1e-6)


def test_a_floor():
    """MCDNN: 0.001 times 0.993 an epoch, to 0.00003: 0.993^499 is 0.03004, 0.993^500 is 0.02983."""
    schedule = AtLeast(keras.optimizers.schedules.ExponentialDecay(1e-3, 60, 0.993, staircase=True), 3e-5)
    rates = [float(schedule(60 * epoch + 59)) for epoch in (0, 1, 499, 500, 800)]
    assert rates == pytest.approx([1e-3, 9.93e-4, 3.0040e-5, 3e-5, 3e-5], rel=1e-4)
    with pytest.raises(ValueError, match="`floor` is not negative"):
        AtLeast(0.1, -1e-3)


def test_schedules_around_schedules_survive_serialization():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 50)
    schedule = Warmup(AtLeast(cosine, 0.02), 10, start=0.01, gradual=False, delay=True)
    again = keras.optimizers.SGD.from_config(keras.optimizers.SGD(schedule).get_config())._learning_rate
    assert [float(again(step)) for step in (0, 9, 10, 35, 60)] == pytest.approx([0.01, 0.01, 0.1, 0.05, 0.02])
