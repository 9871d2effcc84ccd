"""Adaptive gradient clipping: Brock, De, Smith & Simonyan, ICML 2021, arXiv:2102.06171, section 4.1.

To bound the norm of the whole gradient (Pascanu, Mikolov & Bengio, arXiv:1211.5063), every Keras optimizer has
`global_clipnorm`. Both at once is the global norm first, then this.
"""

from collections.abc import Sequence

import keras
from keras import ops

from kvision.optimizers.wrapper import Wrapper, find, paths


@keras.saving.register_keras_serializable(package="kvision")
class AdaptiveGradientClipping(Wrapper):
    """Around an optimizer: bounds each unit's gradient by a part of the unit's weights (equation 3).

        head = model.get_layer("fc")
        sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        model.compile(AdaptiveGradientClipping(sgd, exclude=head.trainable_variables), ...)

    `G_i` becomes `clipping * max(|W_i|, epsilon) / |G_i| * G_i` where that is smaller. A unit i is what has a weight
    vector of its own: an output of a dense layer, a filter of a convolution, grouped or not, a channel of a depthwise
    one. Scalars and vectors, such as gains and biases, are one unit each, as in the authors' code (the paper does not
    say).

    The optimizer is changed in place: it clips just before it updates a variable, when losses are unscaled, accumulated
    gradients averaged, and those of replicas summed; after its own `global_clipnorm` and weight decay; before its
    momentum. Rates, schedules, weight decay, accumulation and averages stay its own arguments.

    Args:
        optimizer: any Keras optimizer that updates variables by itself, or `LayerwiseRates` around one.
            `keras.optimizers.LossScaleOptimizer`, which `compile` adds under mixed_float16, goes around this one.
        clipping: the ratio of norms, lambda. 0.01 is for batches of 4096, larger is for smaller ones (section 4.1).
        exclude: variables, or their paths, whose gradients stay as they are: the last layer's, says section 4.1.
        depthwise: kernels `(H, W, C, M)` of depthwise convolutions, or their paths: C * M units.
        epsilon: the least norm of weights, so that those that start from zero can leave it.

    Variables are remembered by path, so that a saved model which is loaded again clips the same ones.

    Raises:
        ValueError: `clipping` or `epsilon` is not positive; `exclude` is empty, as the variables of a layer that is not
            built are; when the variables are known, the excluded and the depthwise ones are not among them.
        TypeError: `optimizer` hands variables on to others, or is clipped already.
        NotImplementedError: on the torch backend.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        clipping: float = 0.01,
        exclude: Sequence | None = None,
        depthwise: Sequence = (),
        epsilon: float = 1e-3,
        name: str | None = None,
    ):
        if clipping <= 0 or epsilon <= 0:
            raise ValueError(f"`clipping` and `epsilon` are positive. Received: clipping={clipping}, epsilon={epsilon}")
        if exclude is not None and not len(exclude):
            raise ValueError("`exclude` is empty: the layer whose variables it shall be is not built, or has none.")
        super().__init__(optimizer, name)
        self.clipping, self.epsilon = float(clipping), float(epsilon)
        self.exclude = None if exclude is None else paths(exclude)
        self.depthwise = paths(depthwise)

    def prepare(self, paths, variables):
        excluded, depthwise = ({_find(path, paths) for path in some} for some in (self.exclude or (), self.depthwise))
        # None for those that are left alone.
        self._axes = tuple(
            None if path in excluded else unit_axes(variable.shape, path in depthwise)
            for path, variable in zip(paths, variables, strict=True)
        )

    def update(self, place, gradient, variable, learning_rate, hand_on):
        axes = self._axes[place]
        if axes is not None:
            gradient = clip_units(gradient, variable, axes, self.clipping, self.epsilon)
        hand_on(gradient, variable, learning_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "clipping": self.clipping,
            "exclude": None if self.exclude is None else list(self.exclude),
            "depthwise": list(self.depthwise),
            "epsilon": self.epsilon,
        }


def unit_axes(shape: tuple[int, ...], depthwise: bool = False) -> tuple[int, ...]:
    """The axes over which the norm of one unit's weights is taken: the fan-in extent of section 4.1.

    All but the last, outputs; all but the last two, channels and multipliers, of a depthwise kernel; all, where there
    is only one axis longer than 1.
    """
    if sum(size > 1 for size in shape) <= 1:
        return tuple(range(len(shape)))
    return tuple(range(len(shape) - (2 if depthwise else 1)))


def clip_units(gradient, weight, axes: tuple[int, ...], clipping: float = 0.01, epsilon: float = 1e-3):
    """The gradient of a weight, clipped as `AdaptiveGradientClipping` does; norms over `axes`, in float32."""
    gradient = ops.convert_to_tensor(gradient)
    dtype = keras.backend.result_type(gradient.dtype, "float32")
    squares = [ops.sum(ops.square(ops.cast(x, dtype)), axes, keepdims=True) for x in (weight, gradient)]
    # The authors' guard against a division by zero, which the minimum makes harmless.
    ratio = ops.maximum(squares[0], epsilon**2) / ops.maximum(squares[1], 1e-6**2)
    return gradient * ops.cast(ops.minimum(clipping * ops.sqrt(ratio), 1.0), gradient.dtype)


def _find(path: str, paths: tuple[str, ...]) -> str:
    found = find(path, paths)
    if len(found) != 1:
        raise ValueError(
            f"`exclude` and `depthwise` are variables that are trained, of layers that have names. Received: {path!r}, "
            f"which {len(found)} of them have as their path: {', '.join(paths)}"
        )
    return found[0]
