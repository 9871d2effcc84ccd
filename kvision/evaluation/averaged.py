"""One answer from several views of an image: the testing of AlexNet (section 4.1) and GoogLeNet (section 7)."""

import keras
from keras import ops


def averaged(*models: keras.Model, from_logits: bool = False) -> keras.Model:
    """A classifier that reads several views of each image, and answers with the mean of their class probabilities.

    Nothing is copied: the result calls the model, whose weights stay its own. For
    `evaluate(averaged(model), evaluation_batches(split, batch_size, views=TenCrops(), ...), names)`; a batch of images
    goes through the model as `views` times as many.

    Several models have views of their own, and the mean over their answers is the answer: three times `dense(model)`
    reads `views=(Whole(256), Whole(384), Whole(512))`, `averaged(model, dense(model))` the views
    `(GridCrops(), Whole())`: the scales and the "multi-crop & dense" of VGG, sections 4.2 and 4.3.

    Args:
        models: any with one input `(B, H, W, C)`, H and W known or not, and one output `(B, classes)`; the same one
            more than once, too.
        from_logits: whether the models give logits; a softmax then makes probabilities of them before the mean.

    Returns:
        A Functional model, `(B, views, H, W, C)` to float32 `(B, classes)`, for any number of views; of several models
        with one such input for each. Once saved, it is loaded where `kvision.evaluation` has been imported.

    Raises:
        ValueError: no model, one that is not built, or whose input or output has another shape.
    """
    if not models:
        raise ValueError("The answers of at least one model are averaged. Received: none")
    pairs = [_mean_answer(model, place, from_logits) for place, model in enumerate(models, start=1)]
    inputs, answers = zip(*pairs, strict=True)
    if len(models) == 1:
        return keras.Model(inputs[0], answers[0], name=f"averaged_{models[0].name}")
    return keras.Model(inputs, keras.layers.Average(dtype="float32", name="mean")(answers), name="averaged")


def _mean_answer(model, place: int, from_logits: bool):
    """The input for the views of one model, and the mean of what it answers to them."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    outputs = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    if [len(shape) for shape in shapes] != [4] or [len(shape) for shape in outputs] != [2]:
        raise ValueError(
            "A model with one input (B, H, W, C) and one output (B, classes) is needed. "
            f"Received: {model.name!r} from {shapes or 'no known input'} to {outputs or 'no known output'}"
        )
    views = keras.Input((None, *shapes[0][1:]), dtype=model.inputs[0].dtype, name=f"views{place}")
    scores = model(ViewsAsBatch(name=f"as_batch{place}")(views))
    if from_logits:
        scores = keras.layers.Softmax(dtype="float32", name=f"probabilities{place}")(scores)
    return views, MeanOverViews(dtype="float32", name=f"mean{place}")([scores, views])


@keras.saving.register_keras_serializable(package="kvision")
class ViewsAsBatch(keras.layers.Layer):
    """`(B, views, H, W, C)` to `(B * views, H, W, C)`, in the same dtype, whatever is unknown of the shape."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the model casts for itself

    def call(self, views):
        return ops.reshape(views, (-1, *ops.shape(views)[2:]))

    def compute_output_spec(self, views):
        batch, count = views.shape[:2]
        return keras.KerasTensor((batch and count and batch * count, *views.shape[2:]), views.dtype)


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
