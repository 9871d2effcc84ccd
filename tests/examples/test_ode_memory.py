"""What the benchmark claims holds for the memory of a process: the adjoint keeps nothing of the solver's steps."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def grown(benchmarks: str) -> list[float]:
    """In one process, in this order: what is still held after one measurement can only make the next smaller."""
    import sys

    sys.path.insert(0, benchmarks)
    from ode_memory import measure

    return [measure(steps, adjoint, 32, 32) for steps, adjoint in ((2, True), (32, True), (32, False))]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the memory of a process from Linux")
def test_the_adjoint_keeps_nothing_of_the_steps():
    apart = runpy.run_path(str(BENCHMARKS / "memory.py"))["apart"]
    few, many, backpropagated = apart(grown, str(BENCHMARKS))
    state = 32 * 7 * 7 * 32 * 4 / 2**20
    assert backpropagated > 32 * 4 * 4 * state  # at least four tensors of each of the four stages of each step
    assert max(few, many) < backpropagated / 4
