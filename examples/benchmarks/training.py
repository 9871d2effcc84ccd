"""How fast does a plain `compile()` and `fit` train, against keras.applications or timm at the same multiply-adds?

    python examples/benchmarks/training.py                      # ResNet50, float32 and mixed_bfloat16, about 5 minutes
    python examples/benchmarks/training.py --policies=float32 --rounds=3
    python examples/benchmarks/training.py --model=AlexNet --size=227 --peer=stock      # on Keras's grouped convolution
    python examples/benchmarks/training.py --model=NFNetF0 --size=128 --batch=2 --policies=float32 --peer=stock
    python examples/benchmarks/training.py --model=ResNeXt50 --peer=resnext50_32x4d     # timm's, on PyTorch
    python examples/benchmarks/training.py --peer=resnet50 --compile            # and by torch.compile: a C++ compiler
    python examples/benchmarks/training.py --model=ViT_B16 --peer=hub           # keras-hub's; layers: from Keras's own

Prints images per second, medians of interleaved rounds with their spread, and the ratios. Each contestant trains in a
process of its own. The last ratio is to what this machine could reach: a step is three times the forward multiply-adds,
as fast as in products of matrices.
"""

import os
import time
from functools import partial

import stock_vit
from absl import app, flags
from interleaved import keep_memory, lineage, matrix_products, processes, take_turns, trainer
from results import BOUND

MODEL = flags.DEFINE_string(
    "model", "ResNet50", "a name of kvision.applications, and of keras.applications where that is the peer"
)
PEER = flags.DEFINE_string(
    "peer",
    "keras",
    "keras (applications), stock (our network on Keras's grouped convolutions), layers (a ViT from Keras's), hub "
    "(keras-hub's ViT), or a name of timm's",
)
COMPILE = flags.DEFINE_bool("compile", False, "a second peer: timm's network by torch.compile")
POLICIES = flags.DEFINE_list("policies", ["float32", "mixed_bfloat16"], "Keras dtype policies, one after the other")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 4, "training steps in a round")
BATCH = flags.DEFINE_integer("batch", 8, "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")


def ours(shape):
    import kvision

    row = getattr(kvision.applications, MODEL.value)
    return row(input_shape=shape, lineage=lineage(row, [PEER.value]))


def theirs(shape):
    import keras

    return getattr(keras.applications, MODEL.value)(weights=None, input_shape=shape)


def transformer(build, shape):
    import kvision

    return build(getattr(kvision.applications, MODEL.value).architecture, shape)


def fit(policy, build, shape):
    import keras

    keras.config.set_dtype_policy(policy)
    return trainer(build(shape), keras.optimizers.SGD(0.01, momentum=0.9), BATCH.value, STEPS.value)


def stock(policy, shape):
    """Our network, traced with the convolution of Keras's `Conv2D(groups=...)`, which runs inside XLA."""
    from unittest import mock

    import keras

    from kvision.layers import GroupedConv2D

    with mock.patch.object(GroupedConv2D, "convolution_op", keras.layers.Conv2D.convolution_op):
        return fit(policy, ours, shape)


def torch_loop(policy, compiled=False):
    """timm's network in the memory format that PyTorch advises for convolutions, in a loop of PyTorch's own."""
    import timm
    import torch

    keep_memory()
    model = timm.create_model(PEER.value).to(memory_format=torch.channels_last).train()
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    images = torch.randn(BATCH.value, 3, SIZE.value, SIZE.value).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (BATCH.value,))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=policy == "mixed_bfloat16"):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    def run():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            step()
        return BATCH.value * STEPS.value / (time.perf_counter() - start)

    step()
    return run


def main(_):
    import keras
    import tensorflow as tf

    from kvision import evaluation

    print(f"{MODEL.value}, batch {BATCH.value} at {SIZE.value}, {os.cpu_count()} cores, ", end="")
    print(f"keras {keras.__version__}, tensorflow {tf.__version__}; images/s: median (min to max)")
    shape = (SIZE.value, SIZE.value, 3)
    titles = dict(
        keras="keras.applications", stock="Keras's grouped convolutions", layers="Keras's layers", hub="keras-hub"
    )
    theirs_name = titles.get(PEER.value, f"timm {PEER.value}")
    macs = evaluation.count_macs(ours(shape))
    for policy in POLICIES.value:
        peers = {
            "keras": partial(fit, policy, theirs, shape),
            "stock": partial(stock, policy, shape),
            "layers": partial(fit, policy, partial(transformer, stock_vit.layers), shape),
            "hub": partial(fit, policy, partial(transformer, stock_vit.hub), shape),
        }
        peer = peers.get(PEER.value, partial(torch_loop, policy))
        build = {"kvision": partial(fit, policy, ours, shape), theirs_name: peer}
        if COMPILE.value:
            build[f"{theirs_name}, compiled"] = partial(torch_loop, policy, compiled=True)
        build[BOUND] = partial(matrix_products, policy.removeprefix("mixed_"), 3 * macs)
        task = f"training {MODEL.value}, {policy}, batch {BATCH.value} at {SIZE.value}"
        with processes(build) as runs:
            medians, texts = take_turns(runs, ROUNDS.value, task)
        row = ", ".join(f"{name} {text}" for name, text in texts.items())
        ratios = ", ".join(f"{medians['kvision'] / medians[name]:.2f}" for name in list(build)[1:])
        print(f"{policy}: {row}; ratio {ratios}", flush=True)


if __name__ == "__main__":
    app.run(main)
