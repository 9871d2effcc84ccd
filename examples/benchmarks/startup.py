"""What do `import kvision`, building a network and exporting it cost, beside Keras's own?

    python examples/benchmarks/startup.py                       # about 3 minutes
    python examples/benchmarks/startup.py --rounds=3 --only=export

Each measurement is a fresh process; the two of a pair run in turn. Prints medians of seconds with their spread. An
export has kvision's three signatures (encoded images, pixels, features), or Keras's one.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags
from results import record

ROUNDS = flags.DEFINE_integer("rounds", 5, "processes of each kind")
ONLY = flags.DEFINE_list("only", ["import", "build", "export"], "what is timed")
MODEL = flags.DEFINE_string("model", "ResNet50", "a name of kvision.applications and of keras.applications")

# By task, for kvision and keras: what goes before, and what is timed.
PAIRS = {
    "import": (("", "import kvision"), ("", "import keras")),
    "build": (
        ("from kvision.applications import {model}", "{model}()"),
        ("from keras.applications import {model}", "{model}(weights=None)"),
    ),
    "export": (
        (
            "import kvision; from kvision.classifier import Preprocess; "
            "model = kvision.applications.{model}().with_preprocess(Preprocess())",
            "kvision.export.savedmodel(model, '{folder}/served')",
        ),
        (
            "import keras; model = keras.applications.{model}(weights=None)",
            "model.export('{folder}/exported', verbose=False)",
        ),
    ),
}


def seconds(before: str, code: str) -> float:
    timed = f"import time; {before}\nstart = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", timed.format(model=MODEL.value, folder=folder)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main(_):
    for name in ONLY.value:
        found = {"kvision": [], "keras": []}
        for _ in range(ROUNDS.value):
            for times, (before, code) in zip(found.values(), PAIRS[name], strict=True):
                times.append(seconds(before, code))
        task = name if name == "import" else f"{name} {MODEL.value}"
        record(task, found, "s")
        ours, theirs = map(statistics.median, found.values())
        spread = ", ".join(f"{min(times):.2f} to {max(times):.2f}" for times in found.values())
        print(f"{task}: kvision {ours:.2f} s, keras {theirs:.2f} s ({spread}): {ours - theirs:+.2f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
