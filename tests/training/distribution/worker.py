"""One process of those that test_distribution.py starts by `python -m`: what to do is JSON, {"folder": ..., ...}."""

import json
import os
import pathlib
import signal
import warnings

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from kvision import applications, data
from kvision.losses import MarginLoss
from kvision.optimizers import Warmup
from kvision.training import Resume, distribution
from kvision.training.callbacks.states import States
from kvision.training.distribution.cluster import Cluster
from tests.processes import begin

EPOCHS, BATCH = 3, 8
TRAIN, VALIDATION = slice(0, 48), slice(48, 69)  # of two workers one validates 11 images, the other 10


def resnet(synchronized=False):
    model = applications.ResNet20(input_shape=(8, 8, 1), classes=10, depths=(1, 1, 1), widths=(16, 16, 16))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
    return model, "sparse_categorical_crossentropy"


def capsules():
    """A network with a loss of its own beside the compiled one: that of its decoder."""
    small = dict(filters=4, capsules=1, dimensions=(2, 4), iterations=1, decoder=(8, 8))
    return applications.CapsNet(input_shape=(18, 18, 1), **small), MarginLoss()


NETWORKS = {"resnet": resnet, "capsules": capsules}


class End(keras.callbacks.Callback):
    """Ends this process by a signal in the middle of an epoch."""

    def __init__(self, epoch, name):
        super().__init__()
        self.epoch, self.signal = epoch, signal.Signals[name]

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, 3):
            os.kill(os.getpid(), self.signal)


def train(strategy, state, own, *, network="resnet", augment=True, end=None, **options):
    """Trains with a batch of 8 for all replicas, and leaves weights and history in the worker's own folder."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    if network == "capsules":
        images = np.pad(images, ((0, 0), (5, 5), (5, 5), (0, 0)))
    parts = [data.load((images[part], labels[part]), validation=0, test=0) for part in (TRAIN, VALIDATION)]
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model, loss = NETWORKS[network](**options)
        rate = Warmup(0.1, 6, start=0.02)
        sgd = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=0.01, global_clipnorm=1.0)
        model.compile(sgd, loss, metrics=["accuracy"])
    resume = Resume(state)
    batch = BATCH // strategy.num_replicas_in_sync
    layers = [data.RandomCropWithPadding(1)] if augment else []
    batches = distribution.batches(
        strategy, data.training_batches, parts[0], batch, augment=layers, first_epoch=resume.epochs
    )
    model.fit(
        batches,
        steps_per_epoch=data.steps(parts[0], BATCH),
        epochs=EPOCHS,
        validation_data=distribution.batches(strategy, data.evaluation_batches, parts[1], 5),
        callbacks=[distribution.SharedStatistics(), resume, *([End(*end)] if end else [])],
        shuffle=False,
        verbose=0,
    )
    distribution.barrier(strategy)
    np.savez(own / "weights.npz", **{variable.path: variable.numpy() for variable in model.weights})
    (own / "history.json").write_text(json.dumps(resume.history))


def train_half(strategy, own):
    """Under mixed_float16, where one replica's second batch overflows: the step is left out, on all."""

    def make(shard):
        images = np.ones((4, 2, 3), "float32")
        images[1] = np.inf if shard[0] == 1 else 1
        return tf.data.Dataset.from_tensor_slices((images, np.zeros((4, 2), "int32"))).repeat()

    keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax", dtype="float32")])
        model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(distribution.batches(strategy, make), steps_per_epoch=4, shuffle=False, verbose=0)
    keras.config.set_dtype_policy("float32")
    variables = {"iterations": model.optimizer.iterations, "scale": model.optimizer.dynamic_scale}
    np.savez(own / "weights.npz", kernel=model.weights[0].numpy(), **{n: v.numpy() for n, v in variables.items()})


def train_apart(strategy, own):
    """Each worker has a directory of states of its own, and only the chief's has one: all refuse to train."""
    if distribution.is_chief():
        States(own / "state").write(2, lambda path: path.write_bytes(b"2 epochs"))
    try:
        train(strategy, own / "state", own)
    except ValueError as error:
        (own / "error").write_text(str(error))


SPECIAL = {"half": train_half, "apart": train_apart}


def main(folder, cases, devices=1):
    """Runs (name, arguments of `train`) one after the other; what each leaves is in `folder / name / worker`.

    The processor counts as so many devices. Cases named "whole ..." run on one of them, without a strategy.
    """
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    warnings.simplefilter("error", UserWarning)
    strategy = distribution.strategy()
    for name, arguments in cases:
        case = pathlib.Path(folder) / name
        own = case / str(Cluster.from_environment().index)
        own.mkdir(parents=True, exist_ok=True)
        if name in SPECIAL:
            SPECIAL[name](strategy, own)
        else:
            under = tf.distribute.get_strategy() if name.startswith("whole") else strategy
            train(under, case / "state", own, **arguments)


if __name__ == "__main__":
    begin(main)
