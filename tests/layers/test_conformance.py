"""What every layer promises, from one table of cases: shapes, precision, saving, XLA, unknown sizes."""

import keras
import numpy as np
import pytest

from kvision import layers


def normalized(*channels):
    """Arguments of a layer that owns a model, made under the policy of the test: a batch norm for each input."""
    inputs = [keras.Input((None, None, size), dtype=keras.config.dtype_policy().compute_dtype) for size in channels]
    outputs = [layers.BatchNormalization()(x) for x in inputs]
    x = keras.layers.Concatenate()(outputs) if len(outputs) > 1 else outputs[0]
    return dict(model=keras.Model(inputs if len(inputs) > 1 else inputs[0], x))


@keras.saving.register_keras_serializable(package="tests")
class Growth(keras.layers.Layer):
    """dy/dt = tanh(W y + t)"""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, t_shape, y_shape):
        self.dense.build(y_shape)

    def call(self, t, y):
        return keras.ops.tanh(self.dense(y) + t)

    def get_config(self):
        return {**super().get_config(), "units": self.dense.units}


def localised(**arguments):
    """Arguments of a spatial transformer with a small localisation network, made under the policy of the test."""
    network = keras.Sequential([keras.layers.Conv2D(3, 1), keras.layers.GlobalAveragePooling2D()])
    return dict(localisation=network, **arguments)


# On JAX equations train by backpropagation, through a known number of steps.
TRAINABLE = {} if keras.backend.backend() == "tensorflow" else dict(adjoint=False, max_steps=10)

# Name, arguments (or what makes them), shape of the input (or shapes of several), shape of the output.
CASES = [
    ("AdaptiveHistogramEqualization", dict(tiles=2), (2, 5, 7, 3), (2, 5, 7, 3)),
    ("AdaptiveHistogramEqualization", dict(tiles=(1, 3), clip_limit=0.5, bins=16), (2, 5, 7, 1), (2, 5, 7, 1)),
    ("BatchNormalization", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("BatchNormalization", dict(center=False, scale=False), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("BatchNormalization", dict(unbiased_moving=False, momentum=0.5), (3, 4), (3, 4)),
    ("CBAM", dict(ratio=2), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("CBAM", dict(ratio=4, kernel_size=3, spatial_first=True), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("ChannelGate", dict(ratio=2), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("ChannelGate", dict(ratio=4, pools=("max",)), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("ChannelMask", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("ChannelMask", {}, (2, 4), (2, 4)),
    ("Capsule", dict(capsules=3), (2, 6, 4), (2, 3, 16)),
    ("Capsule", dict(capsules=2, dimensions=3, iterations=2, stop_gradient=True, use_bias=True), (2, 6, 4), (2, 2, 3)),
    ("CapsuleLength", {}, (2, 6, 4), (2, 6)),
    ("ClassToken", {}, (2, 5, 4), (2, 6, 4)),
    ("ContrastNormalization", {}, (2, 5, 7, 8), (2, 5, 7, 8)),
    ("ContrastNormalization", dict(size=3, k=1.0, alpha=0.5, beta=0.5), (2, 8), (2, 8)),
    ("DifferenceOfGaussians", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("DifferenceOfGaussians", dict(size=3, sigma=1.0, surround=3.0), (2, 5, 7, 1), (2, 5, 7, 1)),
    ("DropConnect", dict(units=6), (2, 4), (2, 6)),
    ("DropConnect", dict(units=6, rate=0.2, activation=None, use_bias=False, seed=1), (2, 4), (2, 6)),
    ("EuclideanRBF", dict(units=3), (2, 5), (2, 3)),
    ("EuclideanRBF", dict(units=3, trainable=False), (2, 4, 5), (2, 4, 3)),
    ("FractalJoin", {}, [(2, 5, 7, 4)] * 3, (2, 5, 7, 4)),
    ("FractalJoin", dict(rate=1.0, seed=1), [(2, 4)], (2, 4)),
    ("GammaActivation", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("GammaActivation", dict(activation="gelu_tanh", gamma=1.2), (2, 4), (2, 4)),
    ("GlobalDropPath", dict(columns=3), (2, 5, 7, 4), (3,)),
    ("GlobalDropPath", dict(columns=2, share=1.0, seed=1), (2, 4), (2,)),
    ("GlobalContrastNormalization", dict(scale=55, bias=0.1), (2, 5, 7, 3), (2, 5, 7, 3)),
    ("GroupedConv2D", dict(filters=6, kernel_size=3, groups=2, padding="same"), (2, 5, 7, 4), (2, 5, 7, 6)),
    ("GroupedConv2D", dict(filters=8, kernel_size=3, groups=4, strides=2), (2, 5, 7, 4), (2, 2, 3, 8)),
    ("GroupedConv2D", dict(filters=4, kernel_size=3, dilation_rate=2, activation="relu"), (2, 7, 7, 4), (2, 3, 3, 4)),
    ("Highway", {}, (2, 4), (2, 4)),
    ("Highway", dict(kernel_size=3, transform_bias=-2), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("Highway", dict(kernel_size=(1, 3), activation="tanh"), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("HistogramEqualization", {}, (2, 5, 7, 3), (2, 5, 7, 3)),
    ("HistogramEqualization", dict(bins=16, value_range=(-1, 1)), (2, 5, 7, 1), (2, 5, 7, 1)),
    ("ImageAdjustment", {}, (2, 5, 7, 3), (2, 5, 7, 3)),
    ("ImageAdjustment", dict(fraction=0.1, value_range=(0, 255)), (2, 5, 7, 1), (2, 5, 7, 1)),
    ("LayerNormalization", {}, (2, 5, 4), (2, 5, 4)),
    ("LayerNormalization", dict(axis=(1, 2), epsilon=1e-3), (2, 5, 4), (2, 5, 4)),
    ("LayerNormalization", dict(center=False, scale=False), (2, 4), (2, 4)),
    ("LRN", {}, (2, 5, 7, 8), (2, 5, 7, 8)),
    ("LRN", dict(size=3, k=1.0, alpha=0.5, beta=0.5), (2, 8), (2, 8)),
    ("Maxout", {}, (2, 5, 7, 4), (2, 5, 7, 2)),
    ("Maxout", dict(pieces=3), (2, 6), (2, 2)),
    ("MultiHeadSelfAttention", dict(heads=2), (2, 5, 4), (2, 5, 4)),
    ("ODEBlock", lambda: dict(dynamics=Growth(4), **TRAINABLE), (2, 5, 7, 4), (2, 5, 7, 4)),
    (
        "ODEBlock",
        lambda: dict(dynamics=Growth(4), times=(0, 0.3, 1), return_sequences=True, **TRAINABLE),
        (2, 4),
        (2, 3, 4),
    ),
    (
        "ODEBlock",
        lambda: dict(dynamics=Growth(4), times=(0, 0.5), steps=2, solver="rk4", adjoint=False),
        (2, 4),
        (2, 4),
    ),
    (
        "PartiallyConnectedConv2D",
        dict(connections=((0, 2), (1,), (3, 0, 1)), kernel_size=3),
        (2, 5, 7, 4),
        (2, 3, 5, 3),
    ),
    (
        "PartiallyConnectedConv2D",
        dict(connections=((1,), (0, 1)), kernel_size=(3, 2), strides=2, padding="same", use_bias=False),
        (2, 5, 7, 2),
        (2, 3, 4, 2),
    ),
    ("PReLU", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("PReLU", dict(shared=True, alpha_initializer="ones"), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("PReLU", {}, (2, 4), (2, 4)),
    ("PointwiseConv2D", dict(filters=6), (2, 5, 7, 4), (2, 5, 7, 6)),
    ("PointwiseConv2D", dict(filters=6, use_bias=False, activation="relu"), (2, 5, 7, 4), (2, 5, 7, 6)),
    ("PooledConv2D", dict(filters=6), (2, 5, 8, 4), (2, 2, 4, 6)),
    ("PooledConv2D", dict(filters=6, pool_size=3, use_bias=False), (2, 6, 7, 4), (2, 2, 2, 6)),
    ("PositionEmbedding", dict(grid=(2, 2)), (2, 5, 4), (2, 5, 4)),
    ("PrimaryCapsules", dict(capsules=3, dimensions=4, kernel_size=3), (2, 5, 7, 2), (2, 18, 4)),
    ("PrimaryCapsules", dict(capsules=2, dimensions=3, kernel_size=(1, 3), strides=1), (2, 5, 7, 2), (2, 50, 3)),
    ("Recomputed", lambda: normalized(4), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("Recomputed", lambda: normalized(4, 3), [(2, 5, 7, 4), (2, 5, 7, 3)], (2, 5, 7, 7)),
    ("ResizeLike", {}, [(2, 3, 4, 4), (2, 5, 7, 4)], (2, 5, 7, 4)),
    ("ResizeLike", {}, [(2, 5, 7, 4), (2, 2, 1, 6)], (2, 2, 1, 4)),
    ("ScaledStdConv2D", dict(filters=6, kernel_size=3, padding="same", groups=2), (2, 5, 7, 4), (2, 5, 7, 6)),
    ("ScaledStdConv2D", dict(filters=6, kernel_size=1, use_bias=False, gamma=1.7), (2, 5, 7, 4), (2, 5, 7, 6)),
    (
        "ScaledStdConv2D",
        dict(filters=6, kernel_size=3, strides=2, activation="relu", epsilon=1e-5, gain_initializer="zeros"),
        (2, 5, 7, 4),
        (2, 2, 3, 6),
    ),
    ("SkipInit", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("SkipInit", dict(alpha=0.2), (2, 4), (2, 4)),
    ("SkippedBranch", lambda: dict(survival=0.5, **normalized(4)), [(2, 5, 7, 4)] * 2, (2, 5, 7, 4)),
    ("SpatialGate", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("SpatialGate", dict(kernel_size=3), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("SplitAttention", {}, (2, 5, 7, 4), (2, 5, 7, 2)),
    ("SplitAttention", dict(radix=3, cardinality=2, ratio=1), (2, 5, 7, 12), (2, 5, 7, 4)),
    ("SplitAttention", dict(radix=1, cardinality=4), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("SpatialMask", {}, (2, 5, 7, 4), (2, 5, 7, 4)),
    ("SpatialSampler", {}, [(2, 5, 7, 4), (2, 6)], (2, 5, 7, 4)),
    ("SpatialSampler", dict(transform=layers.Projective()), [(2, 5, 7, 4), (2, 8)], (2, 5, 7, 4)),
    ("SpatialSampler", dict(transform=layers.Translation(0.5)), [(2, 5, 7, 4), (2, 2)], (2, 5, 7, 4)),
    (
        "SpatialSampler",
        dict(transform=layers.Attention(), size=(3, 4)),
        [(2, 5, 7, 4), (2, 3)],
        (2, 3, 4, 4),
    ),
    ("SpatialTransformer", localised, (2, 5, 7, 4), (2, 5, 7, 4)),
    (
        "SpatialTransformer",
        lambda: localised(transform=layers.ThinPlateSpline(4), size=(1, 9)),
        (2, 5, 7, 4),
        (2, 1, 9, 4),
    ),
    ("SqueezeExcite", dict(ratio=2), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("StochasticDepth", dict(survival=0.5), (2, 5, 7, 4), (2, 5, 7, 4)),
    ("StochasticDepth", dict(survival=0.5, per="sample", seed=1, rescale=False), (2, 4), (2, 4)),
    ("StochasticPooling2D", {}, (2, 6, 9, 4), (2, 2, 3, 4)),
    ("StochasticPooling2D", dict(pool_size=(3, 2), strides=2, seed=1), (2, 6, 9, 4), (2, 2, 4, 4)),
    ("StridedConv2D", dict(filters=6, kernel_size=3), (2, 5, 7, 4), (2, 3, 5, 6)),
    (
        "StridedConv2D",
        dict(filters=3, kernel_size=(2, 3), strides=(3, 2), use_bias=False, activation="relu"),
        (2, 6, 8, 4),
        (2, 2, 3, 3),
    ),
    ("TokenDense", dict(units=6, activation="gelu"), (2, 5, 4), (2, 5, 6)),
    ("TokenDense", dict(units=6, use_bias=False), (2, 5, 7, 4), (2, 5, 7, 6)),
    ("TokenDense", dict(units=6), (2, 4), (2, 6)),
    ("TrainableSubsampling", {}, (2, 5, 7, 4), (2, 2, 3, 4)),
    ("TrainableSubsampling", dict(pool_size=(1, 3), activation="tanh"), (2, 5, 7, 4), (2, 5, 2, 4)),
    ("WidthNormalization", dict(width=4), (2, 5, 7, 1), (2, 29, 29, 1)),
    ("WidthNormalization", dict(width=9, size=(4, 6), threshold=0.5), (2, 5, 7, 3), (2, 4, 6, 3)),
    ("ZCAWhitening", {}, (2, 3, 4, 2), (2, 3, 4, 2)),
]


def test_every_layer_has_a_case():
    exported = {name: getattr(layers, name) for name in layers.__all__}
    assert {name for name, *_ in CASES} == {
        name for name, value in exported.items() if issubclass(value, keras.layers.Layer)
    }


def each(values, function):
    """Of the one input of a layer, or of each in the list that it takes."""
    return [function(value) for value in values] if isinstance(values, list) else function(values)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("name", "arguments", "shape", "expected"), CASES)
def test_layer(name, arguments, shape, expected, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    layer = getattr(layers, name)(**(arguments() if callable(arguments) else arguments))
    random = np.random.default_rng(0)
    x = each(shape, lambda shape: random.normal(size=shape).astype("float32"))
    for size in (lambda shape: shape[1:], lambda shape: (*[None] * (len(shape) - 2), shape[-1])):
        inputs = each(shape, lambda shape, size=size: keras.Input(size(shape)))
        model = keras.Model(inputs, layer(inputs))
        assert layer.compute_output_shape(each(inputs, lambda x: tuple(x.shape))) == model.output_shape
        y = model(x)
        assert tuple(y.shape) == expected and keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
        assert all(variable.dtype == "float32" for variable in layer.weights)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(x), y)
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    for jit in (False, True) if layer.trainable_weights else ():
        model.compile("sgd", "mse", jit_compile=jit)
        loss = model.train_on_batch(x, np.zeros(expected, "float32"))
        assert np.isfinite(loss)
    if hasattr(layer, "for_inference"):
        plain = layer.for_inference()
        if not isinstance(plain, keras.Model):  # which shares the layer's weights
            plain.build(shape)
            plain.set_weights(getattr(layer, "inference_weights", layer.get_weights)())
        mine, other = np.float32(plain(x)), np.float32(layer(x))
        tolerance = 1e-5 if policy == "float32" else 1e-2  # of the largest: sums near zero keep few digits
        assert np.abs(mine - other).max() <= tolerance * np.abs(other).max()
