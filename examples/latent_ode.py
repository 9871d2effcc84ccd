"""Noisy spirals as paths of a hidden state: the latent ODE, within and beyond the times that it saw.

    python examples/latent_ode.py       # 7 minutes of processor time (busy machine)

Section 5.1 of "Neural Ordinary Differential Equations" (arXiv:1806.07366) and the authors' example: 1,000 pieces of two
spirals, one clockwise and one counter-clockwise, each of 50 points with noise of 0.3, from anywhere on the spiral. The
network has 1,654 parameters. It is tested on 200 other pieces, against the spirals without noise: at the observed
times, and as long again before and after them, where it has seen nothing. Polynomials of time, fitted to each piece,
are what it has to beat.

RMSE is of the distance from the spiral, ELBO the evidence's lower bound for a test piece; means of three seeds:

| network | RMSE within | RMSE after | RMSE before | ELBO (nats) | parameters |
| --- | ---: | ---: | ---: | ---: | ---: |
| latent ODE | 0.14932 ± 0.0013 | 0.5488 ± 0.0033 | 1.2391 ± 0.63 | -41.019 ± 0.57 | 1654 |
| parabola | 0.11239 | 3.7425 | 3.2962 |  |  |
| cubic | 0.11913 | 5.4517 | 5.1558 |  |  |

Where there are observations, a parabola through them is closer. Where there are none, the network is closer by far: it
has learned how spirals go on. It is surer of what comes after than of what came before, where its equation was never
solved in training.

The run folder gets `table.md` and `spirals.png`, test pieces and how the network continues them both ways (Figure 8).
"""

import keras
import numpy as np
from seeds import compare, flags, table

from kvision import visualize
from kvision.applications.latent_ode import LatentODE
from kvision.visualize.figure import BLUE, GRID, INK, MUTED, ORANGE, blank

TURN, POINTS, SEEN, NOISE, BATCH = 6 * np.pi, 500, 50, 0.3, 100  # three turns in 500 points, of which 50 are seen
options = flags(__doc__, epochs=300, run="runs/latent_ode", data=False).parse_args()
angles = np.linspace(0, TURN, POINTS)
times = angles[:SEEN]  # as the network counts them, from the first observation


def spirals():
    """Both, as the authors draw them: `(2, POINTS, 2)`, clockwise first."""
    radii = np.stack([15 / (TURN + 1 - angles), 0.3 * angles])
    turned = np.stack([TURN + 1 - angles, angles])
    x, y = radii * np.cos(turned) + [[-5], [5]], radii * np.sin(turned)
    return np.stack([x, y], axis=-1)


def pieces(count, seed):
    """Observations `(count, SEEN, 2)`, the truth before, at and after them, `(count, 3 SEEN, 2)`, and its spiral."""
    random = np.random.default_rng(seed)
    which, start = random.integers(2, size=count), random.integers(POINTS - 3 * SEEN, size=count)
    truth = spirals()[which[:, None], start[:, None] + np.arange(3 * SEEN)]
    seen = truth[:, SEEN : 2 * SEEN]
    return (seen + random.normal(0, NOISE, seen.shape)).astype("float32"), truth, which


def errors(paths, truth):
    """Root mean squares of the distances of paths, `(count, 3 SEEN, 2)`, from the truth."""
    distances = np.sum((paths - truth) ** 2, axis=-1)
    before, within, after = (float(np.sqrt(part.mean())) for part in np.split(distances, 3, axis=1))
    return {"RMSE within": within, "RMSE after": after, "RMSE before": before}


def continued(model, series):
    """What the network expects at all times, `(count, 3 SEEN, 2)`."""
    step = times[1]
    after = model.extrapolate(series, step * np.arange(2 * SEEN))
    before = model.extrapolate(series, -step * np.arange(SEEN + 1))
    return np.concatenate([np.array(before)[:, :0:-1], np.array(after)], axis=1)


def latent_ode(seed):
    seen, _, _ = pieces(1000, seed)
    model = LatentODE(times, noise=NOISE, seed=seed, solver="rk4", steps=1)
    rate = keras.optimizers.schedules.CosineDecay(0.01, options.epochs * len(seen) // BATCH)
    model.compile(keras.optimizers.Adam(rate), model.negative_log_likelihood, jit_compile=True)
    model.fit(seen, seen, batch_size=BATCH, epochs=options.epochs, verbose=0)
    seen, truth, _ = test
    paths = continued(model, seen)
    shown.setdefault("latent ODE", paths)
    likelihood = -keras.ops.mean(model.negative_log_likelihood(seen, model(seen, training=True)))
    return {
        **errors(paths, truth),
        "ELBO (nats)": likelihood - model.losses[0],
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
    }


def polynomial(degree):
    """Of time, for each piece and direction by least squares."""

    def run(seed):
        seen, truth, _ = test
        place = np.arange(SEEN) / SEEN
        found = np.polyfit(place, seen.transpose(1, 0, 2).reshape(SEEN, -1), degree)
        every = np.vander(np.arange(-SEEN, 2 * SEEN) / SEEN, degree + 1) @ found
        return errors(every.reshape(3 * SEEN, -1, 2).transpose(1, 0, 2), truth)

    return run


def picture(paths, each=4):
    """Some test pieces of either spiral, each as large as it fits: what was seen, the truth, and the network's path."""
    figure = blank(3 * each + 0.6, 6.6, "Spirals seen for a while, and continued")
    axes = figure.subplots(2, each)
    seen, truth, which = test
    for row, spiral, name in zip(axes, (0, 1), ("clockwise", "counter-clockwise"), strict=True):
        for one, place in zip(row, np.flatnonzero(which == spiral), strict=False):
            one.plot(*spirals()[spiral].T, color=GRID, linewidth=6, solid_capstyle="round", label="spiral")
            one.scatter(*seen[place].T, s=7, color=MUTED, linewidths=0, label="seen, with noise")
            before, within, after = np.split(paths[place], 3)
            before, after = np.vstack([before, within[:1]]), np.vstack([within[-1:], after])
            one.plot(*within.T, color=BLUE, linewidth=2.2, label="network, within")
            one.plot(*after.T, color=ORANGE, linewidth=2.2, label="network, after")
            one.plot(*before.T, color=ORANGE, linewidth=2.2, linestyle=(0, (1.2, 1)), label="network, before")
            low, high = truth[place].min(axis=0), truth[place].max(axis=0)
            middle, reach = (low + high) / 2, 0.75 * np.max(high - low)
            limits = np.stack([middle - reach, middle + reach], axis=-1)
            one.set(aspect="equal", xticks=(), yticks=(), xlim=limits[0], ylim=limits[1])
            one.spines[:].set_visible(False)
        row[0].set_ylabel(name, color=INK)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, labelcolor=INK)
    return figure


test, shown = pieces(200, 1000), {}  # shown: the paths of the first seed
contestants = {"latent ODE": latent_ode, "parabola": polynomial(2), "cubic": polynomial(3)}
text = table(compare(contestants, options.seeds))
print(text)
options.run.mkdir(parents=True, exist_ok=True)
(options.run / "table.md").write_text(text + "\n", encoding="utf-8")
visualize.save(picture(shown["latent ODE"]), options.run / "spirals.png")
print(f"table.md and spirals.png are in {options.run}")
