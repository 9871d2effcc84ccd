"""How a network was trained, as a record: what a paper's training section says, and how Keras is told."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras

from kvision.losses import LabelAccuracy
from kvision.optimizers import AdaptiveGradientClipping, Warmup, decays
from kvision.training.callbacks.plateau import ReduceOnPlateau
from kvision.training.callbacks.weight_average import WeightAverage
from kvision.training.recipes.augmentation import nothing, whole
from kvision.training.recipes.optimization import SGD, crossentropy, everything
from kvision.training.recipes.schedules import KerasSchedule, Plateau, Schedule

WARMUP = 5  # epochs of Goyal et al.


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way of training. `kvision.training.get_recipe` has those of the papers, and `dataclasses.replace` makes others.

        recipe = dataclasses.replace(get_recipe("ResNet"), smoothing=0.1)
        recipe = recipe.compile(model, batch=1024, epochs=60, steps_per_epoch=steps)
        model.fit(batches, steps_per_epoch=steps, epochs=recipe.whole_epochs, callbacks=recipe.callbacks(), ...)

    Args:
        name: by which it is found.
        month: of first publication, as "2015-12".
        source: paper and section.
        images: in an epoch: those of the paper's training set.
        batch: images in a step, of all workers together.
        epochs: passes over the images, with a fraction where the paper counts steps.
        rate: the learning rate for that batch, after the warmup and before it falls.
        schedule: how it falls, a record such as `Steps(at=(30, 60, 80))`.
        warmup: epochs in which the rate is lower.
        start: the rate of the first step of the warmup.
        gradual: whether it climbs from there, step by step; otherwise it stays until the warmup is over.
        optimizer: `SGD()`, `RMSprop()` or `Adam()`.
        momentum: in [0, 1), of SGD and RMSprop; Adam's beta_1.
        decay: of the weights, in the optimizer's own convention: SGD adds `decay * W` to the gradient of W.
        decayed: tells of a variable whether it decays: `everything`, `all_but_normalization`, `kernels`.
        loss: `crossentropy`, `margin` or `quadratic`.
        smoothing: of the labels, in [0, 1), for the cross-entropy.
        crop: of a size, the layer that brings images of any size to it, or None: they have it.
        augment: of the number of classes, the layers that are applied to batches.
        clipnorm: bound of the norm of the whole gradient, or None.
        clipping: ratio of norms of adaptive gradient clipping, which spares the last layer, or None.
        average: decay of a moving average of the weights that is kept in their place, or None.

    Raises:
        ValueError: a field out of its range, a schedule that does not fit into the epochs, or label smoothing where the
            loss has none.
    """

    name: str
    month: str
    source: str
    images: float
    batch: int
    epochs: float
    rate: float
    schedule: Schedule
    warmup: float = 0.0
    start: float = 0.0
    gradual: bool = True
    optimizer: Callable[..., keras.optimizers.Optimizer] = SGD()
    momentum: float = 0.9
    decay: float = 0.0
    decayed: Callable[[keras.Variable], bool] = everything
    loss: Callable[[float], keras.losses.Loss] = crossentropy
    smoothing: float = 0.0
    crop: Callable = whole
    augment: Callable[[int], list] = nothing
    clipnorm: float | None = None
    clipping: float | None = None
    average: float | None = None

    def __post_init__(self):
        self._check("above 0", lambda value: value > 0, "images", "batch", "epochs", "rate")
        self._check("0 or more", lambda value: value >= 0, "warmup", "start", "decay")
        self._check("in [0, 1)", lambda value: 0 <= value < 1, "momentum", "smoothing")
        self._check("None or above 0", lambda value: value is None or value > 0, "clipnorm", "clipping")
        self._check("None or in (0, 1)", lambda value: value is None or 0 < value < 1, "average")
        self._check(f"below the {self.epochs:g} epochs", lambda value: value < self.epochs, "warmup")
        self._check(f"up to the rate, {self.rate:g}", lambda value: value <= self.rate, "start")
        if self.loss is not crossentropy:
            self._check(f"0 for the loss {_name(self.loss)}", lambda value: value == 0, "smoothing")
        self.schedule.check(self.epochs)

    def _check(self, range_: str, holds: Callable[[float], bool], *names: str) -> None:
        for name in names:
            if not holds(value := getattr(self, name)):
                raise ValueError(f"{self.name}: `{name}` is {range_}. Received: {value!r}")

    @property
    def steps_per_epoch(self) -> float:
        """With a fraction, so that drops come after as many steps as in the paper."""
        return self.images / self.batch

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return round(self.epochs * self.steps_per_epoch)

    @property
    def whole_epochs(self) -> int:
        """For `model.fit(epochs=...)`, which takes no fractions."""
        return math.ceil(round(self.epochs, 6))

    def adapted(
        self,
        *,
        batch: int | None = None,
        steps_per_epoch: float | None = None,
        epochs: float | None = None,
        workers: int = 1,
    ) -> "Recipe":
        """The recipe for another batch, another data set or another length.

        With another batch the rate is scaled in proportion (Goyal et al., arXiv:1706.02677, section 2.1: a rule for
        SGD). If the batch grows, and the recipe has no warmup, its own rate climbs to the scaled one in 5 epochs, step
        by step (section 2.2). With other epochs, drops and warmup move in proportion.

        Args:
            batch: images in a step of each worker; by default the workers share the recipe's.
            steps_per_epoch: of the images that there are; by default as many as the paper's, `images / batch`.
            epochs: passes over the images.
            workers: how many train together.

        Raises:
            ValueError: a number that is not above 0.
        """
        given = {"batch": batch, "steps_per_epoch": steps_per_epoch, "epochs": epochs, "workers": workers}
        for name, value in given.items():
            if value is not None and value <= 0:
                raise ValueError(f"`{name}` is above 0. Received: {value!r}")
        recipe = self if batch is None else self._for_batch(batch * workers)
        if epochs is not None:
            by = epochs / self.epochs
            schedule = recipe.schedule.stretched(by)
            recipe = replace(recipe, epochs=epochs, warmup=by * recipe.warmup, schedule=schedule)
        if steps_per_epoch is not None:
            recipe = replace(recipe, images=steps_per_epoch * recipe.batch)
        return recipe

    def _for_batch(self, batch: int) -> "Recipe":
        rate = self.rate * batch / self.batch
        if batch <= self.batch or self.warmup:
            return replace(self, batch=batch, rate=rate, start=min(self.start, rate))
        warmup = min(WARMUP, self.epochs / 2)
        return replace(self, batch=batch, rate=rate, warmup=warmup, start=self.rate, gradual=True)

    def compile(
        self,
        model: keras.Model,
        *,
        batch: int | None = None,
        steps_per_epoch: float | None = None,
        epochs: float | None = None,
        workers: int = 1,
        metrics: Sequence = ("accuracy",),
        jit_compile: bool | str = "auto",
    ) -> "Recipe":
        """Compiles a model, built and with probabilities as outputs, for `fit`; by default as the paper had it.

        Args:
            model: as rows of `kvision.applications` build it.
            batch, steps_per_epoch, epochs, workers: see `adapted`.
            metrics: as `model.compile` takes them; "accuracy" takes class ids and mixtures.
            jit_compile: as `model.compile` takes it.

        Returns:
            The adapted recipe, whose epochs and callbacks are those of this training.

        Raises:
            ValueError: the model is not built, or gives logits; on the numbers see `adapted`.
        """
        recipe = self.adapted(batch=batch, steps_per_epoch=steps_per_epoch, epochs=epochs, workers=workers)
        if self.loss is crossentropy and getattr(model.layers[-1], "activation", None) is keras.activations.linear:
            raise ValueError(
                f"{model.name!r} gives logits, and recipes train probabilities. Build it with "
                "`classifier_activation='softmax'`."
            )
        model.compile(
            recipe.optimizer_for(model),
            recipe.loss(recipe.smoothing),
            metrics=[LabelAccuracy() if metric == "accuracy" else metric for metric in metrics],
            jit_compile=jit_compile,
        )
        return recipe

    def optimizer_for(self, model: keras.Model) -> keras.optimizers.Optimizer:
        """The optimizer alone, for a model that is built.

        Raises:
            ValueError: the model is not built.
        """
        if not model.trainable_variables:
            raise ValueError(f"The model {model.name!r} has no variables to train: build it first.")
        rate = self.learning_rate()
        if isinstance(self.schedule, Plateau):  # a callback changes it, which needs a number
            rate = self.rate_at(0)
        optimizer = self.optimizer(rate, self.momentum, weight_decay=self.decay or None, global_clipnorm=self.clipnorm)
        spared = [variable for variable in model.trainable_variables if not self.decayed(variable)]
        if self.decay and spared:
            optimizer.exclude_from_weight_decay(var_list=spared)
        if self.clipping is None:
            return optimizer
        return AdaptiveGradientClipping(optimizer, self.clipping, exclude=_head(model).trainable_variables)

    def learning_rate(self) -> KerasSchedule | float:
        """The Keras schedule of the steps, warmup included, or a number if the rate stays.

        Where it falls by validation this is the rate before the first drop.
        """
        delay = self.schedule.after_warmup
        rate = self.schedule(self.rate, self.steps_per_epoch, self.epochs - self.warmup * delay)
        steps = round(self.warmup * self.steps_per_epoch)
        return Warmup(rate, steps, self.start, self.gradual, delay) if steps else rate

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs, for plots and tests; see `learning_rate`."""
        rate = self.learning_rate()
        return float(rate(round(epoch * self.steps_per_epoch))) if callable(rate) else rate

    def callbacks(self, model: keras.Model | None = None) -> list:
        """What `fit` needs beside the optimizer: for rates that fall by validation, and for averaged weights.

        Args:
            model: if it is given, it is checked that this very recipe compiled it.

        Raises:
            ValueError: the model was compiled with another rate, as by `compile(batch=...)`, which returns the recipe
                to ask.
        """
        found = []
        if isinstance(self.schedule, Plateau):
            compiled = self.rate_at(0)
            if model is not None:
                compiled = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
            if not math.isclose(compiled, self.rate_at(0), rel_tol=1e-5):
                raise ValueError(
                    f"{model.name!r} was compiled with the rate {compiled:g}, {self.name} starts with "
                    f"{self.rate_at(0):g}. Ask the recipe that `compile` returned for its callbacks."
                )
            found.append(ReduceOnPlateau(self.learning_rate(), **vars(self.schedule)))
        if self.average is not None:
            found.append(WeightAverage(self.average))
        return found

    def __str__(self):
        lines = {
            "images": f"{self.images:,.0f}, in batches of {self.batch:,}",
            "length": f"{self.epochs:.6g} epochs, {self.steps:,} steps",
            "rate": f"{self.rate:g}, {self.schedule}",
            "warmup": self.warmup and f"{self.warmup:.3g} epochs {'from' if self.gradual else 'of'} {self.start:g}",
            "optimizer": f"{self.optimizer}, momentum {self.momentum:g}",
            "decay": self.decay and f"{self.decay:g} of {_name(self.decayed)}",
            "loss": _name(self.loss),
            "smoothing": self.smoothing,
            "crop": _name(self.crop),
            "augmentation": _name(self.augment),
            "clipping": self.clipping and f"adaptive, {self.clipping:g}",
            "norm": self.clipnorm and f"of the gradient, {self.clipnorm:g} at most",
            "average": self.average and f"of the weights, {self.average}",
        }
        shown = [f"  {name:12}  {line}" for name, line in lines.items() if line]
        return "\n".join([f"{self.name} ({self.month}): {self.source}", *shown])


def _name(hole) -> str:
    """A function by its name, a record as it prints."""
    return hole.__name__.replace("_", " ") if hasattr(hole, "__name__") else str(hole)


def _head(model: keras.Model) -> keras.layers.Layer:
    """The last layer that has a kernel: the classifier."""
    return next(layer for layer in reversed(model.layers) if any(map(decays, layer.trainable_variables)))
