"""The seeded tensors that golden files rest on: by name, in NumPy, the same on every machine."""

import hashlib

import ml_dtypes
import numpy as np


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter by its name in the PyTorch state dict: `(out, in, ...)` from N(0, 2 / fan-in), gains from
    U(0.5, 1.5), biases and the like from N(0.5, 0.5).

    With biases around 0 a deep random network is chaotic: PyTorch's float32 and float64 then differ by 4e-4 of the
    largest logit on ResNet-152, and no comparison means much. With these they differ by 3e-6.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    random = np.random.default_rng(seed)
    if len(shape) > 1:
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype("float32")
    if name.endswith("weight"):
        return random.uniform(0.5, 1.5, shape).astype("float32")
    return random.normal(0.5, 0.5, shape).astype("float32")


def images(count: int = 2, size: tuple[int, int] = (80, 112), channels: int = 3) -> np.ndarray:
    """Normalized images `(count, H, W, channels)`. The size halves to even and to odd numbers, so that a padding at the
    wrong side shows."""
    return np.random.default_rng(20151210).normal(0, 1, (count, *size, channels)).astype("float32")


def pack(statistic: np.ndarray) -> np.ndarray:
    """A batch norm's moving statistic in one byte a channel. The rounding (up to 12.5 %) is the jitter that parity asks
    for: a network whose statistics fit its data exactly would forgive a swapped mean."""
    return statistic.astype(ml_dtypes.float8_e5m2).view(np.uint8)


def unpack(packed: np.ndarray) -> np.ndarray:
    return packed.view(ml_dtypes.float8_e5m2).astype("float32")
