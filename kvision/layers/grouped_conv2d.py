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

    def convolution_op(self, inputs, kernel):
        stock = self.data_format != "channels_last" or self.groups == 1 or max(self.dilation_rate) > 1
        if stock or keras.backend.backend() != "tensorflow" or not _trains(self.compute_dtype):
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())


@functools.cache
def _trains(dtype: str) -> bool:
    """Whether TensorFlow has a gradient for groups here, found out by trying: on a CPU only oneDNN has one, and not in
    float16 on every processor."""
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
