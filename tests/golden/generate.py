"""Writes the golden files: what timm's networks answer under the seeded weights.

    pip install -e ".[parity]"
    python tests/golden/generate.py                 # all rows and lineages with a counterpart in timm or torchvision
    python tests/golden/generate.py resnet18        # some

and `python tests/golden/generate_solvers.py` writes torchdiffeq's, of differential equations.

Every parameter is seeded by its name. The moving statistics of a batch norm are those of what reaches it of one batch
of the seeded images (drawn blindly they can make logits independent of the image), rounded, and stored; the next layers
see them rounded. The logits are computed in float64.
"""

import json
import pathlib
import sys
import types

import numpy as np
import seeded
import torch

# timm imports torchvision, which registers operators of its own; with a torch of another build that fails, and no
# network needs them.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
import timm  # noqa: E402

HERE = pathlib.Path(__file__).parent
# Dense layers on a feature map need the size that they were made for, convolutions without padding a large one.
SIZES = {
    "vgg": (224, 224),
    "alexnet": (224, 224),
    "inception_v3": (299, 299),
    "inception": (171, 203),
}
AUXILIARY = {"inception_v3": dict(aux_logits=True)}  # answers with its auxiliary classifier's logits too
# The authors' own networks, where timm's differ from them by the activation.
GOOGLE = {
    "google_vit": ("vit_tiny_patch16_224", dict(act_layer="gelu_tanh")),
    "google_mixer": ("mixer_s32_224", dict(act_layer=timm.layers.get_act_layer("gelu_tanh"))),
}


def names():
    from kvision import applications

    rows = map(applications.get_model, applications.list_models())
    tags = [weights.source for row in rows for weights in row.weights + row.lineages if weights.layout == "torch"]
    return [*dict.fromkeys(tag.partition("/")[2].partition(".")[0] for tag in tags), *GOOGLE]


def create(name: str) -> torch.nn.Module:
    """timm's network, or torchvision's where timm has none."""
    name, arguments = GOOGLE.get(name, (name, AUXILIARY.get(name, {})))
    if timm.is_model(name):
        # A few are published without a classifier; here all have one.
        return timm.create_model(name, pretrained=False, num_classes=1000, **arguments)
    import torchvision

    return torchvision.models.get_model(name, weights=None)


@torch.no_grad()
def golden(name: str) -> dict[str, np.ndarray]:
    model = create(name).double().eval()
    shapes = {key: list(parameter.shape) for key, parameter in model.named_parameters()}
    values = seeded.parameters(shapes)
    for key, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(values.pop(key)))
    norms = {key: module for key, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    codes = {key: seeded.encode(np.zeros(norm.num_features), np.ones(norm.num_features)) for key, norm in norms.items()}
    size = next((size for start, size in SIZES.items() if name.startswith(start)), seeded.SIZE)
    if getattr(model, "default_cfg", {}).get("fixed_input_size"):
        size = model.default_cfg["input_size"][1:]
    x = torch.from_numpy(seeded.images(8 if norms else 2, size)).permute(0, 3, 1, 2).double()

    def measure(key, norm, inputs):
        axes = (0, 2, 3)
        codes[key] = seeded.encode(inputs[0].mean(axes).numpy(), inputs[0].var(axes, unbiased=False).numpy())
        for buffer, statistic in zip((norm.running_mean, norm.running_var), seeded.decode(codes[key]), strict=True):
            buffer.copy_(torch.from_numpy(statistic))

    hooks = [norm.register_forward_pre_hook(lambda *call, key=key: measure(key, *call)) for key, norm in norms.items()]
    if norms:
        model(x)
    for hook in hooks:
        hook.remove()
    answers = model(x[:2])
    answers = dict(zip(("logits", "auxiliary"), answers if name in AUXILIARY else (answers,), strict=False))
    logits = answers["logits"].numpy()
    spread = np.abs(logits[0] - logits[1]).max() / np.abs(logits).max()
    assert np.isfinite(logits).all() and spread > 0.1, f"{name}: the logits hardly depend on the image ({spread:.3f})"
    for key, norm in norms.items():
        shapes |= {f"{key}.running_mean": [norm.num_features], f"{key}.running_var": [norm.num_features]}
    return {
        **{key: answer.numpy().astype("float32") for key, answer in answers.items()},
        "statistics": np.concatenate([np.zeros((2, 0), np.int8), *codes.values()], axis=1),
        "size": np.array(size),
        # Of the parameters and, after them, of the statistics in the order of `statistics`.
        "shapes": np.frombuffer(json.dumps(shapes, separators=(",", ":")).encode(), np.uint8),
        "timm": np.array(timm.__version__),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or names():
        np.savez_compressed(HERE / f"{name}.npz", **golden(name))
        print(f"{name}: {(HERE / f'{name}.npz').stat().st_size:,} bytes", flush=True)
