"""How fast is the exported SavedModel, against what `model.export()` writes of keras.applications' network, and others?

    python examples/benchmarks/inference.py                     # ResNet50, float32 and bfloat16, about 3 minutes
    python examples/benchmarks/inference.py --batches=1,8 --peer=keras,onnx                   # and ONNX Runtime
    python examples/benchmarks/inference.py --model=DenseNet121 --peer=unfolded               # what the surgery brings
    python examples/benchmarks/inference.py --model=SEResNeXt50 --peer=legacy_seresnext50_32x4d     # timm, on PyTorch
    python examples/benchmarks/inference.py --model=ViT_B16 --peer=layers       # the same from Keras's own layers

All start from the same kind of random weights, with statistics and offsets as after training (a graph with all-zero
biases is optimized differently), are exported under the same precision, loaded again, each in a process of its own as
a server would, and asked in turn. kvision
exports twice: with its weights as variables, and frozen into the graph (`constants=True`). ONNX Runtime has the same
network as kvision, in float32 in every line, on as many threads as cores. timm's network answers in the memory format
that PyTorch advises for convolutions, its weights in the same precision. The last ratio is to what this machine could
reach: all multiply-adds of the network (export spares some) as fast as in products of matrices.
"""

import os
import pathlib
import tempfile
import time
from functools import partial

import stock_vit
from absl import app, flags
from interleaved import keep_memory, lineage, matrix_products, processes, take_turns
from results import BOUND

MODEL = flags.DEFINE_string(
    "model", "ResNet50", "a name of kvision.applications, and of keras.applications where that is the peer"
)
PEER = flags.DEFINE_list(
    "peer",
    ["keras"],
    "keras (applications), unfolded (kvision's variables without surgery), onnx (ONNX Runtime), layers (a ViT from "
    "Keras's), or a name of timm's; several, with commas",
)
COMPILE = flags.DEFINE_bool("compile", False, "timm's network by torch.compile, too: needs a C++ compiler")
DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "precisions; keras exports under mixed_<dtype>")
ROUNDS = flags.DEFINE_integer("rounds", 7, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 4, "calls in a round, and as many times more as the largest batch is larger")
BATCHES = flags.DEFINE_list("batches", ["8"], "images in a call")
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


def timed(ask, images):
    """A function that asks so many times and returns the images per second."""
    calls = STEPS.value * max(map(int, BATCHES.value)) // len(images)

    def run():
        ask()  # another process had the cores
        start = time.perf_counter()
        for _ in range(calls):
            ask()
        return len(images) * calls / (time.perf_counter() - start)

    run()
    return run


def server(path, signature, images):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures[signature]
    (name,) = function.structured_input_signature[1]
    inputs = {name: tf.constant(images)}
    run = timed(lambda: [value.numpy() for value in function(**inputs).values()], images)
    run.loaded = loaded  # a signature does not keep its model alive
    return run


def onnx_server(path, images):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return timed(lambda: session.run(None, {"pixels": images}), images)


def torch_server(name, dtype, compiled, images):
    import timm
    import torch

    keep_memory()
    model = timm.create_model(name).eval().to(getattr(torch, dtype), memory_format=torch.channels_last)
    forward = torch.compile(model) if compiled else model
    inputs = torch.from_numpy(images).to(getattr(torch, dtype)).permute(0, 3, 1, 2)  # as memory: channels last

    @torch.inference_mode()
    def ask():
        forward(inputs).float().numpy()

    return timed(ask, images)


def keras_export(kind, dtype, shape, path):
    import keras

    import kvision

    keras.config.set_dtype_policy(dtype if dtype == "float32" else f"mixed_{dtype}")
    if kind == "keras":
        model = getattr(keras.applications, MODEL.value)(weights=None, input_shape=shape)
    else:
        model = stock_vit.layers(getattr(kvision.applications, MODEL.value).architecture, shape)
    trained(model).export(str(path), verbose=False)
    keras.config.set_dtype_policy("float32")
    return path


def main(_):
    import keras
    import numpy as np
    import tensorflow as tf

    import kvision
    from kvision import evaluation
    from kvision.classifier import Preprocess
    from kvision.export import Surgery

    print(f"{MODEL.value} at {SIZE.value}, {os.cpu_count()} cores, ", end="")
    print(f"keras {keras.__version__}, tensorflow {tf.__version__}; images/s: median (min to max)")
    shape = (SIZE.value, SIZE.value, 3)
    row = getattr(kvision.applications, MODEL.value)
    ours = trained(row(input_shape=shape, lineage=lineage(row, PEER.value)))
    macs = evaluation.count_macs(ours)
    folder = pathlib.Path(tempfile.mkdtemp())
    for dtype in DTYPES.value:

        def export(kind, dtype=dtype, **options):
            return kvision.export.savedmodel(
                ours, folder / dtype / kind, preprocess=Preprocess(), dtype=dtype, **options
            )

        servers = {}
        for constants in (False, True):
            kind = "constants" if constants else "variables"
            path = export(kind, constants=constants)
            servers[f"kvision {kind}"] = partial(server, path, "tensor")
        forms = list(servers)
        for peer in PEER.value:
            if peer in ("keras", "layers"):
                path = keras_export(peer, dtype, shape, folder / dtype / peer)
                name = {"keras": "keras.applications", "layers": "Keras's layers"}[peer]
                servers[name] = partial(server, path, "serving_default")
            elif peer == "unfolded":
                path = export(peer, surgery=Surgery(batch_norms=False, strides=False, layers=False))
                servers["unfolded variables"] = partial(server, path, "tensor")
            elif peer == "onnx":
                path = folder / "network.onnx"
                path = path if path.exists() else kvision.export.onnx(ours, path, Preprocess())
                servers["ONNX Runtime, float32"] = partial(onnx_server, path)
            else:
                for compiled in (False, True) if COMPILE.value else (False,):
                    name = f"timm {peer}, compiled" if compiled else f"timm {peer}"
                    servers[name] = partial(torch_server, peer, dtype, compiled)
        for batch in map(int, BATCHES.value):
            images = np.random.default_rng(0).uniform(0, 255, (batch, *shape)).astype("float32")
            task = f"serving {MODEL.value}, {dtype}, batch {batch} at {SIZE.value}"
            build = {name: partial(start, images) for name, start in servers.items()}
            build[BOUND] = partial(matrix_products, dtype, macs)
            with processes(build) as runs:
                medians, texts = take_turns(runs, ROUNDS.value, task)
            row = ", ".join(f"{name} {text}" for name, text in texts.items())
            ratios = [
                " and ".join(f"{medians[name] / medians[peer]:.2f}" for name in forms) + f" x {peer}"
                for peer in [name for name in build if name not in forms]
            ]
            print(f"{dtype}, batch {batch}: {row}; {'; '.join(ratios)}", flush=True)


if __name__ == "__main__":
    app.run(main)
