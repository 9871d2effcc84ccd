"""A state is there as it was written, or known not to be: whenever the process that writes is killed."""

import itertools
import multiprocessing
import random
import time

from kvision.training.callbacks import states
from kvision.training.callbacks.states import States


def contents(epochs):
    return bytes([epochs % 256]) * 1_000_000


def write_on_and_on(directory):
    kept = States(directory)
    newest = kept.newest()
    for number in itertools.count(states.epochs(newest) + 1 if newest else 1):
        kept.write(number, lambda path, number=number: path.write_bytes(contents(number)))


def test_killed_at_any_moment_of_writing(tmp_path):
    """A damaged state would be a warning, and so an error."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    moments, seen, torn = random.Random(0), 0, 0
    for _ in range(25):
        process = context.Process(target=write_on_and_on, args=(tmp_path,))
        process.start()
        while not list(tmp_path.glob(f"epoch-{seen + 1:04d}.*")) and process.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        path = States(tmp_path).newest()
        assert states.epochs(path) > seen and path.read_bytes() == contents(states.epochs(path))
        seen, torn = states.epochs(path), torn + (tmp_path / ".partial.weights.h5").exists()
        assert len(list(tmp_path.glob("epoch-*"))) <= 3  # the last two, and one more that was about to be deleted
    assert torn, "no kill hit a file that was being written"


def test_two_are_kept(tmp_path):
    kept = States(tmp_path / "new" / "folder")
    assert kept.newest() is None
    for number in (1, 2, 10, 10_000):
        kept.write(number, lambda path, number=number: path.write_bytes(contents(number)))
        assert states.epochs(kept.newest()) == number
    assert [states.epochs(path) for path in kept._named()] == [10_000, 10]
