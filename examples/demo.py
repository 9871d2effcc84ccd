"""The whole path by the `kvision` command: train, evaluate, report, export, and ask the served model about a JPEG.

    make demo                           # about 2 minutes on 2 cores; at least 98.5 % of the test digits right

Everything is written under one run folder, whose name is printed at the end.
"""

import datetime
import pathlib
import subprocess
import sys

RUN = pathlib.Path("runs") / datetime.datetime.now().strftime("digits-%Y%m%d-%H%M%S")
JPEG = RUN / "a-digit.jpg"
TRAIN = ("--model=ResNet20", "--data=digits", "--size=16", "--padding=2", "--noflip", "--epochs=70", "--smoothing=0.1")


def kvision(command: str, *arguments) -> None:
    line = [command, f"--run={RUN}", *map(str, arguments)]
    print("\n$ kvision", *line, flush=True)
    subprocess.run([sys.executable, "-m", "kvision.cli.main", *line], check=True)


def write_jpeg() -> int:
    """One digit that training has not seen, twice as large and as a JPEG. Returns what it is."""
    import tensorflow as tf

    from kvision import data

    image, label = next(iter(data.load("digits", "test").dataset))
    tf.io.write_file(str(JPEG), tf.io.encode_jpeg(tf.repeat(tf.repeat(image, 2, 0), 2, 1), quality=95))
    return int(label)


kvision("train", *TRAIN)
kvision("evaluate")
kvision("report")
kvision("export")
print(f"\n{JPEG} shows a {write_jpeg()}.")
kvision("predict", JPEG)
print(f"\nThe run folder: {RUN}, with report.html to look at, its pictures, report.json, model.keras and served/1")
