"""A first program: the sigmoid network and recipe of Nielsen's network.py, in Keras, on handwritten digits.

    python examples/first_program.py    # 15 seconds on 2 cores; ends at `Epoch 29: 342 / 359`

`net = network.Network([784, 30, 10])` and `net.SGD(training_data, 30, 10, 3.0, test_data=test_data)`: quadratic cost,
30 epochs, batches of 10, learning rate 3.0. The 1,797 digits come with scikit-learn: no network connection is needed.
"""

import keras

from kvision import data
from kvision.applications import MLP30
from kvision.losses import QuadraticCost

EPOCHS, BATCH, ETA, SIZE = 30, 10, 3.0, (28, 28)
keras.utils.set_random_seed(0)


def report(epoch, logs):
    print(f"Epoch {epoch}: {round(logs['val_accuracy'] * test.size)} / {test.size}")


train, test = (data.load("digits", split, validation=0, test=0.2) for split in ("train", "test"))
preprocess = MLP30.preprocessing()  # pixels in [0, 1]

net = MLP30(classifier_activation="sigmoid")
net.compile(keras.optimizers.SGD(ETA), QuadraticCost(), metrics=["accuracy"])
net.fit(
    data.training_batches(train, BATCH, size=SIZE, transform=preprocess),
    steps_per_epoch=data.steps(train, BATCH),
    epochs=EPOCHS,
    validation_data=data.evaluation_batches(test, 256, size=SIZE, transform=preprocess),
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    shuffle=False,
    verbose=0,
)
