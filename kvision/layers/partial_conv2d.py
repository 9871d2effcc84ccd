"""Convolution by a connection table: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998, layer C3 and Table I."""

import math

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class PartiallyConnectedConv2D(keras.layers.Layer):
    """A convolution in which each output map sees only the input maps that a table lists for it.

    The table breaks the symmetry between maps and bounds the number of connections. Weights exist for listed
    connections only: `kernel` is `(kh, kw, connections)`, in the order of the table.

    Args:
        connections: for each output map, the indices of its input maps.
        kernel_size: height and width; one integer for both.
        strides, padding, activation, use_bias, bias_initializer: as in Keras.
        kernel_initializer: for each output map, of a kernel with as many inputs as the table lists for it.

    Input `(B, H, W, C)`, output `(B, H', W', len(connections))`.

    Raises:
        ValueError: an output map without inputs, an input listed twice, or one that the input does not have.
    """

    def __init__(
        self,
        connections,
        kernel_size,
        strides=1,
        padding="valid",
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.connections = tuple(tuple(inputs) for inputs in connections)
        if not self.connections or any(len(set(inputs)) != len(inputs) or not inputs for inputs in self.connections):
            raise ValueError(
                "`connections` lists for each output map at least one input map, none of them twice. "
                f"Received: connections={connections}"
            )
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides = strides if isinstance(strides, int) else tuple(strides)
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels, filters = input_shape[-1], len(self.connections)
        listed = [index for inputs in self.connections for index in inputs]
        if min(listed) < 0 or max(listed) >= channels:
            raise ValueError(
                f"`connections` names input maps 0 to {channels - 1}. Received: connections={self.connections} for an "
                f"input of shape {tuple(input_shape)}"
            )
        # For each pair of maps the place of its kernel, or one place more, where a zero kernel lies.
        self._places = np.full((channels, filters), len(listed))
        outputs = np.repeat(np.arange(filters), [len(inputs) for inputs in self.connections])
        self._places[listed, outputs] = np.arange(len(listed))
        self.kernel = self.add_weight((*self.kernel_size, len(listed)), initializer=self._initial, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((filters,), initializer=self.bias_initializer, name="bias")

    def _initial(self, shape, dtype=None):
        filters = len(self.connections)
        kernels = {
            fan: self.kernel_initializer((*self.kernel_size, fan, filters), dtype)
            for fan in sorted({len(inputs) for inputs in self.connections})
        }
        return ops.concatenate([kernels[len(inputs)][..., i] for i, inputs in enumerate(self.connections)], axis=-1)

    def full_kernel(self):
        """The kernel of the equal convolution with all connections: `(kh, kw, C, filters)`, zero where none is."""
        kernel = ops.convert_to_tensor(self.kernel)
        return ops.take(ops.pad(kernel, ((0, 0), (0, 0), (0, 1))), self._places, axis=-1)

    def call(self, inputs):
        outputs = ops.conv(inputs, self.full_kernel(), self.strides, self.padding, data_format="channels_last")
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        kernel = keras.KerasTensor((*self.kernel_size, input_shape[-1], len(self.connections)))
        inputs = keras.KerasTensor(input_shape)
        return ops.conv(inputs, kernel, self.strides, self.padding, data_format="channels_last").shape

    def count_macs(self, input_shape) -> int:
        """Multiply-adds of the connections that the table lists; the zeros between them are no part of the network."""
        pixels = math.prod(self.compute_output_shape(input_shape)[:-1])
        return pixels * math.prod(self.kernel_size) * sum(map(len, self.connections))

    def get_config(self):
        return {
            **super().get_config(),
            "connections": self.connections,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
