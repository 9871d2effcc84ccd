"""The seeded tensors that golden files rest on: by name, in NumPy, the same on every machine."""

import hashlib
import json
import pathlib

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


def encode(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """A batch norm's moving statistics in two bytes a channel, `(2, C)` of int8: the variance to the nearest power of
    two, the mean to half a deviation. The rounding is the jitter that parity asks for: a network whose statistics fit
    its data exactly would forgive a swapped mean."""
    least = 2 * np.log2(np.maximum(np.abs(mean), 1e-9) / 60)  # so that the mean has a number
    power = np.round(np.maximum(np.log2(np.maximum(variance, 1e-18)), np.ceil(least)))
    return np.array([np.round(2 * mean / np.sqrt(2.0**power)), power]).astype(np.int8)


def decode(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of such codes, float32 and the same on every machine: roots are rounded correctly."""
    variance = 2.0 ** codes[1].astype("float64")
    return (codes[0] / 2 * np.sqrt(variance)).astype("float32"), variance.astype("float32")


def shapes(path: pathlib.Path) -> dict[str, list[int]]:
    """Those of timm's state dict by name, from a golden file: parameters and, after them, moving statistics."""
    return json.loads(np.load(path)["shapes"].tobytes())


def read(path: pathlib.Path) -> dict:
    """A golden file: images' `size`, answers (`logits`, maybe `auxiliary`), and timm's state dict as `arrays`."""
    golden, sizes = np.load(path), shapes(path)
    norms = [name.removesuffix(".running_mean") for name in sizes if name.endswith(".running_mean")]
    statistics = {f"{norm}.{kind}" for norm in norms for kind in ("running_mean", "running_var")}
    arrays = parameters({name: shape for name, shape in sizes.items() if name not in statistics})
    ends = np.cumsum([sizes[f"{norm}.running_mean"][0] for norm in norms], dtype=int)
    assert golden["statistics"].shape[1] == (ends[-1] if norms else 0)
    for norm, codes in zip(norms, np.split(golden["statistics"], ends[:-1], axis=1), strict=bool(norms)):
        arrays[f"{norm}.running_mean"], arrays[f"{norm}.running_var"] = decode(codes)
    answers = {key: golden[key] for key in ("logits", "auxiliary") if key in golden}
    return dict(size=tuple(golden["size"]), timm=str(golden["timm"]), arrays=arrays, **answers)
