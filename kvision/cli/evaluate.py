"""kvision evaluate: measure a trained network on a labelled set.

    kvision evaluate --run=runs/digits
    kvision evaluate --model=model.keras --data=/my/photos --split=test --out=measured

Prints top-1 and top-5 accuracy and each class's figures; writes report.json, confusion.png and mistakes.png into the
run folder, or --out.
"""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "the run folder: its network, on the data that it was trained with")
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network")
flags.DEFINE_string(
    "data", None, "digits, a folder of class folders, or a TensorFlow Datasets name; by default the run's"
)
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its files; by default the run's")
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "which images")
flags.DEFINE_integer("batch", 64, "images in a step", 1)
flags.DEFINE_integer("seed", None, "of the division into splits; by default the run's, else 0", 0)
flags.DEFINE_string("out", None, "folder of the report; by default the run folder")


def run(arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"evaluate takes flags only. Received: {' '.join(arguments)}")
    import pathlib

    from kvision import data, evaluation, visualize
    from kvision.cli.load import load_classifier
    from kvision.cli.run_folder import RunFolder

    config = RunFolder(FLAGS.run).config if FLAGS.run else {}
    source, out = FLAGS.data or config.get("data"), FLAGS.out or FLAGS.run
    if source is None or out is None:
        raise ValueError("Pass --run, or --model with --data and --out.")
    model, preprocess = load_classifier(FLAGS.model, FLAGS.run)
    seed = config.get("seed", 0) if FLAGS.seed is None else FLAGS.seed
    split = data.load(source, FLAGS.split, seed=seed, data_dir=FLAGS.data_dir or config.get("data_dir"))
    size = model.input_shape[1:3] if None not in model.input_shape[1:3] else preprocess.size
    fraction = preprocess.crop_fraction
    batches = data.evaluation_batches(
        split,
        FLAGS.batch,
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
    for path, reason in split.unreadable:
        print(f"left out, unreadable: {path} ({reason})")
    print(f"The report: {folder / 'report.json'}")
