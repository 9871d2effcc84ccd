"""Claims of Table 1, Figure 2 and section 5."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.applications import googlenet
from kvision.classifier import Preprocess
from kvision.evaluation import count_macs
from kvision.export import savedmodel
from tests.applications.test_contract import parameters

MODULE = (4, 2, 4, 2, 4, 4)
# Large enough for the auxiliary classifiers: the second grid is 5x5.
SMALL = dict(input_shape=(80, 80, 3), classes=3, stages=((MODULE,), (MODULE,) * 4, (MODULE,)))


def depth(model) -> int:
    """Layers with parameters on the longest path through the network."""
    longest = {}
    for level in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[level]:
            before = max((longest[id(tensor)] for tensor in node.input_tensors), default=0)
            for tensor in node.outputs:
                longest[id(tensor)] = before + bool(getattr(node.operation, "weights", ()))
    return longest[id(model.output)]


def test_table_1(without_values):
    model = applications.GoogLeNet()
    names = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    modules = [model.get_layer(f"inception{name}").output for name in names]
    assert [module.shape[-1] for module in modules] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [module.shape[1:3] for module in modules] == [(28, 28)] * 2 + [(14, 14)] * 5 + [(7, 7)] * 2
    stem = ["conv1", "maxpool1", "conv2", "conv3", "maxpool2"]
    shapes = [model.get_layer(name).output.shape[1:] for name in stem]
    assert shapes == [(112, 112, 64), (56, 56, 64), (56, 56, 64), (56, 56, 192), (28, 28, 192)]
    # Biases included; the paper prints thousands and mistypes some.
    counts = {
        name: sum(layer.count_params() for layer in model.layers if layer.name.startswith(f"inception{name}"))
        for name in names
    }
    assert list(counts.values()) == [
        163_696,
        388_736,
        376_176,
        449_160,
        510_104,
        605_376,
        868_352,
        1_043_456,
        1_444_080,
    ]
    assert depth(model) == 22  # "22 layers deep when counting only layers with parameters" (section 5)
    keras.backend.clear_session()


def test_the_stem_of_table_1_is_separable(without_values):
    """Its first row, "2.7K parameters, 34M operations", is no plain 7x7 convolution (9.4K, 118M)."""
    model = applications.GoogLeNet(first=googlenet.separable_stem)
    assert parameters(model) == 6_991_856 and count_macs(model) == 1_498_677_248
    weights = sum(int(np.prod(model.get_layer(name).kernel.shape)) for name in ("conv1.depthwise", "conv1"))
    assert weights == 7 * 7 * 3 * 8 + 24 * 64 == 2_712 and weights * 112**2 == 34_019_328
    keras.backend.clear_session()


def test_auxiliary_classifiers_count(without_values):
    model = applications.GoogLeNet(aux=True)
    heads = [sum(int(np.prod(weight.shape)) for weight in head.trainable_weights) for head in model.heads]
    assert heads == [3_188_840, 3_190_888] and parameters(model) == 6_998_552 + sum(heads) == 13_378_280
    assert [head.weight for head in model.heads] == [0.3, 0.3] and model.output_shape == (None, 1000)
    assert count_macs(model) == applications.GoogLeNet.macs
    keras.backend.clear_session()


def test_auxiliary_classifiers_change_no_inference_output(tmp_path):
    plain, trained = applications.GoogLeNet(**SMALL), applications.GoogLeNet(aux=True, **SMALL)
    shared = len(plain.weights)
    for variable, value in zip(plain.variables, trained.variables[: len(plain.variables)], strict=True):
        assert variable.shape == value.shape
        variable.assign(value)
    x = np.random.default_rng(0).normal(size=(4, 80, 80, 3)).astype("float32")
    np.testing.assert_array_equal(plain.predict(x, verbose=0), trained.predict(x, verbose=0))
    assert len(trained.weights) > shared and len(trained.outputs) == 1

    trained.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = [np.array(weight) for head in trained.heads for weight in head.trainable_weights]
    trained.fit(x, np.array([0, 1, 2, 0]), epochs=2, verbose=0)
    after = [np.array(weight) for head in trained.heads for weight in head.trainable_weights]
    assert sum((a != b).any() for a, b in zip(after, before, strict=True)) == len(before)
    trained.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), trained.predict(x, verbose=0))
    for old, new in zip(trained.heads, again.heads, strict=True):
        for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    served = tf.saved_model.load(str(savedmodel(trained, tmp_path / "served", preprocess=Preprocess())))
    signature = served.signatures["tensor"]
    scores = signature(pixels=tf.constant(255 * x))["scores"]
    np.testing.assert_allclose(scores, trained.predict(x, verbose=0), atol=1e-5)
    assert len(signature.variables) == len(plain.weights)


def test_auxiliary_classifiers_are_built_for_one_size():
    with pytest.raises(ValueError, match="Dense layers on a feature map need its size"):
        applications.GoogLeNet(aux=True, **{**SMALL, "input_shape": (None, None, 3)})


def test_the_naive_module_passes_every_channel_of_the_pooling_on():
    """Figure 2(a): its output can only grow, and costs what the reductions save."""
    inputs = keras.Input((28, 28, 192))
    widths = googlenet.TABLE_1[0][0]
    ours, naive = (
        keras.Model(inputs, module(inputs, widths, googlenet.Inception(), "3a"))
        for module in (googlenet.inception, googlenet.naive)
    )
    assert ours.output_shape[-1] == 64 + 128 + 32 + 32 and naive.output_shape[-1] == 64 + 128 + 32 + 192
    pixel = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32
    assert count_macs(naive) == 28 * 28 * pixel
    assert count_macs(ours) == 28 * 28 * (192 * (64 + 96 + 16 + 32) + 9 * 96 * 128 + 25 * 16 * 32)
    assert applications.GoogLeNet(module=googlenet.naive, include_top=False).output_shape[-1] > 1024


def test_the_torchvision_lineage(without_values):
    """Batch-normalized, 3x3 for 5x5: what torchvision counts, with and without what its file has for training."""
    model = applications.GoogLeNet(lineage="torchvision/googlenet")
    assert parameters(model) == 6_624_904
    kernels = {layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    assert kernels == {(1, 1), (3, 3), (7, 7)}
    names = {weight.path.partition(".")[0] for weight in applications.GoogLeNet(lineage="imagenet", aux=True).weights}
    assert {"aux1", "aux2", "conv1", "inception5b"} <= names
    keras.backend.clear_session()
