import keras
import numpy as np
import pytest

from kvision.layers import MaxNorm


def norms(kernel):
    return np.sqrt((np.asarray(kernel, "float64") ** 2).reshape(-1, kernel.shape[-1]).sum(0))


def test_by_hand():
    """Columns (3, 4) of norm 5, (0, 0), and (0, 2), which is on the sphere of radius 2."""
    w = np.array([[3, 0, 0], [4, 0, 2]], "float32")
    np.testing.assert_allclose(MaxNorm(2.0)(w), [[1.2, 0, 0], [1.6, 0, 2]], rtol=1e-6)
    np.testing.assert_array_equal(MaxNorm(2.0)(np.array([3, -5, 1.5, 0], "float32")), [2, -2, 1.5, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(7, 5), (3, 5, 4), (3, 3, 4, 5), (1, 1, 1, 5)])
def test_inside_the_ball_nothing_changes_and_outside_the_direction_stays(shape, dtype):
    w = np.random.default_rng(0).normal(size=shape) * [0.01, 0.1, 1, 10, 100][: shape[-1]]
    w = keras.ops.convert_to_tensor(w, dtype)
    before = np.array(keras.ops.cast(w, "float64"))
    c = float(np.median(norms(before)))
    projected = MaxNorm(c)(w)
    assert keras.backend.standardize_dtype(projected.dtype) == dtype
    after = np.array(keras.ops.cast(projected, "float64"))
    inside, rtol = norms(before) < c, {"float32": 1e-6, "float64": 1e-12}.get(dtype, 1e-2)
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(after[..., inside], before[..., inside])
    outside = norms(before) > c * (1 + 1e-6)
    np.testing.assert_allclose(norms(after)[outside], c, rtol=rtol)
    expected = before[..., outside] * (c / norms(before)[outside])
    np.testing.assert_allclose(after[..., outside], expected, rtol=rtol, atol=1e-6 if dtype == "float16" else 0)


def test_norms_beyond_float16():
    """Four squares of 300 are."""
    w = keras.ops.full((4, 1), 300.0, "float16")
    np.testing.assert_array_equal(MaxNorm(2.0)(w), np.ones((4, 1), "float16"))


def test_root_mean_square():
    """Zeiler & Fergus, section 3: filters whose RMS exceeds 0.1 are renormalized to it."""
    w = np.random.default_rng(0).normal(size=(7, 7, 3, 4)).astype("float32") * np.float32([0.05, 0.09, 0.2, 5])
    after = np.array(MaxNorm(0.1, rms=True)(w))
    rms = np.sqrt((after.astype("float64") ** 2).mean((0, 1, 2)))
    np.testing.assert_allclose(rms[2:], 0.1, rtol=1e-6)
    np.testing.assert_array_equal(after[..., :2], w[..., :2])
    np.testing.assert_allclose(after, MaxNorm(0.1 * 147**0.5)(w), rtol=1e-6)


def test_keras_own_is_another_constraint():
    """Why this one exists: on a convolution's kernel Keras's takes the rows alone, and it shrinks what is inside."""
    kernel = np.full((3, 3, 4, 2), 0.4, "float32")  # norms sqrt(36) * 0.4 = 2.4
    assert norms(np.array(keras.constraints.MaxNorm(2.0)(kernel)))[0] > 2.3
    np.testing.assert_allclose(norms(np.array(MaxNorm(2.0)(kernel))), 2.0, rtol=1e-6)
    small = np.full((1, 2), 1e-5, "float32")
    assert (np.array(keras.constraints.MaxNorm(2.0)(small)) < small).all()
    np.testing.assert_array_equal(MaxNorm(2.0)(small), small)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "XLA"])
def test_holds_after_every_update(policy, jit, tmp_path):
    """With a learning rate that throws the weights out of their ball; and through saving."""
    keras.config.set_dtype_policy(policy)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu", kernel_constraint=MaxNorm(0.1, rms=True)),  # 3 * 3 * 2 weights
        keras.layers.Flatten(),
        keras.layers.Dense(6, kernel_constraint=MaxNorm(0.5)),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((5, 5, 2)), *layers])
    model.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=jit)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 5, 5, 2)).astype("float32"), random.normal(size=(8, 1)).astype("float32")
    model.fit(x, y, batch_size=4, epochs=10, verbose=0)  # in float16 the first updates are skipped: loss scaling
    for layer, radius in ((layers[0], 0.1 * 18**0.5), (layers[2], 0.5)):
        reached = norms(np.array(layer.kernel))
        assert np.isfinite(reached).all() and (reached <= radius * (1 + 1e-6)).all()
        assert (reached > radius * (1 - 1e-6)).any(), "no weight reached its sphere: the test shows nothing"
    model.save(tmp_path / "model.keras")
    constraint = keras.models.load_model(tmp_path / "model.keras").layers[2].kernel_constraint
    assert type(constraint) is MaxNorm and constraint.get_config() == {"c": 0.5, "rms": False}


@pytest.mark.parametrize("c", [0, -1, float("nan")])
def test_bad_radius(c):
    with pytest.raises(ValueError, match="`c` is the positive radius"):
        MaxNorm(c)
