"""Max-norm: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, "Dropout", JMLR 15, 2014, section 5.1.

First in Hinton et al., arXiv:1207.0580. With `rms=True`, the renormalization of Zeiler & Fergus, arXiv:1311.2901,
section 3.
"""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class MaxNorm(keras.constraints.Constraint):
    """`||w||_2 <= c` for the incoming weights w of every unit: projected onto that ball after each update.

    Pass it as `kernel_constraint`. Weights inside the ball stay as they are, to the last bit, where Keras's own
    `MaxNorm` shrinks them by its epsilon, and takes a convolution's kernel row by row unless told its axes.

    Args:
        c: the radius; the dropout paper's are 3 to 4.
        rms: whether c bounds the root mean square of the incoming weights instead, as ZFNet's 0.1 does: a radius of
            `c sqrt(fan-in)`.

    Weights `(..., units)`: a dense kernel `(D, units)`, a convolution's `(h, w, C, units)`; `(units,)` is one weight
    each. Not for a depthwise kernel, whose units are its last two axes.

    Raises:
        ValueError: c is not positive.
    """

    def __init__(self, c=3.0, rms=False):
        if not c > 0:
            raise ValueError(f"`c` is the positive radius of a ball. Received: c={c}")
        self.c, self.rms = float(c), bool(rms)

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        radius = self.c * math.sqrt(math.prod(w.shape[:-1])) if self.rms else self.c
        exact = ops.cast(w, keras.backend.result_type(w.dtype, "float32"))
        norms = ops.sqrt(ops.sum(ops.square(exact), axis=tuple(range(len(w.shape) - 1)), keepdims=True))
        # A compiler may divide by multiplying with a reciprocal: only `where` keeps the bits of what is inside.
        projected = ops.cast(exact * (radius / ops.maximum(norms, radius)), w.dtype)
        return ops.where(norms > radius, projected, w)

    def get_config(self):
        return {"c": self.c, "rms": self.rms}
