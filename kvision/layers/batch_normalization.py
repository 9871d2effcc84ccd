"""Batch Normalization: Ioffe & Szegedy, ICML 2015, arXiv:1502.03167."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization with the paper's moving variance, on TensorFlow's fused kernel where that applies.

    Two things differ from `keras.layers.BatchNormalization`:

    - The moving variance is the unbiased one, `m / (m - 1)` times the variance of the batch (Algorithm 2, line 10 of
      the paper; so do PyTorch and Caffe). Keras keeps the biased one. `m` is the number of values per channel; a batch
      with `m = 1` keeps its variance, 0.
    - On the TensorFlow backend a `(B, H, W, C)` tensor goes through `FusedBatchNormV3`: one pass instead of a
      dozen operations. Elsewhere, and with `synchronized=True`, it is computed by `keras.ops`, in float32.

    Args:
        momentum: share of the moving statistics that a step keeps, in [0, 1].
        epsilon: added to the variance.
        center, scale: whether to learn beta and gamma.
        unbiased_moving: False keeps the batch's own variance, as Keras does.
        synchronized: True takes the statistics over all replicas of a TensorFlow distribution strategy.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer: as in Keras.

    Input and output: `(B, ..., C)`, any rank of 2 or more.

    Raises:
        ValueError: a mask was passed. Use `keras.layers.BatchNormalization` for masked sequences.
    """

    def __init__(
        self,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        unbiased_moving=True,
        synchronized=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        **kwargs,
    ):
        super().__init__(
            axis=-1,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            synchronized=synchronized,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            **kwargs,
        )
        self.unbiased_moving = unbiased_moving

    def call(self, inputs, training=None, mask=None):
        if mask is not None:
            raise ValueError(
                "kvision.layers.BatchNormalization takes no mask; keras.layers.BatchNormalization does. "
                f"Received a mask of shape {mask.shape} for inputs of shape {inputs.shape}."
            )
        training = bool(training) and self.trainable
        fused = keras.backend.backend() == "tensorflow" and len(inputs.shape) == 4 and not self.synchronized
        fused = fused and self.compute_dtype != "float64"  # TensorFlow's kernel has none
        outputs, mean, variance = (self._fused if fused else self._plain)(inputs, training)
        if training:
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.cast(new, moving.dtype) * (1 - self.momentum))
        return outputs

    def _fused(self, inputs, training):
        import tensorflow as tf

        # The kernel takes float32 alone. Networks exported in half precision keep these in it, too.
        moving_mean, moving_variance = (tf.cast(x, "float32") for x in (self.moving_mean, self.moving_variance))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, "float32") if self.scale else tf.ones_like(moving_variance),
            tf.cast(self.beta, "float32") if self.center else tf.zeros_like(moving_mean),
            mean=None if training else moving_mean,
            variance=None if training else moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training and not self.unbiased_moving:
            variance = variance / self._bessel(inputs)
        return outputs, mean, variance

    def _plain(self, inputs, training):
        x = ops.cast(inputs, self._statistics_dtype)
        if not training:
            mean, variance = (ops.cast(moving, x.dtype) for moving in (self.moving_mean, self.moving_variance))
        elif self.synchronized:
            mean, variance = self._moments(x, None)
        else:  # two passes: the mean of the squares minus the square of the mean loses digits
            axes = list(range(len(x.shape) - 1))
            mean = ops.mean(x, axes)
            variance = ops.mean(ops.square(x - mean), axes)
        outputs = (x - mean) * ops.rsqrt(variance + self.epsilon)
        if self.scale:
            outputs = outputs * ops.cast(self.gamma, x.dtype)
        if self.center:
            outputs = outputs + ops.cast(self.beta, x.dtype)
        if training and self.unbiased_moving:
            variance = variance * self._bessel(inputs)
        return ops.cast(outputs, self.compute_dtype), mean, variance

    @property
    def _statistics_dtype(self) -> str:
        return "float64" if self.compute_dtype == "float64" else "float32"

    def _bessel(self, inputs):
        """m / (m - 1), and 1 for m = 1, as the fused kernel has it."""
        count = ops.cast(ops.prod(ops.shape(inputs)[:-1]), self._statistics_dtype)
        if self.synchronized:
            import tensorflow as tf

            count = count * tf.distribute.get_replica_context().num_replicas_in_sync
        return count / ops.maximum(count - 1, 1)

    def get_config(self):
        config = super().get_config()
        for fixed in [
            "axis",
            "renorm",
            "renorm_clipping",
            "renorm_momentum",
            "moving_mean_initializer",
            "moving_variance_initializer",
            "beta_constraint",
            "gamma_constraint",
        ]:
            del config[fixed]
        return {**config, "unbiased_moving": self.unbiased_moving}
