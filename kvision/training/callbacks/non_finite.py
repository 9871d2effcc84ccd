"""Training that breaks says where."""

import contextlib
import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops


class NonFiniteError(ArithmeticError):
    """A value of training is infinite or not a number; the message says where it was first.

    Attributes:
        epoch: counted from 1.
        step: of the epoch, counted from 1; None at its end.
        layer: the name of the first layer with such an output, or None.
        variable: the path of the first variable with such a value or gradient, or None.
    """

    def __init__(self, message, epoch, step=None, layer=None, variable=None):
        super().__init__(message)
        self.epoch, self.step, self.layer, self.variable = epoch, step, layer, variable


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops training at the first batch whose loss is not finite, and finds out where that came from.

        model.fit(batches, epochs=90, callbacks=[StopOnNonFinite(), Resume("runs/a/state")])

    The step does not update the weights: the batch goes through the network once more, layer by layer, and the error
    names the first layer with an output that is not finite. After each epoch the weights are looked at, too, so that
    `Resume` never saves a broken state.

    Gradients that are not finite are no reason to stop: under mixed_float16 Keras's `LossScaleOptimizer` leaves out
    their steps until its scale is small enough. Without it they break the weights, and the next loss tells.

    Costs a comparison in each step, whose loss Keras has read already; each `fit` is traced anew. With
    `steps_per_execution` above 1 the steps are executed one by one, and nothing is gained by it. Where several replicas
    train, the weights are updated all the same, and the error names the step alone.

    Raises:
        NonFiniteError: from `fit`.
        NotImplementedError: on other backends than TensorFlow.
    """

    def __init__(self):
        super().__init__()
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError("StopOnNonFinite needs the training step of Keras's TensorFlow backend.")

    def on_train_begin(self, logs=None):
        model = self.model
        self._alone = model.distribute_strategy.num_replicas_in_sync == 1
        if self._alone:
            _guard(model.optimizer)
            model.make_train_function(force=True)
            self._train, self._train_batch = model.train_function, None
            model.train_function = self._watched

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1

    def on_train_batch_begin(self, batch, logs=None):
        self._step = batch

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):  # the mean of the epoch so far
            where, layer, variable, step = "The weights have been updated with it.", None, None, batch + 1
            if self._alone:
                (where, layer, variable), step = _look_for_it(self.model, self._batch), self._step
            message = f"The loss is {logs['loss']} in epoch {self._epoch}, step {step} (counted from 1). {where}"
            self._stop(message, step, layer, variable)

    def on_epoch_end(self, epoch, logs=None):
        for weight in self.model.weights:
            if not _finite(weight):
                message = f"After epoch {self._epoch} {weight.path!r} is not finite. Its last update made it so."
                self._stop(message, variable=weight.path)

    def on_train_end(self, logs=None):
        if self._alone:
            del self.model.optimizer.apply, self.model.optimizer.scale_loss
            self.model.train_function = None

    def _stop(self, message, step=None, layer=None, variable=None):
        self.on_train_end()
        raise NonFiniteError(message, self._epoch, step, layer, variable)

    def _watched(self, iterator):
        """In the place of the model's `train_function`: each batch comes here before it goes there."""
        import tensorflow as tf

        if self._train_batch is None:
            self._train_batch = lambda batch: self._train(iter([batch]))
            if not self.model.run_eagerly:  # traced for batches of any size, as Keras does inside of its iterator
                spec = [iterator.element_spec]
                self._train_batch = tf.function(self._train_batch, input_signature=spec, autograph=False)
        logs = None
        for batch in itertools.islice(iterator, self.model.steps_per_execution):
            self._batch, self._step, logs = batch, self._step + 1, self._train_batch(batch)
            if not math.isfinite(logs["loss"]):
                break
        if logs is None:
            raise StopIteration  # as Keras's own at the end of the data
        return logs


def _guard(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes an optimizer leave out the steps whose loss is not finite, until the two attributes are deleted."""
    scale_loss, apply = optimizer.scale_loss, optimizer.apply
    finite = []

    def watched(loss):
        finite[:] = [ops.isfinite(loss)]
        return scale_loss(loss)

    def guarded(grads, trainable_variables=None):
        if not finite:  # a `train_step` of one's own, which does not show its loss
            return apply(grads, trainable_variables)
        if not optimizer.built:  # variables cannot be made inside of a condition
            optimizer.build(trainable_variables)
        return ops.cond(finite.pop(), lambda: apply(grads, trainable_variables), lambda: None)

    optimizer.scale_loss, optimizer.apply = watched, guarded


def _look_for_it(model: keras.Model, batch) -> tuple[str, str | None, str | None]:
    """What to tell about a batch with a loss that is not finite, the name of the layer, the path of the variable."""
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    for what, tensors in (("images", x), ("labels", y), ("sample weights", sample_weight)):
        for tensor in keras.tree.flatten(tensors):
            if tensor is not None and not _finite(tensor):
                values = np.asarray(tensor)
                bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
                places = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
                return f"The {what} at {places} of the batch are not finite.", None, None

    def loss():
        outputs = model(x, training=True)
        return model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=True)

    with _first_non_finite_output(model) as found:
        loss()
    if found:
        layer, count, size = found[0]
        text = f"The first output that is not finite is that of the layer {layer.name!r} ({type(layer).__name__})"
        text += f", in {count} of {size} values"
        broken = next((w.path for w in getattr(layer, "trainable_weights", ()) if not _finite(w)), None)
        why = f": its weight {broken!r} is not finite since an earlier step" if broken else ", from finite inputs"
        return f"{text}{why}.", layer.name, broken
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if gradient is not None and not _finite(tf.convert_to_tensor(gradient)):
            text = f"All outputs are finite. The first gradient that is not is that of {variable.path!r}."
            return text, None, variable.path
    return "When the batch is computed again all is finite: random layers such as dropout draw anew.", None, None


@contextlib.contextmanager
def _first_non_finite_output(model: keras.Model) -> Iterator[list]:
    """Within, calls of the model fill a list: the operation, how many values of its output are not finite, its size."""
    import tensorflow as tf

    found = []
    layers = model._flatten_layers(include_self=False)
    parts = {id(part): part for layer in (model, *layers) for part in getattr(layer, "operations", ())}
    parts |= {id(layer): layer for layer in layers}

    def watched(part, call):
        def wrapper(*args, **kwargs):
            outputs = call(*args, **kwargs)
            for tensor in keras.tree.flatten(outputs):
                if not found and tf.executing_eagerly() and not _finite(tensor):
                    found.append((part, int(ops.sum(ops.logical_not(ops.isfinite(tensor)))), math.prod(tensor.shape)))
            return outputs

        return wrapper

    for part in parts.values():
        part.call = watched(part, part.call)
    try:
        yield found
    finally:
        for part in parts.values():
            del part.call


def _finite(values) -> bool:
    """Whether a tensor or variable is; integers always are."""
    return not keras.backend.is_float_dtype(keras.backend.standardize_dtype(values.dtype)) or bool(
        ops.all(ops.isfinite(values))
    )
