"""How long does a SavedModel take to answer, and how many images does it answer in a second?

    python examples/benchmarks/latency.py served/1                       # encoded images, batches of 1, 8 and 32
    python examples/benchmarks/latency.py served/1 --signature=tensor --batches=1,4
    python examples/benchmarks/latency.py served/1 --image=holiday.jpg   # of this file, not 500x375 of noise

One caller, who asks again when answered. The percentiles are of `--seconds` of calls after the first two of each size:
half of the answers come within p50, 99 of 100 within p99.
"""

import os
import pathlib
import time

from absl import app, flags

SIGNATURE = flags.DEFINE_string("signature", "serving_default", "which of the SavedModel's")
BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "images in a call")
SECONDS = flags.DEFINE_float("seconds", 10, "of measuring each batch size", 0.0)
IMAGE = flags.DEFINE_string("image", None, "an image file that is asked about")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def question(spec, batch: int):
    """A batch for the one input of a signature: encoded images, or pixels."""
    import numpy as np
    import tensorflow as tf

    if spec.dtype != tf.string:
        return tf.random.stateless_uniform((batch, *spec.shape[1:]), (0, 0), 0, 255)
    if IMAGE.value:
        return tf.repeat(tf.constant([pathlib.Path(IMAGE.value).read_bytes()]), batch)
    noise = np.random.default_rng(0).integers(0, 256, (25, 33, 3)).astype("uint8")
    photo = tf.cast(tf.clip_by_value(tf.image.resize(noise, (375, 500), "bicubic"), 0, 255), tf.uint8)
    return tf.repeat(tf.io.encode_jpeg(photo, quality=90)[None], batch)


def latencies(function, inputs, seconds: float) -> list[float]:
    """Seconds of each call, in order, for that long and at least twice; the first two calls are not counted."""

    def call() -> float:
        start = time.perf_counter()
        for value in function(**inputs).values():
            value.numpy()
        return time.perf_counter() - start

    call(), call()
    found = [call(), call()]
    while sum(found) < seconds:
        found.append(call())
    return found


def main(arguments):
    import numpy as np
    import tensorflow as tf

    if len(arguments) != 2:
        raise app.UsageError("Name the version folder of one SavedModel.")
    loaded = tf.saved_model.load(arguments[1])
    if SIGNATURE.value not in loaded.signatures:
        raise app.UsageError(f"--signature is one of {', '.join(loaded.signatures)}.")
    function = loaded.signatures[SIGNATURE.value]
    ((name, spec),) = function.structured_input_signature[1].items()
    print(f"{arguments[1]}, {SIGNATURE.value}, {os.cpu_count()} cores, tensorflow {tf.__version__}; milliseconds")
    print(f"{'batch':>5} {'p50':>9} {'p90':>9} {'p99':>9} {'images/s':>9} {'calls':>7}")
    for batch in map(int, BATCHES.value):
        found = latencies(function, {name: question(spec, batch)}, SECONDS.value)
        p50, p90, p99 = np.percentile(found, [50, 90, 99]) * 1000
        rate = batch * len(found) / sum(found)
        print(f"{batch:>5} {p50:>9.2f} {p90:>9.2f} {p99:>9.2f} {rate:>9.1f} {len(found):>7}", flush=True)


if __name__ == "__main__":
    app.run(main)
