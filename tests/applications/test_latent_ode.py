import keras
import numpy as np
import pytest

from kvision.applications.latent_ode import LatentODE

RANDOM = np.random.default_rng(0)
TIMES = tuple(np.linspace(0, 2, 9))


def circles(count):
    """Series (count, 9, 2) of points that turn at one speed, from anywhere on circles of any size."""
    start, radius = RANDOM.uniform(0, 2 * np.pi, (count, 1)), RANDOM.uniform(0.5, 1.5, (count, 1))
    angles = start + 1.5 * np.array(TIMES)
    return (radius[..., None] * np.stack([np.cos(angles), np.sin(angles)], -1)).astype("float32")


def test_parameters_by_hand():
    """Recognition, dynamics and decoder: 604 + 908 + 142."""
    model = LatentODE(TIMES)
    model(circles(2))
    recognition = (2 * 25 + 25 * 25 + 25) + (25 * 8 + 8)
    dynamics = (4 * 20 + 20) + (20 * 20 + 20) + (20 * 4 + 4)
    decoder = (4 * 20 + 20) + (20 * 2 + 2)
    assert (recognition, dynamics, decoder) == (908, 604, 142)
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == recognition + dynamics + decoder == 1_654


def test_the_bound_by_hand():
    model = LatentODE(TIMES, noise=0.5)
    x = circles(3)
    model(x, training=True)
    mean, variance = map(np.asarray, model.encode(x))
    divergence = 0.5 * (np.exp(variance) + mean**2 - 1 - variance).sum(-1)
    np.testing.assert_allclose(model.losses[0], divergence.mean(), rtol=1e-5)
    y = np.asarray(model(x))
    normal = -0.5 * ((x - y) / 0.5) ** 2 - np.log(0.5 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(model.negative_log_likelihood(x, y), -normal.sum((1, 2)), rtol=1e-5)


def test_learns_saves_and_extrapolates(tmp_path):
    """Circles are continued beyond the observed times, better than by standing still."""
    keras.utils.set_random_seed(0)
    model = LatentODE(TIMES, noise=0.1, solver="rk4", steps=1)
    model.compile(keras.optimizers.Adam(0.01), model.negative_log_likelihood)
    x = circles(256)
    history = model.fit(x, x, batch_size=64, epochs=40, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.3 * history[0]
    new = circles(20)
    later = np.asarray(model.extrapolate(new, (*TIMES, 2.25)))
    np.testing.assert_allclose(later[:, :-1], model(new), atol=1e-5)
    angle = 1.5 * 0.25
    turned = new[:, -1] @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert np.abs(later[:, -1] - turned).mean() < 0.8 * np.abs(new[:, -1] - turned).mean()
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(reloaded(new), model(new), atol=1e-6)


def test_samples_differ_in_training_alone():
    model = LatentODE(TIMES, solver="euler", steps=1)
    x = circles(2)
    assert np.abs(np.asarray(model(x, training=True)) - np.asarray(model(x, training=True))).max() > 0
    np.testing.assert_array_equal(model(x), model(x))


def test_errors():
    with pytest.raises(ValueError, match="two or more"):
        LatentODE((0.0,))
