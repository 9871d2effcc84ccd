"""Learning rates by layer: discriminative fine-tuning, Howard & Ruder, ACL 2018, arXiv:1801.06146, section 3.2."""

import functools
import math
from collections.abc import Mapping

import keras

from kvision.optimizers.depth import depths
from kvision.optimizers.wrapper import Wrapper, find


def layerwise_decay(model: keras.Model, decay: float) -> dict[str, float]:
    """Factors of the learning rate for `LayerwiseRates`, by path: `decay ** (groups above)`, 1 for the last layer.

    As ELECTRA (Clark et al., arXiv:2003.10555) and BEiT (Bao et al., arXiv:2106.08254) fine-tune, whose groups are
    blocks; Howard & Ruder's is 1 / 2.6 from layer to layer. `layer_groups` says what a group is here, and how many a
    network has: the more, the closer to 1 is what does the same.

    Args:
        model: a built Functional model; its groups are counted from the output.
        decay: in (0, 1].

    Raises:
        ValueError: a decay out of its range, or a model that `depths` cannot read.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"`decay` lies in (0, 1]. Received: decay={decay}")
    found = depths(model)
    top = max(found.values())
    return {path: decay ** (top - depth) for path, depth in found.items()}


@keras.saving.register_keras_serializable(package="kvision")
class LayerwiseRates(Wrapper):
    """Around an optimizer: each variable learns at the optimizer's rate times a factor of its own.

        factors = layerwise_decay(model, 0.75)
        model.compile(LayerwiseRates(keras.optimizers.AdamW(1e-4), factors), ...)

    The factor is that of the whole step, decoupled weight decay included. A variable of factor 0 keeps every bit, and
    its momentum stays empty; moving statistics of normalization are no variables of an optimizer, and go on
    (`layer.trainable = False` stops them). Schedules, warmup and callbacks set the one rate that the factors multiply.

    Keras's `MultiOptimizer`, one optimizer for each group, has no such rate, bounds `global_clipnorm` for each group by
    itself, and takes no gradients of a part of the variables.

    Args:
        optimizer: any Keras optimizer that updates variables by itself, `TorchSGD` too, or
            `AdaptiveGradientClipping` around one, which may as well go around this one. An optimizer whose step is not
            proportional to its rate (Adafactor with relative steps, Ftrl) follows the factors as it follows its rate.
        factors: by path, for every variable that is trained; others may be among them.

    Raises:
        ValueError: a factor that is negative or not finite; at the first step, a variable without a factor.
        TypeError: `optimizer` hands variables on to others, or has rates by layer already.
        NotImplementedError: on the torch backend.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, factors: Mapping[str, float], name: str | None = None):
        wrong = {path: factor for path, factor in factors.items() if not (0 <= factor < math.inf)}
        if wrong:
            raise ValueError(f"Factors of the learning rate are finite and not negative. Received: {wrong}")
        super().__init__(optimizer, name)
        self.factors = {path: float(factor) for path, factor in factors.items()}
        core = self._hand_on.__self__
        while isinstance(core, Wrapper):
            core = core.inner_optimizer
        core._apply_weight_decay = functools.partial(self._decay, core)

    def prepare(self, paths, variables):
        known = tuple(self.factors)
        meant = [[path] if path in self.factors else find(path, known) for path in paths]
        self._by_place = tuple(self.factors[found[0]] if len(found) == 1 else None for found in meant)
        self._missing = [path for path, found in zip(paths, meant, strict=True) if len(found) != 1]

    def _factor(self, place):
        """Raises as late as here: export folds layers in a copy whose optimizer, which Keras builds, takes no step."""
        if self._by_place[place] is None:
            raise ValueError(
                f"`factors` has one for each variable that is trained. It has none, or several, for: {self._missing}"
            )
        return self._by_place[place]

    def update(self, place, gradient, variable, learning_rate, hand_on):
        if factor := self._factor(place):
            hand_on(gradient, variable, learning_rate * factor)

    def _decay(self, core, variables):
        """Decoupled weight decay, which Keras applies to all variables at once, before it updates them one by one."""
        alike = {}
        for variable in variables:
            alike.setdefault(self._factor(self._get_variable_index(variable)), []).append(variable)
        for factor, some in alike.items():
            if factor:
                type(core)._apply_weight_decay(_AtRate(core, factor), some)

    def get_config(self):
        return {**super().get_config(), "factors": dict(self.factors)}


class _AtRate:
    """An optimizer as its weight decay sees it, at a factor of its rate."""

    def __init__(self, optimizer, factor):
        self._optimizer, self._factor = optimizer, factor

    @property
    def learning_rate(self):
        return self._optimizer.learning_rate * self._factor

    def __getattr__(self, name):
        return getattr(self._optimizer, name)
