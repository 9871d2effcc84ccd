"""How much shorter is a training step that skips branches? (Huang et al., arXiv:1603.09382, section 4: about 25 %.)

    python examples/benchmarks/stochastic_depth.py                # StochasticDepth110, batch 32, about 6 minutes
    python examples/benchmarks/stochastic_depth.py --batch=64 --rounds=3

Prints images per second of plain `fit` on random images of CIFAR's shape, medians of interleaved rounds in one process
with their spread: constant depth, gates that multiply, gates that skip. Then the time of the last two for a step in
percent of the first's. Of 54 branches 40.25 survive on average, 74.5 %.
"""

from absl import app, flags
from interleaved import take_turns, trainer

ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 20, "training steps in a round; each draws its own depth")
BATCH = flags.DEFINE_integer("batch", 32, "images in a step")
BLOCKS = flags.DEFINE_integer("blocks", 18, "residual units in each of the three stages")


def main(_):
    import keras

    from kvision.applications import ResNet110, StochasticDepth110
    from kvision.applications.stochastic_depth import stochastic
    from kvision.blocks.bind import bind

    depths = (BLOCKS.value,) * 3
    models = {
        "constant": ResNet110(depths=depths),
        "multiplied": StochasticDepth110(depths=depths),
        "skipped": StochasticDepth110(depths=depths, connect=bind(stochastic, skip=True)),
    }
    runs = {
        name: trainer(model, keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), BATCH.value, STEPS.value)
        for name, model in models.items()
    }
    medians, texts = take_turns(runs, ROUNDS.value)
    for name, text in texts.items():
        print(f"{name:10}  {text} images/s, {medians['constant'] / medians[name]:.1%} of a step")


if __name__ == "__main__":
    app.run(main)
