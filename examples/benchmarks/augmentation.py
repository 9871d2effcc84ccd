"""How fast are the augmentations, against Keras's own layers and keras-cv's?

    pip install keras-cv
    python examples/benchmarks/augmentation.py                                  # all, about 4 minutes
    python examples/benchmarks/augmentation.py --only=jitter,mixup --rounds=9

Each is mapped over one batch of random uint8 images in a `tf.data.Dataset` with `tf.data.AUTOTUNE`; all take turns.
The peers are set to the same work as nearly as they can be: `table` says how, and what differs. All draw for each
image, but where the row says "for the batch". kvision's layers return uint8, most of the peers' return float32: these
save the rounding and write four times as many bytes.
"""

import math
import os
import time

from absl import app, flags
from interleaved import take_turns

ONLY = flags.DEFINE_list("only", [], "names of rows, or the beginnings of names; all if there are none")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
SECONDS = flags.DEFINE_float("seconds", 1.0, "how long each runs in a round")
BATCH = flags.DEFINE_integer("batch", 32, "images in a batch")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")
CLASSES = 1000


def table(size: int) -> dict:
    """Name of a row: kvision's layer, Keras's or None, keras-cv's or None. A new augmentation is a new line."""
    import tensorflow as tf
    from keras import layers
    from keras_cv import layers as cv

    from kvision import data

    pixels, kept = (0, 255), {"dtype": "uint8"}  # where Keras's layers are right in uint8, that is faster
    shift = {"height_factor": 4 / size, "width_factor": 4 / size, "fill_mode": "constant", "interpolation": "nearest"}
    noise = layers.GaussianNoise(1.0)

    def float_noise(images, training):
        return noise(tf.cast(images, tf.float32), training=training)

    return {
        # flip.py and padded_crop.py. Keras's RandomCrop draws one window for the batch: the nearest peers translate.
        "flip": (data.RandomFlip(), layers.RandomFlip("horizontal", **kept), cv.RandomFlip("horizontal")),
        "pad and crop": (
            data.RandomCropWithPadding(4),
            layers.RandomTranslation(**shift, **kept),
            cv.RandomTranslation(**shift),
        ),
        # color.py. The peer of lighting adds a uniform number to each channel; those of jitter have one order for all,
        # Keras's brightness adds a number, and keras-cv's layer cannot leave hue out.
        "lighting": (data.PCALighting(), None, cv.RandomChannelShift(pixels, 0.1)),
        "jitter": (
            data.ColorJitter(0.4, 0.4, 0.4),
            layers.RandomColorJitter(pixels, 0.4, 0.4, (0.3, 0.7)),
            cv.RandomColorJitter(pixels, 0.4, 0.4, (0.3, 0.7), 0.0),
        ),
        # noise.py. Keras's takes floats only.
        "noise": (data.VicinityNoise(1.0), float_noise, None),
        # mixing.py
        "mixup for the batch": (data.Mixup(0.2), None, None),
        "mixup": (data.Mixup(0.2, per="sample"), layers.MixUp(0.2), cv.MixUp(0.2)),
        # erasing.py and cutmix.py
        "erasing": (data.RandomErasing(1.0), layers.RandomErasing(1.0, (0.02, 0.4)), None),
        "cutout": (data.Cutout(size // 2), None, cv.RandomCutout(0.5, 0.5)),
        "CutMix for the batch": (data.CutMix(), None, None),
        "CutMix": (data.CutMix(per="sample"), layers.CutMix(1.0), cv.CutMix(1.0)),
        # crop.py, of images as large as the result
        "Inception crop": (
            data.RandomResizedCrop(size),
            None,
            cv.RandomCropAndResize((size, size), (0.08, 1.0), (3 / 4, 4 / 3)),
        ),
        # warp.py
        "rotation": (
            data.RandomAffine(30, translation=0, scale=1, flip=0, shear=0, stretch=1),
            layers.RandomRotation(30 / 360, fill_mode="constant"),
            cv.RandomRotation(30 / 360, fill_mode="constant"),
        ),
        "affine, whole recipe": (data.RandomAffine(), None, None),
        # elastic.py and distortion.py
        "elastic": (data.RandomElastic(), layers.RandomElasticTransform(), None),
        "projection": (data.RandomProjection(), layers.RandomPerspective(), None),
        # keras_cv.py. Keras's RandAugment and AugMix pick their operations once for the batch.
        "RandAugment": (
            data.RandAugment(2, 0.9),
            layers.RandAugment(pixels, 2, 0.9),
            cv.RandAugment(pixels, 2, magnitude=0.9),
        ),
        "AugMix": (data.AugMix(), layers.AugMix(pixels), cv.AugMix(pixels)),
    }


def mapped(function, batch):
    """A function that runs `function(batch, number)` in a dataset and returns its images per second."""
    import tensorflow as tf

    dataset = tf.data.Dataset.range(2**62).map(lambda number: function(batch, number), tf.data.AUTOTUNE)
    iterator = iter(dataset)
    ahead = 2 * os.cpu_count()  # batches that were made while others had their turn

    def run():
        for _ in range(ahead):
            next(iterator)
        start, done = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < SECONDS.value:
            next(iterator)
            done += len(batch["images"])
        return done / seconds

    run()
    return run


def main(_):
    import keras
    import keras_cv
    import numpy as np
    import tensorflow as tf

    from kvision import data

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH.value, SIZE.value, SIZE.value, 3)).astype("uint8")
    labels = np.eye(CLASSES, dtype="float32")[random.integers(0, CLASSES, BATCH.value)]
    batch = {"images": tf.constant(images), "labels": tf.constant(labels)}

    def ours(layer):
        if isinstance(layer, data.Mixing):
            return lambda batch, number: layer(batch["images"], batch["labels"], seed=tf.stack([0, number]))
        return lambda batch, number: layer(batch["images"], seed=tf.stack([0, number]))

    def theirs(layer, mixes):
        return lambda batch, number: layer(dict(batch) if mixes else batch["images"], training=True)

    runs = {}
    for name, (layer, *peers) in table(SIZE.value).items():
        if ONLY.value and not name.startswith(tuple(ONLY.value)):
            continue
        name = f"augmentation, {name}"
        runs[name, "kvision"] = mapped(ours(layer), batch)
        for library, peer in zip(("keras", "keras-cv"), peers, strict=True):
            if peer is not None:
                runs[name, library] = mapped(theirs(peer, isinstance(layer, data.Mixing)), batch)

    print(f"batch {BATCH.value} at {SIZE.value}, {os.cpu_count()} cores, tensorflow {tf.__version__}, ", end="")
    print(f"keras {keras.__version__}, keras-cv {keras_cv.__version__}; images/s: median (min to max)", flush=True)
    medians, texts = take_turns(runs, ROUNDS.value)
    ratios = {"keras": [], "keras-cv": []}
    for name in dict.fromkeys(name for name, _ in runs):
        row = [f"kvision {texts[name, 'kvision']}"]
        for library, found in ratios.items():
            if (name, library) in runs:
                found.append(medians[name, "kvision"] / medians[name, library])
                row.append(f"{library} {texts[name, library]}, {found[-1]:.1f} times")
        print(f"{name}: {'; '.join(row)}")
    for library, found in ratios.items():
        if found:
            mean = math.exp(sum(map(math.log, found)) / len(found))
            print(f"{mean:.1f} times as fast as {library}, the geometric mean of {len(found)}")


if __name__ == "__main__":
    app.run(main)
