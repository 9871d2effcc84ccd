"""What optimizers around other optimizers have in common."""

from collections.abc import Sequence

import keras


class Wrapper(keras.optimizers.Optimizer):
    """Around an optimizer: changes how it updates each variable, and leaves everything else to it.

    The optimizer inside is changed in place: a subclass gets what its `update_step` would get, when losses are
    unscaled, accumulated gradients averaged, and those of replicas summed, and hands on what it makes of it. Rates,
    schedules, weight decay, accumulation and averages stay the arguments of the optimizer inside. Wrappers of different
    classes go around each other, in any order. `keras.optimizers.LossScaleOptimizer`, which `compile` adds under
    mixed_float16, goes around them all.

    A subclass overrides `update`, and `prepare` where it treats variables differently; its `get_config` adds to this
    one.

    Args:
        optimizer: any Keras optimizer that updates variables by itself, or one in wrappers.

    Raises:
        TypeError: `optimizer` hands variables on to others, or is in a wrapper of the same class already.
        NotImplementedError: on the torch backend.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, name: str | None = None):
        super().__init__(learning_rate=0.0, name=name)
        if keras.backend.backend() == "torch":
            raise NotImplementedError("Keras's optimizers on torch update all variables at once, past their wrappers.")
        core = optimizer
        while isinstance(core, Wrapper):
            if type(core) is type(self):
                raise TypeError(f"`optimizer` is in a wrapper of this class. Received: {type(core).__name__}")
            core = core.inner_optimizer
        if type(core).update_step is keras.optimizers.Optimizer.update_step:
            raise TypeError(
                "`optimizer` updates variables by itself; one that wraps others goes around this one. "
                f"Received: {type(core).__name__}"
            )
        self.inner_optimizer = optimizer  # the name by which Keras's callbacks look into wrappers
        self._hand_on = core.update_step
        core.update_step = self._update

    def prepare(self, paths: tuple[str, ...], variables: list[keras.Variable]) -> None:
        """Called once, when the variables are known, with their paths."""

    def update(self, place: int, gradient, variable, learning_rate, hand_on) -> None:
        """One update of the variable at that place of the list; calls `hand_on(gradient, variable, learning_rate)`."""
        hand_on(gradient, variable, learning_rate)

    def _update(self, gradient, variable, learning_rate):
        self.update(self._get_variable_index(variable), gradient, variable, learning_rate, self._hand_on)

    def build(self, variables):
        if self.built:
            return
        self.prepare(paths(variables), list(variables))
        self.inner_optimizer.build(variables)
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        self.inner_optimizer.apply(grads, trainable_variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        return self.inner_optimizer.stateless_apply(optimizer_variables, grads, trainable_variables)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def scale_loss(self, loss):
        return self.inner_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)

    @property
    def variables(self):
        return self.inner_optimizer.variables

    @property
    def iterations(self):
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self):
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def loss_scale_factor(self):
        return self.inner_optimizer.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        if hasattr(self, "inner_optimizer"):  # Keras's constructor sets it before there is one
            self.inner_optimizer.loss_scale_factor = factor

    def save_own_variables(self, store):
        """There are none: Keras saves those of the optimizer inside as its own."""

    def load_own_variables(self, store):
        """As saved."""

    def get_config(self):
        return {"optimizer": keras.saving.serialize_keras_object(self.inner_optimizer), "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": optimizer})


def paths(variables) -> tuple[str, ...]:
    """The paths of variables, or of what are paths already."""
    return tuple(variable if isinstance(variable, str) else variable.path for variable in variables)


def find(path: str, among: Sequence[str]) -> list[str]:
    """Those that may be meant: the same, or those with or without the model's name, which Keras puts before some."""
    return [p for p in among if p == path] or [p for p in among if p.endswith(f"/{path}") or path.endswith(f"/{p}")]
