"""kvision predict: ask a network about image files.

    kvision predict --run=runs/digits seven.jpg
    kvision predict --model=served/1 holiday.jpg cat.png

The model is an exported SavedModel: its version folder, or the folder of versions, the newest of which answers; with
--run that of the run folder.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "run", None, "the run folder, with a SavedModel that `kvision export` has written", flag_values=FLAGS
)
flags.DEFINE_string("model", None, "the folder of a SavedModel, or of its versions", flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> int:
    import pathlib

    import tensorflow as tf

    from kvision.cli.run_folder import RunFolder

    if not arguments:
        raise ValueError("Name the image files.")
    files = [pathlib.Path(argument) for argument in arguments]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise ValueError(f"There is no file {', '.join(absent)}.")
    if options.model is None and options.run is None:
        raise ValueError("Pass --run=FOLDER or --model=SAVEDMODEL.")
    serve = tf.saved_model.load(newest(pathlib.Path(options.model or RunFolder(options.run) / "served")))
    answers = serve.signatures["serving_default"](images=tf.constant([file.read_bytes() for file in files]))
    answers = {name: value.numpy() for name, value in answers.items()}
    for file, labels, scores, ok in zip(files, answers["labels"], answers["scores"], answers["ok"], strict=True):
        ranked = (f"{label.decode()} {score:.2%}" for label, score in zip(labels, scores, strict=True))
        print(f"{file}: {', '.join(ranked) if ok else 'no readable image'}")
    return 0 if answers["ok"].all() else 1


def newest(folder) -> str:
    """The SavedModel in a folder, or the highest of its versions."""
    if (folder / "saved_model.pb").is_file():
        return str(folder)
    versions = [entry for entry in folder.glob("*/saved_model.pb") if entry.parent.name.isdigit()]
    if not versions:
        raise ValueError(f"There is no SavedModel in {str(folder)!r}. `kvision export` writes one.")
    return str(max(versions, key=lambda entry: int(entry.parent.name)).parent)
