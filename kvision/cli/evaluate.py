"""kvision evaluate: measure a trained network on a labelled set.

    kvision evaluate --run=runs/digits
    kvision evaluate --model=model.keras --data=/my/photos --split=test --out=measured

Prints top-1 and top-5 accuracy and each class's figures; writes report.json, confusion.png and mistakes.png into the
run folder, or --out.
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
flags.DEFINE_integer("batch", 64, "images in a step", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", None, "of the division into splits; by default the run's, else 0", 0, flag_values=FLAGS)
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
    fraction = preprocess.crop_fraction
    batches = data.evaluation_batches(
        split,
        options.batch,
        transform=preprocess,
        size=size,
        crop_fraction=fraction,
        interpolation=preprocess.interpolation,
    )
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
