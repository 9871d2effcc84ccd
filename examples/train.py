"""A ResNet-20 on handwritten digits, from real images to a served model, with plain Keras in between.

    python examples/train.py            # about 1 minute on 2 cores; at least 98.5 % of the test digits right

The 1,797 digits come with scikit-learn: no network is needed.
"""

import keras

import kvision
from kvision import data
from kvision.classifier import Preprocess

EPOCHS, BATCH, SIZE = 50, 64, (16, 16)
keras.utils.set_random_seed(0)

# The images, padded and cropped at random for training, and normalized.
train, validation, test = (data.load("digits", split) for split in ("train", "validation", "test"))
preprocess = Preprocess(*data.pixel_statistics(train, SIZE), size=SIZE)
steps = data.steps(train, BATCH)
batches = data.training_batches(train, BATCH, size=SIZE, augment=[data.RandomCropWithPadding(2)], transform=preprocess)

# The network, and the learning rate of its paper: warmup, then cosine decay.
model = kvision.applications.ResNet20(input_shape=(*SIZE, 1)).with_preprocess(preprocess)
rate = kvision.optimizers.Warmup(keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * steps), 2 * steps)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(
    batches,
    steps_per_epoch=steps,
    epochs=EPOCHS,
    validation_data=data.evaluation_batches(validation, 256, size=SIZE, transform=preprocess),
    shuffle=False,
)

result = kvision.evaluation.evaluate(
    model, data.evaluation_batches(test, 256, size=SIZE, transform=preprocess), test.class_names
)
print(result)
print("A SavedModel for TensorFlow Serving:", kvision.export.savedmodel(model, "runs/digits", test.class_names))
