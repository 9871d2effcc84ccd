"""How fast is the whole training pipeline of ImageNet, beside the same one built from Keras's layers?

    python examples/benchmarks/pipeline.py              # 256 JPEGs of 500x375, batches of 32 at 224, some minutes

From files to what a network sees: decode, Inception crop, mirror, colour jitter, PCA lighting, CutMix, normalize. The
peer is tf.data as Keras's guides write it: the window is drawn by `tf.image.sample_distorted_bounding_box` and resized
by `keras.layers.Resizing`, mirrored by RandomFlip, jittered by RandomColorJitter, lit by two lines of TensorFlow (Keras
has no such layer), mixed by CutMix, normalized by Normalization.

Prints images per second of both, medians of interleaved rounds in one process with their spread, and the ratio; then
where the time goes: kvision's pipeline cut off after each of its stages.
"""

import pathlib
import tempfile
import time

from absl import app, flags
from interleaved import take_turns
from photographs import CLASSES, HEIGHT, WIDTH, photographs

IMAGES = flags.DEFINE_integer("images", 256, "JPEG files to read")
BATCH = flags.DEFINE_integer("batch", 32, "images in a batch")
SIZE = flags.DEFINE_integer("size", 224, "height and width of what the network sees")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ours(folder: pathlib.Path, stages: int = 6):
    """kvision's pipeline, or its first stages."""
    from kvision import data
    from kvision.classifier import Preprocess

    split = data.load(folder, validation=0, test=0)
    layers = [data.RandomFlip(), data.ColorJitter(), data.PCALighting(), data.CutMix(classes=CLASSES)]
    return data.training_batches(
        split,
        BATCH.value,
        crop=data.RandomResizedCrop(SIZE.value),
        augment=layers[: stages - 1],
        transform=Preprocess(MEAN, DEVIATION) if stages > len(layers) + 1 else None,
    )


def peer(folder: pathlib.Path):
    import keras
    import tensorflow as tf

    from kvision.data import PCALighting

    lighting = PCALighting()
    matrix = tf.constant(lighting.eigenvectors, tf.float32) * tf.constant(lighting.eigenvalues, tf.float32)
    resize = keras.layers.Resizing(SIZE.value, SIZE.value)
    flip = keras.layers.RandomFlip("horizontal", seed=0)
    jitter = keras.layers.RandomColorJitter(
        value_range=(0, 255), brightness_factor=0.4, contrast_factor=0.4, saturation_factor=(0.3, 0.7), seed=0
    )
    cutmix = keras.layers.CutMix(seed=0)
    normalize = keras.layers.Normalization(
        mean=[255 * mean for mean in MEAN], variance=[(255 * deviation) ** 2 for deviation in DEVIATION]
    )
    paths = sorted(str(path) for path in folder.glob("*/*.jpg"))
    labels = [int(pathlib.Path(path).parent.name.removeprefix("class")) for path in paths]

    def read(path, label):
        image = tf.image.decode_jpeg(tf.io.read_file(path), 3)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), tf.zeros((1, 0, 4)), 0, 0.1, (3 / 4, 4 / 3), (0.08, 1.0), 10, True
        )
        return resize(tf.cast(tf.slice(image, begin, size), tf.float32)), tf.one_hot(label, CLASSES)

    def augment(images, labels):
        images = jitter(flip(images, training=True), training=True)
        images += 255 * tf.linalg.matvec(matrix, tf.random.normal((BATCH.value, 1, 1, 3), stddev=0.1))
        mixed = cutmix({"images": images, "labels": labels}, training=True)
        return normalize(mixed["images"]), mixed["labels"]

    files = tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths)).repeat()
    return (
        files.map(read, tf.data.AUTOTUNE)
        .batch(BATCH.value, drop_remainder=True)
        .map(augment, tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def speed(dataset):
    """A function that returns the images per second of two epochs, from an iterator that starts anew.

    One that waited for its turn would begin with what it prepared meanwhile.
    """
    count = max(1, 2 * IMAGES.value // BATCH.value)

    def run():
        batches = iter(dataset)
        for _ in range(4):
            next(batches)
        start = time.perf_counter()
        for _ in range(count):
            next(batches)
        return count * BATCH.value / (time.perf_counter() - start)

    run()  # traces and compiles
    return run


def main(_):
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        photographs(folder, IMAGES.value)
        mean = sum(path.stat().st_size for path in folder.glob("*/*.jpg")) / IMAGES.value / 1024
        print(
            f"{IMAGES.value} JPEGs of {WIDTH}x{HEIGHT}, {mean:.0f} KiB each, batch {BATCH.value} at {SIZE.value}, "
            f"keras {keras.__version__}, tensorflow {tf.__version__}; images/s: median (min to max)"
        )
        runs = {"kvision": speed(ours(folder)), "keras.layers": speed(peer(folder))}
        medians, texts = take_turns(runs, ROUNDS.value, f"training pipeline from JPEG files at {SIZE.value}")
        print(", ".join(f"{name} {text}" for name, text in texts.items()))
        print(f"ratio {medians['kvision'] / medians['keras.layers']:.2f}")
        names = ("decode and crop", "mirror", "colour jitter", "lighting", "CutMix", "normalize")
        medians, _ = take_turns(
            {name: speed(ours(folder, stages)) for stages, name in enumerate(names, 1)}, ROUNDS.value
        )
        before = 0.0
        for name, median in medians.items():
            print(f"{name:<16} {1000 / median - before:6.2f} ms an image of {1000 / medians['normalize']:.2f}")
            before = 1000 / median


if __name__ == "__main__":
    app.run(main)
