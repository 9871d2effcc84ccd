"""The functions of an exported network: of pixels, which every runtime gets, and of encoded images."""

import keras
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.data import resize_for_evaluation
from kvision.export.encoded import decode_bounded
from kvision.export.inference import Surgery, for_inference, functional
from kvision.export.outputs import with_outputs

LARGEST_GRAPH = 1.9e9  # protobuf's limit is 2 GiB, and the graph holds more than weights


class PixelModule(tf.Module):
    """The network on pixels `(B, H, W, C)`, float32 in [0, 255], and of its weights those that this needs.

    `answers` is the traced function, pixels to a dictionary of float32 tensors: "scores" and the other outputs.

    Args:
        model: a Functional classifier with one image input and one output `(B, classes)` or `(B, positions, classes)`.
        preprocess: what the pixels go through; None takes the one of the model's origin.
        dtype, constants, features, outputs, surgery: as `savedmodel` takes them.

    Raises:
        ValueError: a model, preprocessing or outputs that do not fit together, or too large for constants.
    """

    def __init__(
        self,
        model: keras.Model,
        preprocess: Preprocess | None = None,
        dtype: str = "float32",
        constants: bool = False,
        features: str | bool = False,
        outputs=None,
        surgery: Surgery | None = None,
    ):
        super().__init__(name="kvision")
        model = functional(model)
        self.preprocess = _preprocessing(model, preprocess)
        self.classes, self.size, self.channels = _shapes(model, self.preprocess)
        network = for_inference(with_outputs(model, features, outputs), dtype, surgery)
        self._network = lambda: network  # an attribute that holds the model, even in a list, would be saved as objects
        self._dtype, self._constants = dtype, None
        if constants:
            groups = network.trainable_variables, network.non_trainable_variables
            self._constants = tuple(tuple(variable.numpy() for variable in group) for group in groups)
            nbytes = sum(value.nbytes for group in self._constants for value in group)
            if nbytes > LARGEST_GRAPH:
                raise ValueError(
                    f"{nbytes / 1e9:.1f} GB of weights do not fit into a graph (2 GB at most). Use constants=False."
                )
        # Every signature calls this one: the network is traced, and its constants are written, once.
        self.signature = [tf.TensorSpec([None, *self.size, self.channels], tf.float32, "pixels")]
        self.answers = tf.function(self._answer, autograph=False).get_concrete_function(*self.signature)
        used = {id(variable) for variable in self.answers.graph.variables}  # not those of dropout's random states
        self.weights = [v.value for v in network.variables if id(v.value) in used]

    def _answer(self, pixels):
        # Of what a session is fed its optimizer assumes no shape, and without shapes it would not fuse additions.
        pixels = tf.ensure_shape(pixels, self.signature[0].shape)
        network, x = self._network(), tf.cast(self.preprocess(pixels), self._dtype)
        if self._constants is None:
            answers = network(x, training=False)
        else:
            trainable, others = ([tf.constant(value) for value in group] for group in self._constants)
            answers, _ = network.stateless_call(trainable, others, x, training=False)
        return {name: tf.cast(value, tf.float32) for name, value in answers.items()}

    def tensor(self, pixels):
        """The signature `tensor`: all but the features."""
        return {name: value for name, value in self.answers(pixels).items() if name != "features"}


class EncodedModule(tf.Module):
    """The network on encoded images, strings `(B,)`, and on pixels: what `savedmodel` saves."""

    def __init__(self, network: PixelModule, labels: list[str], top: int, on_error: str, max_pixels: int):
        super().__init__(name="kvision")
        if network.channels not in (1, 3):
            raise ValueError(
                f"Encoded images have 1 or 3 channels. Received: a model of images with {network.channels}; ONNX and "
                "LiteRT files take any."
            )
        self.network = network
        self._labels, self._top = tuple(labels), top
        self._on_error, self._max_pixels = on_error, max_pixels

    def signatures(self) -> dict:
        """The traced functions by name."""
        images, (pixels,) = tf.TensorSpec([None], tf.string, "images"), self.network.signature
        self.decoded = tf.function(self._decoded, autograph=False).get_concrete_function(images)
        functions = {"serving_default": (self._serve, images), "tensor": (self.network.tensor, pixels)}
        if "features" in self.network.answers.structured_outputs:
            functions["features"] = self._features, images
        return {
            name: tf.function(function, autograph=False).get_concrete_function(spec)
            for name, (function, spec) in functions.items()
        }

    def _serve(self, images):
        pixels, ok = self.decoded(images)
        answers = {name: _where(ok, value, 0.0) for name, value in self.network.tensor(pixels).items()}
        scores, classes = tf.math.top_k(answers["scores"], self._top)
        labels = _where(ok, tf.gather(tf.constant(self._labels), classes), "")
        return {**answers, "labels": labels, "scores": scores, "ok": ok}

    def _features(self, images):
        pixels, ok = self.decoded(images)
        return {"features": _where(ok, self.network.answers(pixels)["features"], 0.0), "ok": ok}

    def _decoded(self, images):
        """Pixels of the network's size, and which of them are an image's; the others are zero."""
        network = self.network
        shape = (*network.size, network.channels)

        def decode(contents):
            image = decode_bounded(contents, network.channels, self._max_pixels)
            return resize_for_evaluation(image, network.size, **network.preprocess.resizing), True

        def decode_or_zero(contents):
            # An error in a dataset's element can be passed over; elsewhere in a graph it would fail the whole batch.
            failed = tf.data.Dataset.from_tensors((tf.zeros(shape), False))
            tried = tf.data.Dataset.from_tensors(contents).map(decode).ignore_errors()
            return tried.concatenate(failed).take(1).get_single_element()

        spec = tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.bool)
        return tf.map_fn(decode_or_zero if self._on_error == "mark" else decode, images, fn_output_signature=spec)


def _where(ok, values, otherwise):
    return tf.where(tf.reshape(ok, [-1] + [1] * (values.shape.rank - 1)), values, otherwise)


def _preprocessing(model, preprocess: Preprocess | None) -> Preprocess:
    origin = getattr(model, "origin", None)
    preprocess = preprocess or (origin and origin.preprocess)
    if preprocess is None:
        raise ValueError(
            f"Nothing says how pixels become the input of '{model.name}': it was not trained or loaded with a "
            "preprocessing. Pass preprocess=kvision.classifier.Preprocess(mean=..., std=...), or what the row has: "
            "kvision.applications.ResNet50.preprocessing()."
        )
    return preprocess


def _shapes(model, preprocess: Preprocess) -> tuple[int, tuple[int, int], int]:
    """Classes, height and width, and channels."""
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) not in (2, 3):
        raise ValueError(
            "A classifier has one input (B, H, W, C) and one output (B, classes) or (B, positions, classes); `outputs` "
            f"takes more. Received: inputs {[tensor.shape for tensor in model.inputs]}, "
            f"outputs {[tensor.shape for tensor in model.outputs]}"
        )
    shape = model.inputs[0].shape
    if len(shape) != 4:
        raise ValueError(f"An image is (H, W, C). Received: a model with input {shape}")
    # A model of a fixed size is served at that size, whatever its checkpoint was evaluated at.
    size = shape[1:3] if None not in shape[1:3] else preprocess.size
    if size is None:
        raise ValueError(
            f"The input of '{model.name}' has no fixed size, and the preprocessing names none. Pass "
            "preprocess=dataclasses.replace(preprocess, size=(height, width))."
        )
    return model.outputs[0].shape[-1], tuple(size), shape[-1]
