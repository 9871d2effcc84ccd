"""Neural Ordinary Differential Equations: Chen, Rubanova, Bettencourt & Duvenaud, NeurIPS 2018, arXiv:1806.07366.

Section 4, continuous normalizing flows. Widths are those of the authors' example. It reads vectors, no images: the
dynamics of a flow, and no row of the table of networks.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class HyperDynamics(keras.layers.Layer):
    """dz/dt: the mean of planar units `u_n tanh(w_n . z + b_n)` whose parameters depend on time (section 4).

    A small network, tanh between its three dense layers, makes them from t, together with a gate of each u.

        flow = ODEBlock(ExactTrace(HyperDynamics()), times=(0, 10))
        z, density = flow([z, density])

    Args:
        hidden: width of the network that makes the parameters.
        width: how many units.

    Called as `layer(t, z)`, with t a scalar and z `(B, D)`; gives the shape of z. Parameters, of two dimensions and by
    default: 15,904.
    """

    def __init__(self, hidden=32, width=64, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.width = width

    def build(self, t_shape, z_shape):
        self.size = z_shape[-1]
        widths = (1, self.hidden, self.hidden, self.width * (3 * self.size + 1))
        # U(-1/sqrt(n), 1/sqrt(n)) for n inputs, biases too: at any time, the units differ from the start.
        self.layers = []
        for place, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False), start=1):
            bound = inputs**-0.5
            layer = keras.layers.Dense(
                outputs,
                "tanh" if place < 3 else None,
                kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
                bias_initializer=keras.initializers.RandomUniform(-bound, bound),
                dtype=self.dtype_policy,
                name=f"fc{place}",
            )
            layer.build((1, inputs))
            self.layers.append(layer)

    def parameters(self, t):
        """What the units are at a time: w and u `(width, D)`, the gates of u times it, and b `(width,)`."""
        x = ops.reshape(ops.cast(t, self.compute_dtype), (1, 1))
        for layer in self.layers:
            x = layer(x)
        block = self.width * self.size
        w, u, gate, b = ops.split(x[0], (block, 2 * block, 3 * block))
        w, u, gate = (ops.reshape(one, (self.width, self.size)) for one in (w, u, gate))
        return w, u * ops.sigmoid(gate), b

    def call(self, t, z):
        w, u, b = self.parameters(t)
        return ops.tanh(z @ ops.transpose(w) + b) @ u / self.width

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "width": self.width}
