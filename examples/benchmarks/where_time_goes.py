"""Where does the time of a training step go, and how much of what the machine can multiply does it use?

    python examples/benchmarks/where_time_goes.py                        # ResNet50, float32 and bfloat16, 2 minutes
    python examples/benchmarks/where_time_goes.py --model=DenseNet121 --policies=float32

TensorFlow times each operation of some steps; the shares are of the sum of these times. The peak is that of products of
two square matrices on all cores, in the same numbers; a step is counted as three times its forward multiply-adds.
"""

import collections
import functools
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from interleaved import matrix_products

MODEL = flags.DEFINE_string("model", "ResNet50", "a network that `kvision models` lists")
POLICIES = flags.DEFINE_list("policies", ["float32", "mixed_bfloat16"], "Keras dtype policies, one after the other")
BATCH = flags.DEFINE_integer("batch", 8, "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")
STEPS = flags.DEFINE_integer("steps", 5, "steps that are timed")

GROUPS = {
    "weight gradients of convolutions": ("Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter"),
    "input gradients of convolutions": ("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput"),
    "convolutions, forwards": ("Conv2D", "FusedConv2D", "DepthwiseConv2dNative"),
    "products of matrices (dense layers, 1x1 convolutions)": ("MatMul", "BatchMatMul", "FusedMatMul"),
    "batch norms, backwards": ("FusedBatchNormGrad",),
    "batch norms, forwards": ("FusedBatchNorm", "FusedBatchNormEx"),
    "rectifiers and other activations": ("Relu", "Gelu", "Erf", "Tanh", "Sigmoid"),
    "sums": ("Add", "BiasAdd"),
    "pooling": ("MaxPool", "AvgPool"),
    "padding and its gradient": ("Pad", "Slice", "StridedSlice"),
    "optimizer": ("ResourceApply", "Assign"),
    "concatenation, splits, layout": ("Concat", "Split", "Transpose", "Reshape"),
    "casts": ("Cast",),
}


def group(operation: str) -> str:
    """The group whose longest entry begins the operation's name, with or without oneDNN's prefix."""
    operation = operation.removeprefix("_Mkl").removeprefix("_").removeprefix("Native")
    starts = {start: name for name, starts in GROUPS.items() for start in starts if operation.startswith(start)}
    return starts[max(starts, key=len)] if starts else "other"


def timed_operations(run) -> dict[str, float]:
    """Seconds by operation of what `run()` executes, from the profile that TensorFlow writes."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        profile = xplane_pb2.XSpace.FromString(path.read_bytes())
    found = collections.Counter()
    for plane in profile.planes:
        for event in (event for line in plane.lines for event in line.events):
            node, _, operation = plane.event_metadata[event.metadata_id].name.rpartition(":")
            # Those with "::" in their names, and calls, hold operations.
            if (
                node
                and not node.endswith(":")
                and not operation.endswith("PartitionedCall")
                and operation.isidentifier()
            ):
                found[operation] += event.duration_ps / 1e12
    return found


def main(_):
    import keras
    import numpy as np
    import tensorflow as tf

    from kvision import evaluation
    from kvision.applications import get_model

    random = np.random.default_rng(0)
    for policy in POLICIES.value:
        keras.config.set_dtype_policy(policy)
        row = get_model(MODEL.value)
        model = row(input_shape=(SIZE.value, SIZE.value, row.input_shape[2]))
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
        images = tf.constant(random.normal(size=(BATCH.value, *model.input_shape[1:])), "float32")
        labels = tf.constant(random.integers(0, row.classes, BATCH.value))
        step = functools.partial(model.train_on_batch, images, labels)
        times = []
        for _ in range(STEPS.value + 2):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        duration = statistics.median(times[2:])
        operations = collections.Counter()
        for _ in range(STEPS.value):
            operations.update(timed_operations(step))
        total = sum(operations.values())
        shares = collections.Counter()
        for operation, seconds in operations.items():
            shares[group(operation)] += seconds / total
        possible = matrix_products("bfloat16" if "bfloat16" in policy else "float32", 10**9)()
        reached = 3 * BATCH.value * evaluation.count_macs(model) / duration / 1e9
        print(f"{MODEL.value}, {policy}, batch {BATCH.value} at {SIZE.value}: {1e3 * duration:.0f} ms a step")
        print(f"{reached:.0f} of {possible:.0f} giga-multiply-adds a second, {reached / possible:.0%} of the peak")
        print("| share of the operations' time | |\n|---|---:|")
        for name, share in shares.most_common():
            print(f"| {name} | {share:.1%} |", flush=True)
        others = [(name, seconds) for name, seconds in operations.most_common() if group(name) == "other"]
        print("other:", ", ".join(f"{name} {seconds / total:.1%}" for name, seconds in others[:6]), flush=True)


if __name__ == "__main__":
    app.run(main)
