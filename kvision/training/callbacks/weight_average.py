"""Weights averaged over the steps of training, beside those that are trained."""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops


class WeightAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average of the weights, and evaluates it beside them.

        average = WeightAverage(0.9999)
        model.fit(batches, epochs=90, validation_data=validation, callbacks=[average, Resume("runs/a/state")])
        with average.applied():
            model.evaluate(test)
        kvision.export.savedmodel(average.averaged_model(), "served/1")

    After each update of the weights `average = decay * average + (1 - decay) * weight`, from the weights as they are
    when training begins (NFNets: 0.99999 at a batch of 4096, Brock et al., arXiv:2102.06171). The moving means and
    variances of batch normalization are averaged with them, since the statistics of other weights are of no use to
    them. Frozen weights are as they are. Another `fit` of the same model goes on averaging.

    Keras's optimizers have `use_ema`, which averages trainable variables only and leaves them the statistics of the
    last weights, and writes the averages over the trained weights when `fit` ends, so that no training goes on from
    there. Here it is the same with and without.

    Steps in which the optimizer updates nothing do not count: those that accumulate gradients, and those that a
    `LossScaleOptimizer` leaves out. Averages are float32 where weights are half precision.

    Where `fit` validates, the averages are validated too, on the same data, as `val_loss_average` and so on. Callbacks
    that read these come after this one, and are told `mode="min"` or `"max"`. `Resume` keeps the averages.

    Where several replicas train, averages of moving statistics become their means over the replicas after each epoch,
    as the statistics do by `distribution.SharedStatistics`, which comes before this one.

    Args:
        decay: in [0, 1).
        warmup: whether the decay of update t = 0, 1, 2, ... is at most (1 + t) / (10 + t), so that the first weights
            are forgotten sooner.

    Raises:
        ValueError: a decay out of its range; when `fit` begins, a model that is not built, or one with
            `steps_per_execution` above 1, whose weights are not seen after every step; the averages are asked for and
            there are none.
    """

    def __init__(self, decay: float, warmup: bool = False):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` lies in [0, 1). Received: {decay}")
        self.decay, self.warmup = float(decay), bool(warmup)
        self._pairs: list[tuple[keras.Variable, keras.Variable]] = []  # weights and their averages
        self._updates = 0

    @contextlib.contextmanager
    def applied(self) -> Iterator[keras.Model]:
        """Within, the model has the averaged weights. Afterwards it has its own again, bit for bit."""
        own = [ops.convert_to_numpy(weight) for weight, _ in self._averages()]
        try:
            for weight, average in self._pairs:
                weight.assign(average)
            yield self.model
        finally:
            for (weight, _), value in zip(self._pairs, own, strict=True):
                weight.assign(value)

    def averaged_model(self) -> keras.Model:
        """A copy of the model that has the averaged weights, and its origin if it is a `Classifier`; not compiled."""
        averages = {id(weight): average for weight, average in self._averages()}
        copy = type(self.model).from_config(self.model.get_config())
        copy.set_weights([averages.get(id(weight), weight) for weight in self.model.weights])
        return copy

    def save_own_variables(self, store) -> None:
        """Of all averages and counts, for `Resume`."""
        store["updates"] = self._updates
        for index, (_, average) in enumerate(self._pairs):
            store[str(index)] = ops.convert_to_numpy(average)

    def load_own_variables(self, store) -> None:
        """What `save_own_variables` stored.

        Raises:
            ValueError: it is of other weights.
        """
        if len(store) != len(self._pairs) + 1:
            raise ValueError(f"it has the averages of {len(store) - 1} weights, the model has {len(self._pairs)}")
        self._updates = int(store["updates"][()])
        for index, (_, average) in enumerate(self._pairs):
            average.assign(store[str(index)][()])

    def on_train_begin(self, logs=None):
        if self.model.steps_per_execution != 1:
            raise ValueError(
                "WeightAverage sees the weights after every step of a model that is compiled with "
                f"steps_per_execution=1. Received: {self.model.steps_per_execution}"
            )
        if not self.model.built:
            raise ValueError(f"The weights of {self.model.name!r} do not exist yet: give it an input shape.")
        known, weights = {id(pair[0]): pair for pair in self._pairs}, _averaged(self.model)
        if list(known) != [id(weight) for weight in weights]:
            if not any(id(weight) in known for weight in weights):  # of another model
                self._updates = 0
            strategy = _strategy(self.model)
            with strategy.scope() if strategy else contextlib.nullcontext():
                self._pairs = [known.get(id(weight)) or (weight, _begun(weight)) for weight in weights]
            self._update, self._share = _update(self._pairs, strategy), _share(self._pairs, strategy)
        self._seen = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._seen is None:  # by now the optimizer is restored, if it is
            self._seen = int(ops.convert_to_numpy(self.model.optimizer.iterations))

    def on_train_batch_end(self, batch, logs=None):
        seen = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        if seen != self._seen:
            decay = min(self.decay, (1 + self._updates) / (10 + self._updates)) if self.warmup else self.decay
            self._update(ops.convert_to_tensor(1 - decay, "float32"))
            self._updates, self._seen = self._updates + 1, seen

    def on_epoch_end(self, epoch, logs=None):
        self._share()
        if not any(name.startswith("val_") for name in logs or {}):
            return
        with self.applied():  # on the batches that `fit` keeps for validation
            found = self.model.evaluate(return_dict=True, verbose=0, _use_cached_eval_dataset=True)
        logs.update({f"val_{name}_average": value for name, value in found.items()})

    def _averages(self):
        if not self._pairs:
            raise ValueError("There are no averages before `fit`.")
        return self._pairs


def _averaged(model: keras.Model) -> list[keras.Variable]:
    """What is averaged: the trainable weights and the moving statistics of batch normalization."""
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    return model.trainable_variables + [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]


def _begun(weight: keras.Variable) -> keras.Variable:
    dtype = keras.backend.result_type(weight.dtype, "float32")
    return keras.Variable(ops.cast(weight, dtype), trainable=False, dtype=dtype, name=f"{weight.name}_average")


def _strategy(model: keras.Model):
    """How its replicas share the work; None where there is one."""
    strategy = getattr(model, "distribute_strategy", None)  # on the TensorFlow backend
    return strategy if strategy and strategy.num_replicas_in_sync > 1 else None


def _update(pairs: list[tuple[keras.Variable, keras.Variable]], strategy) -> Callable:
    """The function of the share of the weights, `1 - decay`, that updates their averages."""

    def update(share):
        for weight, average in pairs:
            share = ops.cast(share, average.dtype)
            average.assign(average + (ops.cast(weight, average.dtype) - average) * share)

    if keras.backend.backend() != "tensorflow":
        return update
    import tensorflow as tf

    if strategy:  # XLA would look for the variables of all replicas on the first one's device
        return tf.function(lambda share: strategy.run(update, (share,)), autograph=False)
    # XLA reads each once and writes in place: a third of the time that the operations take one by one.
    return tf.function(update, autograph=False, jit_compile=True)


def _share(pairs: list[tuple[keras.Variable, keras.Variable]], strategy) -> Callable:
    """The function that makes the averages the same on all replicas: those of moving statistics are not."""
    if strategy is None:
        return lambda: None
    from kvision.training.distribution import shared

    return shared(strategy, [average for weight, average in pairs if not weight.trainable])
