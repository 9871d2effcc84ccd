"""A trained classifier by --model or --run, with the preprocessing that belongs to it."""

import pathlib

from kvision.cli.run_folder import RunFolder


def load_classifier(model: str | None, run: str | None):
    """The model and its preprocessing.

    Raises:
        ValueError: neither is given, the file is missing or no Keras file, or nothing says its preprocessing.
    """
    import keras

    from kvision import evaluation  # noqa: F401  (registers the classes that the file names)

    if model is None and run is None:
        raise ValueError("Pass --run=FOLDER or --model=FILE.keras.")
    path = pathlib.Path(model) if model else RunFolder(run).model
    if not path.is_file():
        begun = " Its training has not ended: go on with `kvision train --resume`." if run and not model else ""
        raise ValueError(f"There is no file {str(path)!r}.{begun}")
    classifier = keras.models.load_model(path, compile=False)
    origin = getattr(classifier, "origin", None)
    if origin is None or origin.preprocess is None:
        raise ValueError(
            f"{str(path)!r} does not say how pixels become its input. Load it in Python, and save it again after "
            "model.with_preprocess(kvision.classifier.Preprocess(...))."
        )
    return classifier, origin.preprocess
