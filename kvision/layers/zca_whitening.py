"""ZCA whitening of images: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A."""

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class ZCAWhitening(keras.layers.Layer):
    """Takes the correlations out of the pixels, and changes the images as little as that needs: `W (x - mean)`.

    W is the symmetric root of the inverse covariance of all H W C values, `U (S + bias)^(-1/2) U^T`. `adapt` finds it,
    once, from training images; until then W is the identity. It is kept in the model, not trained. The product is
    worked out in float32 under every policy.

        whitening = ZCAWhitening()
        whitening.adapt(images)
        inputs = keras.Input(images.shape[1:])
        network = NIN(input_tensor=whitening(inputs))

    Args:
        bias: added to the variances: directions that hardly vary are not blown up. Goodfellow et al. 2013
            (arXiv:1302.4389) take 0.1 after global contrast normalization to length 55.

    Input and output `(B, H, W, C)`, H and W known. Whitening takes (H W C)^2 multiply-adds and as many weights: 9.4
    million for CIFAR.

    Raises:
        ValueError: a bias that is not positive, or images of unknown size.
    """

    def __init__(self, bias=0.1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.bias = float(bias)
        if self.bias <= 0:
            raise ValueError(f"`bias` is positive. Received: {bias}")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(f"ZCAWhitening takes images of one size. Received: images of shape {tuple(input_shape)}")
        self.image_shape, size = tuple(input_shape[1:]), math.prod(input_shape[1:])
        self.mean = self.add_weight((size,), "zeros", "float32", trainable=False, name="mean")
        self.matrix = self.add_weight((size, size), _identity, "float32", trainable=False, name="matrix")

    def adapt(self, data: np.ndarray | Iterable) -> None:
        """Finds the mean and W, in float64.

        Args:
            data: images `(N, H, W, C)`, or batches of them: a `tf.data.Dataset`, or any iterable, of images or of
                tuples that begin with images. What came before is forgotten.

        Raises:
            ValueError: no images, or images of another shape than the layer was built for.
        """
        count = total = products = 0
        for batch in [data] if hasattr(data, "shape") else data:
            images = np.asarray(batch[0] if isinstance(batch, tuple | list) else batch, "float64")
            if not self.built:
                self.build(images.shape)
            if images.shape[1:] != self.image_shape:
                raise ValueError(f"This layer whitens images {self.image_shape}. Received: a batch {images.shape}")
            x = images.reshape(len(images), -1)
            count, total, products = count + len(x), total + x.sum(0), products + x.T @ x
        if not count:
            raise ValueError("ZCAWhitening adapts to at least one image. Received: none")
        mean = total / count
        variances, directions = np.linalg.eigh(products / count - np.outer(mean, mean))
        self.mean.assign(mean)
        self.matrix.assign((directions / np.sqrt(np.maximum(variances, 0) + self.bias)) @ directions.T)

    def call(self, inputs):
        count = ops.shape(inputs)[0]
        x = ops.reshape(ops.cast(inputs, "float32"), (count, self.mean.shape[0]))
        x = ops.matmul(x - self.mean, self.matrix)  # W is symmetric
        return ops.cast(ops.reshape(x, (count, *self.image_shape)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape):
        return math.prod(input_shape[1:]) ** 2

    def get_config(self):
        return {**super().get_config(), "bias": self.bias}


def _identity(shape, dtype=None):
    return ops.eye(*shape, dtype=dtype)
