"""Strided convolution with large kernels that trains fast, such as the primary capsules of arXiv:1710.09829."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class StridedConv2D(keras.layers.Conv2D):
    """A convolution without padding, whose gradient for its kernel is computed as a convolution, too.

    `dK(i, j, c, f) = sum_bpq X(b, s p + i, s q + j, c) dY(b, p, q, f)` is the convolution of an image of B channels for
    each c with a kernel for each f, whose taps are s pixels apart. XLA computes it so; of TensorFlow's own forms the
    one for this gradient takes two to three times as long as the one for convolutions, on a CPU with large kernels and
    small outputs (in bfloat16 30 times).

    The same weights, shapes and values as `keras.layers.Conv2D(filters, kernel_size, strides)`.

    Input `(B, H, W, C)`, output `(B, H', W', filters)`.
    """

    def __init__(self, filters, kernel_size, strides=(1, 1), **kwargs):
        for fixed in ("padding", "data_format", "dilation_rate", "groups"):
            kwargs.pop(fixed, None)  # what get_config wrote
        super().__init__(filters, kernel_size, strides, data_format="channels_last", **kwargs)

    def convolution_op(self, inputs, kernel):
        if keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return super().convolution_op(inputs, kernel)

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradient(upstream):
                to_kernel = self._kernel_gradient(x, upstream)
                # One after the other: each keeps all cores busy, and at the same time they take a tenth longer. An
                # input that needs no gradient is more frequent than such a kernel.
                with tf.control_dependencies([to_kernel]):
                    return tf.nn.conv2d_transpose(upstream, kernel, tf.shape(x), self.strides, "VALID"), to_kernel

            return tf.nn.conv2d(x, kernel, self.strides, "VALID"), gradient

        return convolve(inputs, tf.convert_to_tensor(kernel))

    def _kernel_gradient(self, x, upstream):
        import tensorflow as tf

        _, height, width, _ = ops.shape(upstream)
        bottom = (height - 1) * self.strides[0] + self.kernel_size[0]  # what lies below has met no kernel
        right = (width - 1) * self.strides[1] + self.kernel_size[1]
        images = tf.transpose(x[:, :bottom, :right], (3, 1, 2, 0))
        taps = tf.transpose(upstream, (1, 2, 0, 3))
        return tf.transpose(tf.nn.conv2d(images, taps, 1, "VALID", dilations=self.strides), (1, 2, 0, 3))
