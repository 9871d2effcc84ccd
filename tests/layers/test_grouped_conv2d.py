import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export import savedmodel
from kvision.layers import GroupedConv2D, grouped_conv2d
from tests.serving import ask

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=["as here", "without oneDNN"])
def processor(request, monkeypatch):
    """TensorFlow knows groups well on a GPU and in oneDNN, which it leaves out on older processors."""
    if request.param == "without oneDNN":
        monkeypatch.setattr(grouped_conv2d, "_knows_groups", lambda dtype: False)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_is_split_convolve_concatenate_in_values_and_gradients(groups, strides, padding, processor):
    """Section 3.5 of the AlexNet paper and Figure 3 of ResNeXt: each group sees its own input channels."""
    x = tf.constant(RANDOM.normal(size=(2, 7, 9, 8)).astype("float32"))
    layer = GroupedConv2D(12, 3, strides, padding, groups=groups)
    layer.build(x.shape)
    layer.bias.assign(RANDOM.normal(size=12))
    kernel = layer.kernel.value

    def split(x):
        pairs = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
        return tf.concat([tf.nn.conv2d(a, k, strides, padding.upper()) for a, k in pairs], -1) + layer.bias

    results = []
    for function in (layer, split):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, kernel])])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


def test_is_served_on_a_processor_without_onednn(tmp_path):
    """There, TensorFlow refuses groups in a convolution that it has fused with a bias and a rectifier."""
    layers = [GroupedConv2D(8, 3, groups=4), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    layers += [GroupedConv2D(8, 3, groups=2), keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((9, 9, 4)), *layers])
    model.layers[0].bias.assign(RANDOM.normal(size=8))
    pixels = RANDOM.uniform(0, 255, (2, 9, 9, 3)).astype("float32")
    inputs = keras.Input((9, 9, 3))
    model = keras.Model(inputs, model(keras.layers.Conv2D(4, 1)(inputs)))
    folder = savedmodel(model, tmp_path / "served", preprocess=Preprocess())
    np.testing.assert_allclose(ask({folder: pixels}, onednn=False)[folder], model(pixels / 255), atol=1e-5)


def test_no_xla_function_in_the_graph(processor):
    """Stock Keras would put a function marked `_XlaMustCompile` here, which TensorFlow Serving does not run."""
    for kind, marked in ((GroupedConv2D, False), (keras.layers.Conv2D, True)):
        layer = kind(8, 3, groups=4)
        layer.build((None, 9, 9, 8))
        function = tf.function(layer, autograph=False).get_concrete_function(tf.TensorSpec((1, 9, 9, 8)))
        library = function.graph.as_graph_def().library.function
        assert any("_XlaMustCompile" in f.attr for f in library) is marked


@pytest.mark.parametrize("jit", [False, True])
def test_trains_in_mixed_precision(processor, jit):
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((6, 6, 4)), GroupedConv2D(8, 3, groups=2), keras.layers.Flatten()])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit)
    x, y = RANDOM.normal(size=(4, 6, 6, 4)).astype("float32"), np.ones((4, 128), "float32")
    losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
