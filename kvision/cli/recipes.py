"""kvision recipes: list the papers' ways of training, or print one of them.

kvision recipes            all, in order of publication
kvision recipes "*CIFAR*"  those that match
kvision recipes ResNet     one, with its source
"""

from absl import flags

FLAGS = flags.FlagValues()


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    from kvision import training

    for pattern in arguments or ["*"]:
        if not set("*?[") & set(pattern):
            print(training.get_recipe(pattern))
            continue
        names = training.list_recipes(pattern)
        if not names:
            raise ValueError(f"No recipe matches {pattern!r}.")
        for name in names:
            recipe = training.get_recipe(name)
            length = f"{recipe.epochs:>6.4g} epochs, batches of {recipe.batch:>5,}"
            print(f"{name:22}{recipe.month}  {length}: {recipe.schedule}")
