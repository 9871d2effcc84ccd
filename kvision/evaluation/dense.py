"""A network on all of a larger image at once: Simonyan & Zisserman (VGG), arXiv:1409.1556, section 3.2, after OverFeat
(Sermanet et al., ICLR 2014, arXiv:1312.6229)."""

import keras
from keras import ops

from kvision.classifier import Classifier
from kvision.evaluation.averaged import averaged

BRIDGES = (
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Reshape,
)
"""From a feature map to a vector: where the head of a network begins."""


def dense(model: keras.Model, size: tuple[int, int] | None = None) -> Classifier:
    """The same network, fully convolutional: for images of its training size, and for any larger ones as a whole.

    The head sees every window of the last feature map that is as large as the map of a training image. (Dense layers
    that move over a map like that are convolutions: VGG's first one has a kernel of 7x7, those after it 1x1.) The class
    scores of the windows are averaged, and the softmax comes last: VGG averages the map of class scores, and speaks of
    posteriors of images only, when it averages those of an image, its mirror image and several scales. For these it is
    `averaged(dense(model))`, on the views `Whole(shorter)`.

    On an image of the training size it answers as the model does. On a larger one, without padding in the network, as
    the model would for all crops a stride apart, by the mean of their scores. With padding there is a difference, which
    VGG wants: a crop ends in zeros, a window in the neighbouring parts of the image (section 4.3). Layers that look at
    all they get (squeeze-and-excitation) look at the whole image.

    Args:
        model: Functional or Sequential, with one input `(B, H, W, C)` and one output `(B, classes)`. It flattens or
            pools its last feature map, and what follows works on vectors. Outputs other than of a softmax, logits
            among them, are averaged as they are.
        size: height and width of its training images, if its input has none and its preprocessing does not tell.

    Returns:
        `(B, H, W, C)` to float32 `(B, classes)`, H and W unknown. The layers are the model's own, but for a copy of the
        last one, where the softmax is part of it. Once saved, it is loaded where `kvision.evaluation` has been
        imported.

    Raises:
        ValueError: the model is no such network, its size is not known, or is not `size`; on a larger image, a layer
            that is for one size only, such as a localisation network inside.
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    scores, softmax = _before_softmax(_only_output(model))
    features = _last_map(model, scores)
    trunk = keras.Model(model.inputs[0], features, name=model.name)
    window = trunk.compute_output_shape((1, *_training_size(model, size), model.input_shape[-1]))[1:3]
    trunk = _for_any_size(trunk)
    x = Windows(window, name="windows")(trunk.output)
    x = averaged(keras.Model(features, scores, name="head"))(x)
    if softmax:
        x = keras.layers.Softmax(dtype="float32", name="posteriors")(x)
    return Classifier(trunk.input, x, name=f"dense_{model.name}", origin=getattr(model, "origin", None))


def _only_output(model):
    inputs = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    outputs = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    graph = isinstance(model, keras.Function)
    if not graph or [len(shape) for shape in inputs] != [4] or [len(shape) for shape in outputs] != [2]:
        raise ValueError(
            "A Functional or built Sequential model with one input (B, H, W, C) and one output (B, classes) is needed. "
            f"Received: {model.name!r} ({type(model).__name__}) from {inputs or 'no known input'} to "
            f"{outputs or 'no known output'}"
        )
    return model.outputs[0]


def _before_softmax(output):
    """The class scores that a softmax makes probabilities of, and whether there is one."""
    node = _node(output)
    layer = node.operation
    if isinstance(layer, keras.layers.Softmax):
        return node.input_tensors[0], True
    if getattr(layer, "activation", None) is not keras.activations.softmax:
        return output, False
    twin = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    scores = twin(node.input_tensors[0])
    twin.set_weights(layer.get_weights())
    return scores, True


def _last_map(model, scores):
    """What the head begins with: back from the scores, past everything that works on vectors `(B, C)`."""
    maps, waiting, seen = {}, [scores], set()
    while waiting:
        node = _node(waiting.pop())
        if node in seen:
            continue
        seen.add(node)
        for tensor in node.input_tensors:
            if isinstance(node.operation, BRIDGES) and len(tensor.shape) == 4:
                maps[id(tensor)] = tensor
            elif len(tensor.shape) == 2:
                waiting.append(tensor)
            else:
                raise ValueError(
                    f"'{model.name}' can't be applied densely: its head has to flatten or pool a feature map, and to "
                    f"work on vectors (B, C) from there on. Received: '{node.operation.name}' "
                    f"({type(node.operation).__name__}) on a tensor {tuple(tensor.shape)}"
                )
    if len(maps) != 1:
        shapes = [tuple(tensor.shape) for tensor in maps.values()]
        raise ValueError(f"'{model.name}' can't be applied densely: its head reads several maps, of {shapes}")
    return maps.popitem()[1]


def _node(tensor):
    """The call that a tensor comes from."""
    operation, place, _ = tensor._keras_history
    return operation._inbound_nodes[place]


def _training_size(model, size) -> tuple[int, int]:
    own = tuple(model.input_shape[1:3])
    preprocess = getattr(getattr(model, "origin", None), "preprocess", None)
    if None in own:
        own = size or (preprocess and preprocess.size)
    if own is None or (size is not None and tuple(size) != tuple(own)):
        raise ValueError(
            f"`size` is the height and width of the images that '{model.name}' was trained on. Its input is "
            f"{model.input_shape}. Received: size={size}"
        )
    return tuple(own)


def _for_any_size(model: keras.Model) -> keras.Model:
    """The same layers on an input of unknown height and width; models inside the model are treated likewise."""

    def shared(operation):
        if isinstance(operation, keras.Sequential):
            operation = keras.Model(operation.inputs, operation.outputs, name=operation.name)
        maps = isinstance(operation, keras.Function) and [len(tensor.shape) for tensor in operation.inputs] == [4]
        return _for_any_size(operation) if maps else operation

    def call(operation, *args, **kwargs):
        try:
            return operation(*args, **kwargs)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"'{model.name}' can't be applied densely: its layer '{operation.name}' ({type(operation).__name__}) "
                f"has to know the size of its input. {error}"
            ) from error

    graph = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    pixels = keras.Input((None, None, model.inputs[0].shape[-1]), dtype=model.inputs[0].dtype)
    return keras.models.clone_model(graph, input_tensors=pixels, clone_function=shared, call_function=call)


@keras.saving.register_keras_serializable(package="kvision")
class Windows(keras.layers.Layer):
    """Every window of a map, one pixel apart: `(B, H, W, C)` to `(B, (H - h + 1) (W - w + 1), h, w, C)`.

    Args:
        size: h and w.

    Raises:
        ValueError: a map that is known to be smaller.
    """

    def __init__(self, size, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.size = tuple(int(length) for length in size)

    def call(self, inputs):
        height, width = self.size
        rows, columns = (ops.shape(inputs)[axis] - length + 1 for axis, length in ((1, height), (2, width)))
        bands = ops.stack([inputs[:, top : top + rows] for top in range(height)], axis=2)
        windows = ops.stack([bands[:, :, :, left : left + columns] for left in range(width)], axis=4)
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))  # from (B, rows, h, columns, w, C)
        return ops.reshape(windows, (ops.shape(inputs)[0], rows * columns, height, width, inputs.shape[-1]))

    def compute_output_spec(self, inputs):
        batch, *shape, channels = inputs.shape
        if any(length is not None and length < least for length, least in zip(shape, self.size, strict=True)):
            raise ValueError(
                f"The image is smaller than those of the training: its map is {shape[0]} x {shape[1]}, a window "
                f"{self.size[0]} x {self.size[1]}."
            )
        counts = [length and length - least + 1 for length, least in zip(shape, self.size, strict=True)]
        count = None if None in counts else counts[0] * counts[1]
        return keras.KerasTensor((batch, count, *self.size, channels), inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "size": self.size}
