"""What do `import kvision` and building a network cost, beside Keras's own?

    python examples/benchmarks/startup.py                       # about 2 minutes

Each measurement is a fresh process; the two of a pair run in turn. Prints medians of seconds, and their difference.
"""

import os
import statistics
import subprocess
import sys

from absl import app, flags

ROUNDS = flags.DEFINE_integer("rounds", 7, "processes of each kind")

TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
PAIRS = {
    "import": ("import kvision", "import keras"),
    "ResNet50()": ("kvision.applications.ResNet50()", "keras.applications.ResNet50(weights=None)"),
}


def seconds(code: str) -> float:
    before = "" if code.startswith("import") else f"import {code.partition('.')[0]}; {code.partition('(')[0]}; "
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", before + TIMED.format(code)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main(_):
    for name, pair in PAIRS.items():
        times = [[], []]
        for _ in range(ROUNDS.value):
            for code, found in zip(pair, times, strict=True):
                found.append(seconds(code))
        ours, theirs = map(statistics.median, times)
        spread = ", ".join(f"{min(found):.2f} to {max(found):.2f}" for found in times)
        print(f"{name}: kvision {ours:.2f} s, keras {theirs:.2f} s ({spread}): {ours - theirs:+.2f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
