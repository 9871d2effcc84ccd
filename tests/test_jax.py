"""The networks, layers, losses and optimizers hold on Keras's JAX backend, in a process of its own.

What runs here is a selection. All of it:

    KERAS_BACKEND=jax python -m pytest tests/on_jax.py tests/layers/test_conformance.py \\
        tests/applications/test_contract.py tests/applications/test_parity.py
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SELECTION = "this_is_jax or without_tensorflow or (optimizers_train and float32-torch_sgd) or True-fixed or say_so"


def test_a_selection_holds_on_jax():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/on_jax.py", "-k", SELECTION]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "7 passed" in process.stdout
