"""What fills the holes of a recipe: optimizers, losses, and which variables decay. All compare by value."""

from dataclasses import dataclass

import keras

from kvision.losses import MarginLoss, QuadraticCost, SmoothedCrossentropy
from kvision.optimizers import TorchSGD, decays


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as `kvision.optimizers.TorchSGD`: decay in the gradient, rate outside.

    Caffe and the program of AlexNet keep the rate in the momentum: the same but for some ten steps after each drop.

    Args:
        nesterov: whether the momentum is Nesterov's.
    """

    nesterov: bool = False

    def __call__(self, rate, momentum, **options) -> keras.optimizers.Optimizer:
        return TorchSGD(rate, momentum, self.nesterov, **options)

    def __str__(self):
        return "Nesterov's SGD" if self.nesterov else "SGD"


@dataclass(frozen=True)
class RMSprop:
    """Keras's RMSprop, whose weight decay stands beside the gradient.

    Args:
        rho: decay of the mean square.
        epsilon: added to it, under the root.
    """

    rho: float = 0.9
    epsilon: float = 1e-8

    def __call__(self, rate, momentum, **options) -> keras.optimizers.Optimizer:
        return keras.optimizers.RMSprop(rate, self.rho, momentum, self.epsilon, **options)

    def __str__(self):
        return f"RMSprop with rho {self.rho:g} and epsilon {self.epsilon:g}"


@dataclass(frozen=True)
class Adam:
    """Keras's Adam, whose beta_1 is the recipe's momentum and whose weight decay stands beside the gradient.

    Args:
        beta_2: decay of the mean square.
        epsilon: added to its root.
    """

    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __call__(self, rate, momentum, **options) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(rate, momentum, self.beta_2, self.epsilon, **options)

    def __str__(self):
        return f"Adam with beta_2 {self.beta_2:g} and epsilon {self.epsilon:g}"


def everything(variable: keras.Variable) -> bool:
    """Kernels, biases, gains and offsets decay, as in Torch where nothing else is said."""
    return True


def all_but_normalization(variable: keras.Variable) -> bool:
    """Gains and offsets of normalization are spared, as by Goyal et al., arXiv:1706.02677, section 5.1."""
    return variable.name not in ("gamma", "beta")


def kernels(variable: keras.Variable) -> bool:
    """Only kernels decay, as in Caffe's examples and in most papers since 2018: `kvision.optimizers.decays`."""
    return decays(variable)


def crossentropy(smoothing: float) -> keras.losses.Loss:
    """Of probabilities, for class ids and mixtures."""
    return SmoothedCrossentropy(smoothing)


def margin(smoothing: float) -> keras.losses.Loss:
    """Of the lengths of capsules."""
    return MarginLoss()


def quadratic(smoothing: float) -> keras.losses.Loss:
    """Of sigmoid outputs."""
    return QuadraticCost()
