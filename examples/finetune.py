"""A network that has read printed letters learns handwritten digits from five images each.

    python examples/finetune.py         # 6 minutes on 2 busy cores; test digits right: 91.6 %, from scratch 85.7 %
    python examples/finetune.py --weights=imagenet --model=ResNet50 --data=path/to/photos

Without `--weights` a small ResNet learns the letters A to z in 21 fonts, which come with matplotlib, is saved, and is
fine-tuned to the digits that come with scikit-learn, of which it sees five images each (`kvision.training.finetune`): a
new head first, then everything, in the last line at rates that fall from block to block towards the input. Beside it
stand the head alone, on the frozen network, and the same network from random weights; all take 150 steps. Three seeds,
each with images of its own, mean and deviation, 2026-11-30:

| network | validation accuracy, % | test accuracy, % |
| --- | ---: | ---: |
| from scratch | 86.406 ± 3.6 | 85.661 ± 3.2 |
| the head alone | 83.24 ± 4.9 | 81.564 ± 3.1 |
| the head, then everything | 91.62 ± 1.1 | 91.62 ± 1.7 |
| the same, rates by block | 91.434 ± 1.2 | 91.061 ± 1.1 |

Letters are worth six points if the whole network goes on learning; a head on what they taught is not enough, and rates
by block change nothing here. With two images each (`--shots=2 --epochs=75`: as many steps, at the same rates) they are
worth 14: 82.3 ± 3.1 %, from scratch 68.3 ± 0.65 %.

Each line has the rate that is best for it on the validation images, of 0.03, 0.1 and 0.3 (`--rate`): 0.03 by block, 0.1
elsewhere. Too high a rate spoils what was learnt: at 0.3 for everything, 70 % of the validation images are right, and
at 0.1 the network forgets at first, too, and comes back (`curves.png`).

With `--weights`, a published tag or a file that fits `--model`, that network gets a new head for the folders of
`--data`, is fine-tuned, evaluated and exported; called again after an interruption, it goes on.

The run folder gets `curves.png` and `served/1`, a SavedModel that takes JPEG bytes, beside `table.md` and the networks
of letters, or `report.json` and `model.keras`.
"""

import functools
import pathlib
import string
import sys

import keras
import matplotlib
import numpy as np
import seeds
from PIL import Image, ImageDraw, ImageFont

from kvision import applications, data, evaluation, export, training, visualize

FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb", "cmr", "cmss", "cmti", "cmtt")
BATCH, SIZE, SHIFT = 10, (16, 16), [data.RandomCropWithPadding(2)]


def letters() -> data.Split:
    """A to z in every font, white on black, as large as 8x8 pixels hold: as the digits are."""
    paths = sorted(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf"))
    paths = [str(path) for path in paths if path.stem.startswith(FONTS) and "Display" not in path.stem]
    fonts = [ImageFont.truetype(path, 40) for path in paths]
    images = np.stack([drawn(letter, font) for letter in string.ascii_letters for font in fonts])
    labels = np.repeat(np.arange(len(string.ascii_letters)), len(fonts))
    return data.load((images, labels), class_names=string.ascii_letters, validation=0, test=0)


def drawn(letter: str, font) -> np.ndarray:
    """uint8 (8, 8)."""
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (max(right - left, bottom - top),) * 2)
    middle = (image.width - left - right) / 2, (image.width - top - bottom) / 2
    ImageDraw.Draw(image).text(middle, letter, fill=255, font=font)
    return np.asarray(image.resize((8, 8), Image.Resampling.BOX))


def few_digits(shots: int, seed: int) -> data.Split:
    """So many images of each digit, drawn among those for training."""
    pairs = list(data.load("digits", "train").dataset.as_numpy_iterator())
    images, labels = (np.stack(values) for values in zip(*pairs, strict=True))
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = np.concatenate([order[labels[order] == digit][:shots] for digit in range(10)])
    return data.load((images[chosen], labels[chosen]), validation=0, test=0)


def network(classes: int) -> keras.Model:
    return applications.ResNet20(input_shape=(*SIZE, 1), classes=classes, depths=(1, 1, 1))


@functools.cache
def pretrained(seed: int, epochs: int, folder: pathlib.Path) -> pathlib.Path:
    """The file of a network that reads letters."""
    split, path = letters(), folder / f"letters-{seed}.keras"
    bend = [data.RandomAffine(rotation=15, translation=2, scale=1.2, flip=0, shear=15, stretch=1.2)]
    options = dict(head_epochs=0, epochs=epochs, rate=0.1, batch_size=50, augment=bend, seed=seed, verbose=0)
    model, history = training.finetune(network(len(split.class_names)), split, **options)
    model.save(path)
    print(f"{path} tells {history['accuracy'][-1]:.0%} of the bent letters apart", flush=True)
    return path


def phases(epochs: int) -> dict[str, int]:
    """A third of the epochs for the head alone."""
    return dict(head_epochs=epochs // 3, epochs=epochs - epochs // 3)


def contestants(options, finetuned):
    """By name, functions of a seed that give the accuracies on digits that were not seen."""
    both = dict(phases(options.epochs), head_rate=0.1)
    schedules = {
        "from scratch": dict(head_epochs=0, epochs=options.epochs, rate=0.1),
        "the head alone": dict(head_epochs=options.epochs, epochs=0, head_rate=0.1),
        "the head, then everything": dict(both, rate=0.1),
        "the same, rates by block": dict(both, rate=0.03, layer_decay=0.8),
    }
    if options.rate is not None:
        for schedule in schedules.values():
            schedule["rate" if schedule["epochs"] else "head_rate"] = options.rate

    def run(name, schedule, seed):
        if name == "from scratch":
            begin = network(10)
        else:
            begin = keras.models.load_model(pretrained(seed, options.pretraining, options.run))
        common = dict(batch_size=BATCH, augment=SHIFT, seed=seed, verbose=0)
        validation, test = data.load("digits", "validation"), data.load("digits", "test")
        model, history = training.finetune(begin, few_digits(options.shots, seed), validation, **common, **schedule)
        finetuned.setdefault(name, []).append((model, history))
        report = evaluation.evaluate(model, batches(model, test), test.class_names, progress=False)
        reached = {"validation": history["val_accuracy"][-1], "test": report.top1}
        return {f"{split} accuracy, %": 100 * share for split, share in reached.items()}

    return {name: functools.partial(run, name, schedule) for name, schedule in schedules.items()}


def batches(model, split):
    """The images of a split as the network's checkpoint was evaluated."""
    preprocess = model.origin.preprocess
    size = model.input_shape[1:3]
    return data.evaluation_batches(split, 16, size=size, transform=preprocess, **preprocess.resizing)


def compare(options):
    finetuned = {}
    table = seeds.table(seeds.compare(contestants(options, finetuned), options.seeds))
    pathlib.Path(options.run, "table.md").write_text(table + "\n")
    print(table)
    models, histories = zip(*finetuned["the head, then everything"], strict=True)
    return models[0], histories, data.load("digits", "test").class_names


def photographs(options):
    train, validation, test = (data.load(options.data, split) for split in ("train", "validation", "test"))
    row = applications.get_model(options.model)
    model = row(weights=options.weights, classes=len(train.class_names), new_head=True)
    model, history = training.finetune(
        model,
        train,
        validation,
        keep_head=True,  # it is new already
        **phases(options.epochs),
        crop=data.RandomResizedCrop(model.input_shape[1:3]),
        augment=[data.RandomFlip()],
        run=options.run / "state",
    )
    model.save(options.run / "model.keras")
    report = evaluation.evaluate(model, batches(model, test), test.class_names)
    report.save(options.run / "report.json")
    print(report)
    return model, [history], test.class_names


def main(arguments):
    parser = seeds.flags(__doc__, epochs=30, run="runs/finetune", data=False)
    parser.add_argument("--shots", type=int, default=5, help="images of each digit (%(default)s)")
    parser.add_argument("--pretraining", type=int, default=40, help="epochs of the letters (%(default)s)")
    parser.add_argument("--rate", type=float, help="of every line of the table, instead of the best one of each")
    parser.add_argument("--weights", help="a published tag, or a file, that --model starts from")
    parser.add_argument("--model", default="ResNet50", help="the network of --weights (%(default)s)")
    parser.add_argument("--data", help="a folder of class folders, or a TFDS name, that --weights are fine-tuned to")
    options = parser.parse_args(arguments)
    if (options.weights is None) != (options.data is None):
        parser.error("--weights and --data belong together")
    keras.utils.set_random_seed(0)
    options.run.mkdir(parents=True, exist_ok=True)
    model, histories, names = (photographs if options.weights else compare)(options)
    visualize.save(visualize.curves(*histories), options.run / "curves.png")
    print("A SavedModel for TensorFlow Serving:", export.savedmodel(model, options.run / "served", names))


if __name__ == "__main__":
    main(sys.argv[1:])
