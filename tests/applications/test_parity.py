"""Logits equal timm's under the same seeded weights, within 1e-5 of the largest logit. Needs neither torch nor network.

The smallest network of each block is tested by default; all of them, with their differences, by

    pytest tests/applications/test_parity.py -m "slow or not slow" -rP
"""

import gc
import pathlib

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.weights import assign, read, to_torch
from tests.golden import seeded

TOLERANCE = 1e-5
# Under the seeded weights float32 rounds the logits of these networks by about as much as the tolerance, and PyTorch's
# float32, channels last, does, too: of ResNeSt-200 by 1.3e-5, of ResNeSt-269 by 1.9e-5, of VGG-19 with batch norms by
# 9.6e-6, which here are 1.1e-5 (19 layers, as Inception-v4's 75, without a shortcut). They are computed in float64, in
# which they agree within 6e-7.
DOUBLE = ("inception_v4", "vgg19_bn", "resnest200e", "resnest269e")
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
REGENERATE = "pip install -e '.[parity]' && python tests/golden/generate.py {}"


def cases():
    """One case for each architecture of timm and torchvision; slow but for the smallest of each family, block and
    lineage."""
    quick, found = set(), {}
    for row in sorted(map(applications.get_model, applications.list_models()), key=lambda r: r.params):
        # Those with classifiers for training first: their golden files have them.
        for weights in sorted(row.weights + row.lineages, key=lambda weights: not weights.auxiliary):
            source = weights.source.partition("/")[2].partition(".")[0]
            kind = (
                type(row.architecture),
                *(getattr(row.architecture, hole, None) for hole in ("block", "convolve")),
                str(weights.changes),
            )
            if source not in found and weights.layout == "torch":
                marks = () if kind not in quick else pytest.mark.slow
                found[source] = pytest.param(row, weights, source, id=source, marks=marks)
            quick.add(kind)
    return found.values()


@pytest.fixture(autouse=True)
def freed():
    """A network is garbage with cycles, which is collected by its number of objects, however large they are."""
    yield
    gc.collect()


def golden_file(source: str) -> dict:
    path = GOLDEN / f"{source}.npz"
    assert path.exists(), f"no golden file for {source}; write it with: {REGENERATE.format(source)}"
    return seeded.read(path)


def largest_difference(answer, expected) -> float:
    """Of the largest expected number."""
    return np.abs(keras.ops.convert_to_numpy(answer) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("row", "weights", "source"), cases())
def test_parity(row, weights, source, tmp_path, request):
    """And the way back: the file for timm has its names and shapes, and every number."""
    golden = golden_file(source)
    images = seeded.images(size=golden["size"])
    changes, without = ({"aux": True}, ()) if "auxiliary" in golden else ({}, weights.auxiliary)
    if source in DOUBLE:
        keras.config.set_dtype_policy("float64")
        if keras.backend.backend() == "jax":  # which has none until it is told
            import jax

            jax.config.update("jax_enable_x64", True)
            request.addfinalizer(lambda: jax.config.update("jax_enable_x64", False))
    model = row(lineage=weights.source, input_shape=images.shape[1:], classifier_activation=None, **changes)
    assign(model, golden["arrays"], weights, without)
    answers = {"logits": model(images)}
    if "auxiliary" in golden:
        tapped = keras.Model(model.input, model.get_layer(model.heads[0].name.removesuffix(".head")).output)
        answers["auxiliary"] = model.heads[0](tapped(images))
    for key, answer in answers.items():
        difference = largest_difference(answer, golden[key])
        print(f"{source} {key}: {difference:.1e} of the largest (timm {golden['timm']})")
        assert difference < TOLERANCE, f"golden files are rewritten with: {REGENERATE.format(source)}"
    written = read(to_torch(model, tmp_path / "model.safetensors"))
    expected = {name: array for name, array in golden["arrays"].items() if not name.startswith(weights.auxiliary)}
    assert sorted(written) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(written[name], array, err_msg=name)


def test_parity_would_notice_the_stride_placement():
    """The authors' strides load timm's ResNet-50 without a murmur: the tensors fit, and the answers are others."""
    golden, images = golden_file("resnet50"), seeded.images()
    model = applications.ResNet50(input_shape=images.shape[1:], classifier_activation=None)
    assign(model, golden["arrays"])
    assert largest_difference(model(images), golden["logits"]) > 0.01


# By the goldens of the authors' own networks: timm's name of a tensor, and what the authors call it. Their arrays are
# Keras's, but that heads are an axis of its own, and queries, keys and values three arrays.
GOOGLE = {
    "google_vit": {
        "cls_token": "cls",
        "pos_embed": "Transformer/posembed_input/pos_embedding",
        "patch_embed.proj": "embedding",
        "blocks.": "Transformer/encoderblock_",
        "norm1": "LayerNorm_0",
        "norm2": "LayerNorm_2",
        "attn": "MultiHeadDotProductAttention_1",
        "proj": "out",
        "mlp": "MlpBlock_3",
        "fc1": "Dense_0",
        "fc2": "Dense_1",
        "norm": "Transformer/encoder_norm",
        "head": "head",
    },
    "google_mixer": {
        "stem.proj": "stem",
        "blocks.": "MixerBlock_",
        "norm1": "LayerNorm_0",
        "norm2": "LayerNorm_1",
        "mlp_tokens": "token_mixing",
        "mlp_channels": "channel_mixing",
        "fc1": "Dense_0",
        "fc2": "Dense_1",
        "norm": "pre_head_layer_norm",
        "head": "head",
    },
}


def google_arrays(arrays, names, heads=1) -> dict[str, np.ndarray]:
    """timm's arrays as the authors' `.npz` files keep them."""
    found = {}
    for name, array in arrays.items():
        path, leaf = name.rpartition(".")[::2] if "." in name else (name, "")
        block, rest = (path.split(".")[1], path.split(".")[2:]) if path.startswith("blocks.") else (None, [path])
        prefix = [names["blocks."] + block] if block else []
        if leaf == "weight":
            array = np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim == 4 else array.T
            leaf = "scale" if array.ndim == 1 else "kernel"
        if rest == ["attn", "qkv"]:
            for part, piece in zip(("query", "key", "value"), np.split(array, 3, axis=-1), strict=True):
                piece = piece.reshape(*piece.shape[:-1], heads, -1)
                found["/".join([*prefix, names["attn"], part, leaf])] = piece
            continue
        if rest == ["attn", "proj"] and leaf == "kernel":
            array = array.reshape(heads, -1, array.shape[-1])
        found["/".join([*prefix, *(names[part] for part in rest), *([leaf] if leaf else [])])] = array
    return found


@pytest.mark.parametrize(
    ("row", "source", "heads", "prefix"),
    [
        (applications.ViT_Ti16, "google_vit", 3, ""),
        (applications.ViT_Ti16, "google_vit", 3, "opt/target/"),
        (applications.Mixer_S32, "google_mixer", 1, ""),
    ],
)
def test_the_authors_npz_files(row, source, heads, prefix, tmp_path):
    golden = golden_file(source)
    arrays = google_arrays(golden["arrays"], GOOGLE[source], heads)
    np.savez(tmp_path / "authors.npz", **{prefix + name: array for name, array in arrays.items()})
    lineage = source.replace("_", "/")
    model = row(weights=tmp_path / "authors.npz", lineage=lineage, classifier_activation=None)
    difference = largest_difference(model(seeded.images(size=golden["size"])), golden["logits"])
    print(f"{source} logits: {difference:.1e} of the largest (timm {golden['timm']})")
    assert difference < TOLERANCE
    with pytest.raises(ValueError, match=f"It fits {row.name}.classes=1000, lineage='{lineage}'"):
        row(weights=tmp_path / "authors.npz")


def test_timm_reads_the_authors_npz_file_alike(tmp_path):
    timm = pytest.importorskip("timm")
    golden = golden_file("google_vit")
    np.savez(tmp_path / "authors.npz", **google_arrays(golden["arrays"], GOOGLE["google_vit"], 3))
    model = timm.create_model("vit_tiny_patch16_224")
    model.load_pretrained(str(tmp_path / "authors.npz"))
    assert model.state_dict().keys() == golden["arrays"].keys()
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), golden["arrays"][name])
