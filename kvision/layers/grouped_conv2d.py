"""Grouped convolution: Krizhevsky, Sutskever & Hinton, NIPS 2012 (two towers); Xie et al., arXiv:1611.05431 (ResNeXt)."""

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
        if keras.backend.backend() != "tensorflow" or self.data_format != "channels_last":
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate)
