"""The one model class: a Functional `keras.Model` that knows where it comes from and can train beside its output."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras
import numpy as np

from kvision.layers.recomputed_graph import RecomputedGraph

INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Preprocess:
    """How pixels become a network's input: `(pixels * scale - mean) / std`, per channel.

    Preprocessing belongs to a checkpoint, not to an architecture.

    Args:
        mean, std: of the scaled pixels; one value per channel, or one for all.
        scale: brings pixels from [0, 255] to the range in which mean and std are given.
        size: height and width that the checkpoint was evaluated at, or None for any.
        crop_fraction: the share of the resized image that the centre crop keeps, in (0, 1].
        interpolation: "bilinear" or "bicubic".
        squash: whether images are resized without keeping their aspect ratio.

    Raises:
        ValueError: a size, fraction, deviation or interpolation out of its range.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1 / 255
    size: tuple[int, int] | None = None
    crop_fraction: float = 1.0
    interpolation: str = "bilinear"
    squash: bool = False

    def __post_init__(self):
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        if self.size is not None:
            object.__setattr__(self, "size", tuple(int(value) for value in self.size))
            if len(self.size) != 2 or min(self.size) < 1:
                raise ValueError(f"`size` is a height and a width of at least 1. Received: {self.size}")
        if len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ValueError(
                f"`mean` and `std` have one value per channel, and deviations are positive. Received: {self}"
            )
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(f"`crop_fraction` lies in (0, 1]. Received: {self.crop_fraction}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"`interpolation` is one of {INTERPOLATIONS}. Received: {self.interpolation!r}")

    def __call__(self, x):
        """Normalizes `(..., C)` pixels in [0, 255] (uint8 or float, array or tensor) to a new float32 array or tensor.

        Raises:
            ValueError: the number of channels is not that of the mean.
        """
        channels = x.shape[-1]
        if len(self.mean) not in (1, channels):
            raise ValueError(
                f"This preprocessing is for {len(self.mean)} channels. Received: pixels of shape {tuple(x.shape)}"
            )
        # The constants are worked out in float64: one multiplication and one subtraction are left for each pixel.
        factor = np.array([self.scale / std for std in self.std], "float32")
        offset = np.array([mean / std for mean, std in zip(self.mean, self.std, strict=True)], "float32")
        if x.dtype != "float32":
            x = x.astype("float32") if hasattr(x, "astype") else keras.ops.cast(x, "float32")
        return x * factor - offset

    @property
    def resizing(self) -> dict[str, Any]:
        """What comes after the size in `kvision.data.resize_for_evaluation` and `evaluation_batches`."""
        return dict(crop_fraction=self.crop_fraction, interpolation=self.interpolation, squash=self.squash)

    def for_channels(self, channels: int) -> "Preprocess":
        """The same for images of so many channels: of one, the mean of the figures, of more, they in turn."""
        if len(self.mean) in (1, channels):
            return self
        if channels == 1:
            mean, std = (sum(values) / len(values) for values in (self.mean, self.std))
            return replace(self, mean=(mean,), std=(std,))
        turns = [index % len(self.mean) for index in range(channels)]
        return replace(self, mean=tuple(self.mean[i] for i in turns), std=tuple(self.std[i] for i in turns))


@dataclass(frozen=True)
class Origin:
    """Where a classifier comes from; it survives saving, and export, evaluation and fine-tuning read it.

    Args:
        row: the name of the row that built it, such as "ResNet50".
        weights: the tag of its weights, or None for weights of its own training.
        changes: how its recipe departs from the row's, for people to read (holes by the name of what fills them).
        preprocess: what its input went through.
        revision: the commit of the hub's repository that its weights came from.
        lineage: how PyTorch keeps the tensors of this network, for `kvision.weights.to_torch`; None where no published
            network computes the same.
    """

    row: str
    weights: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    preprocess: Preprocess | None = None
    revision: str | None = None
    lineage: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, values: dict) -> "Origin":
        preprocess = values.get("preprocess")
        return cls(**{**values, "preprocess": preprocess and Preprocess(**preprocess)})


@keras.saving.register_keras_serializable(package="kvision")
class TrainingHead(keras.layers.Layer):
    """A branch that only training sees: an auxiliary classifier (Szegedy et al., arXiv:1409.4842, section 5).

    Its loss is the model's own compiled loss on the branch's output, times `weight`. A head with another loss (a
    decoder that is compared with the input, say) overrides `extra_loss`. The mean over the batch is then that of a
    `keras.losses.Loss`, which of a batch that replicas share is the mean over all of it.

    Args:
        branch: a layer or model from the tapped tensor to class scores `(B, classes)`.
        weight: of its loss in the total.
    """

    def __init__(self, branch: keras.layers.Layer, weight: float = 0.3, **kwargs):
        super().__init__(**kwargs)
        self.branch = branch
        self.weight = float(weight)

    def build(self, input_shape):
        if not self.branch.built:
            self.branch.build(input_shape)

    def call(self, inputs, training=None):
        return self.branch(inputs, training=training)

    def extra_loss(self, tapped, x, y, sample_weight, compiled_loss):
        """The weighted loss of one batch: the tensor tapped in this step's forward pass, the inputs and the labels."""
        return self.weight * compiled_loss(y, self(tapped, training=True), sample_weight)

    def get_config(self):
        branch = keras.saving.serialize_keras_object(self.branch)
        return {**super().get_config(), "branch": branch, "weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "branch": keras.saving.deserialize_keras_object(config["branch"])})


class _Tapped:
    """Holds the tapped tensors of one training step, out of reach of Keras's attribute tracking."""

    tensors = ()


@keras.saving.register_keras_serializable(package="kvision")
class Classifier(keras.Model):
    """A Functional `keras.Model`, plus an `origin`, training-only heads and training in less memory.

    Args:
        inputs, outputs, name: as `keras.Model` takes them.
        origin: an `Origin`, or None for a model built by hand.
        heads: pairs `(tensor, TrainingHead)`. In a training step the head receives its tensor's value, and its loss
            is added by `compute_loss` from the same labels. Heads are no outputs: `predict`, `evaluate`,
            `output_shape` and export do not see them. `weights`, saving and loading do.
        recompute: whether a training step keeps few of its intermediate results and computes the others again; see
            `RecomputedGraph`. Layers, weights, gradients and statistics are the same.

    Raises:
        ValueError: `recompute` of a network in which that saves no memory.
    """

    def __init__(self, inputs, outputs, name=None, **kwargs):
        # Keras recognises a Functional model by exactly this signature; ours come in as keywords.
        origin, heads = kwargs.pop("origin", None), kwargs.pop("heads", ())
        recompute = kwargs.pop("recompute", False)
        allow_deep_graph([outputs, *(tensor for tensor, _ in heads)])
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.origin = Origin.from_dict(origin) if isinstance(origin, dict) else origin
        self.heads = [head for _, head in heads]
        self.recompute = bool(recompute)
        self._tapped = _Tapped()
        if heads or recompute:
            graph = keras.Model(self.input, [self.outputs, [tensor for tensor, _ in heads]], name=self.name)
        if heads:
            for tensor, head in heads:
                head.build(tensor.shape)
            self._training_graph = graph
        if recompute:
            self._recomputed = RecomputedGraph(graph)

    def call(self, inputs, training=None, mask=None):
        if not training or not (self.heads or self.recompute):
            return super().call(inputs, training=training, mask=mask)
        if self.recompute:
            outputs, self._tapped.tensors = self._recomputed(inputs)
        else:
            outputs, self._tapped.tensors = self._training_graph(inputs, training=True)
        return outputs[0] if len(outputs) == 1 else outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if training:
            for head, tapped in zip(self.heads, self._tapped.tensors, strict=True):
                loss = loss + head.extra_loss(tapped, x, y, sample_weight, self._compile_loss)
            self._tapped.tensors = ()
        return loss

    def get_config(self):
        graph = self._training_graph.get_config() if self.heads else super().get_config()
        config = {**graph, "name": self.name, "trainable": self.trainable}
        config["origin"] = self.origin and asdict(self.origin)
        config["heads"] = [keras.saving.serialize_keras_object(head) for head in self.heads]
        config["recompute"] = self.recompute
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        origin, heads, recompute = config.pop("origin"), config.pop("heads"), config.pop("recompute", False)
        if not heads:
            return super().from_config({**config, "origin": origin, "recompute": recompute}, custom_objects)
        graph = keras.Model.from_config(dict(config), custom_objects)
        outputs, taps = graph.output
        heads = [keras.saving.deserialize_keras_object(head, custom_objects) for head in heads]
        return cls(
            graph.input,
            outputs[0] if len(outputs) == 1 else outputs,
            name=config["name"],
            trainable=config["trainable"],
            origin=origin,
            heads=list(zip(taps, heads, strict=True)),
            recompute=recompute,
        )

    def with_preprocess(self, preprocess: Preprocess) -> "Classifier":
        """Records what this model's input goes through, as after training on data normalized that way."""
        self.origin = replace(self.origin or Origin(row=self.name), preprocess=preprocess)
        return self


def allow_deep_graph(tensors: Sequence) -> None:
    """Raises Python's recursion limit as far as a graph needs: Keras walks graphs recursively, one call an operation.

    The one place where the limit is touched. It is not lowered again, since saving, cloning and loading walk the same
    graph. ResNet-1202 has about 4,200 operations; Python's default limit is 1,000.
    """
    seen, waiting = set(), [tensor._keras_history.operation for tensor in keras.tree.flatten(list(tensors))]
    while waiting:
        operation = waiting.pop()
        if id(operation) not in seen:
            seen.add(id(operation))
            for node in operation._inbound_nodes:
                waiting += [tensor._keras_history.operation for tensor in node.input_tensors]
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 3 * len(seen)))
