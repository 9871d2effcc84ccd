"""Does training wait for its images? Steps on JPEG files, cropped and mirrored, beside steps on one batch in memory.

    python examples/benchmarks/feeding.py               # ResNet50, float32, batch 8 at 224, about 4 minutes

Prints images per second of both, medians of interleaved rounds in one process with their spread, and how much longer a
step takes when it is fed from files. On a CPU the decoder and the network share the cores: what it takes to decode an
image is missing elsewhere, and no pipeline can hide it.
"""

import pathlib
import tempfile

from absl import app, flags
from interleaved import take_turns, trainer
from photographs import CLASSES, photographs

MODEL = flags.DEFINE_string("model", "ResNet50", "a name of kvision.applications")
POLICY = flags.DEFINE_string("policy", "float32", "a Keras dtype policy")
IMAGES = flags.DEFINE_integer("images", 256, "JPEG files to read, of 500x375")
BATCH = flags.DEFINE_integer("batch", 8, "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of what the network sees")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 6, "training steps in a round")


def main(_):
    import keras
    import tensorflow as tf

    from kvision import applications, data
    from kvision.optimizers import TorchSGD

    keras.config.set_dtype_policy(POLICY.value)
    row = getattr(applications, MODEL.value)

    def fit(batches=None):
        model = row(input_shape=(SIZE.value, SIZE.value, 3), classes=CLASSES)
        return trainer(model, TorchSGD(0.01, 0.9), BATCH.value, STEPS.value, batches)

    with tempfile.TemporaryDirectory() as folder:
        photographs(pathlib.Path(folder), IMAGES.value)
        batches = data.training_batches(
            data.load(folder, validation=0, test=0),
            BATCH.value,
            crop=data.RandomResizedCrop(SIZE.value),
            augment=[data.RandomFlip()],
            transform=row.preprocessing(),
        )
        medians, texts = take_turns({"in memory": fit(), "from files": fit(batches)}, ROUNDS.value)
    print(f"{MODEL.value}, {POLICY.value}, batch {BATCH.value} at {SIZE.value}, keras {keras.__version__}, ", end="")
    print(f"tensorflow {tf.__version__}; images/s: {', '.join(f'{name} {text}' for name, text in texts.items())}")
    print(f"a step from files takes {medians['in memory'] / medians['from files'] - 1:+.1%}")


if __name__ == "__main__":
    app.run(main)
