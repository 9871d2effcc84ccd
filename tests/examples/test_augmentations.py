"""The picture of all augmentations is drawn, and leaves none out."""

import runpy
from pathlib import Path

from kvision import data

EXAMPLE = Path(__file__).parents[2] / "examples" / "augmentations.py"


def test_draws_every_augmentation_of_photographs(tmp_path, capsys):
    example = runpy.run_path(str(EXAMPLE))
    layers = {
        name
        for name in data.__all__
        if isinstance(layer := getattr(data, name), type) and issubclass(layer, data.Augmentation)
    }
    bases, for_digits, of_others = {"Augmentation", "Mixing"}, {"OverlappingPairs", "RandomClutter"}, {"FromKeras"}
    similar = {
        "RandomSimilarity",
        "RandomCrop",
        "Either",
    }  # to RandomAffine, RandomScaleCrop, and what they choose from
    assert layers - bases - for_digits - of_others - similar == set(example["LAYERS"])
    path = tmp_path / "sheet.png"
    example["main"](path)
    assert path.stat().st_size > 500_000 and str(path) in capsys.readouterr().out
