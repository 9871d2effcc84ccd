"""How fast is the exported SavedModel, against what `model.export()` writes of keras.applications' network, or timm?

    python examples/benchmarks/inference.py                     # ResNet50, float32 and bfloat16, about 3 minutes
    python examples/benchmarks/inference.py --model=SEResNeXt50 --peer=legacy_seresnext50_32x4d     # timm, on PyTorch
    python examples/benchmarks/inference.py --model=ViT_B16 --peer=layers       # the same from Keras's own layers

All start from the same kind of random weights, with statistics and offsets as after training (a graph with all-zero
biases is optimized differently), are exported under the same precision, loaded again, and asked in turn. kvision
exports twice: with its weights as variables, and frozen into the graph (`constants=True`). timm's network answers in
the memory format that PyTorch advises for convolutions, its weights in the same precision.
"""

import os
import pathlib
import tempfile
import time

import stock_vit
from absl import app, flags
from interleaved import take_turns

MODEL = flags.DEFINE_string(
    "model", "ResNet50", "a name of kvision.applications, and of keras.applications where that is the peer"
)
PEER = flags.DEFINE_string("peer", "keras", "keras (applications), layers (a ViT from Keras's), or a name of timm's")
DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "precisions; keras exports under mixed_<dtype>")
ROUNDS = flags.DEFINE_integer("rounds", 7, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 4, "calls in a round")
BATCH = flags.DEFINE_integer("batch", 8, "images in a call")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")


def trained(model):
    """The model with every offset and statistic away from its initial value."""
    import numpy as np

    random = np.random.default_rng(0)
    for variable in model.variables:
        if variable.path.endswith("moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "moving_mean", "bias")):
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model


def server(path, signature, images):
    """A function that asks a loaded SavedModel `STEPS` times and returns its images per second."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures[signature]
    (name,) = function.structured_input_signature[1]
    inputs = {name: tf.constant(images)}

    def run():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            for value in function(**inputs).values():
                value.numpy()
        return len(images) * STEPS.value / (time.perf_counter() - start)

    run()
    run.loaded = loaded  # a signature does not keep its model alive
    return run


def torch_server(images, dtype):
    import timm
    import torch

    model = timm.create_model(PEER.value).eval().to(getattr(torch, dtype), memory_format=torch.channels_last)
    inputs = torch.from_numpy(images).to(getattr(torch, dtype)).permute(0, 3, 1, 2)  # as memory: channels last

    @torch.inference_mode()
    def run():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            model(inputs).float().numpy()
        return len(images) * STEPS.value / (time.perf_counter() - start)

    run()
    return run


def main(_):
    import keras
    import numpy as np
    import tensorflow as tf

    import kvision
    from kvision.classifier import Preprocess

    print(f"{MODEL.value}, batch {BATCH.value} at {SIZE.value}, {os.cpu_count()} cores, ", end="")
    print(f"keras {keras.__version__}, tensorflow {tf.__version__}; images/s: median (min to max)")
    shape = (SIZE.value, SIZE.value, 3)
    images = np.random.default_rng(0).uniform(0, 255, (BATCH.value, *shape)).astype("float32")
    folder = pathlib.Path(tempfile.mkdtemp())
    for dtype in DTYPES.value:
        ours = trained(getattr(kvision.applications, MODEL.value)(input_shape=shape))
        paths = {
            kind: kvision.export.savedmodel(
                ours, folder / f"{kind}-{dtype}", preprocess=Preprocess(), dtype=dtype, constants=kind == "constants"
            )
            for kind in ("variables", "constants")
        }
        runs = {f"kvision {kind}": server(path, "tensor", images) for kind, path in paths.items()}
        if PEER.value in ("keras", "layers"):
            keras.config.set_dtype_policy(dtype if dtype == "float32" else f"mixed_{dtype}")
            if PEER.value == "keras":
                theirs = getattr(keras.applications, MODEL.value)(weights=None, input_shape=shape)
            else:
                theirs = stock_vit.layers(getattr(kvision.applications, MODEL.value).architecture, shape)
            trained(theirs).export(str(folder / f"keras-{dtype}"), verbose=False)
            keras.config.set_dtype_policy("float32")
            runs[PEER.value] = server(folder / f"keras-{dtype}", "serving_default", images)
        else:
            runs[PEER.value] = torch_server(images, dtype)
        medians, texts = take_turns(runs, ROUNDS.value)
        row = ", ".join(f"{name} {text}" for name, text in texts.items())
        ratios = " and ".join(f"{medians[name] / medians[PEER.value]:.2f}" for name in runs if name != PEER.value)
        print(f"{dtype}: {row}; ratios {ratios}", flush=True)


if __name__ == "__main__":
    app.run(main)
