"""kvision export: write a SavedModel that TensorFlow Serving runs.

    kvision export --run=runs/digits
    kvision export --model=model.keras --labels=names.txt --out=served --dtype=bfloat16

The SavedModel takes encoded images, and has decoding, preprocessing and the labels inside. It gets the next free
version folder below --out, by default the run folder's `served`.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "the run folder: its network and class names", flag_values=FLAGS)
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network", flag_values=FLAGS)
flags.DEFINE_string(
    "labels", None, "a text file with a class name on each line; by default the run's", flag_values=FLAGS
)
flags.DEFINE_string("out", None, "the folder of versions; by default `served` in the run folder", flag_values=FLAGS)
flags.DEFINE_enum(
    "dtype", "float32", ["float32", "bfloat16", "float16"], "of weights and computation", flag_values=FLAGS
)
flags.DEFINE_bool(
    "constants", False, "freeze the weights into the graph: faster, for models below 1.9 GB", flag_values=FLAGS
)
flags.DEFINE_integer("top", 5, "classes in an answer", 1, flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"export takes flags only. Received: {' '.join(arguments)}")
    import pathlib

    from kvision import export
    from kvision.cli.load import load_classifier
    from kvision.cli.run_folder import RunFolder

    model, preprocess = load_classifier(options.model, options.run)
    if options.out is None and options.run is None:
        raise ValueError("Pass --run, or --model with --out.")
    labels = RunFolder(options.run).config["class_names"] if options.run else None
    if options.labels:
        labels = pathlib.Path(options.labels).read_text(encoding="utf-8").splitlines()
    folder = export.savedmodel(
        model,
        options.out or RunFolder(options.run) / "served",
        labels,
        preprocess,
        dtype=options.dtype,
        constants=options.constants,
        top=options.top,
    )
    print(f"The SavedModel: {folder}")
