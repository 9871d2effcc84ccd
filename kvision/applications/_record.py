"""The rows: frozen records of a paper, its figures, its checkpoints, and its network, which is built by calling it."""

import csv
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import keras

from kvision.applications import _weights
from kvision.applications._weights import Weights
from kvision.blocks.bind import describe
from kvision.blocks.head import pool, pool_and_classify
from kvision.classifier import Classifier, Origin, Preprocess, TrainingHead


@dataclass(frozen=True)
class Paper:
    """A publication. `month` is that of first publication (arXiv, else venue), as "2015-12"."""

    title: str
    authors: tuple[str, ...]
    venue: str
    month: str
    arxiv: str | None = None


@dataclass(frozen=True)
class Reported:
    """A figure that the authors printed: never a claim about any weights that kvision loads or trains."""

    metric: str
    value: float
    protocol: str
    where: str


@dataclass(frozen=True)
class Auxiliary:
    """A classifier that only training sees.

    Args:
        after: the layer whose output it reads.
        classify: `classify(x, classes, activation)`: class scores `(B, classes)` of that output.
        weight: of its loss in the total.
    """

    after: str
    classify: Callable
    weight: float = 0.3

    def head(self, network: keras.Model, classes: int, activation) -> tuple[Any, TrainingHead]:
        """The tensor that it reads, and what reads it."""
        tensor = network.get_layer(self.after).output
        inputs = keras.Input(tensor.shape[1:], name=f"{self.after}.tapped")
        branch = keras.Model(inputs, self.classify(inputs, classes, activation))
        return tensor, TrainingHead(branch, self.weight, name=f"{self.after}.head")


@dataclass(frozen=True)
class Architecture:
    """A recipe. A family subclasses it with its fields and writes `features`."""

    @property
    def positions(self) -> tuple[int, ...]:
        """What stands between batch and classes in the output: nothing, or (5,) where five digits are read at once."""
        return ()

    @property
    def fixed_size(self) -> bool:
        """Whether weights depend on the size of the image, so that no part of the network takes any other."""
        return False

    def features(self, x):
        """The last feature map `(B, H', W', C')`, or tokens `(B, N, C')`, of an image `(B, H, W, C)`."""
        raise NotImplementedError

    def pool_features(self, x, pooling: str):
        """The average (`"avg"`) or maximum (`"max"`) of what `features` gives: `(B, C')`."""
        return pool(x, pooling)

    def classifier(self, x, classes: int, activation):
        """Class scores `(B, *positions, classes)` of the last feature map."""
        return pool_and_classify(x, classes, activation)

    def auxiliaries(self) -> tuple[Auxiliary, ...]:
        """What only training sees: `Auxiliary`s, or others with such a `head`."""
        return ()


@dataclass(frozen=True)
class Variant:
    """One network of a family: a row of data that builds itself when called.

    Args:
        name: the public name.
        architecture: the recipe with this row's numbers.
        paper: where it comes from.
        params: trainable scalars, exact (Keras's `count_params()` adds the moving statistics).
        macs: multiply-adds of one image of `input_shape`, exact.
        input_shape: height, width and channels that the paper trains or tests at.
        classes: of its classification layer.
        preprocess: the paper's, for rows without published weights.
        scores: what the top gives for the classes: "probabilities", which `classifier_activation` makes of logits and
            which sum to 1, or "lengths" of capsules, each a probability of its own.
        reported: the authors' figures.
        weights: published checkpoints; the first is what `weights="imagenet"` means: the best one, by its publisher's
            figure, of those whose license allows general use and that can be fetched, at the row's size where that is
            fixed.
        lineages: conventions that local files may follow, of which nothing is published for this network.
    """

    name: str
    architecture: Architecture
    paper: Paper
    params: int
    macs: int
    input_shape: tuple[int, int, int] = (224, 224, 3)
    classes: int = 1000
    preprocess: Preprocess | None = None
    scores: str = "probabilities"
    reported: tuple[Reported, ...] = ()
    weights: tuple[Weights, ...] = ()
    lineages: tuple[Weights, ...] = ()

    def __call__(
        self,
        include_top: bool = True,
        weights: str | pathlib.Path | None = None,
        input_tensor=None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | Callable | None = "softmax",
        name: str | None = None,
        *,
        lineage: str | None = None,
        new_head: bool = False,
        recompute: bool = False,
        **changes,
    ) -> Classifier:
        """Builds the network: `keras.applications`' arguments in their order, then changes to the recipe.

        Args:
            include_top: whether to end in class scores `(B, classes)`; else in the last feature map.
            weights: None (random initialization), "imagenet" (the row's first published weights), a tag of one of
                the row's weights, or a path to a `.safetensors`, `.npz`, `.keras` or `.weights.h5` file. Published
                ones are downloaded once, into the Hugging Face cache, and checked.
            input_tensor: a Keras tensor to build upon, `(B, H, W, C)`.
            input_shape: `(H, W, C)`, where H and W may be None. By default the row's own with the top, and any height
                and width without it; for a network of a fixed size that of its weights' preprocessing, else the row's.
            pooling: without the top, None for the feature map `(B, H', W', C')` or the tokens `(B, N, C')`, "avg" or
                "max" for `(B, C')`.
            classes: width of the top; by default the row's own.
            classifier_activation: of the top; None gives logits.
            name: of the model; by default the row's in lower case.
            lineage: the tag of the row's weights whose conventions a local file follows, and whose changes are taken.
            new_head: leaves the classification layer of the weights out: the network's own, of any number of classes,
                starts from random values.
            recompute: True keeps few of a training step's intermediate results and computes the others again: the same
                network and the same steps, in less memory and more time.
            **changes: fields of the recipe, such as `stride_first=False`.

        Raises:
            ValueError: an argument out of its range, contradictory shapes, weights that are unknown, corrupt or do not
                fit, or a network too short to save memory by recomputation.
            FileNotFoundError: published weights that are not on this machine and cannot be fetched.
            TypeError: a change that the recipe does not have.
        """
        checkpoint = _weights.resolve(self.name, self.weights, self.lineages, weights, lineage, changes)
        if classes is None:
            classes = (checkpoint.published and checkpoint.row.classes) or self.classes
        _check_arguments(pooling, classes)
        changes = _weights.merge_changes(self.name, checkpoint.row, changes)
        if checkpoint.published and include_top and not new_head:
            _check_published_top(self, checkpoint.row, weights, classes, classifier_activation)
        architecture = self._change(changes)
        preprocess = checkpoint.row.preprocess if checkpoint.row and checkpoint.label else None
        default = self.input_shape if include_top else (None, None, self.input_shape[2])
        if architecture.fixed_size:
            default = (*(preprocess and preprocess.size or self.input_shape[:2]), self.input_shape[2])
        inputs, x = _inputs(default, input_tensor, input_shape)
        preprocess = preprocess and preprocess.for_channels(x.shape[-1])
        x = architecture.features(x)
        if include_top:
            x = architecture.classifier(x, classes, classifier_activation)
        elif pooling is not None:
            x = architecture.pool_features(x, pooling)
        origin = Origin(
            row=self.name,
            weights=checkpoint.label,
            changes={
                key: value if _plain(value) else describe(value)
                for key, value in changes.items()
                if value != getattr(self.architecture, key)
            },
            preprocess=preprocess,
            lineage=self._lineage(architecture, checkpoint.row),
        )
        heads = []
        if include_top and (auxiliaries := architecture.auxiliaries()):
            network = keras.Model(inputs, x)
            heads = [auxiliary.head(network, classes, classifier_activation) for auxiliary in auxiliaries]
        model = Classifier(inputs, x, name=name or self.name.lower(), origin=origin, heads=heads, recompute=recompute)
        if revision := checkpoint.load(model, self.name, architecture.fixed_size, include_top, new_head):
            model.origin = replace(model.origin, revision=revision)
        return model

    def _lineage(self, architecture: Architecture, asked: Weights | None) -> dict[str, Any] | None:
        """The PyTorch lineage of a network of that recipe: the one asked for, else the first that computes the same."""
        for weights in (*([asked] if asked else []), *self.weights, *self.lineages):
            if weights.layout == "torch" and replace(architecture, **weights.changes) == architecture:
                theirs = self._change(weights.changes)
                if all(
                    _alike(field.name, getattr(theirs, field.name), getattr(architecture, field.name))
                    for field in fields(theirs)
                ):
                    return weights.plain()
        return None

    def _change(self, changes: Mapping[str, Any]) -> Architecture:
        known = [field.name for field in fields(self.architecture)]
        for key in changes:
            if key not in known:
                raise TypeError(
                    f"{self.name}() got an unexpected keyword argument {key!r}. "
                    f"Its recipe {type(self.architecture).__name__} has: {', '.join(known)}"
                )
        return replace(self.architecture, **changes)

    def preprocessing(self, weights: str = "imagenet") -> Preprocess:
        """The preprocessing of one of the row's weights; the paper's own where the row has none.

        Raises:
            ValueError: no such weights.
        """
        if not self.weights and weights == "imagenet" and self.preprocess is not None:
            return self.preprocess
        return _weights.find(self.name, self.weights + self.lineages, weights).preprocess

    def preprocess_input(self, x, weights: str = "imagenet"):
        """Pixels `(..., H, W, C)` in [0, 255], uint8 or float, array or tensor, to a new float32 network input."""
        return self.preprocessing(weights)(x)

    def decode_predictions(self, preds, top: int = 5) -> list[list[tuple[str, str, float]]]:
        """The `top` classes of each row of `preds` `(B, 1000)` as (WordNet id, class name, score), best first.

        Raises:
            ValueError: the row is not an ImageNet classifier, or `preds` has another shape.
        """
        if self.classes != 1000:
            raise ValueError(
                f"`decode_predictions` names the 1,000 ImageNet classes. {self.name} has {self.classes} classes."
            )
        preds = keras.ops.convert_to_numpy(preds)
        if preds.ndim != 2 or preds.shape[1] != 1000:
            raise ValueError(
                "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, 1000)). "
                f"Received array with shape: {preds.shape}"
            )
        names = imagenet_classes()
        return [[(*names[i], float(row[i])) for i in (-row).argsort(kind="stable")[:top]] for row in preds]

    def __str__(self):
        height, width, channels = self.input_shape
        lines = [
            f"{self.name}: {self.params:,} parameters, {self.macs:,} multiply-adds at {height}x{width}x{channels}",
            f"  {self.paper.title} ({self.paper.venue}, {self.paper.month})",
        ]
        lines += [f"  reported: {r.value} {r.metric}, {r.protocol} ({r.where})" for r in self.reported]
        lines += [f"  weights: {weights}" for weights in self.weights]
        lines += [f"  lineage of local files: {weights.source}" for weights in self.lineages]
        return "\n".join(lines)


def _plain(value) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _alike(field: str, theirs, ours) -> bool:
    """Whether a field of two recipes is the same, or differs as that of a larger network or of other training would."""
    sizes = all(type(size) is int for value in (theirs, ours) for size in keras.tree.flatten(value))
    return theirs == ours or sizes or "drop" in field or field == "aux"


def _check_arguments(pooling, classes) -> None:
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "kvision builds for `channels_last` images. Received: keras.config.image_data_format() == "
            f"{keras.config.image_data_format()!r}; call keras.config.set_image_data_format('channels_last')."
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"`pooling` is None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` is an integer of at least 1. Received: classes={classes!r}")


def _check_published_top(row: Variant, published: Weights, weights, classes: int, activation) -> None:
    own = row.classes if published.classes is None else published.classes
    if not own:
        raise ValueError(
            f"The weights {published.source!r} of {row.name} have no classification layer. Pass include_top=False, or "
            "new_head=True for a layer that starts from random values."
        )
    if classes != own:
        raise ValueError(
            f"If using `weights={weights!r}` with `include_top=True`, `classes` should be {own}. "
            f"Received classes={classes}; new_head=True leaves the weights' own classification layer out."
        )
    if activation not in (None, "softmax"):
        raise ValueError(
            "Only `None` and `softmax` activations are allowed for the `classifier_activation` argument when using "
            f"pretrained weights, with `include_top=True`; Received: classifier_activation={activation!r}"
        )


def _inputs(default, tensor, shape):
    """The model's inputs, of a default shape if none is given, and the tensor that the network starts from."""
    if shape is not None:
        shape = tuple(shape)
        if len(shape) != 3 or any(size is not None and (not isinstance(size, int) or size < 1) for size in shape):
            raise ValueError(f"`input_shape` must be a tuple of three integers. Received: input_shape={shape}")
        if shape[2] is None:
            raise ValueError(f"`input_shape` must name its number of channels. Received: input_shape={shape}")
    if tensor is None:
        inputs = keras.Input(default if shape is None else shape)
        return inputs, inputs
    if not keras.utils.is_keras_tensor(tensor):
        raise ValueError(f"`input_tensor` is a Keras tensor, such as keras.Input gives. Received: {type(tensor)}")
    if len(tensor.shape) != 4 or tensor.shape[-1] is None:
        raise ValueError(f"`input_tensor` has shape (B, H, W, C) with known C. Received: {tensor.shape}")
    if shape is not None and tuple(tensor.shape[1:]) != shape:
        raise ValueError(
            f"`input_shape` contradicts `input_tensor`. Received: input_shape={shape} and input_tensor of shape "
            f"{tuple(tensor.shape)}"
        )
    sources = keras.utils.get_source_inputs(tensor)
    return sources[0] if len(sources) == 1 else sources, tensor  # of a list Keras warns when it gets an array


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """WordNet id and name of the 1,000 classes of ILSVRC-2012, in the order of the published checkpoints."""
    path = pathlib.Path(__file__).with_name("imagenet.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return tuple((wordnet, name) for wordnet, name in csv.reader(file))
