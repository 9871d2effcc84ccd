"""How does the time of a training step grow with the batch, the resolution and the depth? Linearly, or slower.

    python examples/benchmarks/growth.py                    # ResNets, float32, about 8 minutes
    python examples/benchmarks/growth.py --policy=mixed_bfloat16 --steps=2

Plain `fit` on random images. Growing batches of ResNet50, ResNet50 at several sizes of the image with a batch of 8, and
ResNets of 2 to 16 times as many units at 64: each series beside the line through its largest step that linear growth
in the multiply-adds would be. Prints a table, and writes `growth.md` and `growth.png` into --run.
"""

import pathlib

from absl import app, flags
from interleaved import take_turns, trainer

POLICY = flags.DEFINE_string("policy", "float32", "a Keras dtype policy")
ROUNDS = flags.DEFINE_integer("rounds", 3, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 2, "training steps in a round")
BATCHES = flags.DEFINE_list("batches", ["1", "2", "4", "8", "16", "32"], "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images of growing batches")
SIZES = flags.DEFINE_list("sizes", ["64", "128", "192", "256", "320"], "heights and widths of the images")
DEPTHS = flags.DEFINE_list("depths", ["1", "2", "4", "8"], "how many times the units of a ResNet14")
RUN = flags.DEFINE_string("run", "runs/growth", "folder for the table and the picture")


def step(batch: int, size: int, depths=(3, 4, 6, 3)):
    """A function that trains and returns the seconds of a step; and the multiply-adds of a batch, forwards."""
    import keras

    from kvision import applications, evaluation

    model = applications.ResNet50(input_shape=(size, size, 3), depths=depths)
    run = trainer(model, keras.optimizers.SGD(0.01, momentum=0.9), batch, STEPS.value)
    return (lambda: batch / run()), batch * evaluation.count_macs(model)


def measured(points: dict[str, tuple]) -> list[tuple[str, float, float]]:
    """Of each point its name, the giga-multiply-adds of its batch and the median seconds of its step."""
    import keras

    built = {name: step(*arguments) for name, arguments in points.items()}
    medians, _ = take_turns({name: run for name, (run, _) in built.items()}, ROUNDS.value)
    keras.backend.clear_session()
    return [(name, macs / 1e9, medians[name]) for name, (_, macs) in built.items()]


def picture(found: dict[str, list[tuple[str, float, float]]]):
    from kvision.visualize.figure import GRID, INK, MUTED, ORANGE, blank, quiet

    figure = blank(11, 3.8, f"A training step of ResNets, {POLICY.value}")
    for place, (series, points) in enumerate(found.items(), start=1):
        axes = figure.add_subplot(1, len(found), place)
        quiet(axes)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        names, macs, seconds = zip(*points, strict=True)
        axes.plot([0, macs[-1]], [0, seconds[-1]], color=MUTED, linewidth=1, linestyle="--")
        axes.plot(macs, seconds, color=ORANGE, linewidth=2, marker="o", markersize=4.5)
        for name, x, y in points[-2:]:
            axes.annotate(name, (x, y), (-6, 6), textcoords="offset points", color=INK, ha="right", fontsize=8)
        axes.set(title=series, xlabel="multiply-adds of the batch (billions)")
        axes.set(xlim=(0, None), ylim=(0, 1.1 * seconds[-1]))
        if place == 1:
            axes.set_ylabel("seconds", color=INK)
    return figure


def main(_):
    import keras

    from kvision import visualize

    keras.config.set_dtype_policy(POLICY.value)
    batches, sizes, depths = (list(map(int, flag.value)) for flag in (BATCHES, SIZES, DEPTHS))
    plans = {
        "batch": {f"{batch} images": (batch, SIZE.value) for batch in batches},
        "resolution": {f"{size}x{size}": (8, size) for size in sizes},
        "depth": {f"{12 * times + 2} layers": (8, 64, (times,) * 4) for times in depths},
    }
    lines = ["| grows | step | giga-multiply-adds | seconds | of the largest's seconds per multiply-add |"]
    lines += ["|---|---|---:|---:|---:|"]
    found = {}
    for series, points in plans.items():
        found[series] = measured(points)
        _, most, longest = found[series][-1]
        for name, macs, seconds in found[series]:
            lines.append(
                f"| {series} | {name} | {macs:.3g} | {seconds:.3g} | {seconds / macs / (longest / most):.2f} |"
            )
            print(lines[-1], flush=True)
    folder = pathlib.Path(RUN.value)
    visualize.save(picture(found), folder / "growth.png")
    (folder / "growth.md").write_text("\n".join(lines) + "\n")
    print(f"{folder / 'growth.md'} and {folder / 'growth.png'}")


if __name__ == "__main__":
    app.run(main)
