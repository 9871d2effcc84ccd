"""From a pretrained network to a classifier of other images."""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from kvision import data
from kvision.classifier import Classifier, Preprocess
from kvision.losses import SmoothedCrossentropy
from kvision.optimizers import LayerwiseRates, TorchSGD, Warmup, layer_groups, layerwise_decay, spared_from_decay
from kvision.training.callbacks.resume import Resume
from kvision.training.finetuning.head import new_head


class Finetuned(NamedTuple):
    """What `finetune` returns: the model, and its metrics of all epochs, those of the head first: name to list."""

    model: Classifier
    history: dict[str, list[float]]


def nesterov(rate) -> keras.optimizers.Optimizer:
    """SGD with Nesterov's momentum of 0.9 and a weight decay of 1e-4."""
    return TorchSGD(rate, 0.9, nesterov=True, weight_decay=1e-4)


def finetune(
    model: keras.Model,
    train: data.Split,
    validation: data.Split | None = None,
    *,
    head_epochs: int = 5,
    epochs: int = 20,
    batch_size: int = 32,
    head_rate: float = 0.1,
    rate: float = 0.01,
    warmup: float = 1.0,
    layer_decay: float = 1.0,
    optimizer: Callable[..., keras.optimizers.Optimizer] = nesterov,
    loss: keras.losses.Loss | str | None = None,
    crop: data.Augmentation | None = None,
    augment: Sequence[data.Augmentation] = (),
    size: tuple[int, int] | None = None,
    keep_head: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    run: str | os.PathLike | None = None,
    seed: int = 0,
    verbose="auto",
) -> Finetuned:
    """Trains a pretrained network for the classes of `train`: first a new head, then everything.

        model = kvision.applications.ResNet50(weights="imagenet")
        model, history = finetune(model, data.load("photos"), data.load("photos", "validation"), run="runs/photos")

    While a new head learns, the trunk is frozen and keeps every bit, moving statistics included: the gradients of a
    random head would only spoil it (Kumar et al., ICLR 2022, arXiv:2202.10054, who call the order LP-FT). Then a new
    optimizer warms up and trains everything at a smaller rate. Both rates fall along a cosine to 0.

    What pixels go through is what the model's origin says, or else the mean and deviation of `train`. The layers of the
    trunk are those of the model given, as `new_head` says.

    Args:
        model: a network that `new_head` takes, such as a row with published weights or a `.keras` file that was loaded.
        train, validation: as `kvision.data.load` returns them; the classes are those of `train`.
        head_epochs, epochs: of the head alone, and of everything after it; either may be 0.
        batch_size: images in a step.
        head_rate, rate: what the head starts at, and what everything does.
        warmup: epochs in which the rate of everything climbs from 0.
        layer_decay: the factor of the rate from group to group of layers, towards the input: see `layerwise_decay`.
        optimizer: makes one of a learning-rate schedule, such as `keras.optimizers.AdamW` (for which a rate of 1e-4 and
            a head_rate of 1e-3 are usual). Its weight decay, if it has one, spares what is no kernel.
        loss: by default the cross-entropy, of probabilities or logits, whichever the model gives.
        crop, augment: of the training images, as `data.training_batches` takes them.
        size: height and width of the images, by default those of the model's input or preprocessing.
        keep_head: whether the model's own head is for these classes, and goes on.
        callbacks: while everything trains. `Unfreeze` is one.
        run: a folder for the state of the last epoch. Called again with the same arguments and the model as it was, it
            goes on from there, or returns at once when all is done. None saves nothing.
        seed: of the new head, the order and the augmentation. Dropout's is drawn when the model is built.
        verbose: as `fit` takes it.

    Raises:
        ValueError: an argument out of its range; a model without a head, or to keep one for other classes; what
            `data.training_batches` raises; a `run` of another network.
    """
    if min(head_epochs, epochs) < 0 or min(head_rate, rate) <= 0 or warmup < 0:
        raise ValueError(
            "Epochs and `warmup` are not negative, rates are positive. Received: "
            f"head_epochs={head_epochs}, epochs={epochs}, head_rate={head_rate}, rate={rate}, warmup={warmup}"
        )
    classes = len(train.class_names)
    if not keep_head:
        model = new_head(model, classes, seed)
    elif model.output_shape[-1] != classes:
        raise ValueError(f"'{model.name}' has a head for {model.output_shape[-1]} classes, not for {classes}.")
    elif not isinstance(model, Classifier):
        model = Classifier(model.inputs[0], model.outputs[0], name=model.name)
    if model.input_shape[-1] != train.image_shape[-1]:
        raise ValueError(
            f"'{model.name}' takes images of {model.input_shape[-1]} channels. Received: images of "
            f"{train.image_shape[-1]} channels"
        )
    size, preprocess = _preprocess(model, train, size)
    steps = data.steps(train, batch_size)
    options = dict(steps_per_epoch=steps, shuffle=False, verbose=verbose)
    if validation is not None:
        options["validation_data"] = data.evaluation_batches(
            validation,
            batch_size,
            size=size,
            transform=preprocess,
            **(preprocess.resizing if size else {}),
        )
    factors = layerwise_decay(model, layer_decay) if layer_decay != 1 else None
    history = {}

    def fit(name, first, count, schedule, callbacks=(), factors=None):
        """One phase, from its start or from where it was interrupted."""
        resume = Resume(pathlib.Path(run) / name) if run is not None else None
        chosen = optimizer(schedule)
        chosen.exclude_from_weight_decay(var_list=spared_from_decay(model))
        chosen = LayerwiseRates(chosen, factors) if factors else chosen
        model.compile(chosen, loss or _loss(model), metrics=["accuracy"])
        batches = data.training_batches(
            train,
            batch_size,
            crop=crop,
            size=None if crop is not None else size,
            augment=augment,
            transform=preprocess,
            seed=seed,
            first_epoch=first + (resume.epochs if resume else 0),
        )
        kept = [resume] if resume else []
        with warnings.catch_warnings():
            # Keras's word for the end of a validation set that did not know its length: a folder.
            warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
            logs = model.fit(batches, epochs=count, callbacks=[*callbacks, *kept], **options).history
        for metric, values in (resume.history if resume else logs).items():
            history.setdefault(metric, []).extend(values)

    cosine = keras.optimizers.schedules.CosineDecay
    if head_epochs:
        with _frozen_trunk(model):
            fit("head", 0, head_epochs, cosine(head_rate, head_epochs * steps))
    if epochs:
        schedule = Warmup(cosine(rate, epochs * steps), round(warmup * steps))
        fit("everything", head_epochs, epochs, schedule, callbacks, factors)
    return Finetuned(model, history)


@contextlib.contextmanager
def _frozen_trunk(model):
    """Nothing but the last group of layers is trainable; afterwards everything is."""
    trunk = [layer for group in layer_groups(model)[:-1] for layer in group]
    for layer in trunk:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in trunk:
            layer.trainable = True


def _preprocess(model, train, size):
    """Height and width of the images, None where they have them already; and what pixels go through."""
    known = model.origin.preprocess if model.origin else None
    own = train.image_shape[:2]
    inner = tuple(model.input_shape[1:3])
    size = size or (inner if None not in inner else known.size if known and known.size else own)
    if None in size:
        raise ValueError("Neither the model nor the images have a size: pass size=(height, width).")
    resized = None if tuple(size) == own else tuple(size)
    if known is None:
        known = Preprocess(*data.pixel_statistics(train, resized), size=size)
        model.with_preprocess(known)
    return resized, known


def _loss(model):
    activation = getattr(model.outputs[0]._keras_history.operation, "activation", None)
    return SmoothedCrossentropy(0.0, from_logits=activation is keras.activations.linear)
