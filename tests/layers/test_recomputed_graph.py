"""Where a graph is cut, by brute force; and that a network in segments takes the steps of the network as it is."""

from itertools import combinations, pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.applications import ResNet20, StochasticDepth110
from kvision.applications.stochastic_depth import stochastic
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv, norm, relu
from kvision.classifier import Classifier, TrainingHead
from kvision.layers import Recomputed
from kvision.layers.recomputed_graph import SIZE, RecomputedGraph, _bytes, _cuts

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(1, 2, (6, 8, 10, 3)).astype("float32")
Y = np.arange(6) % 5


def levels(model):
    found = [model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth, reverse=True)]
    return [level for level in found if not level[0].is_input]


def test_bytes_are_those_of_outputs_and_of_what_is_read_later():
    """A residual branch of a wider and a narrower convolution, on 2 x 3 pixels of 4 bytes."""
    inputs = keras.Input((2, 3, 1))
    x = conv(inputs, 4, name="stem")
    y = conv(conv(x, 5, name="first"), 4, name="second")
    model = keras.Model(inputs, conv(keras.layers.Add()([x, y]), 2, name="last"))
    put_out, alive = _bytes(model, levels(model))
    np.testing.assert_array_equal(put_out / 24, np.cumsum([0, 4, 5, 4, 4, 2]))
    np.testing.assert_array_equal(alive / 24, [1, 4, 4 + 5, 4 + 4, 4, 2])


def highest(cuts, put_out, alive):
    """The most that is held at once: what is kept up to a segment, and what is inside."""
    edges = [0, *cuts, len(put_out) - 1]
    return max(alive[edges[: n + 1]].sum() + put_out[b] - put_out[a] for n, (a, b) in enumerate(pairwise(edges)))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_cuts_need_less(seed):
    random = np.random.default_rng(seed)
    put_out, alive = np.cumsum([0, *random.integers(1, 50, 9)]), random.integers(1, 20, 10)
    every = [cuts for count in range(9) for cuts in combinations(range(1, 9), count)]
    best = min(highest(cuts, put_out, alive) for cuts in every)
    assert best <= highest(_cuts(put_out, alive), put_out, alive) <= 1.01 * best < put_out[-1] + alive[0]


def test_memory_grows_with_the_root_of_the_depth():
    """Equal layers: k cuts keep k, and n / k are inside of each segment."""
    for depth in (100, 400, 1600):
        cuts = _cuts(np.arange(depth + 1.0), np.ones(depth + 1))
        assert highest(cuts, np.arange(depth + 1.0), np.ones(depth + 1)) <= 2 * depth**0.5
        assert cuts[0] > np.diff(cuts)[-1]  # early segments are longer: less is kept by then


def test_unknown_sizes_are_weighed_as_known_ones():
    known, unknown = (
        ResNet20(depths=(1, 1, 1), widths=(16, 16, 16), include_top=False, input_shape=(size, size, 3), recompute=True)
        for size in (SIZE, None)
    )
    cuts = [
        [{weight.path for weight in part.layer.weights} for part in m._recomputed.segments] for m in (known, unknown)
    ]
    assert cuts[0] == cuts[1] and len(cuts[0]) > 2
    assert unknown(X, training=True).shape == (6, 2, 3, 16)


def test_a_network_without_a_part_worth_it_is_an_error():
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="'short' saves no memory by recomputation: of its 2 operations"):
        RecomputedGraph(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(5)(inputs)), name="short"))


def two_rows(recompute):
    """Two tensors side by side from the input to the last layer, a shared layer, dropout, and a head in the middle."""
    inputs = keras.Input((8, 10, 3))
    a, b = conv(inputs, 4, name="a0"), conv(inputs, 4, name="b0")
    shared, middle = keras.layers.Conv2D(4, 1, name="shared"), None
    for place in range(1, 4):
        a, b = relu(norm(conv(b, 4, 3, name=f"a{place}"), name=f"n{place}"), name=f"r{place}"), shared(a)
        b = keras.layers.Dropout(0.3, seed=place, name=f"d{place}")(b)
        middle = b if place == 2 else middle
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Add(name="add")([a, b]))
    branch = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, "softmax", dtype="float32")], name="branch"
    )
    outputs = keras.layers.Dense(5, "softmax", name="fc", dtype="float32")(x)
    return Classifier(inputs, outputs, name="toy", heads=[(middle, TrainingHead(branch))], recompute=recompute)


def residual(recompute, **changes):
    return StochasticDepth110(
        depths=(2, 1, 1),
        widths=(16, 16, 16),
        connect=bind(stochastic, seed=3, last=0.7, **changes),
        input_shape=X.shape[1:],
        classes=5,
        recompute=recompute,
    )


def skipping(recompute):
    return residual(recompute, skip=True)


def frozen(recompute):
    """The first stage does not train, and its statistics stay."""
    model = residual(recompute)
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(("conv1", "bn1", "layer1"))
    return model


def train(build, policy="float32", **options):
    """Losses, weights, statistics and random states of plain `fit`, as it is and in segments."""
    keras.config.set_dtype_policy(policy)
    models = [build(recompute) for recompute in (False, True)]
    for one, other in zip(*(model.variables for model in models), strict=True):
        other.assign(np.array(one))
    before = [np.array(variable) for variable in models[0].variables]
    losses = []
    for model in models:
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", **options)
        losses.append(model.fit(X, Y, batch_size=6, epochs=3, shuffle=False, verbose=0).history["loss"])
    return models, before, losses


@pytest.mark.parametrize(
    ("build", "policy", "options"),
    [
        (two_rows, "float32", {}),
        (two_rows, "float32", dict(jit_compile=True)),
        (two_rows, "mixed_float16", {}),
        (residual, "float32", {}),
        (residual, "mixed_bfloat16", {}),
        (skipping, "float32", {}),
        (frozen, "float32", {}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or ("-".join(value) if isinstance(value, dict) else value),
)
def test_it_takes_the_steps_of_the_network_as_it_is(build, policy, options):
    models, before, losses = train(build, policy, **options)
    assert sum(isinstance(part.layer, Recomputed) for part in models[1]._recomputed.segments) >= 2
    half = policy != "float32"
    np.testing.assert_allclose(*losses, rtol=1e-2 if half else 1e-6)
    for old, one, other in zip(before, *(model.variables for model in models), strict=True):
        moved = np.abs(np.subtract(one, old, dtype="float64")).max()
        assert np.abs(np.subtract(one, other, dtype="float64")).max() <= (0.05 if half else 2e-5) * moved, one.path
    trained = [np.any(np.not_equal(one, old)) for old, one in zip(before, models[1].variables, strict=True)]
    still = [one.path for one, moved in zip(models[1].variables, trained, strict=True) if not moved]
    assert bool(still) == (build is frozen) and all(path.startswith(("conv1", "bn1", "layer1")) for path in still)


def test_what_is_inside_of_segments_stands_twice_in_the_graph_of_a_step():
    counts = []
    for recompute in (False, True):
        model = residual(recompute)

        @tf.function
        def step(x, model=model):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(x, training=True))
            return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

        operations = step.get_concrete_function(X).graph.get_operations()
        counts.append(sum(operation.type == "FusedBatchNormV3" for operation in operations))
    norms = [
        sum(isinstance(layer, keras.layers.BatchNormalization) for layer in part.layer.model.layers)
        for part in model._recomputed.segments[:-1]
    ]
    assert counts[1] == counts[0] + sum(norms) and sum(norms) > counts[0] / 2


def test_outside_of_training_it_is_the_network_as_it_is(tmp_path):
    model = residual(True)
    plain = keras.Model(model.input, model.output)
    np.testing.assert_array_equal(model(X), plain(X))
    np.testing.assert_array_equal(model.predict(X, verbose=0), plain.predict(X, verbose=0))
    assert not any(isinstance(layer, Recomputed) for layer in model._flatten_layers())


def test_it_survives_saving(tmp_path):
    models, _, _ = train(two_rows)
    models[1].save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.recompute and len(again._recomputed.segments) == len(models[1]._recomputed.segments)
    np.testing.assert_array_equal(again(X), models[1](X))
    for one, other in zip(models[1].variables, again.variables, strict=True):
        other.assign(np.array(one))  # Keras does not save the random states of dropout
    losses = [model.fit(X, Y, batch_size=6, verbose=0).history["loss"] for model in (models[1], again)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    models[0].save_weights(tmp_path / "plain.weights.h5")  # both hold the same layers at the same places
    again.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(again(X), models[0](X))
