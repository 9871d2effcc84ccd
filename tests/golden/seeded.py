"""The seeded tensors that golden files rest on: by name, in NumPy, the same on every machine."""

import hashlib

import ml_dtypes
import numpy as np


def parameters(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The parameters of a PyTorch state dict by name, each from a seed of its own: the hash of its name.

    Weights `(out, in, ...)` come from N(0, 2 / fan-in), other biases from N(0, 0.1); gains, and weights of norms (with
    one axis), from U(0.5, 1.5), and the norms' offsets from N(0.5, 0.5): with offsets around 0 a deep random network is
    chaotic, and PyTorch's float32 and float64 differ by 4e-4 of the largest logit on ResNet-152, so that no comparison
    means much. With these they differ by 3e-6.
    """
    found = {}
    for name, shape in shapes.items():
        random = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
        sibling = shapes.get(f"{name.rpartition('.')[0]}.weight", ())
        if name.endswith("gain"):
            value = random.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith("weight"):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.normal(0.5, 0.5, shape) if len(sibling) == 1 else random.normal(0, 0.1, shape)
        found[name] = value.astype("float32")
    return found


LARGER = tuple(f"dm_nfnet_f{number}" for number in range(1, 7))
"""Networks without golden files: 130 to 440 million parameters, in more units of those of a smaller one that has."""

SIZE = (80, 112)
"""Of the images, where a network takes any: it halves to even and to odd numbers, so that padding at the wrong side
shows."""


def images(count: int = 2, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    """Normalized images `(count, H, W, channels)`: noise around a colour of their own, for noise alone averages out."""
    found = []
    for number in range(count):
        random = np.random.default_rng([20151210, number])
        found.append(random.normal(0, 1, (1, 1, channels)) + random.normal(0, 1, (*size, channels)))
    return np.array(found, "float32")


def pack(statistic: np.ndarray) -> np.ndarray:
    """A batch norm's moving statistic in one byte a channel. The rounding (up to 12.5 %) is the jitter that parity asks
    for: a network whose statistics fit its data exactly would forgive a swapped mean."""
    return statistic.astype(ml_dtypes.float8_e5m2).view(np.uint8)


def unpack(packed: np.ndarray) -> np.ndarray:
    return packed.view(ml_dtypes.float8_e5m2).astype("float32")
