"""kvision predict: ask a network about image files.

    kvision predict served/1 holiday.jpg cat.png
    kvision predict runs/digits seven.jpg
    kvision predict --model=served/1 holiday.jpg

The network is an exported SavedModel: its version folder, or the folder of versions, the newest of which answers, or a
run folder with such a folder `served`.
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "run", None, "the run folder, with a SavedModel that `kvision export` has written", flag_values=FLAGS
)
flags.DEFINE_string("model", None, "the folder of a SavedModel, or of its versions", flag_values=FLAGS)
flags.DEFINE_integer("batch", 32, "files in a call", 1, flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> int:
    import pathlib

    import tensorflow as tf

    from kvision.cli.run_folder import RunFolder

    folder = options.model or (options.run and RunFolder(options.run) / "served")
    if folder is None and arguments and pathlib.Path(arguments[0]).is_dir():
        folder, *arguments = arguments
        if (pathlib.Path(folder) / "config.json").is_file():
            folder = RunFolder(folder) / "served"
    if not arguments:
        raise ValueError("Name the image files.")
    files = [pathlib.Path(argument) for argument in arguments]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise ValueError(f"There is no file {', '.join(absent)}.")
    if folder is None:
        raise ValueError("Name the folder of a SavedModel, or a run folder, before the image files.")
    served = tf.saved_model.load(newest(pathlib.Path(folder)))
    serve, readable = served.signatures["serving_default"], True
    for start in range(0, len(files), options.batch):
        batch = files[start : start + options.batch]
        answers = serve(images=tf.constant([file.read_bytes() for file in batch]))
        answers = {name: value.numpy() for name, value in answers.items()}
        for file, labels, scores, ok in zip(batch, answers["labels"], answers["scores"], answers["ok"], strict=True):
            print(f"{file}: {told(labels, scores) if ok else 'no readable image'}", flush=True)
            readable &= bool(ok)
    return 0 if readable else 1


def told(labels, scores) -> str:
    """The best classes with their scores; of several symbols, the best of each."""
    if labels.ndim == 2:
        labels, scores = labels[:, 0], scores[:, 0]
    return ", ".join(f"{label.decode()} {score:.2%}" for label, score in zip(labels, scores, strict=True))


def newest(folder) -> str:
    """The SavedModel in a folder, or the highest of its versions."""
    if (folder / "saved_model.pb").is_file():
        return str(folder)
    versions = [entry for entry in folder.glob("*/saved_model.pb") if entry.parent.name.isdigit()]
    if not versions:
        raise ValueError(f"There is no SavedModel in {str(folder)!r}. `kvision export` writes one.")
    return str(max(versions, key=lambda entry: int(entry.parent.name)).parent)
