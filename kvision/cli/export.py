"""kvision export: write a SavedModel that TensorFlow Serving runs.

    kvision export --run=runs/digits
    kvision export --model=model.keras --labels=names.txt --out=served --dtype=bfloat16

The SavedModel takes encoded images, and has decoding, preprocessing and the labels inside. It gets the next free
version folder below --out, by default the run folder's `served`.
"""

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "the run folder: its network and class names")
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network")
flags.DEFINE_string("labels", None, "a text file with a class name on each line; by default the run's")
flags.DEFINE_string("out", None, "the folder of versions; by default `served` in the run folder")
flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16", "float16"], "of weights and computation")
flags.DEFINE_bool("constants", False, "freeze the weights into the graph: faster, for models below 1.9 GB")
flags.DEFINE_integer("top", 5, "classes in an answer", 1)


def run(arguments: list[str]) -> None:
    if arguments:
        raise ValueError(f"export takes flags only. Received: {' '.join(arguments)}")
    import pathlib

    from kvision import export
    from kvision.cli.load import load_classifier
    from kvision.cli.run_folder import RunFolder

    model, preprocess = load_classifier(FLAGS.model, FLAGS.run)
    if FLAGS.out is None and FLAGS.run is None:
        raise ValueError("Pass --run, or --model with --out.")
    labels = RunFolder(FLAGS.run).config["class_names"] if FLAGS.run else None
    if FLAGS.labels:
        labels = pathlib.Path(FLAGS.labels).read_text(encoding="utf-8").splitlines()
    folder = export.savedmodel(
        model,
        FLAGS.out or RunFolder(FLAGS.run) / "served",
        labels,
        preprocess,
        dtype=FLAGS.dtype,
        constants=FLAGS.constants,
        top=FLAGS.top,
    )
    print(f"The SavedModel: {folder}")
