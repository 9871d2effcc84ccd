"""On Keras's JAX backend, in a process of its own: a selection of what the README's section on JAX runs whole."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SELECTION = [
    "tests/on_jax.py::test_this_is_jax",
    "tests/on_jax.py::test_equations_train_by_backpropagation",
    "tests/on_jax.py::test_equations_that_cannot_train_say_so_and_predict",
    "tests/on_jax.py::test_traces_name_the_backend",
    "tests/on_jax.py::test_optimizers_train[clipped-mixed_float16]",
    *(f"tests/on_jax.py::test_a_step_is_that_on_tensorflow[{name}]" for name in ("GoogLeNet", "CapsNet", "ViT_B16")),
    "tests/on_jax.py::test_without_tensorflow",
    "tests/applications/test_contract.py::test_trains_under_mixed_precision[ViT_B16-mixed_bfloat16]",
    "tests/applications/test_parity.py::test_parity[resnet18]",
    "tests/layers/test_conformance.py",
]
LAYERS = "BatchNormalization or SkippedBranch or Recomputed or SpatialSampler"


def test_a_selection_holds_on_jax():
    some = f"not test_layer or (float32 and ({LAYERS}))"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", some, *SELECTION]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stdout + process.stderr
