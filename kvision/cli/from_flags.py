"""The recipe, the augmentation and the network that the flags of `kvision train` ask for."""

import dataclasses


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
    from kvision.classifier import Preprocess

    height, width, channels = train.image_shape
    own = None if None in (height, width) else (height, width)
    size = (options.size, options.size) if options.size else own or row.input_shape[:2]
    classes, shape = len(train.class_names), (*size, channels)
    given = dict(weights=options.weights, lineage=options.lineage, new_head=True, recompute=options.recompute)
    model = row(input_shape=shape, classes=classes, **given)
    if model.origin.preprocess is not None:
        return model
    return model.with_preprocess(Preprocess(*data.pixel_statistics(train, size), size=size))
