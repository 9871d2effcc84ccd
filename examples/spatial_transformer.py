"""A network that learns to look: digits are distorted, and a spatial transformer puts them right before they are read.

    python examples/spatial_transformer.py      # about 5 minutes on 2 cores; the errors of 3 runs on turned digits:
                                                # CNN 7.3 % (deviation 0.6), ST-CNN 4.9 % (deviation 1.4)

STCNN of "Spatial Transformer Networks" (Jaderberg et al., NIPS 2015, arXiv:1506.02025) against a CNN of as many
parameters: the same two convolutions, a little wider, instead of the transformer. Both see every training image in a
new distortion each time, and learn from the labels alone: nobody tells the transformer what upright is. There are 180
test digits, in 11 distortions each. On MNIST, the paper's Table 1 has 1.2 % and 0.7 %.

`--distortion` takes the columns of that table: R turns the digits; RTS turns, scales and shifts them on a larger
canvas; P sees them from another side; E bends them; TC strews pieces of other digits around them. `--data=mnist` needs
more time and fewer epochs.
"""

import functools

import keras
import numpy as np
from seeds import compare, flags, table

from kvision import data, visualize
from kvision.applications import STCNN
from kvision.layers import Affine, Projective, ThinPlateSpline
from kvision.visualize.figure import BLUE, GRID, INK, ORANGE, blank, quiet

# The distortion, a transform that can undo it, and the filters with which ST-CNN and CNN have equal parameters (for ten
# classes).
TASKS = {
    "R": (data.RandomSimilarity(), Affine(), (36, 39)),
    "RTS": (data.RandomSimilarity(45, (0.7, 1.2), (42, 42)), Affine(), (35, 36)),
    "P": (data.RandomProjection(), Projective(), (36, 39)),
    "E": (data.RandomSpline(), ThinPlateSpline(), (36, 39)),
    "TC": (data.RandomClutter(), Affine(), (32, 35)),
}
BATCH, RATE, SIZE = 64, 0.003, (28, 28)
SEEN = 2000  # images for testing: each is shown in several distortions

parser = flags(__doc__, epochs=40, run="runs/spatial_transformer")
parser.add_argument("--distortion", choices=TASKS, default="R", help="(%(default)s)")
options = parser.parse_args()
distortion, transform, filters = TASKS[options.distortion]
canvas = distortion.size or SIZE

train, validation, test = (data.load(options.data, split) for split in ("train", "validation", "test"))
classes, channels, steps = len(train.class_names), train.image_shape[-1], data.steps(train, BATCH)
preprocess = STCNN.preprocessing()  # pixels in [0, 1]


def distorted(split, count):
    """The images of a split, each in several distortions if there are fewer than `count`, and the labels."""
    batches = data.evaluation_batches(split, 256, size=SIZE).repeat(max(1, count // split.size)).enumerate()
    batches = batches.map(lambda place, batch: (preprocess(distortion(batch[0], seed=(0, place))), batch[1]))
    return tuple(np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))


def network(transform, filters):
    return STCNN(
        transform=transform,
        halve=transform is not None and options.distortion in ("RTS", "TC"),  # as in the paper
        convolutions=((filters, 9), (filters, 7)),
        input_shape=(*canvas, channels),
        classes=classes,
    )


def look(model, images):
    """What the transformer makes of images, and an outline of what it sees of each, in pixels: `(N, P, 2)`."""
    transformer = model.get_layer("st")
    theta = transformer.theta(transformer.localisation(images))
    grid = np.stack(transformer.sampler.transform.grid(theta, *canvas, canvas), axis=-1)  # (N, H, W, 2)
    outline = [grid[:, 0, :-1], grid[:, :-1, -1], grid[:, -1, :0:-1], grid[:, :0:-1, 0]]
    return np.asarray(transformer.sampler([images, theta])), np.concatenate(outline, axis=1)


def train_and_test(name, seed):
    model = network(*contestants[name])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, options.epochs * steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    before = look(model, tests[0]) if seed == 0 and name == "ST-CNN" else None
    history = model.fit(
        data.training_batches(train, BATCH, size=SIZE, augment=[distortion], transform=preprocess, seed=seed),
        steps_per_epoch=steps,
        epochs=options.epochs,
        validation_data=checks,
        validation_freq=every,
        validation_batch_size=256,
        shuffle=False,
        verbose=0,
    ).history
    histories[name].append(history["val_accuracy"])
    if before:
        visualize.save(pictures(before, look(model, tests[0])), options.run / "transformed.png")
    accuracy = model.evaluate(*tests, batch_size=256, verbose=0)[1]
    return {"parameters": model.count_params(), "test error in %": 100 * (1 - accuracy)}


def pictures(before, after):
    """One image of each class, what the transformer sees of it, and the mean of all it sees of the class."""
    images, labels = tests
    shown = np.unique(labels)[:10]
    chosen = [np.flatnonzero(labels == label)[0] for label in shown]

    def means(seen):
        seen = np.stack([seen[labels == label].mean(0) for label in shown])
        return seen / seen.max(axis=(1, 2, 3), keepdims=True)

    rows = {
        "before training\nit looks here": images[chosen],
        "after training\nit looks here": images[chosen],
        "and sees this": after[0][chosen],
        "mean of what it\nsaw before": means(before[0]),
        "mean of what it\nsees after": means(after[0]),
    }
    outlines = dict(zip(rows, (before[1][chosen], after[1][chosen]), strict=False))
    names = [train.class_names[label] for label in shown]
    return visualize.gallery(rows, outlines, names, f"What the spatial transformer learned ({options.distortion})")


def learning():
    """Validation error over the epochs: the mean of the seeds, and each of them."""
    figure = blank(6.4, 4.2, f"Validation error on distorted images ({options.distortion})")
    axes = figure.add_subplot()
    quiet(axes)
    axes.grid(color=GRID, linewidth=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for (name, runs), color in zip(histories.items(), (BLUE, ORANGE), strict=True):
        errors = 100 * (1 - np.array(runs))
        epochs = every * np.arange(1, errors.shape[1] + 1)
        axes.plot(epochs, errors.T, color=color, linewidth=0.8, alpha=0.4)
        axes.plot(epochs, errors.mean(0), color=color, linewidth=2, marker="o", markersize=3.5, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("error in %", color=INK)
    axes.legend(frameon=False, labelcolor=INK)
    return figure


contestants = {"CNN": (None, filters[1]), "ST-CNN": (transform, filters[0])}
histories = {name: [] for name in contestants}
every = max(1, options.epochs // 10)
checks, tests = distorted(validation, SEEN // 2), distorted(test, SEEN)

results = compare({name: functools.partial(train_and_test, name) for name in contestants}, options.seeds)
options.run.mkdir(parents=True, exist_ok=True)
(options.run / "table.md").write_text(table(results) + "\n", encoding="utf-8")
visualize.save(learning(), options.run / "learning.png")
print(table(results))
print(f"Table and pictures: {options.run}")
