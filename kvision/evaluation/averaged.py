"""One answer from several views of an image: the testing of AlexNet (section 4.1) and GoogLeNet (section 7)."""

import keras
from keras import ops


def averaged(model: keras.Model, *, from_logits: bool = False) -> keras.Model:
    """A classifier that reads several views of each image, and answers with the mean of their class probabilities.

    Nothing is copied: the result calls the model, whose weights stay its own. For
    `evaluate(averaged(model), evaluation_batches(split, batch_size, views=TenCrops(), ...), names)`; a batch of images
    goes through the model as `views` times as many.

    Args:
        model: any model with one input `(B, H, W, C)`, H and W known or not, and one output `(B, classes)`.
        from_logits: whether the model gives logits; a softmax then makes probabilities of them before the mean.

    Returns:
        A Functional model, `(B, views, H, W, C)` to float32 `(B, classes)`, for any number of views. Once saved, it is
        loaded where `kvision.evaluation` has been imported.

    Raises:
        ValueError: the model is not built, or its input or output has another shape.
    """
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    outputs = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    if [len(shape) for shape in shapes] != [4] or [len(shape) for shape in outputs] != [2]:
        raise ValueError(
            "A model with one input (B, H, W, C) and one output (B, classes) is needed. "
            f"Received: {model.name!r} from {shapes or 'no known input'} to {outputs or 'no known output'}"
        )
    views = keras.Input((None, *shapes[0][1:]), dtype=model.inputs[0].dtype, name="views")
    scores = model(ViewsAsBatch(name="as_batch")(views))
    if from_logits:
        scores = keras.layers.Softmax(dtype="float32", name="probabilities")(scores)
    mean = MeanOverViews(dtype="float32", name="mean")([scores, views])
    return keras.Model(views, mean, name=f"averaged_{model.name}")


@keras.saving.register_keras_serializable(package="kvision")
class ViewsAsBatch(keras.layers.Layer):
    """`(B, views, H, W, C)` to `(B * views, H, W, C)`, in the same dtype, whatever is unknown of the shape."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the model casts for itself

    def call(self, views):
        return ops.reshape(views, (-1, *ops.shape(views)[2:]))

    def compute_output_spec(self, views):
        return keras.KerasTensor((None, *views.shape[2:]), views.dtype)


@keras.saving.register_keras_serializable(package="kvision")
class MeanOverViews(keras.layers.Layer):
    """The mean of the scores `(B * views, classes)` over the views, of which there are as in `(B, views, ...)`."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the pixels are only counted

    def call(self, inputs):
        scores, views = inputs
        scores = ops.reshape(ops.cast(scores, self.compute_dtype), (*ops.shape(views)[:2], scores.shape[-1]))
        return ops.mean(scores, axis=1)

    def compute_output_spec(self, inputs):
        scores, views = inputs
        return keras.KerasTensor((views.shape[0], scores.shape[-1]), self.compute_dtype)
