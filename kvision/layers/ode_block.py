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
        times: from the first to the last, rising or falling.
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
        NotImplementedError: the adjoint on another backend than TensorFlow.
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
        if adjoint and keras.backend.backend() != "tensorflow":
            raise NotImplementedError(
                f"The adjoint needs TensorFlow; on {keras.backend.backend()} pass adjoint=False (backpropagation)."
            )
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

    def call(self, inputs):
        several = isinstance(inputs, (list, tuple))
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        state = [ops.cast(y, dtype) for y in (inputs if several else [inputs])]

        def derivatives(t, state):
            found = self.dynamics(t, state if several else state[0])
            found = list(found) if several else [found]
            return [ops.cast(k, y.dtype) for k, y in zip(found, state, strict=True)]

        states = (self._with_adjoint if self.adjoint else self._trajectory)(derivatives, state)
        if self.return_sequences:
            outputs = [ops.stack([state[place] for state in states], axis=1) for place in range(len(state))]
        else:
            outputs = states[-1]
        outputs = [ops.cast(y, self.compute_dtype) for y in outputs]
        return outputs if several else outputs[0]

    def _solve(self, f, state, start, end, step, watched=None):
        """The state at `end`, the evaluations, and the size of the step to go on with."""
        if self.steps is not None:
            return *solve_fixed(f, state, start, end, self.solver, self.steps), step
        tolerance = Tolerance(self.rtol, self.atol, self.max_steps, watched)
        return solve_adaptive(f, state, start, end, self.solver, tolerance, step)

    def _trajectory(self, f, state) -> list[list]:
        """The states at all times."""
        times = [ops.convert_to_tensor(time, state[0].dtype) for time in self.times]
        states, total, step = [state], 0, None
        for start, end in zip(times, times[1:], strict=False):
            state, evaluations, step = self._solve(f, state, start, end, step)
            states.append(state)
            total += evaluations
        self._count(0, total)
        return states

    def _with_adjoint(self, f, state) -> list[list]:
        """`_trajectory`, with a gradient from equations 4 and 5."""
        import tensorflow as tf

        size = len(state)

        @tf.custom_gradient
        def run(*state):
            states = self._trajectory(f, list(state))
            times = [tf.convert_to_tensor(time, state[0].dtype) for time in self.times]

            def gradient(*upstream, variables=()):
                def augmented(t, tensors):
                    y, a = tensors[:size], tensors[size : 2 * size]
                    with tf.GradientTape() as tape:
                        tape.watch(y)
                        k = f(t, y)
                    found = tape.gradient(k, [*y, *variables], a, unconnected_gradients="zero")
                    return [*k, *(-tf.convert_to_tensor(g) for g in found)]

                upstream = [list(upstream[place : place + size]) for place in range(0, len(upstream), size)]
                a, total, step = upstream[-1], 0, None
                parameters = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
                for place in range(len(times) - 1, 0, -1):
                    tensors, evaluations, step = self._solve(
                        augmented, [*states[place], *a, *parameters], times[place], times[place - 1], step, 2 * size
                    )
                    a = [one + other for one, other in zip(tensors[size : 2 * size], upstream[place - 1], strict=True)]
                    parameters = tensors[2 * size :]
                    total += evaluations
                self._count(1, total)
                return a, parameters

            return [y for state in states for y in state], gradient

        flat = run(*state)
        return [list(flat[place : place + size]) for place in range(0, len(flat), size)]

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
