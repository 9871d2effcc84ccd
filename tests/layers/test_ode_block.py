"""Closed forms, orders of convergence, and the adjoint against backpropagation. In float64 where accuracy is asked."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export import savedmodel
from kvision.layers import ODEBlock
from kvision.layers.runge_kutta import TABLEAUS
from tests.serving import ask

RANDOM = np.random.default_rng(0)
ONE = np.ones((1, 1))


class Scale(keras.layers.Layer):
    """y' = a y: y(t) = y(0) e^{at}"""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**{"dtype": "float64", **kwargs})
        self.start = start

    def build(self, t_shape, y_shape):
        self.a = self.add_weight(shape=(), initializer=keras.initializers.Constant(self.start), name="a")

    def call(self, t, y):
        return self.a * y


class Function(keras.layers.Layer):
    def __init__(self, f, **kwargs):
        super().__init__(**{"dtype": "float64", **kwargs})
        self.f = f

    def call(self, t, y):
        return self.f(t, y)


@keras.saving.register_keras_serializable(package="tests")
class Network(keras.layers.Layer):
    """y' = tanh(W y + t) - y / 2"""

    def __init__(self, width, **kwargs):
        super().__init__(**{"dtype": "float64", **kwargs})
        self.width = width

    def build(self, t_shape, y_shape):
        self.kernel = self.add_weight(shape=(self.width,) * 2, initializer=keras.initializers.GlorotNormal(1))
        self.bias = self.add_weight(shape=(self.width,), initializer="zeros")

    def call(self, t, y):
        return keras.ops.tanh(y @ self.kernel + self.bias + t) - y / 2

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def block(dynamics, **arguments):
    return ODEBlock(dynamics, **{"dtype": dynamics.dtype_policy, **arguments})


def exponential(**arguments):
    return float(block(Scale(), **arguments)(ONE)[0, 0])


def test_steps_of_fixed_size_by_hand():
    """e by the compound interest of 10 steps: (1 + h)^10, and (1 + h + h^2/2)^10 by either method of second order."""
    assert exponential(solver="euler", steps=10) == pytest.approx(1.1**10, rel=1e-14)
    for solver in ("midpoint", "heun"):
        assert exponential(solver=solver, steps=10) == pytest.approx(1.105**10, rel=1e-14)
    for solver in ("rk4", "rk4_38"):
        fourth = 1 + 0.1 + 0.1**2 / 2 + 0.1**3 / 6 + 0.1**4 / 24
        assert exponential(solver=solver, steps=10) == pytest.approx(fourth**10, rel=1e-14)


@pytest.mark.parametrize("method", TABLEAUS.values(), ids=TABLEAUS)
def test_the_conditions_on_a_tableau(method):
    """Rows sum to c, weights to 1, an error estimate to 0; each is as long as there are stages."""
    assert len(method.a) == len(method.b) == len(method.c)
    assert [sum(row) for row in method.a] == pytest.approx(method.c, abs=1e-15)
    assert sum(method.b) == pytest.approx(1, abs=1e-15)
    assert sum(method.error) == pytest.approx(0, abs=1e-15) and len(method.error) in (0, len(method.b))


@pytest.mark.parametrize("method", TABLEAUS.values(), ids=TABLEAUS)
def test_the_order_of_convergence(method):
    """y' = y cos t from 1: y = e^{sin t}. Twice the steps, 2^order less error."""
    dynamics = Function(lambda t, y: y * keras.ops.cos(t))

    def error(steps):
        y = block(dynamics, times=(0, 2), solver=method, steps=steps, adjoint=False)(ONE)
        return abs(float(y[0, 0]) - np.exp(np.sin(2)))

    assert np.log2(error(20) / error(40)) == pytest.approx(method.order, abs=0.3)


@pytest.mark.parametrize(
    ("solver", "tolerance", "evaluations", "error"),
    [
        ("heun", 1e-3, 44, 2e-3),
        ("bosh3", 1e-3, 14, 5e-3),
        ("bosh3", 1e-5, 44, 1e-4),
        ("dopri5", 1e-3, 14, 1e-4),
        ("dopri5", 1e-5, 26, 1e-5),
        ("dopri5", 1e-7, 44, 1e-7),
    ],
)
def test_the_adaptive_solver_keeps_its_tolerance_and_counts(solver, tolerance, evaluations, error):
    """The counts are those of this step controller: 2 + stages for each step tried, less one where the last stage is
    the next step's first."""
    one = block(Scale(), solver=solver, rtol=tolerance, atol=tolerance, count_evaluations=True)
    assert abs(float(one(ONE)[0, 0]) - np.e) < error
    assert one.evaluations == (evaluations, 0)


def test_no_dynamics_is_the_identity_and_one_euler_step_a_residual_block():
    x = RANDOM.normal(size=(2, 3))
    nothing = Function(lambda t, y: 0 * y)
    np.testing.assert_array_equal(block(nothing)(x), x)
    network = Network(3)
    residual = x + np.array(network(np.float64(0), x))
    np.testing.assert_allclose(block(network, solver="euler", steps=1)(x), residual, atol=1e-12)


def test_all_times_and_the_way_back():
    times = (0.0, 0.5, 2.0)
    there = block(Scale(), times=times, rtol=1e-9, atol=1e-9, return_sequences=True)
    np.testing.assert_allclose(there(ONE)[0, :, 0], np.exp(times), rtol=1e-8)
    back = block(Scale(), times=times[::-1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back(np.exp([[2.0]])), ONE, rtol=1e-7)


def gradients(model, x, weights):
    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)
            loss = tf.reduce_sum(y * tf.cos(y))
        return tape.gradient(loss, [x, *weights])

    return run(tf.constant(x))


@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.4, -0.5)])
@pytest.mark.parametrize("solver", [dict(solver="rk4", steps=40), dict(rtol=1e-10, atol=1e-10)])
def test_the_adjoint_is_backpropagation(solver, times):
    """Of a loss on all times; within what the solvers err."""
    network, x = Network(3), RANDOM.normal(size=(2, 3))
    network.build((), (2, 3))
    arguments = dict(times=times, return_sequences=True, **solver)
    found = [
        gradients(one, x, [weight.value for weight in network.trainable_weights])
        for one in (block(network, adjoint=adjoint, **arguments) for adjoint in (True, False))
    ]
    for adjoint, backpropagated in zip(*found, strict=True):
        assert np.abs(backpropagated).max() > 0.1
        np.testing.assert_allclose(adjoint, backpropagated, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_the_exponential():
    """d e^{aT} / da = T e^{aT} and d/dy(0) = e^{aT}."""
    scale = Scale()
    one = block(scale, rtol=1e-9, atol=1e-9, count_evaluations=True)
    with tf.GradientTape() as tape:
        x = tf.Variable(ONE)
        y = one(x)
    found = tape.gradient(y, [x, scale.a.value])
    np.testing.assert_allclose([np.sum(g) for g in found], [np.e, np.e], rtol=1e-8)
    forward, backward = one.evaluations
    assert (forward - 2) % 6 == 0 and (backward - 2) % 6 == 0 and min(forward, backward) > 50


def gradient_graph(**arguments):
    """What the graph of a block's gradient is made of: the nodes of each of its functions."""
    one = block(Network(3), **arguments)

    @tf.function
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(one(x))
        return tape.gradient(loss, [x, one.dynamics.kernel.value])

    one.build((2, 3))
    graph = train.get_concrete_function(tf.TensorSpec((2, 3), "float64")).graph.as_graph_def()
    return graph, list(graph.library.function)


@pytest.mark.parametrize("solver", [dict(), dict(solver="rk4", steps=8)], ids=["dopri5", "rk4"])
@pytest.mark.parametrize("adjoint", [True, False])
def test_memory_of_the_steps(adjoint, solver):
    """Backpropagation keeps each step's tensors in lists, the adjoint none."""
    graph, functions = gradient_graph(adjoint=adjoint, **solver)
    operations = {node.op for node in (*graph.node, *(node for function in functions for node in function.node_def))}
    assert any("While" in operation for operation in operations)
    assert any(operation.startswith("TensorList") for operation in operations) != adjoint


@pytest.mark.parametrize("solver", [dict(), dict(solver="rk4", steps=8)], ids=["dopri5", "rk4"])
def test_no_step_of_the_adjoint_leaves_gradients_for_later(solver):
    """TensorFlow runs up to ten rounds of a loop side by side: whatever the next one starts from waits for all
    products of matrices of this one, the kernel's gradients among them."""
    _, functions = gradient_graph(**solver)
    body = max(functions, key=lambda function: sum(node.op == "MatMul" for node in function.node_def))
    sources = {node.name: {source.lstrip("^").partition(":")[0] for source in node.input} for node in body.node_def}
    products = {node.name for node in body.node_def if node.op == "MatMul"}
    assert len(products) >= 3 * 4  # of each stage: forward, and the gradients of state and kernel

    def before(name, seen):
        for source in sources.get(name, set()) - seen:
            seen.add(source)
            before(source, seen)
        return seen

    waited = [before(body.ret[output.name].partition(":")[0], set()) & products for output in body.signature.output_arg]
    moved = [some for some in waited if some]
    assert len(moved) >= 4  # state, adjoint, and the gradients of kernel and bias
    assert all(some == products for some in moved)


def test_a_list_of_tensors_is_one_state():
    """A circle: x' = y, y' = -x."""
    circle = block(Function(lambda t, state: [state[1], -state[0]]), times=(0, np.pi / 2), rtol=1e-9, atol=1e-9)
    x, y = circle([ONE, 0 * ONE])
    np.testing.assert_allclose([x[0, 0], y[0, 0]], [0, -1], atol=1e-7)


def test_the_state_is_float32_under_mixed_precision():
    """A thousand Euler steps of 2^-11 each, which bfloat16 would lose."""
    small = Function(lambda t, y: keras.ops.ones_like(y), dtype="mixed_bfloat16")
    y = ODEBlock(small, solver="euler", steps=1024, times=(0, 0.5), dtype="mixed_bfloat16")(np.ones((1, 1), "float32"))
    assert y.dtype == "bfloat16" and float(y[0, 0]) == 1.5


def test_trains_by_fit_and_is_served(tmp_path):
    inputs = keras.Input((6, 5, 3))
    x = ODEBlock(Network(3, dtype="float32"), solver="dopri5")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    pixels = RANDOM.integers(0, 256, (4, 6, 5, 3)).astype("float32")
    model.fit(pixels / 255, np.array([0, 1, 0, 1]), epochs=1, verbose=0)
    folder = savedmodel(model, tmp_path / "served", preprocess=Preprocess())
    np.testing.assert_allclose(ask({folder: pixels})[folder], model(pixels / 255), atol=1e-5)


@pytest.mark.parametrize(
    ("dynamics", "arguments", "message"),
    [
        (Function(lambda t, y: y * y), {}, "gave up at t =.*0.99.*change at the rate"),  # 1 / (1 - t)
        (Scale(-1e5), dict(max_steps=50), "gave up at t =.*0.00.*after trying.*50"),
        (Function(lambda t, y: y * np.nan), {}, "gave up at t =.*nan"),
    ],
    ids=["pole", "stiff", "nan"],
)
def test_a_solver_that_gives_up_says_where(dynamics, arguments, message):
    model = tf.function(block(dynamics, times=(0, 2), **arguments))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        model(tf.constant(ONE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(solver="rk5"), "solvers are .*'dopri5'.*'rk5'"),
        (dict(solver="rk4"), "estimates no error: pass `steps`"),
        (dict(times=(0,)), "two or more"),
        (dict(times=(0, 1, 1)), "rising or all falling"),
        (dict(times=(0, 2, 1)), "rising or all falling"),
        (dict(steps=0), "`steps` is at least 1"),
        (dict(rtol=0.0), "positive"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ODEBlock(Scale(), **arguments)
