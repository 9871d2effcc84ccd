import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.classifier import Preprocess
from kvision.cli.evaluate import protocols
from kvision.cli.main import main
from kvision.data import Crops144, GridCrops, Mirrored, TenCrops, Whole, load, resize_for_evaluation
from kvision.evaluation import averaged, dense, ensemble
from kvision.layers import HistogramEqualization

SQUARE = ((224, 224), 0.875, "bicubic")


@pytest.mark.parametrize(
    ("count", "dense", "scales", "shape", "crops", "whole"),
    [
        (1, False, None, SQUARE, [], []),
        (2, False, None, ((8, 6), 0.9, "bicubic"), [Mirrored((8, 6), 0.9, "bicubic")], []),
        (10, False, None, ((224, 224), 1.0, "bilinear"), [TenCrops()], []),
        (10, False, ["256", "384"], SQUARE, [TenCrops(224, side, "bicubic") for side in (256, 384)], []),
        (50, False, None, SQUARE, [GridCrops(224, 256, 5, "bicubic")], []),
        (144, False, None, ((224, 224), 1.0, "bilinear"), [Crops144()], []),
        (144, False, None, ((112, 112), 1.0, "bicubic"), [Crops144(112, (128, 144, 160, 176), "bicubic")], []),
        (10, False, None, ((299, 299), 1.0, "bilinear"), [TenCrops(299, 342)], []),
        (1, True, None, SQUARE, [], [Whole(256, "bicubic")]),
        (1, True, ["256", "384", "512"], SQUARE, [], [Whole(side, "bicubic") for side in (256, 384, 512)]),
        (50, True, ["256"], SQUARE, [GridCrops(224, 256, 5, "bicubic")], [Whole(256, "bicubic")]),
    ],
)
def test_protocols_have_the_proportions_of_the_papers(count, dense, scales, shape, crops, whole):
    assert protocols(count, dense, scales, *shape) == (crops, whole)


@pytest.mark.parametrize(
    ("count", "dense", "scales", "size", "message"),
    [
        (10, False, None, None, "--views=10 needs to know the size.*takes any"),
        (1, True, None, None, "--dense needs to know"),
        (10, False, None, (8, 6), "is not: 8 x 6"),
        (1, True, None, (8, 6), "--dense is for square input"),
        (1, False, ["9"], (8, 8), "--scales are for --dense"),
        (144, False, ["9"], (8, 8), "--scales are for --dense"),
        (10, False, ["9", "seven"], (8, 8), "whole numbers. Received: --scales=9,seven"),
        (1, True, ["9", "7"], (8, 8), "not below the 8 pixels.*Received: 7"),
    ],
)
def test_protocols_need_a_square_and_scales_that_fit(count, dense, scales, size, message):
    with pytest.raises(ValueError, match=message):
        protocols(count, dense, scales, size, 1.0, "bilinear")


def network(folder, seed, preprocess, size=8):
    """A run folder as training leaves it: a small network of two classes, not trained."""
    keras.utils.set_random_seed(seed)
    model = applications.MCDNNColumnMNIST(input_shape=(size, size, 3), classes=2, layers="6C3-MP2-12N")
    model.set_weights([20 * weight for weight in model.get_weights()])
    folder.mkdir()
    model.with_preprocess(preprocess).save(folder / "model.keras")
    config = {"data": str(folder.parent / "photos"), "seed": 0}
    (folder / "config.json").write_text(json.dumps(config))
    return model


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Photographs of several sizes, and two networks that read them in 8x8 and 10x10."""
    root, random = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    for name in ("dark", "light"):
        (root / "photos" / name).mkdir(parents=True)
        for i in range(6):
            image = np.zeros((9 + i, 14 - i // 2, 3), "uint8")
            top, left = random.integers(0, 5, 2)
            image[top : top + 5, left : left + 5] = random.integers(0, 255, 3)
            (root / "photos" / name / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    settings = [(root / "a", 0, Preprocess()), (root / "b", 1, Preprocess((0.3,), (0.4,)), 10)]
    return root, [network(*setting) for setting in settings]


def evaluated(arguments, out):
    """How many are right, and the mean of -log p of the truth."""
    assert main(["evaluate", "--split=train", *arguments, f"--out={out}"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["examples"] == 8
    return report["top1"], pytest.approx(report["nll"], rel=1e-4)


def counted(answers, root):
    """The same by hand."""
    examples = [(np.asarray(answers(image))[0], int(label)) for image, label in load(root / "photos", "train").dataset]
    right = [scores.argmax() == label for scores, label in examples]
    return np.mean(right), np.mean([-np.log(scores[label]) for scores, label in examples])


def test_an_ensemble_of_runs_and_files_each_with_its_own_preprocessing(runs, tmp_path, capsys):
    root, models = runs
    members = [str(root / "a"), str(root / "b" / "model.keras")]
    found = evaluated([f"--ensemble={','.join(members)}"], tmp_path)
    whole = ensemble(models)
    assert whole.input_shape == (None, 10, 10, 3)
    assert found == counted(lambda image: whole(resize_for_evaluation(image, 10)[None]), root)
    protocol = json.loads((tmp_path / "report.json").read_text())["protocol"]
    assert protocol["networks"] == members and protocol["views"] == "each image once"
    assert (tmp_path / "reliability.png").is_file() and "calibration error" in capsys.readouterr().out
    assert evaluated([f"--ensemble={','.join(members)}", "--dense"], tmp_path) == counted(
        lambda image: averaged(ensemble([dense(model) for model in models]))(Whole(10)(image)[None]), root
    )


def test_dense_with_crops_at_several_scales(runs, tmp_path, capsys):
    root, (model, _) = runs
    whole, preprocess = dense(model), model.origin.preprocess
    network, views = averaged(whole, whole), (Whole(9), Whole(12))
    found = evaluated([f"--run={root / 'a'}", "--dense", "--scales=9,12"], tmp_path)
    assert "4 views of each image: Whole(shorter=9" in capsys.readouterr().out
    assert found == counted(lambda image: network([preprocess(view(image))[None] for view in views]), root)

    network, views = averaged(model, whole), (GridCrops(8, 9), Whole(9))
    found = evaluated([f"--run={root / 'a'}", "--dense", "--views=50", "--scales=9"], tmp_path)
    assert "52 views of each image: GridCrops(size=8, shorter=9" in capsys.readouterr().out
    assert found == counted(lambda image: network([preprocess(view(image))[None] for view in views]), root)


def test_a_committee_of_columns_is_evaluated_like_any_network(runs, tmp_path):
    """MCDNN: its preprocessings are layers inside."""
    root, (column, _) = runs
    committee = applications.MCDNN([(None, column), (HistogramEqualization(), column)])
    committee.save(tmp_path / "committee.keras")
    arguments = [f"--model={tmp_path / 'committee.keras'}", f"--data={root / 'photos'}"]

    def answers(image):
        x = column.origin.preprocess(resize_for_evaluation(image, 8)[None])
        return (column(x) + column(HistogramEqualization()(x))) / 2

    assert evaluated(arguments, tmp_path) == counted(answers, root)
    network = averaged(committee)
    assert evaluated([*arguments, "--views=10"], tmp_path) == counted(
        lambda image: network(column.origin.preprocess(TenCrops(8, 9)(image))[None]), root
    )
