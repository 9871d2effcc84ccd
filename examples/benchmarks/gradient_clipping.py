"""How much longer is a training step that clips adaptively? (Brock et al., arXiv:2102.06171, section 4.1)

    python examples/benchmarks/gradient_clipping.py               # ResNet20, batch 32, about 2 minutes
    python examples/benchmarks/gradient_clipping.py --model=ResNet50 --batch=8 --steps=3

Prints images per second of plain `fit` on random images, medians of interleaved rounds in one process with their
spread: SGD, SGD with Keras's bound of the global norm, SGD with adaptive clipping of all but the last layer.
"""

from absl import app, flags
from interleaved import take_turns, trainer

MODEL = flags.DEFINE_string("model", "ResNet20", "a network that `kvision models` lists")
ROUNDS = flags.DEFINE_integer("rounds", 9, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 20, "training steps in a round")
BATCH = flags.DEFINE_integer("batch", 32, "images in a step")


def main(_):
    import keras

    from kvision.applications import get_model
    from kvision.optimizers import AdaptiveGradientClipping

    def sgd(**arguments):
        return keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True, **arguments)

    models = {name: get_model(MODEL.value)() for name in ("plain", "global norm", "adaptive")}
    head = models["adaptive"].get_layer("fc")
    optimizers = {
        "plain": sgd(),
        "global norm": sgd(global_clipnorm=1.0),
        "adaptive": AdaptiveGradientClipping(sgd(), exclude=head.trainable_variables),
    }
    runs = {name: trainer(model, optimizers[name], BATCH.value, STEPS.value) for name, model in models.items()}
    medians, texts = take_turns(runs, ROUNDS.value)
    for name, text in texts.items():
        print(f"{name:12}  {text} images/s, {medians['plain'] / medians[name]:.1%} of a step")


if __name__ == "__main__":
    app.run(main)
