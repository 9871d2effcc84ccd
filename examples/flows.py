"""Two densities fitted by normalizing flows: a continuous one against 8 and 32 planar ones, one after the other.

    python examples/flows.py            # 18 minutes on 2 busy cores; the table below

A flow turns normal noise into samples of a density q. It is fitted to a density p that is known but for its factor, by
the Kullback-Leibler divergence KL(q || p) = E_q[log q - log p], as in section 4 of "Neural Ordinary Differential
Equations" (arXiv:1806.07366, Figure 4). The densities are two of "Variational Inference with Normalizing Flows"
(arXiv:1505.05770, Table 1): a ring with two bulges, and a wave that forks; and so is the way to fit, with log p weighed
less at first (equation 20). Every flow is fitted in as many steps, of 512 new draws each.

Mean and deviation of three runs:

| network | KL to the ring (nats) | KL to the waves (nats) | parameters |
| --- | ---: | ---: | ---: |
| 8 planar | 0.10359 ± 0.013 | 0.37333 ± 0.039 | 40 |
| 32 planar | 0.041789 ± 0.014 | 0.34423 ± 0.26 | 160 |
| continuous | 0.0055424 ± 0.003 | 0.0086582 ± 0.0023 | 15904 |

One of the three with 32 planar flows found only one end of the waves.

The run folder gets `table.md`; `densities.png`, both densities and what became of them; `path.png`, how noise flows to
them along the equation.
"""

import keras
import numpy as np
from keras import ops
from matplotlib.colors import LinearSegmentedColormap
from seeds import compare, flags, table

from kvision import visualize
from kvision.applications.continuous_flow import HyperDynamics
from kvision.layers import ODEBlock
from kvision.layers.flows import ExactTrace, PlanarFlow
from kvision.visualize.figure import BLUE, INK, ORANGE, blank

BATCH, STEPS, DRAWS = 512, 20, 20_000  # STEPS make an epoch; DRAWS measure the divergence
TIMES = tuple(np.linspace(0, 10, 6))  # the authors' span, and where the path is drawn
parser = flags(__doc__, epochs=75, run="runs/flows", data=False)
parser.add_argument("--densities", nargs="+", default=["ring", "waves"], help="what to fit (%(default)s)")
parser.add_argument("--depths", type=int, nargs="+", default=[8, 32], help="how many planar flows (%(default)s)")
options = parser.parse_args()


def ring(z):
    """-log p but for a constant, of points `(B, 2)`: U_1 of Table 1."""
    x, radius = z[:, 0], ops.norm(z, axis=-1)
    bulges = ops.logaddexp(-ops.square((x - 2) / 0.6) / 2, -ops.square((x + 2) / 0.6) / 2)
    return ops.square((radius - 2) / 0.4) / 2 - bulges


def waves(z):
    """U_3 of Table 1, which goes on without end: here walls stand where |x| = 4."""
    x, y = z[:, 0], z[:, 1] - ops.sin(np.pi / 2 * z[:, 0])
    fork = 3 * ops.exp(-ops.square((x - 1) / 0.6) / 2)
    wave = ops.logaddexp(-ops.square(y / 0.35) / 2, -ops.square((y + fork) / 0.35) / 2)
    return ops.square(ops.relu(ops.abs(x) - 4) / 0.2) / 2 - wave


def normal(z):
    return -ops.sum(ops.square(z), axis=-1) / 2 - np.log(2 * np.pi)


def grid(limit, count):
    """Points `(count^2, 2)` of a square, row by row."""
    line = np.linspace(-limit, limit, count, dtype="float32")
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def log_factor(energy):
    """log of the integral of exp(-energy), by sums over a fine grid."""
    return float(np.log(np.exp(-np.array(energy(grid(7, 1401)), "float64")).sum() * 0.01**2))


def planar(depth):
    def flow(state):
        for _ in range(depth):
            state = PlanarFlow()(state)
        return state

    return flow


def continuous(state):
    return ODEBlock(ExactTrace(HyperDynamics()), (TIMES[0], TIMES[-1]), name="flow")(state)


class Noise(keras.utils.PyDataset):
    """An epoch of new draws; nothing is to be predicted."""

    def __init__(self, seed):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def __len__(self):
        return STEPS

    def __getitem__(self, place):
        nothing = np.zeros(BATCH, "float32")
        return self.random.normal(size=(BATCH, 2)).astype("float32"), (nothing, nothing)


def fit(flow, energy, seed):
    """A model from noise to samples and their log-densities, and its divergence from the density."""
    noise = keras.Input((2,))
    model = keras.Model(noise, flow([noise, normal(noise)]))
    weight = keras.Variable(0.0, trainable=False)  # of log p
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, options.epochs * STEPS)),
        [lambda _, samples: weight * energy(samples), lambda _, density: density],
        jit_compile=False,
    )

    def warm(epoch, logs=None):
        weight.assign(min(1.0, 0.01 + 2 * epoch / options.epochs))

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=warm)
    model.fit(Noise(seed), epochs=options.epochs, callbacks=[callback], shuffle=False, verbose=0)
    samples, density = model.predict(np.random.default_rng(seed + 1000).normal(size=(DRAWS, 2)), 2000, verbose=0)
    return model, float(np.mean(density + energy(samples))) + log_factor(energy)


TARGETS = {name: {"ring": ring, "waves": waves}[name] for name in options.densities}
CONTESTANTS = {**{f"{depth} planar": planar(depth) for depth in options.depths}, "continuous": continuous}
fitted = {}  # of the first seed, for the pictures


def contestant(name):
    def run(seed):
        reached = {}
        for target, energy in TARGETS.items():
            model, divergence = fit(CONTESTANTS[name], energy, seed)
            fitted.setdefault((name, target), model)
            reached[f"KL to the {target} (nats)"] = divergence
        return {**reached, "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights)}

    return run


PAPER = LinearSegmentedColormap.from_list("ink", ["white", BLUE, INK])
SIDE, LIMIT = 201, 4.6


def sheet(rows, columns, title):
    figure = blank(2.3 * columns + 0.6, 2.3 * rows + 0.9, title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", xticks=(), yticks=())
        one.spines[:].set_color("#c8ced4")
    return figure, axes


def draw(axes, points, density, highest):
    """A density `(SIDE^2,)` on a grid that a flow may have bent: where its points `(SIDE^2, 2)` went."""
    x, y, density = (np.array(one).reshape(SIDE, SIDE) for one in (points[:, 0], points[:, 1], density))
    axes.pcolormesh(x, y, density, shading="gouraud", cmap=PAPER, vmin=0, vmax=highest, rasterized=True)


def densities():
    figure, axes = sheet(len(TARGETS), 1 + len(CONTESTANTS), "Densities, and what flows make of normal noise")
    square, noise = grid(LIMIT, SIDE), grid(4.5, SIDE)
    for row, (target, energy) in zip(axes, TARGETS.items(), strict=True):
        density = np.exp(-np.array(energy(square)) - log_factor(energy))
        draw(row[0], square, density, density.max())
        row[0].set_ylabel(target, color=INK)
        for one, name in zip(row[1:], CONTESTANTS, strict=True):
            points, found = fitted[name, target].predict(noise, 2000, verbose=0)
            draw(one, points, np.exp(found), density.max())
            one.set_xlabel(f"KL {results[name][f'KL to the {target} (nats)'][0]:.3f} nats", color=INK, fontsize=9)
    for one, name in zip(axes[0], ["target", *CONTESTANTS], strict=True):
        one.set_title(name, fontsize=11, color=INK)
    return figure


def path():
    figure, axes = sheet(len(TARGETS), len(TIMES), "From noise to the density, along the equation")
    drawn = np.random.default_rng(0).normal(size=(150, 2)).astype("float32")
    noise = np.concatenate([drawn, grid(4.5, SIDE)])
    for row, (target, energy) in zip(axes, TARGETS.items(), strict=True):
        dynamics = fitted["continuous", target].get_layer("flow").dynamics
        flow = ODEBlock(dynamics, TIMES, return_sequences=True)
        points, found = map(np.array, flow([noise, normal(noise)]))
        highest = np.exp(-np.min(energy(grid(LIMIT, SIDE))) - log_factor(energy))
        for place, one in enumerate(row):
            draw(one, points[150:, place], np.exp(found[150:, place]), highest)
            one.scatter(*points[:150, place].T, s=4, color=ORANGE, linewidths=0)
        row[0].set_ylabel(target, color=INK)
    for one, time in zip(axes[0], TIMES, strict=True):
        one.set_title(f"t = {time:g}", fontsize=11, color=INK)
    return figure


results = compare({name: contestant(name) for name in CONTESTANTS}, options.seeds)
text = table(results)
print(text)
options.run.mkdir(parents=True, exist_ok=True)
(options.run / "table.md").write_text(text + "\n", encoding="utf-8")
visualize.save(densities(), options.run / "densities.png")
visualize.save(path(), options.run / "path.png")
print(f"table.md, densities.png and path.png are in {options.run}")
