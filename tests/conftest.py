import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN out on processors without AVX-512, where it is two to three times faster, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the hub; those of fetching have one of their own

import keras
import pytest


def pytest_collection_finish():
    """What is imported stays: looking through it for garbage again and again takes a sixth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def fresh_keras():
    """Every test starts from the same random state and float32, whatever the one before it did."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
