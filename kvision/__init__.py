"""Two decades of image classification in Keras 3: exact to their papers, fast, trainable, servable.

The rooms: `applications` (one paper, one file), `layers`, `losses`, `optimizers`, `blocks`, `weights`, `data`,
`training`, `evaluation`, `export`, `visualize`, `cli`. Those that need TensorFlow or much else are imported when first
named.
"""

import importlib

from kvision import classifier, layers, losses, optimizers
from kvision.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__", "classifier", "layers", "losses", "optimizers"]

_ROOMS = ("applications", "blocks", "data", "evaluation", "export", "training", "visualize", "weights")


def __getattr__(name: str):
    if name in _ROOMS:
        return importlib.import_module(f"kvision.{name}")
    raise AttributeError(f"module 'kvision' has no attribute {name!r}. Its rooms: {', '.join(sorted(_ROOMS))}")


def __dir__():
    return sorted({*__all__, *_ROOMS})
