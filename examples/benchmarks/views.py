"""What do ten crops of each image cost, against one?

    python examples/benchmarks/views.py --images=96 --rounds=3       # ResNet18 at 224, about 2 minutes

The whole evaluation is timed, from JPEG files of 500x375 to the report. Each image is decoded and resized once; of the
ten crops (AlexNet's: four corners, the centre, and their mirror images) the network sees as many at a time as of single
ones. The two take turns.

Prints images per second of both, medians with their spread, and what ten crops cost of one: 10.5 at most.
"""

import pathlib
import tempfile
import time

from absl import app, flags
from interleaved import take_turns
from pipeline import BATCH, DEVIATION, IMAGES, MEAN, ROUNDS, SIZE, photographs

MODEL = flags.DEFINE_string("model", "ResNet18", "the network, with random weights")


def main(_):
    import keras
    import tensorflow as tf

    from kvision import applications, data, evaluation
    from kvision.classifier import Preprocess

    transform = Preprocess(MEAN, DEVIATION)
    size, shorter = SIZE.value, round(SIZE.value / 0.875)
    with tempfile.TemporaryDirectory() as place:
        photographs(pathlib.Path(place), IMAGES.value)
        split = data.load(place, validation=0, test=0)
        model = applications.get_model(MODEL.value)(input_shape=(size, size, 3), classes=len(split.class_names))
        one = data.evaluation_batches(split, BATCH.value, transform=transform, size=size, crop_fraction=0.875)
        views = data.TenCrops(size, shorter)
        ten = data.evaluation_batches(split, max(1, BATCH.value // views.count), transform=transform, views=views)

        def speed(network, batches):
            def run():
                start = time.perf_counter()
                evaluation.evaluate(network, batches, split.class_names, progress=False)
                return IMAGES.value / (time.perf_counter() - start)

            run()  # traces
            return run

        runs = {"one crop": speed(model, one), "ten crops": speed(evaluation.averaged(model), ten)}
        print(
            f"{MODEL.value} at {size}, {IMAGES.value} JPEGs, {BATCH.value} crops at a time, keras {keras.__version__}, "
            f"tensorflow {tf.__version__}; images/s: median (min to max)"
        )
        medians, texts = take_turns(runs, ROUNDS.value)
    print(", ".join(f"{name} {text}" for name, text in texts.items()))
    print(f"ten crops cost {medians['one crop'] / medians['ten crops']:.2f} times one")


if __name__ == "__main__":
    app.run(main)
