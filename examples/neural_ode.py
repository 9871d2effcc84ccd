"""Depth as a differential equation: Table 1 and Figure 3 of Chen et al., NeurIPS 2018, arXiv:1806.07366, on digits.

    python examples/neural_ode.py    # 22 minutes on 2 busy cores; the table below
    python examples/neural_ode.py --data=mnist --width=64 --batch=128 --epochs=160    # full width; wants a GPU

One hidden layer; six residual blocks; in their place an equation, with gradients by backpropagation through the solver
(RK-Net) or from the adjoint state (ODE-Net). Downsampling is by convolutions, as in the authors' example; to be short,
24 channels, not 64, 8 epochs, no random crops, a cosine for the learning rate. Mean and deviation
of three runs, with 179 test digits, on a busy machine:

| network | test error (%) | parameters (k) | memory (MiB) | time of a step (ms) | NFE forward | NFE backward |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| 1-layer MLP | 3.9106 | 238.51 | 0.65625 | 9.012 ± 3.1 | 0 | 0 |
| ResNet | 3.7244 ± 0.32 | 81.898 | 9.3164 | 58.384 ± 5.3 | 0 | 0 |
| RK-Net | 3.7244 ± 0.85 | 30.108 | 12.582 | 150.09 ± 17 | 26 | 0 |
| ODE-Net | 6.5177 ± 2.6 | 30.108 | 10.25 | 162.05 ± 18 | 26.045 ± 0.078 | 20.472 ± 0.82 |

The equation needs 37 % of the ResNet's parameters and 2.6 to 2.8 times its time. Most of the memory is that of the
downsampling, the same in all three; `benchmarks/ode_memory.py` measures the equation alone. The picture shows the
evaluations growing from 20 to 26 in training, and the solver's error falling with the tolerance. The first trials,
which led to 24 channels and lower rates, were validated on images most of which are test digits now.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from benchmarks.memory import apart, growth
from seeds import compare, flags, table

from kvision import data, visualize
from kvision.applications import MLP300, ODENet, ODEResNet, RKNet
from kvision.applications.neural_ode import solved
from kvision.blocks.bind import bind
from kvision.visualize.figure import GRID, INK, MUTED, ORANGE, blank, quiet

LOSS = "sparse_categorical_crossentropy"
SIZE, PREPROCESS = (28, 28), ODENet.preprocessing()  # pixels in [0, 1]
# The better of 0.03 and 0.1 on the validation digits, one run of each; RK-Net has ODE-Net's.
RATES = {"1-layer MLP": 0.1, "ResNet": 0.03, "RK-Net": 0.1, "ODE-Net": 0.1}
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def build(name: str, width: int, **options) -> keras.Model:
    """A row of the table; `options` are those of its `ODEBlock`."""
    equation = bind(solved, count_evaluations=True, **options)
    if name == "ODE-Net":
        return ODENet(width=width, transform=equation)
    if name == "RK-Net":
        return RKNet(width=width, transform=bind(equation, adjoint=False))
    return ODEResNet(width=width) if name == "ResNet" else MLP300()


class Watch(keras.callbacks.Callback):
    """For each epoch, how often a step evaluated the equation forward and backward, and how long it took."""

    def on_train_begin(self, logs=None):
        self.evaluations, self.milliseconds = [], []
        self.solves = any(layer.name == "ode" for layer in self.model.layers)

    def on_epoch_begin(self, epoch, logs=None):
        self.counts, self.start = [], time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.counts.append(self.model.get_layer("ode").evaluations if self.solves else (0, 0))
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.evaluations.append(np.mean(self.counts, 0))
        self.milliseconds.append(1000 * (self.end - self.start) / len(self.counts))


def memory(name: str, width: int, solver: str, batch: int) -> float:
    """MiB that a training step needs."""
    model = build(name, width, solver=solver)
    model.compile("sgd", LOSS)

    @tf.function(input_signature=[tf.TensorSpec((None, *SIZE, 1)), tf.TensorSpec((None,), "int32")])
    def step(images, labels):
        return model.train_step((images, labels))

    images, labels = tf.zeros((batch, *SIZE, 1)), tf.zeros(batch, "int32")
    step(images[:1], labels[:1])  # traces
    return growth(lambda: step(images, labels))[0]


def solve(weights, images, labels, width: int, **options):
    """A trained ODE-Net that solves otherwise: its evaluations, states at the end, and error in percent."""
    model = build("ODE-Net", width, **options)
    model.set_weights(weights)
    equation = model.get_layer("ode")
    both = keras.Model(model.input, [equation.output, model.output])
    with tf.GradientTape() as tape:
        states, scores = both(images)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, scores))
    tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    return *equation.evaluations, states.numpy(), 100 * np.mean(np.argmax(scores, -1) != labels)


def figure_3(evaluations, sweep):
    """Evaluations during training, and what a trained network's solver errs by, against its evaluations.

    Args:
        evaluations: `(seeds, epochs, 2)`, of the way forward and of that for the gradients.
        sweep: for each tolerance: evaluations forward and backward, relative error of the state, test error in percent.
    """
    figure = blank(10.5, 3.9, "What an equation costs")
    growing, exact = figure.subplots(1, 2)
    for axes in (growing, exact):
        quiet(axes)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    epochs = np.arange(1, evaluations.shape[1] + 1)
    for way, (name, color) in enumerate((("forward", MUTED), ("for the gradients", ORANGE))):
        values = evaluations[..., way]
        growing.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.18, linewidth=0)
        growing.plot(epochs, values.mean(0), color=color, linewidth=2, label=name)
    growing.set_title("Harder to solve as training goes on", loc="left", fontsize=11, color=INK)
    growing.set_xlabel("epoch", color=INK)
    growing.set_ylabel("evaluations of the equation", color=INK)
    growing.legend(frameon=False, labelcolor=INK)
    counts, errors = [row[0] for row in sweep.values()], [row[2] for row in sweep.values()]
    exact.plot(counts, errors, color=ORANGE, linewidth=2, marker="o", markersize=5)
    exact.set_yscale("log")
    for tolerance, count, error in zip(sweep, counts, errors, strict=True):
        exact.annotate(f"{tolerance:g}", (count, error), (7, 4), textcoords="offset points", fontsize=9, color=INK)
    exact.set_title("As exact as the tolerance asks", loc="left", fontsize=11, color=INK)
    exact.set_xlabel("evaluations forward", color=INK)
    exact.set_ylabel("relative error of the state", color=INK)
    exact.margins(x=0.15, y=0.12)
    return figure


def main():
    parser = flags(__doc__, epochs=8, run="runs/neural_ode")
    parser.add_argument("--width", type=int, default=24, help="channels; 64 in the paper (%(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="images in a step (%(default)s)")
    parser.add_argument("--solver", default="dopri5", help="an adaptive one: dopri5, bosh3 or heun (%(default)s)")
    options = parser.parse_args()

    train, test = (data.load(options.data, split) for split in ("train", "test"))
    tests = data.evaluation_batches(test, 256, size=SIZE, transform=PREPROCESS)
    steps = data.steps(train, options.batch)
    trained, evaluations = {}, []  # of the ODE-Nets

    def contestant(name):
        needed = apart(memory, name, options.width, options.solver, options.batch)

        def run(seed):
            model = build(name, options.width, solver=options.solver)
            rate = keras.optimizers.schedules.CosineDecay(RATES[name], options.epochs * steps)
            model.compile(keras.optimizers.SGD(rate, momentum=0.9), LOSS, metrics=["accuracy"])
            watch = Watch()
            batches = data.training_batches(train, options.batch, size=SIZE, transform=PREPROCESS, seed=seed)
            model.fit(
                batches, epochs=options.epochs, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[watch]
            )
            forward, backward = watch.evaluations[-1]
            if name == "ODE-Net":
                evaluations.append(watch.evaluations)
                trained[seed] = model.get_weights()
            return {
                "test error (%)": 100 * (1 - model.evaluate(tests, verbose=0, return_dict=True)["accuracy"]),
                "parameters (k)": model.count_params() / 1000,
                "memory (MiB)": needed,
                "time of a step (ms)": float(np.median(watch.milliseconds)),
                "NFE forward": forward,
                "NFE backward": backward,
            }

        return run

    results = compare({name: contestant(name) for name in RATES}, options.seeds)
    text = table(results)

    # Figure 3: the first ODE-Net, solved to other tolerances, on a batch of test images.
    images, labels = (tensor.numpy() for tensor in next(iter(tests)))
    *_, exact, _ = solve(trained[0], images, labels, options.width, solver="rk4", steps=64)
    sweep = {}
    for tolerance in TOLERANCES:
        asked = dict(solver=options.solver, rtol=tolerance, atol=tolerance)
        forward, backward, states, wrong = solve(trained[0], images, labels, options.width, **asked)
        sweep[tolerance] = forward, backward, np.linalg.norm(states - exact) / np.linalg.norm(exact), wrong
    rows = [["tolerance", "NFE forward", "NFE backward", "error of the state", "test error (%)"], ["---:"] * 5]
    rows += [[f"{x:g}", str(f), str(b), f"{e:.1g}", f"{w:.4g}"] for x, (f, b, e, w) in sweep.items()]
    text += "\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)

    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "table.md").write_text(text + "\n")
    visualize.save(figure_3(np.array(evaluations), sweep), options.run / "evaluations.png")
    print(f"\n{text}\n\n{options.run / 'table.md'} and {options.run / 'evaluations.png'}")


if __name__ == "__main__":
    main()
