"""Which variables weight decay is for."""

import keras


def decays(variable: keras.Variable) -> bool:
    """Whether weight decay is for a variable: whether it is a kernel, by the name that Keras gives those.

    Kernels multiply inputs and add them up: of dense layers and convolutions (those of patches, gates and the dynamics
    of differential equations too), of attention, of capsules. Everything else is spared: gains and offsets of
    normalization (Goyal et al., arXiv:1706.02677, section 5.1), biases, the slopes of PReLU, which decay would pull
    towards ReLU (He et al., arXiv:1502.01852, section 2.1), the gains of standardized weights and skipped branches
    (Brock et al., arXiv:2102.06171, appendix A), scales of layers, tables of positions, class tokens, and the centres
    of radial basis functions, whose zero means nothing.
    """
    return variable.name == "kernel" or variable.name.endswith("_kernel")


def spared_from_decay(model: keras.Model) -> list[keras.Variable]:
    """The trainable variables of a built model that are no kernels, for every Keras optimizer:

        sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
        sgd.exclude_from_weight_decay(var_list=spared_from_decay(model))

    A Keras optimizer subtracts `learning_rate * weight_decay * W` beside its momentum. Papers and Torch's SGD add
    `weight_decay * W` to the gradient, where a momentum of 0.9 makes it add up to ten times as much: their 1e-4 is 1e-3
    here. The list is not saved with the optimizer.

    Raises:
        ValueError: a model without variables, which is not built.
    """
    if not model.variables:
        raise ValueError(f"The model {model.name!r} has no variables yet: build it first.")
    return [variable for variable in model.trainable_variables if not decays(variable)]
