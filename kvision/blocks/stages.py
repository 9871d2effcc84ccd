"""The places of a network built in stages: which width, stride and names each unit has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvision.blocks.conv import At


@dataclass(frozen=True)
class Unit:
    """One place. `name` is the checkpoint's path of the unit, such as `layer1.0`."""

    name: str
    width: int
    stride: int
    index: int  # of all units, from 0
    count: int  # of all units

    def at(self, place: int) -> At:
        """The names of the unit's `place`-th convolution (from 1), normalization and rectifier."""
        return At(f"{self.name}.conv{place}", f"{self.name}.bn{place}", f"{self.name}.relu{place}")


def units(
    depths: Sequence[int], widths: Sequence[int], name: str = "layer{}.{}", stride: int = 1, start: int = 1
) -> Iterator[Unit]:
    """The units of all stages in order. The first of each stage halves the resolution; the very first has `stride`.

    `name` is filled with the numbers of the stage, from `start`, and of the unit in it, from 0.
    """
    index = 0
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start):
        for block in range(depth):
            first = stride if stage == start else 2
            yield Unit(name.format(stage, block), width, first if block == 0 else 1, index, sum(depths))
            index += 1
