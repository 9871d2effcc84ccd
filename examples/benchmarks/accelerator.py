"""What share of an accelerator's peak does training reach, on JAX, and timm's networks on PyTorch beside it?

    pip install "kvision[jax]" "jax[cuda12]" torch timm
    python examples/benchmarks/accelerator.py                                             # five networks at 224
    python examples/benchmarks/accelerator.py --models=ResNet50 --batch=64 --notimm
    python examples/benchmarks/accelerator.py --models=ResNet18 --batch=2 --size=64 --matmul=512    # on a processor

Both sides train by SGD with momentum on the same images, which stay on the device: kvision by plain `fit` under
mixed_bfloat16, timm channels_last, under bfloat16's autocast and torch.compile. They take turns in one process, a
network in a process of its own. A step counts as three forward passes of two operations for each multiply-add; the peak
is that of the best of ten products of square bfloat16 matrices on the same device, by JAX. Prints images per second,
medians of interleaved rounds with their spread, the shares of the peak, and the ratio.
"""

import os
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the card is PyTorch's, too

from absl import app, flags
from interleaved import take_turns
from memory import apart

MODELS = flags.DEFINE_list("models", ["ResNet50", "SENet154", "ResNeXt50", "ViT_B16", "NFNetF0"], "kvision's names")
BATCH = flags.DEFINE_integer("batch", 256, "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")
STEPS = flags.DEFINE_integer("steps", 20, "training steps in a round")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
MATMUL = flags.DEFINE_integer("matmul", 8192, "rows and columns of the matrices whose product is the peak")
TIMM = flags.DEFINE_boolean("timm", True, "whether to train timm's network, too")
COMPILE = flags.DEFINE_boolean("compile", True, "whether PyTorch compiles")


def peak(size: int) -> float:
    """Operations per second of a product of bfloat16 matrices."""
    import jax

    multiply = jax.jit(lambda a, b: a @ b)
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), "bfloat16")
    multiply(a, b).block_until_ready()
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        multiply(a, b).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def ours(row, batch: int, size: int, steps: int):
    """The images per second of an epoch of plain `fit`, and the multiply-adds of an image."""
    import keras

    from kvision.evaluation import count_macs

    keras.config.set_dtype_policy("mixed_bfloat16")
    model = row(input_shape=(size, size, 3), lineage=row.weights[0].source)  # timm's own departures from the paper
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    images = keras.random.normal((batch, size, size, 3), seed=0)
    labels = keras.random.randint((batch,), 0, row.classes, seed=0)

    class Clock(keras.callbacks.Callback):
        """Epochs end when the loss is known: the device has done its work. Steps run ahead of Python."""

        async_safe = True

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.start

    def run():
        clock, batches = Clock(), ((images, labels) for _ in range((steps + 1) * 2))
        model.fit(batches, steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[clock])
        return batch * steps / clock.seconds

    return run, count_macs(model)


def theirs(name: str, batch: int, size: int, steps: int, compiled: bool):
    import timm
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sized = dict(img_size=size) if name.startswith(("vit", "mixer")) else {}
    model = timm.create_model(name, **sized).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    images = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (batch,), device=device)

    def forward():
        with torch.autocast(device.type, torch.bfloat16):
            return torch.nn.functional.cross_entropy(model(images), labels)

    forward = torch.compile(forward) if compiled else forward

    def step():
        optimizer.zero_grad()
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss

    def run():
        float(step().detach())
        start = time.perf_counter()
        for _ in range(steps):
            step()
        # The last step's update, too.
        float(next(iter(model.parameters())).detach().sum())
        return batch * steps / (time.perf_counter() - start)

    return run


def measure(name, batch, size, steps, rounds, matmul, with_timm, compiled) -> str:
    import jax

    from kvision import applications

    row = applications.get_model(name)
    available = peak(matmul)
    run, macs = ours(row, batch, size, steps)
    runs = {"kvision": run}
    if with_timm:
        peer = row.weights[0].source.partition("/")[2].partition(".")[0]
        runs[f"timm's {peer}"] = theirs(peer, batch, size, steps, compiled)
    for run in runs.values():
        run()  # compiles
    medians, texts = take_turns(runs, rounds)
    parts = [f"{key} {texts[key]}, {6 * macs * rate / available:.1%} of the peak" for key, rate in medians.items()]
    if with_timm:
        first, second = medians.values()
        parts.append(f"ratio {first / second:.2f}")
    device = f"{jax.devices()[0].device_kind} ({available / 1e12:.3g} TFLOP/s)"
    return f"{name} on {device}: {'; '.join(parts)}"


def main(_):
    print(f"batch {BATCH.value} at {SIZE.value}, mixed_bfloat16; images/s: median (min to max)")
    options = [BATCH, SIZE, STEPS, ROUNDS, MATMUL, TIMM, COMPILE]
    for name in MODELS.value:
        print(apart(measure, name, *(option.value for option in options)), flush=True)


if __name__ == "__main__":
    app.run(main)
