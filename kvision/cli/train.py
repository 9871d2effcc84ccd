"""kvision train: train a network and keep everything in a run folder.

    kvision train --model=ResNet20 --data=digits --size=16 --padding=2 --noflip --epochs=50 --run=runs/digits
    kvision train --data=/my/photos --weights=model.safetensors --rate=0.01 --policy=mixed_bfloat16 --run=runs/photos

The data is "digits", a folder of class folders, or a TensorFlow Datasets name. A run that was killed goes on from its
last epoch with the same command and --resume.
"""

import sys

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "ResNet50", "the network: a name that `kvision models` lists")
flags.DEFINE_string("data", "digits", "digits, a folder of class folders, or a TensorFlow Datasets name")
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its files")
flags.DEFINE_string("run", None, "the run folder; it must not exist yet, or --resume be given", required=True)
flags.DEFINE_bool("resume", False, "go on with a run that was interrupted")
flags.DEFINE_string(
    "weights", None, "start from published weights (a tag) or a local checkpoint; the top starts afresh"
)
flags.DEFINE_string("lineage", None, "the published weights whose conventions a local checkpoint follows")
flags.DEFINE_integer("size", None, "height and width of the input; by default the images' own, or the network's", 1)
flags.DEFINE_integer("epochs", 90, "passes over the training images", 1)
flags.DEFINE_integer("batch", 64, "images in a training step", 1)
flags.DEFINE_float("rate", 0.1, "learning rate after the warmup", 0.0)
flags.DEFINE_enum("schedule", "cosine", ["cosine", "step"], "how the rate falls: to 0, or by --factor at --drops")
flags.DEFINE_list("drops", ["0.5", "0.75"], "parts of the training after which --schedule=step multiplies the rate")
flags.DEFINE_float("factor", 0.1, "by which --schedule=step multiplies the rate", 0.0)
flags.DEFINE_float("warmup", 2, "epochs in which the rate climbs from 0", 0.0)
flags.DEFINE_float("momentum", 0.9, "of SGD, in Nesterov's form", 0.0, 1.0)
flags.DEFINE_float("decay", 1e-4, "weight decay of kernels; gains, offsets and biases are spared", 0.0)
flags.DEFINE_float("smoothing", 0.0, "label smoothing", 0.0, 1.0)
flags.DEFINE_integer("padding", 4, "pad by so many pixels and crop at random; 0 for none", 0)
flags.DEFINE_bool("flip", True, "mirror half of the images")
flags.DEFINE_enum("policy", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "precision of the computation")
flags.DEFINE_integer("seed", 0, "of initialization, splits, order and augmentation", 0)


def run(arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"train takes flags only. Received: {' '.join(arguments)}")
    import keras

    from kvision import applications, data, losses, training, visualize
    from kvision.cli.run_folder import RunFolder

    row = applications.get_model(FLAGS.model)
    train, validation = (
        data.load(FLAGS.data, split, seed=FLAGS.seed, data_dir=FLAGS.data_dir) for split in ("train", "validation")
    )
    folder = RunFolder(FLAGS.run)
    if FLAGS.resume and folder.model.exists():
        print(f"{folder.path} is trained to its end; nothing is left to do.")
        return
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.policy)
    model, size = build(row, train)
    recorded = {flag.name: flag.value for flag in FLAGS.get_flags_for_module(__name__)}
    config = {name: value for name, value in recorded.items() if name not in ("run", "resume")}
    folder.begin({**config, "class_names": list(train.class_names)}, FLAGS.resume)

    transform = model.origin.preprocess
    augment = [data.RandomCropWithPadding(FLAGS.padding)] if FLAGS.padding else []
    augment += [data.RandomFlip()] if FLAGS.flip else []
    steps = data.steps(train, FLAGS.batch)
    model.compile(
        optimizer(steps), losses.SmoothedCrossentropy(FLAGS.smoothing), metrics=["accuracy"], jit_compile="auto"
    )
    resume = training.Resume(folder / "state")
    sizes = dict(transform=transform, size=size)
    model.fit(
        data.training_batches(train, FLAGS.batch, augment=augment, seed=FLAGS.seed, first_epoch=resume.epochs, **sizes),
        steps_per_epoch=steps,
        epochs=FLAGS.epochs,
        validation_data=data.evaluation_batches(validation, FLAGS.batch, **sizes),
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
    for split in (train, validation):
        for path, reason in split.unreadable:
            print(f"left out, unreadable: {path} ({reason})")
    print(f"The run folder: {folder.path}")


def build(row, train):
    """The network for these images, with the preprocessing it is trained with in its origin; and the input size."""
    from kvision import data
    from kvision.classifier import Preprocess

    height, width, channels = train.image_shape
    own = None if None in (height, width) else (height, width)
    size = (FLAGS.size, FLAGS.size) if FLAGS.size else own or row.input_shape[:2]
    classes = len(train.class_names)
    shape = (*size, channels)
    resized = None if size == own else size
    if FLAGS.weights is None:
        model = row(input_shape=shape, classes=classes, lineage=FLAGS.lineage)
        mean, std = data.pixel_statistics(train, resized)
        return model.with_preprocess(Preprocess(mean, std, size=size)), resized
    trunk = row(include_top=False, weights=FLAGS.weights, lineage=FLAGS.lineage, input_shape=shape)
    model = row(input_shape=shape, classes=classes, **trunk.origin.changes)
    values = {variable.path: variable for variable in trunk.variables}
    for variable in model.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
    model.origin = trunk.origin
    if trunk.origin.preprocess is None:
        mean, std = data.pixel_statistics(train, resized)
        model.with_preprocess(Preprocess(mean, std, size=size))
    return model, resized


def optimizer(steps: int):
    """SGD with Nesterov momentum, warmup and decay, as the flags say."""
    import keras

    from kvision.optimizers import Warmup

    total = steps * FLAGS.epochs
    if FLAGS.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(FLAGS.rate, total)
    else:
        drops = sorted(float(part) for part in FLAGS.drops)
        if not all(0 < part < 1 for part in drops):
            raise ValueError(f"--drops are parts of the training between 0 and 1. Received: {FLAGS.drops}")
        rates = [FLAGS.rate * FLAGS.factor**count for count in range(len(drops) + 1)]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay([round(part * total) for part in drops], rates)
    schedule = Warmup(schedule, round(FLAGS.warmup * steps))
    sgd = keras.optimizers.SGD(
        schedule, momentum=FLAGS.momentum, nesterov=FLAGS.momentum > 0, weight_decay=FLAGS.decay or None
    )
    if FLAGS.decay:
        sgd.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return sgd
