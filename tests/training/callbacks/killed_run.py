"""A training that is killed: `test_resume.py` runs it in processes of their own."""

import hashlib
import json

import keras

from kvision import data
from kvision.layers import BatchNormalization, StochasticDepth
from kvision.optimizers import AdaptiveGradientClipping
from kvision.training import Resume, WeightAverage


def run(directory):
    """Trains on digits, 12 epochs, on from what is in the directory, and writes there a hash of all that came of it."""
    keras.utils.set_random_seed(0)
    train, validation = (data.load("digits", split) for split in ("train", "validation"))
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, 2, padding="same")(x)
    for _ in range(2):
        branch = BatchNormalization()(keras.layers.Conv2D(8, 3, padding="same")(x))
        x = keras.layers.ReLU()(keras.layers.Add()([x, StochasticDepth(0.8)(branch)]))
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(10, "softmax")(x))
    sgd = keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2)
    model.compile(AdaptiveGradientClipping(sgd, 0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    average, resume = WeightAverage(0.98), Resume(directory)
    batches = data.training_batches(
        train,
        64,
        augment=[data.RandomCropWithPadding(1)],
        transform=lambda x: x / 255,
        first_epoch=resume.epochs,
    )
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss_average", mode="min", factor=0.5, patience=1, min_delta=0.1)
    stopping = keras.callbacks.EarlyStopping("val_accuracy", patience=12, restore_best_weights=True)
    model.fit(
        batches,
        steps_per_epoch=data.steps(train, 64),
        epochs=12,
        validation_data=data.evaluation_batches(validation, 64, transform=lambda x: x / 255),
        callbacks=[average, plateau, stopping, resume],
        shuffle=False,
        verbose=0,
    )
    digest = hashlib.sha256(json.dumps(resume.history).encode())
    for variable in (*model.variables, *model.optimizer.variables, *average.averaged_model().weights):
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    (directory / "result").write_text(digest.hexdigest())
