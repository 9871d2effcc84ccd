"""What the benchmarks of memory share: a process of its own for each form, and how far a run raises the memory."""

import contextlib
import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def apart(function: Callable, *arguments):
    """What a function of the script returns in a process of its own, which starts small."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def growth(run: Callable[[], object]) -> tuple[float, float]:
    """By how many MiB `run()` raises the resident memory at its highest, and how many there were before."""
    with contextlib.suppress(OSError):  # where the highest so far cannot be forgotten, it is what is raised
        Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    run()
    return peak() - before, before


def peak() -> float:
    """The highest resident memory of this process so far, in MiB."""
    with contextlib.suppress(FileNotFoundError):  # not on Linux
        # Of the program that runs now: `getrusage` begins with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text()
        return float(status.partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
