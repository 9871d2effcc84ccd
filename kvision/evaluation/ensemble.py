"""Several networks as one: the mean of their class probabilities, as ImageNet's winners from AlexNet on answered."""

from collections.abc import Sequence

import keras
import numpy as np

from kvision.classifier import Classifier, Origin, Preprocess


def ensemble(
    models: Sequence[keras.Model],
    preprocess: Sequence[Preprocess] | None = None,
    *,
    from_logits: bool = False,
    input_shape: tuple[int, int, int] | None = None,
    name: str = "ensemble",
) -> Classifier:
    """One classifier of pixels in 0 ... 255, inside which each network sees them through its own preprocessing.

    It evaluates, saves and exports like any other, and shares the networks' weights. A network that was built for
    another size than the image's gets it resized (antialiased), whole: a crop is the business of the pipeline.

    Krizhevsky et al. 2012, section 5; Szegedy et al., arXiv:1409.4842, section 7: softmax probabilities are averaged.

    Args:
        models: from `(B, H, W, C)` to `(B, classes)`; the same one more than once counts as often.
        preprocess: of each network; None takes what their origins say.
        from_logits: whether the networks give logits: then softmax comes first.
        input_shape: `(H, W, C)` of the image; None takes the networks' own, the highest and the widest if they differ.
        name: of the model.

    Returns:
        `(B, H, W, C)` to `(B, classes)`, float32.

    Raises:
        ValueError: no networks, other outputs, networks of different classes or channels, or a network whose
            preprocessing is not known.
    """
    models = list(models)
    if not models:
        raise ValueError("An ensemble has at least one network. Received: none")
    shapes = [model.output_shape for model in models]
    if not all(isinstance(shape, tuple) and len(shape) == 2 for shape in shapes) or len(set(shapes)) > 1:
        raise ValueError(f"All networks give (B, classes), and the same classes. Received: outputs of shapes {shapes}")
    inputs = [model.input_shape for model in models]
    if len({shape[-1] for shape in inputs}) > 1:
        raise ValueError(f"All networks see the same channels. Received: inputs of shapes {inputs}")
    if preprocess is None:
        preprocess = [getattr(getattr(model, "origin", None), "preprocess", None) for model in models]
    if len(preprocess) != len(models) or None in preprocess:
        unknown = [model.name for model, known in zip(models, preprocess, strict=False) if known is None]
        raise ValueError(
            "Each network has a preprocessing: pass `preprocess`, one for each, or networks whose origin has one. "
            f"Received: {len(preprocess)} for {len(models)} networks; unknown of {unknown}"
        )
    if input_shape is None:
        sizes = [[shape[axis] for shape in inputs] for axis in (1, 2)]
        input_shape = (*(None if None in size else max(size) for size in sizes), inputs[0][-1])

    pixels, twins, probabilities = keras.Input(input_shape), {}, []
    for place, (model, one) in enumerate(zip(models, preprocess, strict=True), start=1):
        x, size = pixels, model.input_shape[1:3]
        if None not in size and size != tuple(input_shape[:2]):
            resize = keras.layers.Resizing(*size, one.interpolation, antialias=True, name=f"resized{place}")
            x = resize(x, training=False)  # Keras's default is True, and would be that of all layers after it
        x = _normalization(one, x.shape[-1], name=f"normalized{place}")(x)
        if id(model) not in twins:  # the same layers under a name of its own
            twins[id(model)] = keras.Model(model.inputs[0], model.outputs[0], name=f"network{place}")
        scores = twins[id(model)](x)
        if from_logits:
            scores = keras.layers.Softmax(dtype="float32", name=f"probabilities{place}")(scores)
        probabilities.append(scores)
    mean = keras.layers.Average(dtype="float32", name="mean")(probabilities) if len(models) > 1 else probabilities[0]
    origin = Origin("ensemble", changes={"networks": [model.name for model in models]}, preprocess=Preprocess(scale=1))
    return Classifier(pixels, mean, name=name, origin=origin)


def _normalization(preprocess: Preprocess, channels: int, name: str) -> keras.layers.Layer:
    """`preprocess` as a layer."""
    mean, std = (np.resize(values, channels) for values in (preprocess.mean, preprocess.std))
    scale, offset = (preprocess.scale / std).tolist(), (-mean / std).tolist()
    return keras.layers.Rescaling(scale, offset, dtype="float32", name=name)
