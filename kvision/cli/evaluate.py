"""kvision evaluate: measure a trained network, or several together, on a labelled set.

    kvision evaluate --run=runs/digits
    kvision evaluate --model=model.keras --data=/my/photos --split=test --out=measured
    kvision evaluate --run=runs/photos --views=10
    kvision evaluate --run=runs/photos --dense --scales=256,384,512
    kvision evaluate --ensemble=runs/first,runs/second,third.keras --out=together

Prints top-1 and top-5 accuracy, calibration and each class's figures; writes report.json, confusion.png,
reliability.png and mistakes.png into the run folder, or --out. With several --views of each image, at several
--scales, and with several networks, the outputs are averaged: they must be probabilities, as those of `kvision train`
are, and not logits. --dense and --views together average over both.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "the run folder: its network, on the data that it was trained with", flag_values=FLAGS)
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network", flag_values=FLAGS)
flags.DEFINE_list(
    "ensemble",
    None,
    "run folders and .keras files, whose probabilities are averaged, each with its own preprocessing; the crop is that "
    "of the first",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data",
    None,
    "digits, a folder of class folders, or a TensorFlow Datasets name; by default the run's",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data_dir", None, "where TensorFlow Datasets keeps its files; by default the run's", flag_values=FLAGS
)
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "which images", flag_values=FLAGS)
flags.DEFINE_integer("batch", 64, "images in a step, each view counted", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", None, "of the division into splits; by default the run's, else 0", 0, flag_values=FLAGS)
flags.DEFINE_enum(
    "views",
    "1",
    ["1", "2", "10", "50", "144"],
    "crops of each image, over which the probabilities are averaged: the centre; mirrored too; AlexNet's 10; VGG's 50; "
    "GoogLeNet's 144",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "dense", False, "the network all over the whole image and its mirror image, as VGG and OverFeat", flag_values=FLAGS
)
flags.DEFINE_list(
    "scales",
    None,
    "the shorter sides that images are resized to, for --dense and for 10 or 50 --views: 256,384,512; by default one, "
    "from which the network's crop would be cut",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "average",
    False,
    "measure the run's averaged weights; the report goes to `average` in its folder",
    flag_values=FLAGS,
)
flags.DEFINE_string("out", None, "folder of the report; by default the run folder", flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"evaluate takes flags only. Received: {' '.join(arguments)}")
    import dataclasses
    import datetime
    import os
    import pathlib
    import time

    from kvision import data, evaluation
    from kvision.cli.left_out import report
    from kvision.cli.run_folder import RunFolder

    if options.average and (options.model or options.ensemble or not options.run):
        raise ValueError("--average is about the network of a --run.")
    own = RunFolder(options.run).trained_average() if options.average else options.run
    members = options.ensemble or [options.model or own]
    folders = [name for name in (options.run, *members) if name and not is_file(name)]
    config = RunFolder(folders[0]).config if folders else {}
    source = options.data or config.get("data")
    out = options.out or (os.path.join(options.run, "average") if options.average else options.run)
    if source is None or out is None or members == [None]:
        raise ValueError("Pass --run, or --model with --data and --out, or --ensemble with --out.")
    models, preprocess = networks(members)
    seed = config.get("seed", 0) if options.seed is None else options.seed
    split = data.load(source, options.split, seed=seed, data_dir=options.data_dir or config.get("data_dir"))
    model, batches, views = measured(options, models, preprocess, split)
    start = time.perf_counter()
    result = evaluation.evaluate(model, batches, split.class_names)
    protocol = {
        "data": str(source),
        "split": options.split,
        "views": views,
        "networks": [str(member) for member in members],
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    result = dataclasses.replace(result, protocol=protocol)
    folder = pathlib.Path(out)
    result.save(folder / "report.json")
    draw(result, split, folder)
    print(result)
    report(split)
    print(f"The report: {folder / 'report.json'}")


def networks(members: list[str]):
    """The classifiers of run folders and .keras files, and the preprocessing of each."""
    from kvision.cli.load import load_classifier

    pairs = [load_classifier(*(name, None) if is_file(name) else (None, name)) for name in members]
    models, preprocess = zip(*pairs, strict=True)
    return list(models), list(preprocess)


def is_file(name: str) -> bool:
    """Whether this is, or would be, a .keras file and not a run folder."""
    import pathlib

    path = pathlib.Path(name)
    return path.is_file() or path.suffix == ".keras"


def measured(options, models, preprocess, split):
    """The model that answers, the batches that it reads, and how images are seen, in words."""
    from kvision import data, evaluation
    from kvision.classifier import Preprocess

    def together(networks):
        return networks[0] if len(networks) == 1 else evaluation.ensemble(networks, preprocess)

    model, first = together(models), preprocess[0]
    transform = first if len(models) == 1 else Preprocess(scale=1)
    size = model.input_shape[1:3] if None not in model.input_shape[1:3] else first.size
    shape = dict(size=size, **first.resizing)
    crops, whole = protocols(int(options.views), options.dense, options.scales, **shape)
    if not crops and not whole:
        batches = data.evaluation_batches(split, options.batch, transform=transform, **shape)
        return model, batches, "the centre of each image" if first.crop_fraction < 1 else "each image once"
    dense = [together([evaluation.dense(model) for model in models])] if whole else []
    views = [*crops, *whole]
    count = sum(protocol.count for protocol in views)
    alike = not whole or None not in split.image_shape[:2]
    batch = max(1, options.batch // count) if alike else 1
    told = f"{count} views of each image: {', '.join(map(str, views))}"
    print(told)
    model = evaluation.averaged(*[model] * len(crops), *dense * len(whole))
    views = views if len(views) > 1 else views[0]
    return model, data.evaluation_batches(split, batch, transform=transform, views=views), told


def protocols(count: int, dense: bool, scales: list | None, size, crop_fraction, interpolation, squash=False):
    """The crops of an image for a network's input size, and the whole images that it is applied to densely.

    Both by scale; without `scales` in the proportions that the papers have at 224.

    Raises:
        ValueError: the network reads images of any size, or, but for 2 views, of other than square ones; scales that
            are no numbers, below the input size, or for other views.
    """
    from kvision import data

    asked = f"--views={count}" if count > 1 else "--dense" if dense else ""
    if scales and not dense and count not in (10, 50):
        raise ValueError(f"--scales are for --dense, and for 10 or 50 --views. Received: --scales={','.join(scales)}")
    if not asked:
        return [], []
    if size is None:
        raise ValueError(f"{asked} needs to know the size of the network's input, which takes any.")
    if count == 2 and not dense:
        return [data.Mirrored(size, crop_fraction, interpolation, squash)], []
    height, width = size
    if height != width:
        raise ValueError(f"{asked} is for square input, the network's is not: {height} x {width}.")
    try:
        shorter = [int(scale) for scale in scales or ()]
    except ValueError:
        raise ValueError(f"--scales are whole numbers. Received: --scales={','.join(scales)}") from None
    if shorter and min(shorter) < height:
        raise ValueError(f"--scales are not below the {height} pixels of the network's input. Received: {min(shorter)}")
    usual = shorter or [round(height / 0.875)]
    crops = {
        1: [],
        2: [data.Mirrored(size, crop_fraction, interpolation, squash)],
        10: [data.TenCrops(height, scale, interpolation) for scale in usual],
        50: [data.GridCrops(height, scale, interpolation=interpolation) for scale in usual],
        144: [data.Crops144(height, tuple(round(height * side / 224) for side in (256, 288, 320, 352)), interpolation)],
    }
    whole = [data.Whole(scale, interpolation) for scale in shorter or [round(height / crop_fraction)]] if dense else []
    return crops[count], whole


def draw(result, split, folder) -> None:
    """confusion.png, mistakes.png and, where there are probabilities, reliability.png."""
    from kvision import visualize

    visualize.save(visualize.confusion(result.confusion, result.class_names), folder / "confusion.png")
    if result.calibration:
        known = result.calibration
        diagram = visualize.reliability(known.counts, known.confidence, known.accuracy)
        visualize.save(diagram, folder / "reliability.png")
    shown = result.mistakes[:36]
    wanted = {mistake.index for mistake in shown}
    images = {i: image for i, (image, _) in enumerate(split.dataset.as_numpy_iterator()) if i in wanted}
    sheet = visualize.mistakes(
        [images[mistake.index] for mistake in shown],
        [mistake.truth for mistake in shown],
        [mistake.prediction for mistake in shown],
        [mistake.score for mistake in shown],
        result.class_names,
    )
    visualize.save(sheet, folder / "mistakes.png")
