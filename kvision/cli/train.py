"""kvision train: train a network and keep everything in a run folder.

    kvision train --model=ResNet20 --data=digits --size=16 --padding=2 --noflip --epochs=50 --run=runs/digits
    kvision train --model=ResNet50 --data=/my/photos --recipe=ResNet --batch=64 --epochs=60 --run=runs/photos
    kvision train --data=/my/photos --weights=model.safetensors --rate=0.01 --policy=mixed_bfloat16 --run=runs/tuned
    kvision train --resume=runs/photos

The data is "digits", a folder of class folders, or a TensorFlow Datasets name. A run that was killed goes on from its
last epoch with --resume, which knows all other flags from the run folder.
"""

import dataclasses
import importlib.util
import shlex
import warnings

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("model", "ResNet50", "the network: a name that `kvision models` lists", flag_values=FLAGS)
flags.DEFINE_string(
    "data", "digits", "digits, a folder of class folders, or a TensorFlow Datasets name", flag_values=FLAGS
)
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its files", flag_values=FLAGS)
flags.DEFINE_string("run", None, "the run folder, which does not exist yet", flag_values=FLAGS)
flags.DEFINE_string("resume", None, "the run folder of an interrupted run: goes on with it", flag_values=FLAGS)
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
flags.DEFINE_string(
    "recipe",
    None,
    "a paper's way of training, such as ResNet: a name that `kvision recipes` lists; the flags below change it",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "epochs", None, "passes over the training images; drops and warmup move along", 1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "batch", None, "images in a training step of each worker; the recipe's rate moves along", 1, flag_values=FLAGS
)
flags.DEFINE_float("rate", None, "learning rate after the warmup, for this batch", 0.0, flag_values=FLAGS)
flags.DEFINE_enum(
    "schedule", None, ["cosine", "step"], "how the rate falls: to 0, or by --factor at --drops", flag_values=FLAGS
)
flags.DEFINE_list(
    "drops", ["0.5", "0.75"], "parts of the training after which --schedule=step multiplies the rate", flag_values=FLAGS
)
flags.DEFINE_float("factor", 0.1, "by which --schedule=step multiplies the rate", 0.0, flag_values=FLAGS)
flags.DEFINE_float("warmup", None, "epochs in which the rate climbs", 0.0, flag_values=FLAGS)
flags.DEFINE_float("momentum", None, "of the optimizer", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_float("decay", None, "weight decay; the recipe says of which variables", 0.0, flag_values=FLAGS)
flags.DEFINE_float("smoothing", None, "label smoothing", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_integer(
    "padding", None, "pad by so many pixels and crop at random, in place of the recipe's crop", 0, flag_values=FLAGS
)
flags.DEFINE_bool("flip", None, "mirror half of the images, in place of the recipe's augmentation", flag_values=FLAGS)
flags.DEFINE_float(
    "average",
    None,
    "decay of a moving average of the weights, kept beside them; 0 for none",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "policy",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "precision of the computation",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "recompute",
    False,
    "compute what is inside the network twice rather than keep it: less memory, more time",
    flag_values=FLAGS,
)
flags.DEFINE_bool("tensorboard", False, "write events for TensorBoard into the run folder", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "of initialization, splits, order and augmentation", 0, flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"train takes flags only. Received: {' '.join(arguments)}")
    from kvision.cli.run_folder import RunFolder

    if (options.run is None) == (options.resume is None):
        raise ValueError("Pass --run=FOLDER to begin a run, or --resume=FOLDER to go on with one.")
    folder = RunFolder(options.run or options.resume)
    if options.resume is None:
        folder.check_new()
    elif folder.model.exists():
        print(f"{folder.path} is trained to its end; nothing is left to do.")
        return
    else:
        recall(options, folder.config)

    import keras

    from kvision import applications, data, training, visualize
    from kvision.cli.left_out import report

    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs the package of that name: pip install tensorboard")
    row = applications.get_model(options.model)
    recipe = begun_from(options, row)
    train, validation = (
        data.load(options.data, split, seed=options.seed, data_dir=options.data_dir)
        for split in ("train", "validation")
    )
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.policy)
    model = build(options, row, train)
    preprocess, size = model.origin.preprocess, model.input_shape[1:3]
    size = None if size == train.image_shape[:2] else size
    batch = options.batch or recipe.batch
    steps = data.steps(train, batch)
    recipe = changed(options, recipe.adapted(batch=batch, epochs=options.epochs, steps_per_epoch=steps))
    recipe.compile(model)
    folder.begin(
        {
            **{name: options[name].value for name in names(options) if name not in ("run", "resume")},
            "class_names": list(train.class_names),
            "fingerprint": {split.name: split.fingerprint for split in (train, validation)},
            "trained": str(recipe),
        },
        shlex.join(
            ["kvision", "train", *(options[name].serialize() for name in names(options) if options[name].present)]
        ),
    )
    resume = training.Resume(folder / "state")
    callbacks = [*recipe.callbacks(model), training.StopOnNonFinite(), training.Progress(), resume]
    if options.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    # Keras's word for the end of a validation set that did not know its length: a folder with unreadable files.
    warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
    crop, augment = augmentation(options, recipe, model.input_shape[1:3], len(train.class_names))
    model.fit(
        data.training_batches(
            train,
            batch,
            transform=preprocess,
            crop=crop,
            augment=augment,
            size=None if crop else size,
            seed=options.seed,
            first_epoch=resume.epochs,
        ),
        steps_per_epoch=steps,
        epochs=recipe.whole_epochs,
        validation_data=data.evaluation_batches(
            validation,
            batch,
            transform=preprocess,
            size=size,
            crop_fraction=preprocess.crop_fraction,
            interpolation=preprocess.interpolation,
        ),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    for callback in callbacks:
        if isinstance(callback, training.WeightAverage):
            save(callback.averaged_model(), folder.average)
    folder.write("history.json", resume.history)
    visualize.save(visualize.curves(resume.history), folder / "curves.png")
    save(model, folder.model)  # last: where it is, the run has ended
    resume.discard()
    report(train, validation)
    print(f"The run folder: {folder.path}")


def names(options: flags.FlagValues) -> list[str]:
    return [flag.name for flag in options.get_flags_for_module(__name__)]


def recall(options: flags.FlagValues, config: dict) -> None:
    """Gives each flag that is not on the command line the value that the run was begun with."""
    for name in names(options):
        if name in config and not options[name].present:
            options[name].value = config[name]


def begun_from(options, row):
    """The recipe of --recipe, or one that suits small networks and data; with the loss that the row's scores need.

    Raises:
        ValueError: no such recipe, or one for scores of another kind.
    """
    from kvision import training

    own = training.Recipe(
        name="kvision",
        month="2026-11",
        source="what `kvision train` does where no recipe is named",
        images=50_000,
        batch=64,
        epochs=90,
        rate=0.1,
        schedule=training.Cosine(),
        warmup=2,
        optimizer=training.SGD(nesterov=True),
        decay=1e-4,
        decayed=training.kernels,
    )
    recipe = training.get_recipe(options.recipe) if options.recipe else own
    if row.scores == "lengths":
        return dataclasses.replace(recipe, loss=training.margin, smoothing=options.smoothing or 0.0)
    if recipe.loss is training.margin:
        raise ValueError(f"The recipe {recipe.name} is for lengths of capsules, {row.name} gives {row.scores}.")
    return recipe


def changed(options, recipe):
    """The recipe with what the flags say of it.

    Raises:
        ValueError: a flag out of its range.
    """
    from kvision import training

    given = {name: getattr(options, name) for name in ("rate", "warmup", "momentum", "decay", "smoothing", "average")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.schedule == "cosine":
        given["schedule"] = training.Cosine()
    elif options.schedule == "step":
        drops = sorted(float(part) for part in options.drops)
        if not all(0 < part < 1 for part in drops):
            raise ValueError(f"--drops are parts of the training between 0 and 1. Received: {options.drops}")
        given["schedule"] = training.Steps(tuple(part * recipe.epochs for part in drops), options.factor)
    given["average"] = given.get("average", recipe.average) or None
    return dataclasses.replace(recipe, **given)


def augmentation(options, recipe, size: tuple[int, int], classes: int):
    """The layer that crops each image to the input's size, or None, and the layers that augment batches.

    The recipe's, but for flags that say otherwise.
    """
    from kvision import data

    if options.recipe and options.padding is None and options.flip is None:
        return recipe.crop(size), recipe.augment(classes)
    padding = 4 if options.padding is None else options.padding
    augment = [data.RandomCropWithPadding(padding)] if padding else []
    return None, augment + ([] if options.flip is False else [data.RandomFlip()])


def build(options, row, train):
    """The network for these images, with the preprocessing that it is trained with in its origin."""
    from kvision import data
    from kvision.classifier import Classifier, Preprocess

    height, width, channels = train.image_shape
    own = None if None in (height, width) else (height, width)
    size = (options.size, options.size) if options.size else own or row.input_shape[:2]
    classes, shape = len(train.class_names), (*size, channels)
    if options.weights is None:
        model = row(input_shape=shape, classes=classes, lineage=options.lineage, recompute=options.recompute)
    else:
        trunk = row(include_top=False, weights=options.weights, lineage=options.lineage, input_shape=shape)
        scores = row.architecture.classifier(trunk.output, classes, "softmax")
        model = Classifier(trunk.input, scores, name=trunk.name, origin=trunk.origin, recompute=options.recompute)
        if trunk.origin.preprocess is not None:
            return model
    return model.with_preprocess(Preprocess(*data.pixel_statistics(train, size), size=size))


def save(model, path) -> None:
    """All or nothing."""
    partial = path.with_name(f"partial-{path.name}")
    model.save(partial)
    partial.replace(path)
