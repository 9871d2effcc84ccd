"""kvision train: train a network and keep everything in a run folder.

    kvision train --model=ResNet20 --data=digits --size=16 --padding=2 --noflip --epochs=50 --run=runs/digits
    kvision train --model=ResNet50 --data=/my/photos --recipe=ResNet --batch=64 --epochs=60 --run=runs/photos
    kvision train --data=/my/photos --weights=model.safetensors --rate=0.01 --policy=mixed_bfloat16 --run=runs/tuned
    kvision train --resume=runs/photos

The data is "digits", a folder of class folders, or a TensorFlow Datasets name. A run that was killed goes on from its
last epoch with the same command, or with --resume, which knows all other flags from the run folder.

All GPUs of a machine train together. So do several machines, on which the same command runs, with the run folder on
storage that they share; TF_CONFIG says which they are, and `python -m pydoc kvision.training.distribution.cluster` how
to set it on Kubernetes and Slurm.
"""

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
flags.DEFINE_string("run", None, "the run folder: a new one, or one that the same command began", flag_values=FLAGS)
flags.DEFINE_string("resume", None, "the run folder of an interrupted run: goes on with it", flag_values=FLAGS)
flags.DEFINE_string(
    "weights",
    None,
    "start from published weights (a tag) or a local checkpoint; the layer of the classes starts afresh",
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
    "batch",
    None,
    "images in a training step, of all GPUs and workers together; the recipe's rate moves along",
    1,
    flag_values=FLAGS,
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
    if options.resume:
        recall(options, folder.config)
    config = {name: options[name].value for name in names(options) if name not in ("run", "resume")}
    folder.check(config)
    if folder.model.exists():
        print(f"{folder.path} is trained to its end; nothing is left to do.")
        return

    import keras

    from kvision import applications, data, training
    from kvision.cli.from_flags import augmentation, begun_from, build, changed
    from kvision.cli.left_out import report
    from kvision.training import distribution

    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs the package of that name: pip install tensorboard")
    row = applications.get_model(options.model)
    recipe = begun_from(options, row)
    batch = options.batch or recipe.batch
    strategy = distribution.strategy()  # before all else that TensorFlow computes
    replicas, chief = strategy.num_replicas_in_sync, distribution.is_chief()
    if batch % replicas:
        raise ValueError(
            f"A batch of {batch} images cannot be shared by {replicas} replicas (GPUs, or workers without one). Pass "
            f"--batch={max(1, round(batch / replicas)) * replicas}."
        )
    train, validation = (
        data.load(options.data, split, seed=options.seed, data_dir=options.data_dir)
        for split in ("train", "validation")
    )
    config["fingerprint"] = {split.name: split.fingerprint for split in (train, validation)}
    distribution.agreed(strategy, config, "All of them need the same command and the same data.")
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.policy)
    share, steps = batch // replicas, data.steps(train, batch)
    recipe = recipe.adapted(batch=share, workers=replicas, epochs=options.epochs, steps_per_epoch=steps)
    recipe = changed(options, recipe)
    with strategy.scope():
        model = build(options, row, train)
        recipe.compile(model)
    preprocess, size = model.origin.preprocess, model.input_shape[1:3]
    crop, augment = augmentation(options, recipe, size, len(train.class_names))
    size = None if size == train.image_shape[:2] else size
    config |= {"class_names": list(train.class_names), "trained": str(recipe)}
    if chief:
        given = [options[name].serialize() for name in names(options) if options[name].present]
        folder.begin(config, shlex.join(["kvision", "train", *given]), replicas)
    resume = training.Resume(folder / "state")
    callbacks = [distribution.SharedStatistics()] if replicas > 1 else []
    callbacks += [*recipe.callbacks(model), training.StopOnNonFinite(), resume]
    if chief:
        callbacks.append(training.Progress())
    if chief and options.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    # Keras's word for the end of a validation set that did not know its length: a folder with unreadable files.
    warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
    model.fit(
        distribution.batches(
            strategy,
            data.training_batches,
            train,
            share,
            transform=preprocess,
            crop=crop,
            augment=augment,
            size=None if crop else size,
            seed=options.seed,
            first_epoch=resume.epochs,
        ),
        steps_per_epoch=steps,
        epochs=recipe.whole_epochs,
        validation_data=distribution.batches(
            strategy,
            data.evaluation_batches,
            validation,
            share,
            transform=preprocess,
            size=size,
            **preprocess.resizing,
        ),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    if chief:
        keep(folder, model, callbacks, resume.history)
        resume.discard()
    report(train, validation)  # by each worker, of the files that were its share
    distribution.barrier(strategy)
    if chief:
        print(f"The run folder: {folder.path}")


def names(options: flags.FlagValues) -> list[str]:
    return [flag.name for flag in options.get_flags_for_module(__name__)]


def recall(options: flags.FlagValues, config: dict) -> None:
    """Gives each flag that is not on the command line the value that the run was begun with."""
    for name in names(options):
        if name in config and not options[name].present:
            options[name].value = config[name]


def keep(folder, model, callbacks, history: dict[str, list[float]]) -> None:
    """Writes what training left. The model comes last: where it is, the run has ended."""
    from kvision import training, visualize

    for callback in callbacks:
        if isinstance(callback, training.WeightAverage):
            folder.save(callback.averaged_model(), folder.average)
    folder.write("history.json", history)
    visualize.save(visualize.curves(history), folder / "curves.png")
    folder.save(model, folder.model)
