"""kvision train: train a network and keep everything in a run folder.

    kvision train --model=ResNet20 --data=digits --size=16 --padding=2 --noflip --epochs=50 --run=runs/digits
    kvision train --data=/my/photos --weights=model.safetensors --rate=0.01 --policy=mixed_bfloat16 --run=runs/photos

The data is "digits", a folder of class folders, or a TensorFlow Datasets name. A run that was killed goes on from its
last epoch with the same command and --resume.
"""

import sys
import warnings

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("model", "ResNet50", "the network: a name that `kvision models` lists", flag_values=FLAGS)
flags.DEFINE_string(
    "data", "digits", "digits, a folder of class folders, or a TensorFlow Datasets name", flag_values=FLAGS
)
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its files", flag_values=FLAGS)
flags.DEFINE_string(
    "run", None, "the run folder; it must not exist yet, or --resume be given", required=True, flag_values=FLAGS
)
flags.DEFINE_bool("resume", False, "go on with a run that was interrupted", flag_values=FLAGS)
flags.DEFINE_string(
    "weights",
    None,
    "start from published weights (a tag) or a local checkpoint; the top starts afresh",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "lineage", None, "the published weights whose conventions a local checkpoint follows", flag_values=FLAGS
)
flags.DEFINE_integer(
    "size", None, "height and width of the input; by default the images' own, or the network's", 1, flag_values=FLAGS
)
flags.DEFINE_integer("epochs", 90, "passes over the training images", 1, flag_values=FLAGS)
flags.DEFINE_integer("batch", 64, "images in a training step", 1, flag_values=FLAGS)
flags.DEFINE_float("rate", 0.1, "learning rate after the warmup", 0.0, flag_values=FLAGS)
flags.DEFINE_enum(
    "schedule", "cosine", ["cosine", "step"], "how the rate falls: to 0, or by --factor at --drops", flag_values=FLAGS
)
flags.DEFINE_list(
    "drops", ["0.5", "0.75"], "parts of the training after which --schedule=step multiplies the rate", flag_values=FLAGS
)
flags.DEFINE_float("factor", 0.1, "by which --schedule=step multiplies the rate", 0.0, flag_values=FLAGS)
flags.DEFINE_float("warmup", 2, "epochs in which the rate climbs from 0", 0.0, flag_values=FLAGS)
flags.DEFINE_float("momentum", 0.9, "of SGD, in Nesterov's form", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_float(
    "decay",
    1e-4,
    "weight decay of kernels; gains, offsets, biases, slopes and positions are spared",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_float("smoothing", 0.0, "label smoothing", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_integer("padding", 4, "pad by so many pixels and crop at random; 0 for none", 0, flag_values=FLAGS)
flags.DEFINE_bool("flip", True, "mirror half of the images", flag_values=FLAGS)
flags.DEFINE_enum(
    "policy",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "precision of the computation",
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 0, "of initialization, splits, order and augmentation", 0, flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"train takes flags only. Received: {' '.join(arguments)}")
    import keras

    from kvision import applications, data, training, visualize
    from kvision.cli.left_out import report
    from kvision.cli.run_folder import RunFolder

    row = applications.get_model(options.model)
    train, validation = (
        data.load(options.data, split, seed=options.seed, data_dir=options.data_dir)
        for split in ("train", "validation")
    )
    folder = RunFolder(options.run)
    if options.resume and folder.model.exists():
        print(f"{folder.path} is trained to its end; nothing is left to do.")
        return
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.policy)
    model, size = build(options, row, train)
    transform = model.origin.preprocess
    augment = [data.RandomCropWithPadding(options.padding)] if options.padding else []
    augment += [data.RandomFlip()] if options.flip else []
    steps = data.steps(train, options.batch)
    model.compile(
        optimizer(options, steps, model),
        loss(options, row),
        metrics=["accuracy"],
    )
    recorded = {flag.name: flag.value for flag in options.get_flags_for_module(__name__)}
    config = {name: value for name, value in recorded.items() if name not in ("run", "resume")}
    folder.begin({**config, "class_names": list(train.class_names)}, options.resume)
    resume = training.Resume(folder / "state")
    sizes = dict(transform=transform, size=size)
    # Keras's word for the end of a validation set that did not know its length: a folder with unreadable files.
    warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
    model.fit(
        data.training_batches(
            train, options.batch, augment=augment, seed=options.seed, first_epoch=resume.epochs, **sizes
        ),
        steps_per_epoch=steps,
        epochs=options.epochs,
        validation_data=data.evaluation_batches(validation, options.batch, **sizes),
        callbacks=[resume],
        shuffle=False,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    partial = folder / "partial.keras"
    model.save(partial)
    partial.replace(folder.model)
    folder.write("history.json", resume.history)
    resume.discard()
    visualize.save(visualize.curves(resume.history), folder / "curves.png")
    report(train, validation)
    print(f"The run folder: {folder.path}")


def build(options, row, train):
    """The network for these images, with the preprocessing it is trained with in its origin; and the input size."""
    from kvision import data
    from kvision.classifier import Classifier, Preprocess

    height, width, channels = train.image_shape
    own = None if None in (height, width) else (height, width)
    size = (options.size, options.size) if options.size else own or row.input_shape[:2]
    classes = len(train.class_names)
    shape = (*size, channels)
    resized = None if size == own else size
    if options.weights is None:
        model = row(input_shape=shape, classes=classes, lineage=options.lineage)
        mean, std = data.pixel_statistics(train, resized)
        return model.with_preprocess(Preprocess(mean, std, size=size)), resized
    trunk = row(include_top=False, weights=options.weights, lineage=options.lineage, input_shape=shape)
    scores = row.architecture.classifier(trunk.output, classes, "softmax")
    model = Classifier(trunk.input, scores, name=trunk.name, origin=trunk.origin)
    if trunk.origin.preprocess is None:
        mean, std = data.pixel_statistics(train, resized)
        model.with_preprocess(Preprocess(mean, std, size=size))
    return model, resized


def loss(options, row):
    """The cross-entropy of probabilities, the margin loss of capsules' lengths."""
    from kvision import losses

    if row.scores == "probabilities":
        return losses.SmoothedCrossentropy(options.smoothing)
    if options.smoothing:
        raise ValueError(
            f"{row.name} gives the lengths of capsules, whose margin loss has no label smoothing. "
            f"Received: --smoothing={options.smoothing}"
        )
    return losses.MarginLoss()


def optimizer(options, steps: int, model):
    """SGD with Nesterov momentum, warmup and decay, as the flags say."""
    import keras

    from kvision.optimizers import Warmup, spared_from_decay

    total = steps * options.epochs
    if options.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(options.rate, total)
    else:
        drops = sorted(float(part) for part in options.drops)
        if not all(0 < part < 1 for part in drops):
            raise ValueError(f"--drops are parts of the training between 0 and 1. Received: {options.drops}")
        rates = [options.rate * options.factor**count for count in range(len(drops) + 1)]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay([round(part * total) for part in drops], rates)
    schedule = Warmup(schedule, round(options.warmup * steps))
    sgd = keras.optimizers.SGD(
        schedule, momentum=options.momentum, nesterov=options.momentum > 0, weight_decay=options.decay or None
    )
    if options.decay:
        sgd.exclude_from_weight_decay(var_list=spared_from_decay(model))
    return sgd
