"""Section 3 of the paper: local and global drop-path."""

import itertools

import keras
import numpy as np
import pytest

from kvision.layers import FractalJoin, GlobalDropPath

# Powers of 4: from the mean and their number one sees who is alive.
ENDS = [np.full((1, 2), 4.0**power, "float32") for power in range(3)]


def draws(layer, times, *inputs):
    """What a layer gives in training, many times, inside XLA."""
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def many():
        return tf.map_fn(lambda _: layer(*inputs, training=True), tf.range(times), fn_output_signature="float32")

    return many().numpy()


def mean(alive):
    return np.mean([4.0**place for place in alive])


def test_inference_is_the_mean_of_all():
    np.testing.assert_array_equal(FractalJoin(rate=1.0)(ENDS), np.full((1, 2), 7.0))
    np.testing.assert_array_equal(FractalJoin()(ENDS, np.zeros(5, "float32")), np.full((1, 2), 7.0))


@pytest.mark.parametrize("training", [False, True])
def test_a_join_with_one_input_alive_is_that_input(training):
    """The inputs are the last of the five columns."""
    for place, end in enumerate(ENDS):
        column = np.eye(5, dtype="float32")[2 + place]
        np.testing.assert_array_equal(FractalJoin()(ENDS, column, training=training), end)
    np.testing.assert_array_equal(FractalJoin()(ENDS[:1], training=training), ENDS[0])


def test_local_sampling_keeps_at_least_one():
    """Each of the seven sets of survivors has 1/8; the eighth, of none, goes to the three sets of one."""
    rate, times = 0.5, 4000
    found = draws(FractalJoin(rate, seed=0), times, ENDS)[:, 0, 0]
    total = 0
    for alive in (set_ for count in (1, 2, 3) for set_ in itertools.combinations(range(3), count)):
        probability = 1 / 8 + (1 / 24 if len(alive) == 1 else 0)
        frequency = np.mean(np.isclose(found, mean(alive)))
        assert abs(frequency - probability) < 4 * np.sqrt(probability * (1 - probability) / times)
        total += frequency
    assert total == 1


def test_local_sampling_drops_at_its_rate():
    """The paper's 15 %: an input falls with probability 0.15, but for 0.15^2 / 2 when it is the one that survives."""
    times, rate = 4000, 0.15
    found = draws(FractalJoin(seed=0), times, ENDS[:2])[:, 0, 0]
    for alone in (1.0, 4.0):
        probability = rate * (1 - rate) + rate**2 / 2
        assert abs(np.mean(found == alone) - probability) < 4 * np.sqrt(probability / times)
    assert set(found) == {1.0, 4.0, 2.5}


def test_rate_0_drops_nothing_and_rate_1_all_but_one():
    assert set(draws(FractalJoin(0.0), 20, ENDS)[:, 0, 0]) == {7.0}
    assert set(draws(FractalJoin(1.0, seed=0), 60, ENDS)[:, 0, 0]) == {1.0, 4.0, 16.0}


def test_a_join_that_the_column_does_not_pass_samples_locally():
    column = np.array([1, 0, 0, 0], "float32")
    assert len(set(draws(FractalJoin(0.5, seed=0), 60, ENDS, column)[:, 0, 0])) > 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_global_sampling_picks_each_column_equally_often(share):
    times, columns = 3000, 3
    found = draws(GlobalDropPath(columns, share, seed=0), times, np.zeros((1, 2, 2, 1), "float32"))
    assert set(found.sum(1)) <= {0.0, 1.0} and set(found.ravel()) <= {0.0, 1.0}
    probability = share / columns
    bound = 4 * np.sqrt(probability * (1 - probability) / times)
    assert (np.abs(found.mean(0) - probability) <= bound).all()
    if share in (0.0, 1.0):
        assert set(found.sum(1)) == {share}


def test_inference_picks_no_column():
    np.testing.assert_array_equal(GlobalDropPath(3, 1.0)(np.ones((1, 2, 2, 1), "float32")), np.zeros(3))


def test_gradients_flow_through_the_living_alone():
    import tensorflow as tf

    variables = [tf.Variable(end) for end in ENDS]
    with tf.GradientTape() as tape:
        y = FractalJoin()(variables, np.array([0, 1, 0], "float32"), training=True)
    np.testing.assert_array_equal(tape.gradient(y, variables), [[[0, 0]], [[1, 1]], [[0, 0]]])


def test_draws_come_from_the_seed():
    for make in (lambda seed: FractalJoin(0.5, seed), lambda seed: GlobalDropPath(3, seed=seed)):
        first, again, other = (draws(make(seed), 30, ENDS) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_mean_of_three_is_exact_in_half_precision(policy):
    """A third is not: 3/8 three times a third would be off."""
    keras.config.set_dtype_policy(policy)
    assert np.float32(FractalJoin()([np.full((1, 1), 0.375, "float32")] * 3)) == 0.375


def test_bad_arguments_are_errors():
    with pytest.raises(ValueError, match="`rate` is a probability"):
        FractalJoin(1.5)
    with pytest.raises(ValueError, match="one shape"):
        FractalJoin()([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(ValueError, match="3 inputs cannot be the last of 2 columns"):
        FractalJoin()(ENDS, np.zeros(2, "float32"))
    for arguments in (dict(columns=0), dict(columns=2, share=1.5)):
        with pytest.raises(ValueError, match="`columns` is at least 1"):
            GlobalDropPath(**arguments)
