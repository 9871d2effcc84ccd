import sys

import keras
import pytest
from keras import applications, layers, ops

from kvision.evaluation import count_macs


def published(name, size):
    return getattr(applications, name)(weights=None, input_shape=(size, size, 3))


# In round numbers what the literature gives: 15.5, 2.8, 0.30 and 5.7 billion.
@pytest.mark.parametrize(
    ("name", "size", "macs"),
    [
        ("VGG16", 224, 15_470_264_320),
        ("DenseNet121", 224, 2_834_161_664),
        ("MobileNetV2", 224, 300_774_272),
        ("InceptionV3", 299, 5_713_216_096),
    ],
)
def test_published_networks(name, size, macs):
    assert count_macs(published(name, size)) == macs


def on(shape, *body):
    """A model of layers, one after the other, on inputs of `shape`."""
    x = inputs = keras.Input(shape)
    for layer in body:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("shape", "body", "macs"),
    [
        ((8, 8, 3), layers.Conv2D(5, 3, padding="same"), 8 * 8 * 5 * 9 * 3),
        ((8, 8, 3), layers.Conv2D(5, 3), 6 * 6 * 5 * 9 * 3),
        ((9, 8, 3), layers.Conv2D(5, (3, 1), strides=2, padding="same"), 5 * 4 * 5 * 3 * 3),
        ((8, 8, 6), layers.Conv2D(4, 3, groups=2, padding="same"), 8 * 8 * 4 * 9 * 3),
        ((9, 9, 3), layers.Conv2D(5, 3, dilation_rate=2), 5 * 5 * 5 * 9 * 3),
        ((10, 3), layers.Conv1D(4, 5, padding="causal"), 10 * 4 * 5 * 3),
        ((4, 4, 4, 2), layers.Conv3D(3, 2), 27 * 3 * 8 * 2),
        ((8, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 8 * 8 * 6 * 9),
        ((10, 3), layers.DepthwiseConv1D(3), 8 * 3 * 3),
        (
            (8, 8, 3),
            layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, padding="same"),
            16 * (6 * 9 + 6 * 5),
        ),
        ((4, 4, 3), layers.Conv2DTranspose(5, 2, strides=2), 16 * 5 * 4 * 3),
        ((7,), layers.Dense(5), 35),
        ((6, 7), layers.Dense(5), 6 * 35),
        ((6, 7), layers.EinsumDense("abc,cd->abd", output_shape=(None, 5)), 6 * 35),
        ((6, 7), layers.EinsumDense("...c,cde->...de", output_shape=(2, 5)), 6 * 7 * 2 * 5),
        ((6, 7), layers.EinsumDense("btc,ts->bsc", output_shape=(4, 7)), 6 * 4 * 7),
        ((6,), layers.Embedding(10, 4), 0),
        ((8, 8, 3), layers.PReLU(), 0),
        ((8, 8, 3), layers.LayerNormalization(axis=(1, 2)), 0),
        ((8, 8, 3), layers.BatchNormalization(), 0),
        ((8, 8, 3), layers.MaxPooling2D(), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else None,
)
def test_layers(shape, body, macs):
    assert count_macs(on(shape, body)) == macs


def test_channels_first():
    convolution = layers.Conv2D(5, 3, padding="same", data_format="channels_first")
    assert count_macs(on((3, 8, 8), convolution)) == 8 * 8 * 5 * 9 * 3


@pytest.mark.parametrize(
    ("shapes", "product", "macs"),
    [
        ([(6, 7), (7, 5)], ops.matmul, 6 * 7 * 5),
        ([(3, 6, 7), (3, 7, 5)], ops.matmul, 3 * 6 * 7 * 5),
        ([(6, 7), (5, 7)], lambda a, b: ops.einsum("btc,bsc->bts", a, b), 6 * 5 * 7),
        ([(6, 7), (5, 7)], lambda a, b: ops.einsum("...tc,...sc", a, b), 6 * 5 * 7),
        ([(6, 3, 7), (5, 3, 7)], lambda a, b: ops.einsum("bthc,bshc->bhts", a, b), 3 * 6 * 5 * 7),
        ([(6, 7), (5, 7)], lambda a, b: ops.einsum("btc,bsc->btc", a, b), 0),  # summed over s first: elementwise
        ([(6, 6, 7), (7,)], lambda a, b: ops.einsum("bhwc,bc->bhwc", a, b), 0),  # a gate: elementwise
        ([(6, 7)], lambda a: ops.einsum("btc->bc", a), 0),
        ([(6, 7)], lambda a: ops.tensordot(a, ops.ones((7, 2, 5)), axes=1), 6 * 7 * 10),
        ([(6, 7)], lambda a: ops.dot(a, ops.ones((7, 5))), 6 * 7 * 5),
        ([(7, 6), (7, 5)], lambda a, b: layers.Dot(axes=1)([a, b]), 6 * 7 * 5),
        ([(7,), (7,)], lambda a, b: layers.Dot(axes=1)([a, b]), 7),
        ([(8, 8, 3)], lambda a: ops.conv(a, ops.ones((3, 3, 3, 5)), padding="same"), 64 * 9 * 3 * 5),
        ([(8, 8, 3)], lambda a: ops.depthwise_conv(a, ops.ones((3, 3, 3, 2))), 36 * 9 * 3 * 2),
        ([(6, 7), (5, 7)], lambda q, v: layers.Attention()([q, v]), 6 * 5 * (7 + 7)),
        ([(6, 7), (5, 7)], lambda q, v: layers.AdditiveAttention()([q, v]), 6 * 5 * 7),
        ([(6, 2, 7), (5, 2, 7)], lambda q, k: ops.dot_product_attention(q, k, k), 2 * 6 * 5 * 2 * 7),
        # 2 heads: queries and keys of 3, values of 4; then the projections in (7 to 2 heads) and out (8 to 7).
        (
            [(6, 7), (5, 7)],
            lambda q, v: layers.MultiHeadAttention(2, 3, 4)(value=v, query=q),
            6 * 5 * 2 * (3 + 4) + 6 * 7 * 2 * 3 + 5 * 7 * 2 * 3 + 5 * 7 * 2 * 4 + 6 * 2 * 4 * 7,
        ),
        # Over the second of two axes, each of the 3 rows by itself; value_dim is key_dim.
        (
            [(3, 6, 7)],
            lambda x: layers.MultiHeadAttention(2, 4, attention_axes=2)(x, x),
            3 * 6 * 6 * 2 * 8 + 4 * 18 * 7 * 8,
        ),
    ],
)
def test_products_between_activations(shapes, product, macs):
    inputs = [keras.Input(shape) for shape in shapes]
    assert count_macs(keras.Model(inputs, product(*inputs))) == macs


def test_a_shared_layer_counts_at_every_call_and_other_models_do_not():
    shared = layers.Dense(7)
    model = on((7,), shared, shared)
    on((50, 7), shared)
    assert count_macs(model) == 2 * 49


def test_nested_models():
    inner = on((8, 8, 3), layers.Conv2D(3, 3, padding="same"))
    nested = keras.Sequential([keras.Input((8, 8, 3)), inner, inner, layers.Flatten(), layers.Dense(2)])
    assert count_macs(on((8, 8, 3), nested)) == 2 * 64 * 9 * 9 + 192 * 2


def test_any_input_shape_without_building_anything_again():
    model = on((None, None, 3), layers.Conv2D(4, 3, padding="same"), layers.GlobalAveragePooling2D(), layers.Dense(5))
    calls = len(model.layers[1]._inbound_nodes)
    assert count_macs(model, (10, 8, 3)) == 80 * 4 * 27 + 20
    assert count_macs(published("MobileNetV2", 224), (448, 448, 3)) == 4 * (300_774_272 - 1_280_000) + 1_280_000
    assert len(model.layers[1]._inbound_nodes) == calls


def test_windows_folded_into_the_batch():
    inputs = keras.Input((8, 8, 3))
    windows = ops.reshape(inputs, (-1, 16, 3))
    assert count_macs(keras.Model(inputs, ops.matmul(windows, ops.transpose(windows, (0, 2, 1))))) == 4 * 16 * 16 * 3


class Routing(layers.Layer):
    """Knows its own cost: one matrix for the first of its two inputs."""

    def build(self, x_shape, context_shape):
        self.matrix = self.add_weight(shape=(x_shape[-1], 4))

    def call(self, x, context, training=None):
        return ops.matmul(x, self.matrix) + context

    def compute_output_shape(self, x_shape, context_shape):
        return context_shape

    def count_macs(self, x_shape, context_shape):
        assert x_shape[0] == context_shape[0] == 1
        return x_shape[-1] * context_shape[-1]


def test_a_layer_may_say_what_it_costs():
    x, context = keras.Input((7,)), keras.Input((4,))
    assert count_macs(keras.Model([x, context], Routing()(context=context, x=x))) == 28


def test_thousands_of_layers():
    x = inputs = keras.Input((2,))
    shared = layers.Dense(2)
    for _ in range(5000):
        x = shared(x)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # Keras builds a graph by recursion; counting does without
    model = keras.Model(inputs, x)
    sys.setrecursionlimit(limit)
    assert count_macs(model) == 5000 * 4


class Bilinear(layers.Layer):
    def build(self, input_shape):
        self.form = self.add_weight(name="form", shape=(input_shape[-1], input_shape[-1]))

    def call(self, x):
        return ops.sum(ops.matmul(x, self.form) * x, -1)


@pytest.mark.parametrize(
    ("make", "input_shape", "error", "message"),
    [
        (lambda: on((None, None, 3), layers.Conv2D(4, 3)), None, ValueError, r"pass input_shape=\(H, W, C\)"),
        (lambda: on((4, 4, 3), layers.Conv2D(4, 3)), (None, 8, 3), ValueError, r"Received: \(None, 8, 3\)"),
        (lambda: on((4, 4, 3), layers.Conv2D(4, 3)), (8, 8, 1), ValueError, "expected axis -1"),
        (lambda: on((4, 4, 3), layers.Flatten(), layers.Dense(2)), (8, 8, 3), ValueError, "expected axis -1"),
        (lambda: on((7,), Bilinear(name="form")), None, TypeError, r"layer 'form' \(Bilinear, with form \(7, 7\)"),
        (lambda: on((5, 7), layers.LSTM(3, name="memory")), None, TypeError, "layer 'memory'"),
        (lambda: keras.Sequential([layers.Dense(2)]), None, ValueError, "pass input_shape"),
        (
            lambda: keras.Model([a := keras.Input((2,)), b := keras.Input((2,))], a + b),
            (2,),
            ValueError,
            "models with one input",
        ),
        (
            lambda: on((2,), lambda x: ops.einsum("bi,bi,bi->b", x, x, x)),
            None,
            TypeError,
            "more than two operands",
        ),
    ],
)
def test_what_it_refuses(make, input_shape, error, message):
    with pytest.raises(error, match=message):
        count_macs(make(), input_shape)
