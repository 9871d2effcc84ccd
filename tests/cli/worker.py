"""One process of those that test_train.py starts: `kvision train`, with a ResNet20 of one block."""

import dataclasses
import os
import pathlib
import signal
import sys
import threading
import time

from kvision import applications
from kvision.cli.main import main
from tests.processes import begin

SMALL = dataclasses.replace(applications.ResNet20.architecture, depths=(1,), widths=(16,))
applications.ResNet20 = dataclasses.replace(applications.ResNet20, architecture=SMALL)


def train(folder, calls, devices=1, killed=None):
    """Runs `kvision train` with the flags of each call, one after the other. Returns the last status.

    The processor counts as so many devices. If `killed`, this process is killed when so many epochs are saved.
    """
    if devices > 1:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    if killed:
        threading.Thread(target=kill, args=(pathlib.Path(folder), killed), daemon=True).start()
    return [main(["train", "--model=ResNet20", f"--run={folder}", *flags]) for flags in calls][-1]


def kill(folder, epochs):
    while not list(folder.glob(f"state/epoch-{epochs:04d}*")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(begin(train))
