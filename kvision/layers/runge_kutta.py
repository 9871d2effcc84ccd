"""Explicit Runge-Kutta methods as tableaux, and the solution of an initial value problem by one of them.

Hairer, Nørsett & Wanner, "Solving Ordinary Differential Equations I", 2nd edition, sections II.1 to II.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
from keras import ops


@dataclass(frozen=True)
class Tableau:
    """A method: `k_i = f(t + c_i h, y + h sum_j a_ij k_j)` and `y(t + h) = y + h sum_i b_i k_i`.

    Args:
        name: as `tableau(name)` finds it.
        order: the error of a step is of the order of h to the power of `order + 1`.
        c: where in the step each stage is evaluated.
        a: what each stage reads of those before it.
        b: what the step reads of the stages.
        error: b less the weights of the embedded method of the order below, so that `h sum_i error_i k_i` estimates
            the error of a step; empty for methods without, which have steps of fixed size only.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    error: tuple[float, ...] = ()

    @property
    def last_is_first(self) -> bool:
        """Whether the last stage is the first of the next step, and costs nothing then."""
        return len(self.b) > 1 and self.b == (*self.a[-1], 0.0)


EULER = Tableau("euler", 1, (0.0,), ((),), (1.0,))
MIDPOINT = Tableau("midpoint", 2, (0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0))
HEUN = Tableau("heun", 2, (0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2), (-1 / 2, 1 / 2))
RK4 = Tableau(
    "rk4",
    4,
    (0.0, 1 / 2, 1 / 2, 1.0),
    ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
RK4_38 = Tableau(
    "rk4_38",
    4,
    (0.0, 1 / 3, 2 / 3, 1.0),
    ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    (1 / 8, 3 / 8, 3 / 8, 1 / 8),
)
BOSH3 = Tableau(
    "bosh3",
    3,
    (0.0, 1 / 2, 3 / 4, 1.0),
    ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
)
DOPRI5 = Tableau(
    "dopri5",
    5,
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)
TABLEAUS = {method.name: method for method in (EULER, MIDPOINT, HEUN, RK4, RK4_38, BOSH3, DOPRI5)}


def tableau(name: str | Tableau) -> Tableau:
    """A method by its name, or itself.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(name, Tableau):
        return name
    if name not in TABLEAUS:
        raise ValueError(f"The solvers are {list(TABLEAUS)}. Received: {name!r}")
    return TABLEAUS[name]


State = list  # of tensors, which are stepped together
Dynamics = Callable[..., State]  # f(t, state), the derivatives


def _along(state: State, h, weights: Sequence[float], stages: Sequence[State]) -> State:
    """`y + h sum_i w_i k_i`."""
    moved = []
    for place, y in enumerate(state):
        terms = [weight * stage[place] for weight, stage in zip(weights, stages, strict=False) if weight]
        moved.append(y + ops.cast(h, y.dtype) * sum(terms[1:], terms[0]) if terms else y)
    return moved


def _step(f: Dynamics, t, state: State, h, method: Tableau, first: State) -> tuple[State, list[State]]:
    """The state after a step, and the stages; the first stage is given."""
    stages = [first]
    for c, weights in zip(method.c[1:], method.a[1:], strict=True):
        stages.append(f(t + c * h, _along(state, h, weights, stages)))
    return _along(state, h, method.b, stages), stages


def solve_fixed(f: Dynamics, state: State, start, end, method: Tableau, steps: int) -> tuple[State, int]:
    """The state at `end`, from that at `start`, in as many steps of equal size; and how often f was evaluated."""
    h = (end - start) / steps

    def body(i, *state):
        t = start + h * ops.cast(i, h.dtype)
        state, _ = _step(f, t, list(state), h, method, f(t, list(state)))
        return (i + 1, *state)

    _, *state = _loop(lambda i, *_: i < steps, body, (0, *state), steps)
    return list(state), steps * len(method.b)


def _loop(going, body, variables: tuple, most: int | None) -> tuple:
    """`ops.while_loop`; on JAX in a form that has a gradient, which takes a loop of known length."""
    if most is None or keras.backend.backend() != "jax":
        return ops.while_loop(going, body, variables, maximum_iterations=most)

    def once(_, variables):
        return ops.cond(going(*variables), lambda: body(*variables), lambda: variables)

    return ops.fori_loop(0, most, once, variables)


@dataclass(frozen=True)
class Tolerance:
    """What an adaptive solver is asked for.

    Args:
        relative, absolute: a step is kept if the root mean square of its estimated error, each number's divided by
            `absolute + relative * max(|y before|, |y after|)`, is at most 1.
        max_steps: the largest number of steps tried between two times; None for no limit.
        watched: how many of the state's tensors, from the first, count for the error; None for all.
    """

    relative: float
    absolute: float
    max_steps: int | None = None
    watched: int | None = None

    def ratio(self, errors: State, before: State, after: State):
        """The largest of the tensors' root mean squares."""
        ratios = []
        for e, y, z in list(zip(errors, before, after, strict=True))[: self.watched]:
            scale = self.absolute + self.relative * ops.maximum(ops.abs(y), ops.abs(z))
            ratios.append(ops.sqrt(ops.mean(ops.square(e / scale))))
        return ops.max(ops.stack(ratios))


def _first_step(f: Dynamics, t, state: State, k: State, sign, method: Tableau, tolerance: Tolerance):
    """The size of the first step: section II.4's starting step size; one evaluation of f."""
    zeros = [ops.zeros_like(y) for y in state]

    def size(values):
        return tolerance.ratio(values, state, zeros)

    d0, d1 = size(state), size(k)
    small = ops.logical_or(d0 < 1e-5, d1 < 1e-5)
    h0 = ops.where(small, 1e-6, 0.01 * d0 / ops.where(small, 1.0, d1))
    moved = f(t + sign * h0, _along(state, sign * h0, (1.0,), [k]))
    d2 = size([b - a for a, b in zip(k, moved, strict=True)]) / h0
    largest = ops.maximum(d1, d2)
    flat = largest <= 1e-15
    h1 = ops.where(flat, ops.maximum(1e-6, h0 * 1e-3), (0.01 / ops.where(flat, 1.0, largest)) ** (1 / method.order))
    return ops.minimum(100 * h0, h1)


def solve_adaptive(f: Dynamics, state: State, start, end, method: Tableau, tolerance: Tolerance, step=None):
    """The state at `end`, from that at `start`, in steps as large as the tolerance allows.

    A step that failed is tried again with a smaller one; the size follows the estimated error, `0.9 ratio^(-1/order)`,
    by at least 0.2 and at most 10 (section II.4).

    Args:
        step: the size to try first; None to find one, by one evaluation of f.

    Returns:
        The state, how often f was evaluated, and the size of the step to go on with. Where the solver gave up, the
        state is not finite; on TensorFlow, but not inside XLA, an error says so.

    Raises:
        tf.errors.InvalidArgumentError: the step underflowed (dynamics too stiff for an explicit method, or states that
            are not finite), or `max_steps` were not enough; with the time and the stiffness there.
    """
    if not method.error:
        able = [name for name, other in TABLEAUS.items() if other.error]
        raise ValueError(f"{method.name!r} estimates no error: give it `steps`, or take one of {able}.")
    epsilon = 2.0**-52 if keras.backend.standardize_dtype(start.dtype) == "float64" else 2.0**-23
    sign = ops.sign(end - start)
    smallest = 4 * epsilon * ops.maximum(ops.abs(start), ops.abs(end))
    k = f(start, state)
    evaluations = 1
    if step is None:
        step = ops.stop_gradient(_first_step(f, start, state, k, sign, method, tolerance))
        evaluations = 2
    size = len(state)

    def going(t, h, tried, evaluations, *_):
        limited = True if tolerance.max_steps is None else tried < tolerance.max_steps
        return ops.logical_and(ops.logical_and(sign * (end - t) > 0, h > smallest), limited)

    def body(t, h, tried, evaluations, *tensors):
        state, k = list(tensors[:size]), list(tensors[size:])
        left = sign * (end - t)
        last = h >= left
        tried_h = ops.minimum(h, left)
        moved, stages = _step(f, t, state, sign * tried_h, method, k)
        errors = _along([ops.zeros_like(y) for y in state], tried_h, method.error, stages)
        # The sizes of steps are no part of the solution, and gradients take them for constants.
        ratio = ops.stop_gradient(ops.cast(tolerance.ratio(errors, state, moved), h.dtype))
        finite = ops.isfinite(ratio)
        kept = ops.logical_and(finite, ratio <= 1)
        wanted = 0.9 * ops.maximum(ops.where(finite, ratio, 1.0), 1e-10) ** (-1 / method.order)
        factor = ops.where(finite, ops.clip(wanted, 0.2, 10.0), 0.2)
        factor = ops.where(kept, ops.maximum(factor, 1.0), ops.minimum(factor, 0.9))
        # The last step is cut short by the end, which says nothing about the size to go on with.
        following = ops.where(ops.logical_and(kept, last), ops.maximum(h, tried_h * factor), tried_h * factor)
        t = ops.where(kept, ops.where(last, end, t + sign * tried_h), t)
        new = len(method.b) - 1
        if method.last_is_first:
            following_k = stages[-1]
        else:
            following_k, new = f(t, moved), new + 1
        state = [ops.where(kept, z, y) for y, z in zip(state, moved, strict=True)]
        k = [ops.where(kept, z, y) for y, z in zip(k, following_k, strict=True)]
        return (t, following, tried + 1, evaluations + new, *state, *k)

    variables = (start, ops.cast(step, start.dtype), 0, evaluations, *state, *k)
    t, h, tried, evaluations, *tensors = _loop(going, body, variables, tolerance.max_steps)
    state, k = tensors[:size], tensors[size:]
    arrived = sign * (end - t) <= 0
    _explain(arrived, t, h, tried, f, state, k, sign)
    state = [ops.where(arrived, y, float("nan")) for y in state]
    return state, evaluations, h


def _explain(arrived, t, h, tried, f, state, k, sign) -> None:
    """Raises, on TensorFlow outside XLA, where the solver gave up."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    def stiffness():
        """How fast f changes along the solution: |f(y + h f) - f(y)| / |h f|, of the largest tensor."""
        moved = f(t + sign * h, _along(state, sign * h, (1.0,), [k]))
        changes = [tf.norm(b - a) / tf.maximum(h * tf.norm(a), 1e-30) for a, b in zip(k, moved, strict=True)]
        return tf.reduce_max(tf.cast(tf.stack(changes), t.dtype))

    rate = tf.cond(arrived, lambda: tf.zeros_like(t), stiffness)
    tf.debugging.Assert(
        arrived,
        [
            "The solver gave up at t =",
            t,
            "after trying",
            tried,
            "steps; the next would have the size",
            h,
            "and the dynamics change at the rate (1/t)",
            rate,
            "there (nan: the state or its derivative is not finite). Stiffer dynamics need looser tolerances, more "
            "`max_steps`, a wider dtype, or smoother dynamics.",
        ],
    )
