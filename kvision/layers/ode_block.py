"""Neural ordinary differential equations: Chen, Rubanova, Bettencourt & Duvenaud, NeurIPS 2018, arXiv:1806.07366."""

import keras
from keras import ops

from kvision.layers.runge_kutta import Tableau, Tolerance, solve_adaptive, solve_fixed, tableau


@keras.saving.register_keras_serializable(package="kvision")
class ODEBlock(keras.layers.Layer):
    """From the state at the first time to that at the last, along `dy/dt = dynamics(t, y)` (equation 2).

    A residual block is one Euler step of size 1. Gradients come from the adjoint state (section 2, Algorithm 1), which
    is solved backwards in time together with y: their memory does not grow with the number of steps, and they differ
    from those of the steps actually taken by as much as the solver errs. Or they come from backpropagation through the
    steps, exact for them, with memory that grows.

    Args:
        dynamics: a layer, called as `dynamics(t, y)` with t a scalar; gives dy/dt, of the shape of y. It must not keep
            moving statistics: it is evaluated an unknown number of times.
        times: from the first to the last, rising or falling; those between matter to `return_sequences` alone.
        solver: a Runge-Kutta method of `kvision.layers.runge_kutta`, or its name: "euler", "midpoint", "heun", "rk4",
            "rk4_38", "bosh3" or "dopri5".
        steps: how many of equal size between two times; None for steps as large as the tolerance allows.
        rtol, atol: the relative and absolute error that a step may make.
        max_steps: of the adaptive solver, tried between two times; None for no limit. Backpropagation through them
            under XLA needs one.
        adjoint: whether gradients come from the adjoint state; the adaptive solver then watches the errors of y and
            of the adjoint, not those of the parameters' gradients, which no derivative depends on (Kidger, Chen &
            Lyons, arXiv:2009.09457).
        return_sequences: whether to give the states at all times, not only the last.
        count_evaluations: whether `evaluations` keeps how often the last batch evaluated the dynamics.

    Input: y at the first time, `(B, ...)`, or a list of such tensors. Output: the same shapes; with
    `return_sequences` `(B, len(times), ...)`. The state is float32, or wider, under every dtype policy; the dynamics
    compute in theirs.

    Raises:
        ValueError: an unknown solver; one without error estimate and without `steps`; fewer than two times, or times
            that do not rise or fall.
        tf.errors.InvalidArgumentError: in a call, if the adaptive solver gives up, with the time and the stiffness.
        NotImplementedError: training by the adjoint on another backend than TensorFlow, or on JAX without `steps` and
            `max_steps`: its loops have a gradient where their length is known.
    """

    def __init__(
        self,
        dynamics: keras.layers.Layer,
        times: tuple[float, ...] = (0.0, 1.0),
        solver: str | Tableau = "dopri5",
        steps: int | None = None,
        rtol: float = 1e-3,
        atol: float = 1e-3,
        max_steps: int | None = None,
        adjoint: bool = True,
        return_sequences: bool = False,
        count_evaluations: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        differences = {later > earlier for earlier, later in zip(times, times[1:], strict=False)}
        if len(differences) != 1 or len(set(times)) != len(times):
            raise ValueError(f"`times` are two or more, all rising or all falling. Received: times={times}")
        if steps is not None and steps < 1:
            raise ValueError(f"`steps` is at least 1, or None. Received: steps={steps}")
        if min(rtol, atol) <= 0 and steps is None:
            raise ValueError(f"`rtol` and `atol` are positive. Received: rtol={rtol}, atol={atol}")
        self.dynamics = dynamics
        self.times = tuple(float(time) for time in times)
        self.solver = tableau(solver)
        if steps is None and not self.solver.error:
            raise ValueError(f"{self.solver.name!r} estimates no error: pass `steps`, or another solver.")
        self.steps, self.max_steps = steps, max_steps
        self.rtol, self.atol = rtol, atol
        self.adjoint = bool(adjoint)
        self.return_sequences = bool(return_sequences)
        self.count_evaluations = bool(count_evaluations)
        self.supports_jit = adjoint or steps is not None or max_steps is not None

    def build(self, input_shape):
        if not self.dynamics.built:
            self.dynamics(keras.KerasTensor((), self.compute_dtype), self._specs(input_shape))
        if self.count_evaluations:
            self._evaluations = [
                self.add_weight(
                    shape=(), initializer="zeros", dtype="int32", trainable=False, name=f"{way}_evaluations"
                )
                for way in ("forward", "backward")
            ]

    def _specs(self, shape):
        if isinstance(shape[0], (list, tuple)):
            return [self._specs(one) for one in shape]
        return keras.KerasTensor(shape, self.compute_dtype)

    @property
    def evaluations(self) -> tuple[int, int]:
        """How often the last batch evaluated the dynamics: on the way to the output, and for the gradients.

        Backpropagation evaluates nothing anew; an evaluation for the adjoint includes one of the dynamics' gradient.
        """
        forward, backward = (int(ops.convert_to_numpy(count)) for count in self._evaluations)
        return forward, backward

    def _count(self, way: int, number) -> None:
        if self.count_evaluations:
            self._evaluations[way].assign(number)

    def call(self, inputs, training=None):
        backend = keras.backend.backend()
        if training:
            self._check_trainable(backend)
        several = isinstance(inputs, (list, tuple))
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        state = [ops.cast(y, dtype) for y in (inputs if several else [inputs])]

        def derivatives(t, state):
            found = self.dynamics(t, state if several else state[0])
            found = list(found) if several else [found]
            return [ops.cast(k, y.dtype) for k, y in zip(found, state, strict=True)]

        adjoint = self.adjoint and backend == "tensorflow"
        states = (self._with_adjoint if adjoint else self._trajectory)(derivatives, state)
        outputs = [ops.moveaxis(y, 0, 1) if self.return_sequences else y[-1] for y in states]
        outputs = [ops.cast(y, self.compute_dtype) for y in outputs]
        return outputs if several else outputs[0]

    def _check_trainable(self, backend: str) -> None:
        unlimited = self.steps is None and self.max_steps is None
        if (self.adjoint and backend != "tensorflow") or (unlimited and backend == "jax"):
            raise NotImplementedError(
                f"On {backend} this block trains with adjoint=False (backpropagation), and `steps` or `max_steps`. "
                f"Received: adjoint={self.adjoint}, steps={self.steps}, max_steps={self.max_steps}"
            )

    def _solve(self, f, state, start, end, step, watched=None):
        """The state at `end`, the evaluations, and the size of the step to go on with."""
        if self.steps is not None:
            return *solve_fixed(f, state, start, end, self.solver, self.steps), step
        tolerance = Tolerance(self.rtol, self.atol, self.max_steps, watched)
        return solve_adaptive(f, state, start, end, self.solver, tolerance, step)

    def _visited(self, dtype):
        times = self.times if self.return_sequences else (self.times[0], self.times[-1])
        return [ops.convert_to_tensor(time, dtype) for time in times]

    def _trajectory(self, f, state) -> list:
        """The states at all times, `(T, B, ...)`, for backpropagation: what happens between two times is unrolled."""
        times = self._visited(state[0].dtype)
        states, total, step = [state], 0, None
        for start, end in zip(times, times[1:], strict=False):
            state, evaluations, step = self._solve(f, state, start, end, step)
            states.append(state)
            total += evaluations
        self._count(0, total)
        return [ops.stack(tensors) for tensors in zip(*states, strict=True)]

    def _with_adjoint(self, f, state) -> list:
        """The same, in a loop, with the gradient of equations 4 and 5 and Appendix C."""
        import tensorflow as tf

        size = len(state)
        times = self._visited(state[0].dtype)
        last, times = len(times) - 1, tf.stack(times)

        def forward(state):
            if last == 1:
                return self._trajectory(f, state)
            arrays = [tf.TensorArray(y.dtype, last + 1, element_shape=y.shape).write(0, y) for y in state]

            def advance(place, total, step, state, arrays):
                state, evaluations, step = self._solve(f, state, times[place], times[place + 1], step)
                arrays = [array.write(place + 1, y) for array, y in zip(arrays, state, strict=True)]
                return place + 1, total + evaluations, step, state, arrays

            begun = advance(0, 0, None, state, arrays)
            *_, total, _, _, arrays = tf.while_loop(lambda place, *_: place < last, advance, _loopable(begun))
            self._count(0, total)
            return [array.stack() for array in arrays]

        @tf.custom_gradient
        def run(*state):
            states = forward(list(state))

            def gradient(*upstream, variables=()):
                def augmented(t, tensors):
                    y, a = tensors[:size], tensors[size : 2 * size]
                    with tf.GradientTape() as tape:
                        tape.watch(y)
                        k = f(t, y)
                    found = tape.gradient(k, [*y, *variables], a, unconnected_gradients="zero")
                    # All at once: no step needs the parameters' gradients of the one before, and those that TensorFlow
                    # would leave for later hold the memory of their steps.
                    return tf.tuple([*k, *(-tf.convert_to_tensor(g) for g in found)])

                def retreat(place, total, step, a, parameters):
                    y = [trajectory[place] for trajectory in states]
                    tensors, evaluations, step = self._solve(
                        augmented, [*y, *a, *parameters], times[place], times[place - 1], step, 2 * size
                    )
                    a = [one + other[place - 1] for one, other in zip(tensors[size : 2 * size], upstream, strict=True)]
                    return place - 1, total + evaluations, step, a, tensors[2 * size :]

                parameters = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
                _, total, _, a, parameters = begun = retreat(last, 0, None, [one[-1] for one in upstream], parameters)
                if last > 1:
                    _, total, _, a, parameters = tf.while_loop(lambda place, *_: place > 0, retreat, _loopable(begun))
                self._count(1, total)
                return a, list(parameters)

            return states, gradient

        states = run(*state)
        return list(states) if isinstance(states, (list, tuple)) else [states]

    def compute_output_shape(self, input_shape):
        if isinstance(input_shape[0], (list, tuple)):
            return [self.compute_output_shape(shape) for shape in input_shape]
        return (input_shape[0], len(self.times), *input_shape[1:]) if self.return_sequences else tuple(input_shape)

    def count_macs(self, input_shape) -> int:
        """One evaluation of the dynamics: how many it takes depends on the solver and, if adaptive, on the input."""
        return self.dynamics.count_macs(input_shape)

    def get_config(self):
        dynamics = keras.saving.serialize_keras_object(self.dynamics)
        dynamics.pop("build_config", None)  # built by this layer, its variables have their paths under it
        return {
            **super().get_config(),
            "dynamics": dynamics,
            "times": self.times,
            "solver": self.solver.name,
            "steps": self.steps,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "adjoint": self.adjoint,
            "return_sequences": self.return_sequences,
            "count_evaluations": self.count_evaluations,
        }

    @classmethod
    def from_config(cls, config):
        dynamics = keras.saving.deserialize_keras_object(config["dynamics"])
        return cls(**{**config, "dynamics": dynamics})


def _loopable(values):
    """Variables of a loop: where steps have one size, there is none to hand on."""
    place, total, step, *rest = values
    return (place, total, 0.0 if step is None else step, *rest)
