"""Stochastic gradient descent as Torch has it, and with it the papers that were trained there."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class TorchSGD(keras.optimizers.SGD):
    """SGD whose momentum adds up gradients, decay included, and not the steps that were taken.

        g = gradient + weight_decay * W
        v = momentum * v + g
        W = W - rate * v            or, in Nesterov's form, W - rate * (g + momentum * v)

    Two things differ from `keras.optimizers.SGD`, both where residual networks and most after them were trained:

    The rate is outside of v. Keras keeps `rate * g` in it, so that after a drop the steps of the old rate go on for
    about ten more. Goyal et al. (arXiv:1706.02677, remark 3) call the repair momentum correction. At a constant rate
    both are the same.

    The decay is that of the papers, the gradient of `weight_decay / 2 * |W|^2`, and so adds up in v. Keras subtracts
    `rate * weight_decay * W` beside it, a tenth of that under a momentum of 0.9.

    Args:
        learning_rate: a number or a schedule.
        momentum: in [0, 1].
        nesterov: whether the gradient counts as if the step of the momentum were taken.
        weight_decay: of the variables that `exclude_from_weight_decay` does not name; None for none.
        **kwargs: the other arguments of `keras.optimizers.SGD`.

    Raises:
        ValueError: a momentum that is not a float in [0, 1].
        NotImplementedError: on the torch backend, where Keras updates all variables at once.
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=None, name="torch_sgd", **kwargs):
        super().__init__(learning_rate, momentum, nesterov, weight_decay, name=name, **kwargs)
        if keras.backend.backend() == "torch":
            raise NotImplementedError("On torch Keras updates all variables at once: use torch.optim.SGD's own.")

    def _apply_weight_decay(self, variables):
        """It is a part of the gradient."""

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        gradient, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            gradient = gradient + ops.cast(self.weight_decay, dtype) * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            momentum = ops.cast(self.momentum, dtype)
            self.assign(velocity, momentum * velocity + gradient)
            gradient = gradient + momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, rate * gradient)
