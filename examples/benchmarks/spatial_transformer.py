"""Bilinear sampling in milliseconds, beside PyTorch's `grid_sample` on the same images and affine transforms.

    python examples/benchmarks/spatial_transformer.py                     # 32 images of 224x224x3, half a minute

Needs PyTorch. A ratio above 1 means that kvision is the faster. Three tasks take turns: forward, as in inference;
forward with the transform's gradient; forward with the gradients of transform and images.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from interleaved import take_turns

from kvision.layers import SpatialSampler

BATCH = flags.DEFINE_integer("batch", 32, "images in a batch")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")
ROUNDS = flags.DEFINE_integer("rounds", 7, "how often the tasks take turns")

TASKS = ("forward", "transform's gradient", "both gradients")


def ours(images, theta, upstream):
    images, theta, upstream = map(tf.constant, (images, theta, upstream))
    sampler = SpatialSampler()

    def step(wanted):
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            shown = sampler([images, theta], training=True)
        return tape.gradient(shown, wanted, upstream)

    graphs = [lambda: sampler([images, theta]), lambda: step([theta]), lambda: step([images, theta])]
    return [tf.function(graph) for graph in graphs]


def theirs(images, theta, upstream):
    import torch

    images, upstream = (torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2))) for x in (images, upstream))
    theta = torch.tensor(theta.reshape(-1, 2, 3))

    def show(images, theta):
        grid = torch.nn.functional.affine_grid(theta, images.shape, align_corners=True)
        return torch.nn.functional.grid_sample(images, grid, align_corners=True)

    def forward():
        with torch.no_grad():
            return show(images, theta)

    def step(with_images):
        inputs = images.clone().requires_grad_(with_images), theta.clone().requires_grad_()
        show(*inputs).backward(upstream)
        return [tensor.grad for tensor in inputs]

    return [forward, lambda: step(False), lambda: step(True)]


def clock(run):
    def milliseconds():
        start = time.perf_counter()
        keras.tree.map_structure(np.asarray, run())  # waits for the result
        return 1000 * (time.perf_counter() - start)

    milliseconds()  # traces and warms up
    return milliseconds


def main(_):
    random, shape = np.random.default_rng(0), (BATCH.value, SIZE.value, SIZE.value, 3)
    images, upstream = random.normal(size=(2, *shape)).astype("float32")
    theta = (random.normal(0, 0.1, (shape[0], 6)) + [1, 0, 0, 0, 1, 0]).astype("float32")
    runs = {}
    for name, library in (("kvision", ours), ("torch", theirs)):
        runs |= {
            (f"sampling, {task}", name): clock(run)
            for task, run in zip(TASKS, library(images, theta, upstream), strict=True)
        }
    medians, texts = take_turns(runs, ROUNDS.value, unit="ms")
    for task in TASKS:
        mine, other = (f"sampling, {task}", "kvision"), (f"sampling, {task}", "torch")
        print(f"{task}: kvision {texts[mine]} ms, torch {texts[other]} ms, ratio {medians[other] / medians[mine]:.2f}")


if __name__ == "__main__":
    app.run(main)
