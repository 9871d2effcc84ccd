"""The `kvision` command: the whole path in processes of their own, and clear errors in one line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from kvision.cli.main import COMMANDS, main

TRAIN = ("--model=ResNet20", "--data=digits", "--noflip", "--padding=1", "--epochs=4", "--rate=0.05")


def command(*arguments, **options):
    line = [sys.executable, "-m", "kvision.cli.main", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def kvision(*arguments) -> str:
    process = command(*arguments)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def test_killed_resumed_evaluated_exported_and_asked(tmp_path, capfd):
    run = tmp_path / "run"
    process = command("train", *TRAIN, f"--run={run}")
    while not list(run.glob("state/epoch-0002*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "model.keras").exists()

    output = kvision("train", f"--resume={run}")
    assert "epoch 1/4" not in output and "epoch 4/4" in output and f"The run folder: {run}" in output
    config = json.loads((run / "config.json").read_text())
    assert (
        config["epochs"] == 4
        and set(config["command"].split()) == {"kvision", "train", *TRAIN, f"--run={run}"}
        and "keras" in config["versions"]
    )
    assert set(config["fingerprint"]) == {"train", "validation"} and "kvision" in config["trained"]
    for again in ([f"--resume={run}"], [*TRAIN, f"--run={run}"]):
        assert "nothing is left to do" in kvision("train", *again)
    assert len(json.loads((run / "history.json").read_text())["val_accuracy"]) == 4

    output = kvision("evaluate", f"--run={run}")
    report = json.loads((run / "report.json").read_text())
    assert report["examples"] == 179 and f"top-1 {report['top1']:.2%}" in output
    for name in ("curves.png", "confusion.png", "reliability.png", "mistakes.png"):
        assert tf.io.decode_png((run / name).read_bytes()).shape[0] > 100

    assert main(["evaluate", f"--run={run}", "--views=10", f"--out={tmp_path / 'ten'}"]) == 0
    assert "10 views of each image: TenCrops(size=8, shorter=9, " in capfd.readouterr().out
    assert json.loads((tmp_path / "ten" / "report.json").read_text())["examples"] == 179

    assert f"The SavedModel: {run / 'served' / '1'}" in kvision("export", f"--run={run}")
    image = np.repeat(np.repeat(np.eye(8, dtype="uint8")[..., None] * 255, 8, 0), 8, 1)
    (tmp_path / "seven.jpg").write_bytes(tf.io.encode_jpeg(image).numpy())
    answer = kvision("predict", f"--run={run}", tmp_path / "seven.jpg")
    assert answer.startswith(f"{tmp_path / 'seven.jpg'}: ") and answer.count("%") == 5


def test_a_fine_tune_starts_from_a_checkpoint_and_a_folder_with_a_bad_file(tmp_path, capfd):
    import keras

    from kvision import applications

    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for i in range(6):
            image = random.integers(0, 100, (20 + i, 30, 3)).astype("uint8") + (150 if name == "light" else 0)
            (folder / f"{i}.jpg").write_bytes(tf.io.encode_jpeg(image.astype("uint8")).numpy())
    (tmp_path / "photos" / "dark" / "broken.jpg").write_bytes(b"no image")
    applications.ResNet20(input_shape=(24, 24, 3), classes=5).save(tmp_path / "start.keras")
    arguments = (
        f"--model=ResNet20 --data={tmp_path / 'photos'} --weights={tmp_path / 'start.keras'} --size=24 --epochs=1"
    )
    arguments = [*arguments.split(), "--batch=4", "--rate=1e-30", "--warmup=0"]
    assert main(["train", *arguments, f"--run={tmp_path / 'run'}"]) == 0
    assert "left out, unreadable" in capfd.readouterr().out and (tmp_path / "run" / "model.keras").exists()
    start = keras.models.load_model(tmp_path / "start.keras")
    tuned = keras.models.load_model(tmp_path / "run" / "model.keras")
    np.testing.assert_array_equal(start.get_layer("conv1").kernel, tuned.get_layer("conv1").kernel)
    assert tuned.output_shape == (None, 2) and tuned.origin.preprocess.size == (24, 24)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["class_names"] == ["dark", "light"]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision_with_steps_and_smoothing(policy, tmp_path):
    import keras

    run = tmp_path / "run"
    arguments = ["--epochs=1", "--batch=256", "--schedule=step", "--smoothing=0.1", f"--policy={policy}"]
    assert main(["train", *TRAIN, *arguments, "--average=0.5", "--tensorboard", f"--run={run}"]) == 0
    assert list(run.glob("tensorboard/*/events.out.*"))
    model = keras.models.load_model(run / "model.keras")
    assert model.get_layer("conv1").compute_dtype == policy.removeprefix("mixed_")
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
    history = json.loads((run / "history.json").read_text())
    assert np.isfinite(history["loss"]).all() and "val_loss_average" in history
    average = keras.models.load_model(run / "average.keras")
    assert average.origin == model.origin and not np.array_equal(average.weights[0], model.weights[0])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_command_does(name, capsys):
    assert main([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"kvision {name}: ") and told.count(f"kvision {name}") > 1
    assert name == "recipes" or "--" in told.split("kvision.cli")[1]  # its flags


def test_help_lists_the_commands(capsys):
    assert main([]) == 2 and main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)


def test_recipes(capsys):
    assert main(["recipes", "ResNet"]) == 0
    assert "arXiv:1512.03385" in capsys.readouterr().out
    assert main(["recipes", "*cifar*"]) == 0
    told = capsys.readouterr().out
    assert "ResNetCIFAR" in told and "2015-12" in told and "GoogLeNet" not in told


def test_models(capsys):
    assert main(["models", "ResNet50", "--cite"]) == 0
    told = capsys.readouterr().out
    assert "25,557,032 parameters" in told and "@inproceedings{he2016deep" in told
    assert main(["models", "*resnet1*", "--weights"]) == 0
    told = capsys.readouterr().out
    assert "timm/resnet18.tv_in1k: 224x224, bsd-3-clause" in told and "ResNet1202" not in told


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("fly", 2, "there is no command 'fly'"),
        ("train --run=RUN --bogus", 2, "Unknown command line flag 'bogus'"),
        ("train", 1, "Pass --run=FOLDER to begin a run, or --resume=FOLDER"),
        ("train --run=RUN --resume=BEGUN", 1, "Pass --run=FOLDER to begin a run, or --resume=FOLDER"),
        ("train --run=RUN --recipe=ResNot", 1, "Did you mean"),
        ("train --run=RUN --epochs=0", 2, "epochs"),
        ("train --run=RUN extra", 1, "takes flags only. Received: extra"),
        ("train --run=RUN --model=ResNet", 1, "no network named 'ResNet'"),
        ("train --run=RUN --data=EMPTY", 1, "EMPTY"),
        ("train --run=RUN --data=nowhere", 1, "nowhere"),
        ("train --run=RUN --model=ResNet20 --weights=imagenet", 1, "no published tags"),
        ("train --run=RUN --model=ResNet20 --schedule=step --drops=2", 1, "--drops are parts"),
        ("train --run=EXISTING --model=ResNet20", 1, "exists, and nothing in it is overwritten"),
        ("train --resume=RUN", 1, "is no run folder"),
        ("train --resume=BEGUN --epochs=7", 1, "epochs: 5, now 7"),
        ("train --run=BEGUN --model=ResNet20 --epochs=7", 1, "epochs: 5, now 7"),
        ("evaluate", 1, "Pass --run"),
        ("evaluate --run=BEGUN --average", 1, "has no averaged weights"),
        ("evaluate --run=EXISTING", 1, "is no run folder"),
        ("evaluate --run=BEGUN", 1, "has not ended"),
        ("evaluate --run=BEGUN --ensemble=BEGUN,nowhere.keras", 1, "has not ended"),
        ("evaluate --ensemble=nowhere.keras --data=digits --out=RUN", 1, "no file 'nowhere.keras'"),
        ("report", 1, "Name the run folders"),
        ("report EXISTING", 1, "is no run folder"),
        ("report BEGUN --out=RUN", 1, "has not ended"),
        ("export --run=BEGUN", 1, "has not ended"),
        ("export --run=BEGUN --average", 1, "has no averaged weights"),
        ("export --model=nowhere.keras --out=RUN", 1, "no file 'nowhere.keras'"),
        ("predict --run=EXISTING nowhere.jpg", 1, "no file nowhere.jpg"),
        ("predict --run=EXISTING", 1, "Name the image files"),
        ("predict --model=EXISTING EXISTING/keep.txt", 1, "no SavedModel"),
        ("models ResNet5", 1, "Did you mean"),
        ("models x*", 1, "No network matches"),
        ("recipes x*", 1, "No recipe matches"),
    ],
)
def test_errors_are_one_line_and_lose_nothing(arguments, status, message, tmp_path, capsys):
    for name in ("EXISTING", "EMPTY", "BEGUN"):
        (tmp_path / name).mkdir()
    (tmp_path / "EXISTING" / "keep.txt").write_text("kept")
    (tmp_path / "BEGUN" / "config.json").write_text('{"epochs": 5, "data": "digits", "model": "ResNet20"}')
    for name in ("EXISTING", "EMPTY", "BEGUN", "RUN"):
        for place in "=", " ":
            arguments = arguments.replace(f"{place}{name}", f"{place}{tmp_path / name}")
    assert main(arguments.split()) == status
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert (tmp_path / "EXISTING" / "keep.txt").read_text() == "kept"
    assert not (tmp_path / "RUN" / "config.json").exists()
