"""Writes the golden files: what timm's networks answer under the seeded weights.

    pip install -e ".[parity]"
    python tests/golden/generate.py                 # all rows with a timm counterpart, about 2 minutes
    python tests/golden/generate.py resnet18        # some

and `python tests/golden/generate_solvers.py` writes torchdiffeq's, of differential equations.

Every parameter is seeded by its name; the moving statistics of batch norms are those of one batch of the seeded images
(drawn blindly they can make logits independent of the image), rounded to a byte, and stored; the logits are computed in
float64.
"""

import json
import pathlib
import sys

import numpy as np
import seeded
import timm
import torch

HERE = pathlib.Path(__file__).parent
# Dense layers on a feature map need the size that they were made for, convolutions without padding a large one.
SIZES = {
    "vgg": (224, 224),
    "alexnet": (224, 224),
    "inception_v3": (299, 299),
    "inception": (171, 203),
}
AUXILIARY = {"inception_v3": dict(aux_logits=True)}  # answers with its auxiliary classifier's logits too


def names():
    from kvision import applications

    rows = (getattr(applications, name) for name in applications.list_models(weights=True))
    tags = [weights.source for row in rows for weights in row.weights]
    found = dict.fromkeys(tag.partition("/")[2].partition(".")[0] for tag in tags)
    return [name for name in found if name not in seeded.LARGER]


def create(name: str) -> torch.nn.Module:
    """timm's network, or torchvision's where timm has none."""
    if timm.is_model(name):
        # A few are published without a classifier; here all have one.
        return timm.create_model(name, pretrained=False, num_classes=1000, **AUXILIARY.get(name, {}))
    import torchvision

    return torchvision.models.get_model(name, weights=None)


@torch.no_grad()
def golden(name: str) -> dict[str, np.ndarray]:
    model = create(name).double()
    shapes = {key: list(parameter.shape) for key, parameter in model.named_parameters()}
    values = seeded.parameters(shapes)
    for key, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(values[key]))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    size = next((size for start, size in SIZES.items() if name.startswith(start)), seeded.SIZE)
    if getattr(model, "default_cfg", {}).get("fixed_input_size"):
        size = model.default_cfg["input_size"][1:]
    x = torch.from_numpy(seeded.images(8 if norms else 2, size)).permute(0, 3, 1, 2).double()
    if norms:
        model.train()(x)
    packed = {}
    for key, buffer in model.named_buffers():
        if not key.endswith("num_batches_tracked"):
            packed[key] = seeded.pack(buffer.numpy())
            buffer.copy_(torch.from_numpy(seeded.unpack(packed[key])))
    answers = model.eval()(x[:2])
    answers = dict(zip(("logits", "auxiliary"), answers if name in AUXILIARY else (answers,), strict=False))
    logits = answers["logits"].numpy()
    spread = np.abs(logits[0] - logits[1]).max() / np.abs(logits).max()
    assert np.isfinite(logits).all() and spread > 0.1, f"{name}: the logits hardly depend on the image ({spread:.3f})"
    shapes |= {key: list(value.shape) for key, value in packed.items()}
    statistics = np.concatenate([packed[key] for key in shapes if key in packed] or [np.zeros(0, np.uint8)])
    return {
        **{key: answer.numpy().astype("float32") for key, answer in answers.items()},
        "statistics": statistics,
        "size": np.array(size),
        "shapes": np.array(json.dumps(shapes)),  # parameters and, after them, statistics in the order they are packed
        "timm": np.array(timm.__version__),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or names():
        np.savez_compressed(HERE / f"{name}.npz", **golden(name))
        print(f"{name}: {(HERE / f'{name}.npz').stat().st_size:,} bytes", flush=True)
