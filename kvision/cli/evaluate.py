"""kvision evaluate: measure a trained network on a labelled set.

    kvision evaluate --run=runs/digits
    kvision evaluate --model=model.keras --data=/my/photos --split=test --out=measured
    kvision evaluate --run=runs/photos --views=10

Prints top-1 and top-5 accuracy and each class's figures; writes report.json, confusion.png and mistakes.png into the
run folder, or --out. With several --views of each image the network's outputs are averaged: they must be probabilities,
as those of `kvision train` are, and not logits.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "the run folder: its network, on the data that it was trained with", flag_values=FLAGS)
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network", flag_values=FLAGS)
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
    ["1", "2", "10", "144"],
    "of each image, over which the probabilities are averaged: the centre; mirrored too; AlexNet's 10 crops; "
    "GoogLeNet's 144",
    flag_values=FLAGS,
)
flags.DEFINE_string("out", None, "folder of the report; by default the run folder", flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"evaluate takes flags only. Received: {' '.join(arguments)}")
    import pathlib

    from kvision import data, evaluation, visualize
    from kvision.cli.left_out import report
    from kvision.cli.load import load_classifier
    from kvision.cli.run_folder import RunFolder

    config = RunFolder(options.run).config if options.run else {}
    source, out = options.data or config.get("data"), options.out or options.run
    if source is None or out is None:
        raise ValueError("Pass --run, or --model with --data and --out.")
    model, preprocess = load_classifier(options.model, options.run)
    seed = config.get("seed", 0) if options.seed is None else options.seed
    split = data.load(source, options.split, seed=seed, data_dir=options.data_dir or config.get("data_dir"))
    size = model.input_shape[1:3] if None not in model.input_shape[1:3] else preprocess.size
    fraction, interpolation = preprocess.crop_fraction, preprocess.interpolation
    if options.views == "1":
        batches = data.evaluation_batches(
            split, options.batch, transform=preprocess, size=size, crop_fraction=fraction, interpolation=interpolation
        )
    else:
        views = protocol(int(options.views), size, fraction, interpolation)
        model = evaluation.averaged(model)
        batch = max(1, options.batch // views.count)
        batches = data.evaluation_batches(split, batch, transform=preprocess, views=views)
        print(f"{views.count} views of each image: {views}")
    result = evaluation.evaluate(model, batches, split.class_names)
    folder = pathlib.Path(out)
    result.save(folder / "report.json")
    visualize.save(visualize.confusion(result.confusion, result.class_names), folder / "confusion.png")
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
    print(result)
    report(split)
    print(f"The report: {folder / 'report.json'}")


def protocol(count: int, size: tuple[int, int] | None, crop_fraction: float, interpolation: str):
    """2, 10 or 144 views of an image for a network's input size, in the proportions that the papers have at 224.

    Raises:
        ValueError: the network reads images of any size, or, for 10 and 144, of other than square ones.
    """
    from kvision import data

    if size is None:
        raise ValueError(f"--views={count} needs to know the size of the network's input, which takes any.")
    if count == 2:
        return data.Mirrored(size, crop_fraction, interpolation)
    height, width = size
    if height != width:
        raise ValueError(f"--views={count} are square, the network's input is not: {height} x {width}.")
    if count == 10:
        return data.TenCrops(height, round(height / 0.875), interpolation)
    return data.Crops144(height, tuple(round(height * side / 224) for side in (256, 288, 320, 352)), interpolation)
