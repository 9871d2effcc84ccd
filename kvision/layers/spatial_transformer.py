"""Spatial transformer: Jaderberg, Simonyan, Zisserman & Kavukcuoglu, NIPS 2015, arXiv:1506.02025."""

import keras
from keras import ops

from kvision.layers.bilinear_sampler import sample
from kvision.layers.spatial_transforms import Affine, Transform


@keras.saving.register_keras_serializable(package="kvision")
class SpatialSampler(keras.layers.Layer):
    """Images seen through transforms whose parameters are given: grid generator and sampler (sections 3.2 and 3.3).

    Args:
        transform: `Affine()`, `Attention()`, `Translation(scale)`, `Projective()`, `ThinPlateSpline(points)` or another
            subclass of `kvision.layers.spatial_transforms.Transform`.
        size: height and width of the output; None for those of the input.

    Input: a list of images `(B, H, W, C)` and parameters `(B, transform.parameters)`. Output: `(B, H', W', C)`. Points
    outside of the image are zero. The coordinates are float32 under every policy. On TensorFlow, training runs through
    XLA.

    Raises:
        ValueError: a size below 1, or parameters of another number than the transform's.
    """

    def __init__(self, transform: Transform | None = None, size: tuple[int, int] | None = None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # float16 would round the parameters
        self.transform = Affine() if transform is None else transform
        self.size = None if size is None else (int(size[0]), int(size[1]))
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"`size` is a height and a width of at least 1. Received: {size}")

    def build(self, input_shape):
        """There are no weights: the parameters are checked."""
        images, theta = input_shape
        if len(images) != 4 or len(theta) != 2 or theta[1] != self.transform.parameters:
            raise ValueError(
                f"{type(self.transform).__name__} takes images (B, H, W, C) and {self.transform.parameters} parameters "
                f"each, (B, {self.transform.parameters}). Received: shapes {tuple(images)} and {tuple(theta)}"
            )

    def call(self, inputs, training=None):
        images, theta = inputs
        source = ops.shape(images)[1:3]
        x, y = self.transform.grid(theta, *(self.size or source), source)
        return ops.cast(sample(images, x, y, compiled=bool(training)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        images, _ = input_shape
        return (images[0], *(self.size or images[1:3]), images[3])

    def get_config(self):
        transform = keras.saving.serialize_keras_object(self.transform)
        return {**super().get_config(), "transform": transform, "size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "transform": keras.saving.deserialize_keras_object(config["transform"])})


@keras.saving.register_keras_serializable(package="kvision")
class SpatialTransformer(keras.layers.Layer):
    """Images seen through transforms that a localisation network chooses for each (section 3, Figure 2).

    The last layer of the localisation, the regression of the transform's parameters, belongs to this layer: `theta`,
    float32, whose kernel starts at zero and whose bias is the identity.

    Args:
        localisation: a layer or model from images `(B, H, W, C)` to features `(B, N)`.
        transform, size: as `SpatialSampler` takes them.

    Input: `(B, H, W, C)`. Output: `(B, H', W', C)`.

    Raises:
        ValueError: a localisation that does not end in vectors of known length.
    """

    def __init__(self, localisation, transform: Transform | None = None, size=None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast for themselves
        self.localisation = localisation
        self.sampler = SpatialSampler(transform, size, dtype=self.dtype_policy, name="sampler")
        identity = keras.initializers.Constant(list(self.sampler.transform.identity))
        self.theta = keras.layers.Dense(
            self.sampler.transform.parameters,
            kernel_initializer="zeros",
            bias_initializer=identity,
            dtype="float32",
            name="theta",
        )

    def build(self, input_shape):
        if not self.localisation.built:
            self.localisation.build(input_shape)
        features = tuple(self.localisation.compute_output_shape(input_shape))
        if len(features) != 2 or features[1] is None:
            raise ValueError(
                "`localisation` ends in vectors of known length, (B, N), which this layer takes to the parameters of "
                f"the transform. Received: {features} from images of shape {tuple(input_shape)}"
            )
        self.theta.build(features)
        self.sampler.build([input_shape, (None, self.theta.units)])
        self._image_shape = tuple(input_shape[1:])

    def call(self, inputs):
        return self.sampler([inputs, self.theta(self.localisation(inputs))])

    def for_inference(self) -> keras.Model:
        """The same from the same layers, one after another."""
        inputs = keras.Input(self._image_shape, dtype=self.compute_dtype)
        return keras.Model(inputs, self.sampler([inputs, self.theta(self.localisation(inputs))]), name=self.name)

    def compute_output_shape(self, input_shape):
        return self.sampler.compute_output_shape([input_shape, None])

    def get_config(self):
        localisation = keras.saving.serialize_keras_object(self.localisation)
        transform = keras.saving.serialize_keras_object(self.sampler.transform)
        arguments = {"localisation": localisation, "transform": transform, "size": self.sampler.size}
        return {**super().get_config(), **arguments}

    @classmethod
    def from_config(cls, config):
        objects = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("localisation", "transform")}
        return cls(**{**config, **objects})
