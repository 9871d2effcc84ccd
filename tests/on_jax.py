"""What holds on Keras's JAX backend, beside the tests that hold on both. `test_jax.py` runs this file:

KERAS_BACKEND=jax python -m pytest tests/on_jax.py
"""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from kvision import applications
from kvision.layers import ODEBlock
from kvision.layers.flows import ExactTrace, HutchinsonTrace
from kvision.losses import SmoothedCrossentropy
from kvision.optimizers import AdaptiveGradientClipping, LayerwiseRates, TorchSGD, layerwise_decay
from tests.applications.test_parity import TOLERANCE, golden_file
from tests.golden import seeded
from tests.one_step import step

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.5, 1.5, (4, 3)).astype("float32")


def test_this_is_jax():
    assert keras.backend.backend() == "jax"


@keras.saving.register_keras_serializable(package="on_jax")
class Growth(keras.layers.Layer):
    """dy/dt = rate y: y(1) = e^rate y(0), and so is its derivative by the rate."""

    def build(self, t_shape, y_shape):
        self.rate = self.add_weight((), initializer=keras.initializers.Constant(0.5), name="rate")

    def call(self, t, y):
        return self.rate * y


def growing(**options):
    inputs = keras.Input((3,))
    return keras.Model(inputs, ODEBlock(Growth(), **options)(inputs))


@pytest.mark.parametrize(
    "options", [dict(steps=8, solver="rk4"), dict(max_steps=16, rtol=1e-6, atol=1e-6)], ids=["fixed", "adaptive"]
)
@pytest.mark.parametrize("jit", [False, True])
def test_equations_train_by_backpropagation(options, jit):
    model = growing(adjoint=False, **options)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    y, target = X * np.exp(0.5), np.ones_like(X)
    np.testing.assert_allclose(model(X), y, rtol=1e-5)
    model.train_on_batch(X, target)
    gradient = np.mean(2 * (y - target) * y)
    np.testing.assert_allclose(model.layers[-1].dynamics.rate, 0.5 - 0.1 * gradient, rtol=1e-4)


@pytest.mark.parametrize("options", [dict(), dict(steps=4), dict(adjoint=False)], ids=["adjoint", "steps", "unlimited"])
def test_equations_that_cannot_train_say_so_and_predict(options, tmp_path):
    """Loaded from a file too: it was trained on TensorFlow."""
    model = growing(**options)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(model.predict(X, verbose=0), X * np.exp(0.5), rtol=1e-2)
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match="On jax this block trains with adjoint=False"):
        model.fit(X, X, verbose=0)


@pytest.mark.parametrize("trace", [ExactTrace, HutchinsonTrace])
def test_traces_name_the_backend(trace):
    with pytest.raises(NotImplementedError, match="The backend is jax"):
        trace(Growth())


def small(seed=0):
    keras.utils.set_random_seed(seed)
    return applications.ResNet20(input_shape=(8, 8, 3), classes=5, depths=(1, 1, 1), widths=(16, 16, 16))


OPTIMIZERS = {
    "torch_sgd": lambda model: TorchSGD(0.1, weight_decay=1e-4, nesterov=True),
    "clipped": lambda model: AdaptiveGradientClipping(keras.optimizers.SGD(0.1, momentum=0.9), 0.02),
    "layerwise": lambda model: LayerwiseRates(keras.optimizers.AdamW(0.01), layerwise_decay(model, 0.5)),
}


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_train(name, policy):
    """Losses that are scaled, too."""
    keras.config.set_dtype_policy(policy)
    model = small()
    before = model.get_weights()
    model.compile(OPTIMIZERS[name](model), SmoothedCrossentropy(0.1), metrics=["accuracy"])
    images, labels = RANDOM.normal(size=(8, 8, 8, 3)).astype("float32"), np.arange(8) % 5
    history = model.fit(images, labels, 8, epochs=4, verbose=0, validation_data=(images, labels)).history
    assert history["loss"][-1] < history["loss"][0] and np.isfinite(history["val_loss"]).all()
    assert any(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True))


# Networks that draw nothing at random, with batch norms over more than a handful of values.
STEPPED = [
    "AlexNet",
    "VGG11BN",
    "GoogLeNet",
    "BNInception",
    "STCNN",
    "STCNN2xCUB",
    "ResNet50",
    "PreActResNet200",
    "DPN92",
    "NASNetALarge",
    "DenseNet121",
    "CBAMResNet18",
    "ResNeSt50Fast_2s2x40d",
    "SENet154",
    "CapsNet",
    "ViT_B16",
    "Mixer_B16",
]


@pytest.fixture(scope="module")
def on_tensorflow(request, tmp_path_factory):
    """A folder of what a step does on TensorFlow to the networks of the tests that run."""
    folder = tmp_path_factory.mktemp("steps")
    names = [item.callspec.params["stepped"] for item in request.session.items if "stepped" in item.fixturenames]
    command = [sys.executable, "-m", "tests.one_step", str(folder), *names]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.mark.parametrize("stepped", STEPPED)
def test_a_step_is_that_on_tensorflow(stepped, on_tensorflow):
    """The loss, with that of training heads, and what becomes of weights and moving statistics."""
    *arrays, loss = np.load(on_tensorflow / f"{stepped}.npz").values()
    half = len(arrays) // 2
    before, after = arrays[:half], arrays[half:]
    start, end, ours = step(stepped, before)
    assert ours == pytest.approx(float(loss), rel=1e-6)
    for old, theirs, begun, mine in zip(before, after, start, end, strict=True):
        expected, got = theirs - old, mine - begun
        # Of the largest change; biases in front of a norm change by rounding alone.
        assert np.abs(got - expected).max() < 5e-3 * np.abs(expected).max() + 1e-7


ALONE = """
import sys

sys.modules["tensorflow"] = None  # importing it fails
import keras
import numpy as np

import kvision

weights, images, folder = sys.argv[1:]
images = np.load(images)
arguments = dict(lineage="timm/resnet50.a1_in1k", input_shape=images.shape[1:], classifier_activation=None)
model = kvision.applications.ResNet50(weights=weights, **arguments)
logits = model.predict(images, verbose=0)
np.save(f"{folder}/logits.npy", logits)
model.save(f"{folder}/model.keras")
np.testing.assert_array_equal(keras.models.load_model(f"{folder}/model.keras").predict(images, verbose=0), logits)
"""


def test_without_tensorflow(tmp_path):
    """timm's ResNet-50 from a safetensors file answers as in PyTorch where TensorFlow is not installed."""
    golden, images = golden_file("resnet50"), seeded.images()
    save_file(golden["arrays"], tmp_path / "timm.safetensors")
    np.save(tmp_path / "images.npy", images)
    paths = [str(tmp_path / "timm.safetensors"), str(tmp_path / "images.npy"), str(tmp_path)]
    process = subprocess.run([sys.executable, "-c", ALONE, *paths], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    logits = np.load(tmp_path / "logits.npy")
    assert np.abs(logits - golden["logits"]).max() <= TOLERANCE * np.abs(golden["logits"]).max()
