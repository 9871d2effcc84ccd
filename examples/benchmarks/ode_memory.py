"""What does a training step of a differential equation keep? (arXiv:1806.07366: the adjoint's memory is constant.)

    python examples/benchmarks/ode_memory.py                  # 1 to 64 steps of RK4, both gradients, some minutes

The block of the paper's ODE-Net, on states of 7x7x64. Each number is that of a process of its own: by how much a
step's highest resident memory exceeds what was there before. Writes `ode_memory.md` and `ode_memory.png` into --run:

| MiB, by steps of RK4 | 1 | 2 | 4 | 8 | 16 | 32 | 64 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| backpropagation | 15 | 26 | 51 | 101 | 213 | 433 | 879 |
| adjoint | 7 | 7 | 7 | 8 | 8 | 7 | 7 |
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from memory import apart, growth
from results import record

BATCH = flags.DEFINE_integer("batch", 32, "images in a step")
WIDTH = flags.DEFINE_integer("width", 64, "channels of the state")
STEPS = flags.DEFINE_list("steps", ["1", "2", "4", "8", "16", "32", "64"], "steps of the solver")
RUN = flags.DEFINE_string("run", "runs/ode_memory", "folder of the table and the picture")


def measure(steps: int, adjoint: bool, batch: int, width: int) -> float:
    """MiB that the gradient of a block of so many steps needs."""
    import tensorflow as tf

    from kvision.applications.neural_ode import ConvolutionalDynamics
    from kvision.layers import ODEBlock

    block = ODEBlock(ConvolutionalDynamics(width), solver="rk4", steps=steps, adjoint=adjoint)
    block.build((None, 7, 7, width))

    @tf.function(input_signature=[tf.TensorSpec((None, 7, 7, width))])
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(block(x) ** 2)
        return tape.gradient(loss, [variable.value for variable in block.trainable_variables])

    images = tf.random.stateless_normal((batch, 7, 7, width), (0, 0))
    step(images[:1])  # traces
    return growth(lambda: step(images))[0]


def picture(steps: list[int], found: dict[str, list[float]]):
    from kvision.visualize.figure import GRID, INK, MUTED, ORANGE, blank, quiet

    figure = blank(7, 4.2, "The adjoint keeps nothing of the solver's steps")
    axes = figure.add_subplot()
    quiet(axes)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for (name, values), color in zip(found.items(), (MUTED, ORANGE), strict=True):
        axes.plot(steps, values, color=color, linewidth=2, marker="o", markersize=4.5)
        text = f"{name}: {values[-1]:,.0f} MiB"
        axes.annotate(text, (steps[-1], values[-1]), (-10, 8), textcoords="offset points", color=color, ha="right")
    axes.set_xlabel("steps of RK4", color=INK)
    axes.set_ylabel("memory of a training step (MiB)", color=INK)
    axes.set_xticks([count for count in steps if count >= steps[-1] / 16])  # those before would touch
    axes.set_ylim(0)
    return figure


def main(_):
    steps = [int(count) for count in STEPS.value]
    found = {"backpropagation": [], "adjoint": []}
    for count in steps:
        for name, values in found.items():
            values.append(apart(measure, count, name == "adjoint", BATCH.value, WIDTH.value))
            print(f"{count:3d} steps, {name:15s} {values[-1]:7,.0f} MiB", flush=True)
        latest = {"kvision adjoint": found["adjoint"][-1:], "backpropagation": found["backpropagation"][-1:]}
        record(f"memory of the gradient of {count} steps of RK4", latest, "MiB")

    from kvision import visualize

    folder = pathlib.Path(RUN.value)
    visualize.save(picture(steps, found), folder / "ode_memory.png")
    rows = [["MiB, by steps of RK4", *map(str, steps)], ["---"] + ["---:"] * len(steps)]
    rows += [[name, *(f"{value:,.0f}" for value in values)] for name, values in found.items()]
    (folder / "ode_memory.md").write_text("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    print(f"{folder / 'ode_memory.md'} and {folder / 'ode_memory.png'}")


if __name__ == "__main__":
    app.run(main)
