import keras
import pytest


@pytest.fixture
def without_initial_values(monkeypatch):
    """Counting needs no random numbers: 60 million zeros come faster."""

    def zeros(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    for initializer in (keras.initializers.VarianceScaling, keras.initializers.RandomNormal):
        monkeypatch.setattr(initializer, "__call__", zeros)
