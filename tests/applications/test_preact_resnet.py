"""The paper's claims: signals and gradients pass the identity untouched, and what else the shortcut may do to them."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.applications import preact_resnet, resnet
from kvision.blocks.bind import bind
from kvision.evaluation import count_macs

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(2, 16, 16, 3)).astype("float32")
ROWS = [getattr(applications, name) for name in applications.list_models("preact*")]
SHAPES = {  # output of the stem and of each stage
    preact_resnet.bottleneck: [(56, 56, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)],
    preact_resnet.basic: [(56, 56, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)],
    "CIFAR bottleneck": [(32, 32, 16), (32, 32, 64), (16, 16, 128), (8, 8, 256)],
    "CIFAR basic": [(32, 32, 16), (32, 32, 16), (16, 16, 32), (8, 8, 64)],
    "PreActResNet18CIFAR": [(32, 32, 64), (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)],
}


def parameters(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


def tiny(**changes):
    """One stage of three basic units of one width, for small images."""
    arguments = dict(depths=(3,), widths=(4,), stem=bind(preact_resnet.stem_3x3, width=4))
    return applications.PreActResNet20(input_shape=(16, 16, 3), **{**arguments, **changes})


def original(**changes):
    """The same of original units."""
    stem = bind(resnet.stem_3x3, width=4)
    return applications.ResNet110(input_shape=(16, 16, 3), **{**dict(depths=(3,), widths=(4,), stem=stem), **changes})


def outputs(model, *names, x=IMAGES):
    values = keras.Model(model.input, {name: model.get_layer(name).output for name in names})(x)
    return [keras.ops.convert_to_numpy(values[name]) for name in names]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_stage_shapes(row, without_values):
    recipe = row.architecture
    model = row(depths=(1,) * len(recipe.depths))
    small = f"CIFAR {recipe.block.__name__}" if row.classes == 10 else recipe.block
    start = "stem.conv" if row.classes == 10 else "stem.pool"
    names = [start, *(f"stages.{stage}.blocks.0.add" for stage in range(len(recipe.depths)))]
    expected = SHAPES.get(row.name, SHAPES[small])
    assert [model.get_layer(name).output.shape[1:] for name in names] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_counts_weighted_layers(row):
    """6n + 2 and 9n + 2 for small images: convolutions but for projections, and the dense layer."""
    convolutions = 3 if row.architecture.block is preact_resnet.bottleneck else 2
    name = row.name.removeprefix("PreActResNet").removesuffix("CIFAR")
    assert convolutions * sum(row.architecture.depths) + 2 == int(name)


def test_counts_of_other_networks(without_values):
    """With option A's shortcuts, as many parameters as the original; ResNet-18 for 100 classes."""
    assert parameters(applications.PreActResNet20(shortcut=resnet.pad)) == applications.ResNet20.params
    assert applications.PreActResNet110.params - applications.ResNet110.params == 16 * 32 + 32 * 64
    assert parameters(applications.PreActResNet18CIFAR(classes=100)) == 11_218_340


def test_stride_placement(without_values):
    """The torch lineage's strides cost 231 million multiply-adds more, in four stages of whatever depth."""
    costs = [count_macs(applications.PreActResNet200(depths=(1,) * 4, stride_first=first)) for first in (True, False)]
    assert costs[1] - costs[0] == 231_211_008
    assert applications.PreActResNet50.macs - applications.ResNet50.macs == costs[1] - costs[0]


def test_every_unit_is_the_one_before_it_plus_branches():
    """Equation 4: x_L is x_l plus the sum of the branches between, to the last bit."""
    names = [f"stages.0.blocks.{i}" for i in range(3)]
    places = [f"{names[0]}.add", f"{names[1]}.conv2", f"{names[2]}.conv2", f"{names[2]}.add"]
    before, first, second, after = outputs(tiny(), *places)
    assert np.abs(first).max() > 0.1 and np.abs(second).max() > 0.1
    np.testing.assert_array_equal(before + first + second, after)


def test_the_gradient_passes_the_identity_undiminished():
    """Equation 5: the loss's gradient at x_l is that at x_L times 1 plus the branches' derivative."""
    model = tiny()
    before, after = (model.get_layer(f"stages.0.blocks.{i}.add").output for i in (0, 2))
    branches = [model.get_layer(f"stages.0.blocks.{i}.conv2").output for i in (1, 2)]
    tail = keras.Model(before, [after, sum(branches)])
    x = tf.constant(outputs(model, "stages.0.blocks.0.add")[0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        whole, branch = tail(x)
    gradient = tape.gradient(whole, x).numpy()
    assert np.abs(gradient - 1).max() > 0.1
    np.testing.assert_allclose(gradient, 1 + tape.gradient(branch, x).numpy(), atol=1e-5)
    for i in (1, 2):
        model.get_layer(f"stages.0.blocks.{i}.conv2").kernel.assign(np.zeros((3, 3, 4, 4)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        whole = tail(x)[0]
    np.testing.assert_array_equal(tape.gradient(whole, x), np.ones_like(x))


def test_the_activation_is_shared_where_the_shape_changes():
    """Else the shortcut is the raw signal, but for the first unit's."""
    model = applications.PreActResNet20(input_shape=(16, 16, 3), depths=(2, 1), widths=(4, 8), stem=tiny_stem)
    reads = {  # what the sum adds to the branch
        name: model.get_layer(f"{name}.add").input[0]._keras_history.operation.name
        for name in ("stages.0.blocks.0", "stages.0.blocks.1", "stages.1.blocks.0")
    }
    assert reads == {
        "stages.0.blocks.0": "stages.0.blocks.0.relu1",
        "stages.0.blocks.1": "stages.0.blocks.0.add",
        "stages.1.blocks.0": "stages.1.blocks.0.downsample.conv",
    }
    projection = model.get_layer("stages.1.blocks.0.downsample.conv")
    assert projection.input is model.get_layer("stages.1.blocks.0.relu1").output
    assert projection.strides == (2, 2) and not projection.use_bias
    raw = tiny(activate_first=False)
    assert raw.get_layer("stages.0.blocks.0.add").input[0] is raw.get_layer("stem.conv").output


def tiny_stem(x):
    return preact_resnet.stem_3x3(x, 4)


def test_the_stem_pools_negative_values():
    """Its convolution is bare, and the border must not win over them."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, preact_resnet.stem_7x7(inputs, 2))
    model.get_layer("stem.conv").kernel.assign(-np.ones((7, 7, 3, 2)))
    x = np.ones((1, 8, 8, 3), "float32")
    convolved, pooled = (
        keras.ops.convert_to_numpy(y) for y in (model.get_layer("stem.conv")(np.pad(x, PAD)), model(x))
    )
    assert convolved.max() < 0
    np.testing.assert_array_equal(pooled[0, 0, 0], convolved[0, :2, :2].max((0, 1)))
    np.testing.assert_array_equal(pooled[0, 1, 1], convolved[0, 1:4, 1:4].max((0, 1)))


PAD = ((0, 0), (3, 3), (3, 3), (0, 0))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_constant_scaling_scales_by_the_product(scale):
    """Equations 6 and 7: x_l comes to x_L times the product of the scales, forwards and backwards."""
    scaled = bind(preact_resnet.constant_scaling, shortcut=scale)
    model = original(connect=scaled, zero_gamma=True, depths=(5,))
    before, after = outputs(model, "layer1.0.relu", "layer1.4.relu")
    assert before.max() > 0.1
    np.testing.assert_array_equal(after, scale**4 * before)
    assert model.origin.changes["connect"] == f"constant_scaling(shortcut={scale})"


def test_scaling_by_zero_is_the_plain_network():
    model = original(connect=bind(preact_resnet.constant_scaling, shortcut=0.0, branch=1.0))
    branch, after = outputs(model, "layer1.2.bn2", "layer1.2.relu")
    np.testing.assert_array_equal(np.maximum(branch, 0), after)


def same_weights(model, like):
    values = {variable.path: variable.value for variable in like.variables}
    for variable in model.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
    return model


@pytest.mark.parametrize("connect", [preact_resnet.exclusive_gating, preact_resnet.shortcut_only_gating])
def test_a_closed_gate_is_the_identity_shortcut(connect):
    """g = 0 carries x whole; only the exclusive gate then has lost the branch too."""
    plain = original()
    gated = same_weights(original(connect=bind(connect, bias=-200.0)), plain)
    exclusive = connect is preact_resnet.exclusive_gating
    expected = outputs(plain, "relu" if exclusive else "layer1.2.relu")[0]
    np.testing.assert_array_equal(outputs(gated, "layer1.2.relu")[0], expected)


@pytest.mark.parametrize("connect", [preact_resnet.exclusive_gating, preact_resnet.shortcut_only_gating])
def test_an_open_gate_is_the_plain_network(connect):
    gated = original(connect=bind(connect, bias=200.0))
    branch, after = outputs(gated, "layer1.2.bn2", "layer1.2.relu")
    np.testing.assert_array_equal(np.maximum(branch, 0), after)


def test_gates_start_from_the_bias_and_cost_a_1x1_convolution():
    model = original(connect=preact_resnet.shortcut_only_gating)
    gate = model.get_layer("layer1.0.gate")
    np.testing.assert_array_equal(gate.bias, [-6.0] * 4)
    assert parameters(model) - parameters(original()) == 3 * (4 * 4 + 4)


def test_a_convolutional_shortcut_in_every_unit():
    """Option C: a 1x1 convolution and its normalization in place of parameter-free option A."""
    narrow = dict(depths=(2, 1), widths=(4, 8))
    model = original(shortcut=preact_resnet.convolutional_shortcut, **narrow)
    assert parameters(model) - parameters(original(**narrow)) == 2 * (4 * 4 + 8) + (4 * 8 + 16)


def test_a_dropped_shortcut_is_halved_in_expectation():
    inputs = keras.Input((32, 32, 4))
    unit = next(resnet.units((1,), (4,)))
    model = keras.Model(inputs, preact_resnet.dropout_shortcut(inputs, 4, unit))
    x = np.full((4, 32, 32, 4), 3.0, "float32")
    np.testing.assert_array_equal(model(x), x / 2)
    trained = keras.ops.convert_to_numpy(model(x, training=True))
    assert set(np.unique(trained)) == {0.0, 3.0} and abs(trained.mean() - 1.5) < 0.1


@pytest.mark.parametrize(
    ("changes", "bare"),
    [
        (dict(connect=preact_resnet.norm_after_addition, block=preact_resnet.bare_basic), True),
        (dict(connect=preact_resnet.relu_before_addition), False),
        (dict(connect=preact_resnet.relu_only), False),
    ],
    ids=["norm after addition", "relu before addition", "relu only"],
)
def test_positions_of_activation_rearrange_the_same_parameters(changes, bare):
    model = original(**changes)
    assert parameters(model) == parameters(original())
    before, after = outputs(model, "layer1.0.add", "layer1.1.add")
    if changes["connect"] is preact_resnet.relu_before_addition:
        assert (after >= before).all() and (after > before).any()  # the signal can only grow
    if bare:
        normalized, rectified = outputs(model, "layer1.2.bn2", "layer1.2.relu")
        np.testing.assert_array_equal(np.maximum(normalized, 0), rectified)
        assert model.get_layer("layer1.2.bn2").input is model.get_layer("layer1.2.add").output
    if changes["connect"] is preact_resnet.relu_only:
        branch = outputs(model, "layer1.1.bn2")[0]
        np.testing.assert_array_equal(before + branch, after)
        assert (before < 0).any() and (outputs(model, "layer1.2.relu")[0] >= 0).all()


@keras.saving.register_keras_serializable(package="tests")
class Half(keras.layers.Layer):
    """A gate that halves the branch."""

    def call(self, x):
        return x / 2


def test_a_gate_acts_on_the_branch():
    model = tiny(attend=Half)
    before, branch, after = outputs(model, *(f"stages.0.blocks.{place}" for place in ("0.add", "1.conv2", "1.add")))
    np.testing.assert_array_equal(before + branch / 2, after)


def test_rows_derive_from_one_another():
    deep = replace(applications.PreActResNet50.architecture, depths=(3, 4, 23, 3))
    assert deep == applications.PreActResNet101.architecture
    with pytest.raises(ValueError, match="as many `depths` as `widths`"):
        tiny(depths=(1, 1))


@pytest.mark.slow
def test_a_thousand_layers_build_save_reload_and_train(tmp_path):
    """In less than a minute of one core, and 8 GiB for a step on 8 images."""
    script = f"""
        import resource, time
        import kvision, keras, numpy as np
        start = time.monotonic()
        model = kvision.applications.PreActResNet1001()
        built, cost = time.monotonic() - start, time.process_time()
        model.save({str(tmp_path / "model.keras")!r})
        saved = time.monotonic() - start
        model = keras.models.load_model({str(tmp_path / "model.keras")!r})
        loaded = time.monotonic() - start
        assert model.count_params() > 10_327_706 and model.origin.row == "PreActResNet1001"
        model.compile("sgd", "sparse_categorical_crossentropy")
        assert np.isfinite(model.train_on_batch(np.ones((8, 32, 32, 3), "float32"), np.arange(8)))
        trained = time.monotonic() - start
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"after {{built:.0f}} s built, {{saved:.0f}} saved, {{loaded:.0f}} loaded, {{trained:.0f}} trained")
        print(f"{{cost:.0f}} s of a core to import and build, at most {{gib:.1f}} GiB")
        assert cost < 60 and gib < 8
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, check=True, timeout=1200, capture_output=True, text=True)
    print(result.stdout)
