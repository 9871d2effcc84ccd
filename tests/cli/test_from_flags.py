"""How the flags of `kvision train` become a recipe, and images a network's input."""

import copy

import pytest

from kvision import applications, data, training
from kvision.cli import from_flags, train
from kvision.losses import MarginLoss


def options(*arguments):
    parsed = copy.deepcopy(train.FLAGS)
    parsed(["kvision train", *arguments])
    return parsed


def recipe(*arguments, row=applications.ResNet20):
    given = options(*arguments)
    begun = from_flags.begun_from(given, row)
    return from_flags.changed(given, begun.adapted(batch=given.batch, epochs=given.epochs))


def test_without_flags_it_is_the_papers():
    assert recipe("--recipe=ResNet", row=applications.ResNet50) == training.get_recipe("ResNet")


def test_length_and_batch_move_the_rate_and_its_drops():
    paper, ours = training.get_recipe("ResNetCIFAR"), recipe("--recipe=ResNetCIFAR", "--batch=32", "--epochs=41")
    assert ours.rate == pytest.approx(paper.rate * 32 / paper.batch)
    drops = [41 / paper.epochs * epoch for epoch in paper.schedule.at]
    assert ours.schedule.at == pytest.approx(drops)


def test_other_flags_are_taken_as_they_are():
    flags = ["--rate=0.3", "--warmup=3", "--momentum=0.5", "--decay=0.01", "--smoothing=0.2", "--average=0.99"]
    changed = recipe("--batch=16", "--epochs=10", "--schedule=step", "--drops=0.8,0.5", "--factor=0.5", *flags)
    assert (changed.rate, changed.batch, changed.epochs, changed.warmup) == (0.3, 16, 10, 3)
    assert (changed.momentum, changed.decay, changed.smoothing, changed.average) == (0.5, 0.01, 0.2, 0.99)
    assert changed.schedule == training.Steps((5, 8), 0.5)
    assert recipe("--recipe=NFNetF0").average and recipe("--recipe=NFNetF0", "--average=0").average is None


def test_the_loss_is_that_of_the_scores():
    assert isinstance(recipe(row=applications.CapsNet).loss(0.0), MarginLoss)
    with pytest.raises(ValueError, match="smoothing"):
        recipe("--smoothing=0.1", row=applications.CapsNet)
    with pytest.raises(ValueError, match="for lengths of capsules, ResNet20 gives probabilities"):
        recipe("--recipe=CapsNet")


@pytest.mark.parametrize(
    ("flags", "crop", "layers"),
    [
        ([], None, [data.RandomCropWithPadding, data.RandomFlip]),
        (["--padding=0", "--noflip"], None, []),
        (["--recipe=ResNetCIFAR"], None, [data.RandomCropWithPadding, data.RandomFlip]),
        (["--recipe=GoogLeNet"], data.RandomResizedCrop, [data.RandomFlip, data.ColorJitter]),
        (["--recipe=GoogLeNet", "--noflip"], None, [data.RandomCropWithPadding]),
    ],
)
def test_images_are_augmented_as_the_recipe_or_the_flags_say(flags, crop, layers):
    given = options(*flags)
    made = from_flags.augmentation(given, from_flags.begun_from(given, applications.ResNet20), (32, 48), 10)
    assert type(made[0]) is (crop or type(None)) and [type(layer) for layer in made[1]] == layers


@pytest.mark.parametrize("checkpoint", [False, True], ids=["afresh", "from a checkpoint"])
def test_the_network_is_recomputed_where_the_flag_says_so(checkpoint, tmp_path):
    images = data.load("digits", "train")
    flags = ["--size=8"]
    if checkpoint:
        applications.ResNet20(include_top=False, input_shape=(8, 8, 1)).save(tmp_path / "trunk.keras")
        flags.append(f"--weights={tmp_path / 'trunk.keras'}")
    for recompute in (False, True):
        given = options(*flags, *["--recompute"] * recompute)
        assert from_flags.build(given, applications.ResNet20, images).recompute is recompute
