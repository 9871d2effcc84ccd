"""What the benchmark claims holds for the memory of a process: segments keep little of a step."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the memory of a process from Linux")
def test_recomputation_keeps_less_than_half(monkeypatch):
    """The outputs of ResNet-20's operations on 512 images are 1,360 MiB, half of which a step must keep."""
    monkeypatch.syspath_prepend(BENCHMARKS)  # the processes inherit it
    from memory import apart
    from recomputation import measure

    found = [apart(measure, form, "ResNet20", None, "float32", 512, 1) for form in ("plain", "recomputed")]
    (plain, _, _), (recomputed, _, _) = found
    assert plain > 680 and recomputed < plain / 2
