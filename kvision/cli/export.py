"""kvision export: write a network for a server, or for another runtime.

    kvision export runs/digits
    kvision export model.keras --labels=names.txt --out=served --dtype=bfloat16 --constants
    kvision export runs/digits --to=onnx
    kvision export --model=model.keras --to=litert --out=digits.tflite

What is exported is a run folder's network or a .keras file. The SavedModel takes encoded images, and has decoding,
preprocessing and the labels inside. It gets the next free version folder below --out, by default the run folder's
`served`, and beside it the files that TensorFlow Serving is started with. ONNX Runtime and LiteRT get the signature
`tensor` alone, which takes pixels of the network's size: decoding is TensorFlow's.
"""

import re

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "the run folder: its network and class names", flag_values=FLAGS)
flags.DEFINE_string("model", None, "a .keras file, instead of the run's network", flag_values=FLAGS)
flags.DEFINE_bool("average", False, "the run's averaged weights", flag_values=FLAGS)
flags.DEFINE_enum(
    "to", "savedmodel", ["savedmodel", "onnx", "litert"], "what runs it; the last two as float32", flag_values=FLAGS
)
flags.DEFINE_string("out", None, "the folder of versions, or the file for --to=onnx and litert", flag_values=FLAGS)
flags.DEFINE_string(
    "labels", None, "a text file with a class name on each line; by default the run's", flag_values=FLAGS
)
flags.DEFINE_enum(
    "dtype", "float32", ["float32", "bfloat16", "float16"], "of weights and computation", flag_values=FLAGS
)
flags.DEFINE_bool(
    "constants", False, "freeze the weights into the graph: faster, for models below 1.9 GB", flag_values=FLAGS
)
flags.DEFINE_integer("top", 5, "classes in an answer", 1, flag_values=FLAGS)
flags.DEFINE_string(
    "features",
    None,
    "the layer that the signature `features` gives; by default what the last dense layer reads",
    flag_values=FLAGS,
)
flags.DEFINE_multi_string(
    "output", [], "NAME=LAYER: one more answer, such as crops=st; as often as wanted", flag_values=FLAGS
)
flags.DEFINE_enum(
    "on_error",
    "mark",
    ["mark", "raise"],
    "what a file that is no image does: its row says so, or its batch fails",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_pixels", 89_478_485, "of an image, by its header; a larger one is not decoded", 1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "warmup", False, "add requests that the server answers first; needs kvision[serving]", flag_values=FLAGS
)
flags.DEFINE_string("name", None, "of the model on the server; by default the run folder's", flag_values=FLAGS)

SAVEDMODEL_ONLY = ("labels", "dtype", "constants", "top", "features", "on_error", "max_pixels", "warmup", "name")


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    import pathlib

    from kvision.cli.load import load_classifier
    from kvision.cli.run_folder import RunFolder

    if len(arguments) > 1 or (arguments and (options.run or options.model)):
        raise ValueError(f"export takes one run folder or .keras file. Received: {' '.join(arguments)}")
    folder, file = options.run, options.model
    if arguments:
        (argument,) = arguments
        folder, file = (argument, None) if pathlib.Path(argument).is_dir() else (None, argument)
    if options.out is None and folder is None:
        raise ValueError("Pass a run folder, or a .keras file and --out.")
    run_folder = folder and RunFolder(folder)
    if options.average and not run_folder:
        raise ValueError("--average is about the network of a run folder.")
    model, preprocess = load_classifier(run_folder.trained_average() if options.average else file, folder)
    outputs = dict(pair.split("=", 1) if "=" in pair else (pair, pair) for pair in options.output)
    if options.to == "savedmodel":
        name = options.name or re.sub(r"[^\w.-]", "-", pathlib.Path(folder or file).resolve().stem, flags=re.ASCII)
        labels = run_folder.config["class_names"] if run_folder else None
        serve(options, model, preprocess, outputs, labels, pathlib.Path(options.out or run_folder / "served"), name)
    else:
        convert(options, model, preprocess, outputs, run_folder)


def serve(options, model, preprocess, outputs, labels, out, name) -> None:
    from kvision import export

    if options.labels:
        with open(options.labels, encoding="utf-8") as file:
            labels = file.read().splitlines()
    command = export.server_files(out.parent if out.name.isdigit() else out, name)
    folder = export.savedmodel(
        model,
        out,
        labels,
        preprocess,
        dtype=options.dtype,
        constants=options.constants,
        top=options.top,
        features=options.features or True,
        outputs=outputs,
        on_error=options.on_error,
        max_pixels=options.max_pixels,
        warmup=options.warmup,
    )
    print(f"The SavedModel: {folder}\nIts server: {command}")


def convert(options, model, preprocess, outputs, run_folder) -> None:
    from kvision import export

    given = [f"--{name}" for name in SAVEDMODEL_ONLY if options[name].present]
    if given:
        raise ValueError(f"--to={options.to} takes no {', '.join(given)}: it has the signature `tensor` alone.")
    write, name, runtime = {
        "onnx": (export.onnx, "model.onnx", "ONNX Runtime"),
        "litert": (export.litert, "model.tflite", "LiteRT"),
    }[options.to]
    written = write(model, options.out or run_folder / name, preprocess, outputs=outputs)
    print(f"For {runtime}, pixels to scores: {written}")
