"""Grouped convolution: Krizhevsky, Sutskever & Hinton, NIPS 2012, in two towers; Xie et al., arXiv:1611.05431."""

import functools

import keras


@keras.saving.register_keras_serializable(package="kvision")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, with groups that train fast and serve on TensorFlow.

    Keras wraps every grouped convolution on TensorFlow in a function compiled by XLA: tens of times slower to train on
    a CPU, and marked XLA-only in an exported SavedModel. TensorFlow's own convolution knows groups from the kernel's
    shape, on the CPU, the GPU and inside XLA; it is called directly here. Arguments, shapes, weights
    (kernel `(kh, kw, C / groups, filters)`) and results are Conv2D's.
    """

    def call(self, inputs):
        y = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            # Not by Keras's add: TensorFlow would fuse it with the convolution, and serving on a processor without
            # oneDNN would fail, where fused convolutions know no groups.
            shape = (1, -1, 1, 1) if self.data_format == "channels_first" else (-1,)
            y = y + keras.ops.reshape(self.bias, shape)
        return y if self.activation is None else self.activation(y)

    def convolution_op(self, inputs, kernel):
        stock = self.data_format != "channels_last" or self.groups == 1 or max(self.dilation_rate) > 1
        if stock or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        def convolve(x, kernel):
            return tf.nn.conv2d(x, kernel, self.strides, self.padding.upper())

        if _knows_groups(self.compute_dtype):
            return convolve(inputs, kernel)
        towers = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
        return tf.concat([convolve(*tower) for tower in towers], -1)


@functools.cache
def _knows_groups(dtype: str) -> bool:
    """Whether TensorFlow has a gradient for groups here, found out by trying: on a CPU only oneDNN has one, and not in
    float16 on every processor. Where there is none, each group is a convolution of its own."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return True
    x, kernel = tf.TensorShape((1, 4, 4, 4)), tf.TensorShape((3, 3, 2, 4))
    with tf.init_scope(), tf.device("CPU:0"):
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x,
                filter=tf.ones(kernel, dtype),
                out_backprop=tf.ones(x, dtype),
                strides=[1] * 4,
                padding="SAME",
            )
        except tf.errors.OpError:
            return False
    return True
