"""Gradual unfreezing: Howard & Ruder, ACL 2018, arXiv:1801.06146, section 3.3."""

from collections.abc import Mapping

import keras

from kvision.optimizers import layer_groups


class Unfreeze(keras.callbacks.Callback):
    """Trains the last groups of layers first, and lets more of them train from epoch to epoch, from the top down.

        model.fit(..., callbacks=[Unfreeze({3: 6, 8: None})])       # the head, then 6 groups, then everything
        Unfreeze({epoch: epoch + 1 for epoch in range(18)})         # one more group in each epoch, as the paper has it

    Frozen layers keep every bit: weights, and moving statistics, by which their normalization goes in the meantime.

    What trains depends on the epoch alone, so that training which is resumed in any epoch goes on as it would have.
    Between epochs, and after them, every layer is trainable, as it is to be before: what other callbacks save fits the
    whole network. Each time that more layers train, the step is compiled anew.

    Adam and its kin correct their moments by the count of all steps: layers that join late first take steps up to six
    times as large, as if without warmup. SGD and Lion do not.

    Args:
        groups: by epoch, counted from 0: how many groups of `kvision.optimizers.layer_groups` train from then on, None
            for all. Before the first, one does, the last layer.

    Raises:
        ValueError: an epoch below 0, fewer than 1 group; when `fit` begins, more groups than the model has, a model
            without such groups, or an optimizer that was built while layers were frozen.
        NotImplementedError: when `fit` begins, on another backend than TensorFlow, where Keras's optimizers take
            gradients of all variables or none.
    """

    def __init__(self, groups: Mapping[int, int | None]):
        super().__init__()
        wrong = {epoch: count for epoch, count in groups.items() if epoch < 0 or count is not None and count < 1}
        if wrong:
            raise ValueError(f"`groups` has epochs from 0 and at least 1 group, or None for all. Received: {wrong}")
        self.groups = {0: 1, **groups}

    def set_model(self, model):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(f"Unfreeze trains on TensorFlow. Keras runs on {keras.backend.backend()}.")
        super().set_model(model)
        self._layers, self._training = layer_groups(model), None
        most = max(count or 1 for count in self.groups.values())
        if most > len(self._layers):
            raise ValueError(f"'{model.name}' has {len(self._layers)} groups of layers. Received: {self.groups}")
        self._set(len(self._layers))
        model.optimizer.build(model.trainable_variables)
        try:
            model.optimizer._check_variables_are_known(model.trainable_variables)
        except ValueError as error:
            raise ValueError(
                f"The optimizer of '{model.name}' was built while layers were frozen, and knows nothing of the others. "
                "Compile the model with a new one."
            ) from error

    def on_epoch_begin(self, epoch, logs=None):
        count = self.groups[max(start for start in self.groups if start <= epoch)]
        count = len(self._layers) if count is None else count
        self._set(count)
        if count != self._training:  # what trains is part of the graph of a step
            self.model.make_train_function(force=True)
            self._training = count

    def on_epoch_end(self, epoch, logs=None):
        self._set(len(self._layers))

    def on_train_end(self, logs=None):
        self.model.make_train_function(force=True)

    def _set(self, count: int) -> None:
        for place, layers in enumerate(reversed(self._layers)):
            for layer in layers:
                layer.trainable = place < count
