import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN out on processors without AVX-512, where it is two to three times faster, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Every test starts from the same random state and float32, whatever the one before it did."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
