"""What every row promises, tested by iteration over all rows: exact counts, and keras.applications' call signature."""

import inspect
from dataclasses import dataclass, fields

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.applications import nfnet
from kvision.applications.bn_inception import BNInceptionRecipe, Module
from kvision.applications.inception_v4 import Grid
from kvision.applications.neural_ode import solved
from kvision.applications.polynet import mpoly, normalized, poly, way
from kvision.applications.preact_resnet import PreActResNet
from kvision.applications.residual_attention import stem
from kvision.applications.resnet import same
from kvision.applications.senet import stem_deep
from kvision.applications.spatial_transformer import dense
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv3x3
from kvision.evaluation import count_macs
from kvision.layers import CBAM, SqueezeExcite
from kvision.losses import MarginLoss
from kvision.weights import state_dict_names

ROWS = [getattr(applications, name) for name in applications.list_models()]


@dataclass(frozen=True)
class Tiny:
    """A small network of a kind: its row, an input shape, and changes to its recipe."""

    row: applications.Variant
    shape: tuple[int, int, int]
    changes: dict
    any_size: bool = True  # global pooling takes images of any size, dense layers do not
    tokens: bool = False  # instead of a feature map
    slow_in_xla: bool = False  # minutes of compiling many convolutions, each of which another network has too

    def __call__(self, **arguments):
        return self.row(**{"input_shape": self.shape, "classes": 5, **self.changes, **arguments})


# On JAX equations train by backpropagation, through a known number of steps.
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
EQUATION = {} if ON_TENSORFLOW else dict(transform=bind(solved, adjoint=False, max_steps=10))

TINY = [
    Tiny(applications.LeNet5, (32, 32, 1), {}, any_size=False),
    Tiny(applications.MLP30, (8, 10, 1), dict(hidden=8), any_size=False),
    Tiny(applications.MCDNNColumnMNIST, (14, 17, 1), dict(layers="4C3-MP2-6C2-MP3-8N"), any_size=False),
    Tiny(applications.AlexNet, (67, 71, 3), dict(widths=(4, 8, 8, 8, 8), hidden=(8,), dropout=0.0), any_size=False),
    Tiny(applications.ZFNet, (67, 71, 3), dict(widths=(4, 8, 8, 8, 8), hidden=(8,), dropout=0.0), any_size=False),
    Tiny(
        applications.VGG11LRN,
        (32, 48, 3),
        dict(depths=(1,) * 5, widths=(4,) * 5, hidden=(8, 8), dropout=0.0),
        any_size=False,
    ),
    Tiny(
        applications.VGG11BN,
        (32, 48, 3),
        dict(depths=(1,) * 5, widths=(4,) * 5, hidden=(8,), dropout=0.0),
        any_size=False,
    ),
    Tiny(applications.NIN, (32, 48, 3), dict(widths=((8, 6, 4), (6, 6, 6), (6, 8)))),
    Tiny(
        applications.GoogLeNet,
        (32, 48, 3),
        dict(stages=(((8, 4, 8, 4, 8, 8),), ((8, 4, 8, 4, 8, 8),)), dropout=0.0),
        slow_in_xla=True,
    ),
    Tiny(
        applications.BNInception,
        (32, 48, 3),
        dict(stages=((Module(4, (4, 8), (4, 8), 4), Module(None, (4, 8), (4, 8), None)),)),
        slow_in_xla=True,
    ),
    # Its stem has no padding.
    Tiny(
        applications.InceptionV3,
        (75, 83, 3),
        dict(pooled=(32,), widths=(128,), expansions=1, dropout=0.0),
        slow_in_xla=True,
    ),
    Tiny(
        applications.Highway19,
        (32, 48, 3),
        dict(depths=(1, 1, 1), widths=(8, 12, 16), last=8),
        slow_in_xla=True,
    ),
    Tiny(applications.HighwayMLP, (6, 8, 1), dict(depth=3, width=8), any_size=False),
    Tiny(applications.STCNN, (28, 28, 1), dict(convolutions=((4, 9), (6, 7))), any_size=False),
    Tiny(
        applications.STCNNMultiSVHN,
        (16, 24, 3),
        dict(localise=(bind(dense, widths=(8,)),) * 2, widths=(4, 6, 6), pooled=(1, 3), hidden=(8,), dropout=0.0),
        any_size=False,
        slow_in_xla=True,
    ),
    Tiny(
        applications.STCNN2xCUB,
        (32, 48, 3),
        dict(
            crop=(32, 48),
            trunk=BNInceptionRecipe(((Module(None, (4, 8), (4, 8), None),),)),
            hidden=(8, 8),
            dropout=0.0,
        ),
        any_size=False,
        slow_in_xla=True,
    ),
    Tiny(applications.ResNet20, (32, 48, 3), dict(depths=(1, 1, 1), widths=(16, 24, 24))),
    Tiny(applications.ResNet50, (32, 48, 3), dict(depths=(1, 1, 1, 1), widths=(4, 8, 8, 8))),
    Tiny(applications.PreActResNet200, (32, 48, 3), dict(depths=(1, 2), widths=(4, 8)), slow_in_xla=True),
    Tiny(applications.InceptionV4, (75, 83, 3), dict(depths=(1, 1, 1), dropout=0.0), slow_in_xla=True),
    Tiny(
        applications.InceptionResNetV2,
        (75, 83, 3),
        dict(
            grids=(
                Grid(1, ((4,), (4, 4), (4, 4, 8)), scale=0.17, reduce=(((16, 3, 2, 0),),)),
                Grid(1, ((4,), (4, 4, 8)), ((1, 7), (7, 1)), 0.1, reduce=(((4,), (8, 3, 2, 0)),)),
                Grid(1, ((4,), (4, 4, 8)), ((1, 3), (3, 1)), 0.2),
            ),
            last=16,
            dropout=0.0,
        ),
        slow_in_xla=True,
    ),
    Tiny(
        applications.PolyNet,
        (32, 48, 3),
        dict(
            modules=((way,), (poly,), (mpoly,)),
            stem=bind(normalized, filters=8, kernel=3, stride=2, name="stem"),
            grids=(
                Grid(1, ((4,), (4, 4)), reduce=(((16, 3, 2, 0),),)),
                Grid(1, ((4,), (4, 4, 8)), ((1, 7), (7, 1)), reduce=(((4,), (8, 3, 2, 0)),)),
                Grid(1, ((4,), (4, 4, 8)), ((1, 3), (3, 1))),
            ),
            dropout=0.0,
        ),
        slow_in_xla=True,
    ),
    Tiny(applications.PyramidNet200_a450, (32, 48, 3), dict(depths=(1, 1), alpha=6, width=4), slow_in_xla=True),
    Tiny(
        applications.Attention56,
        (32, 48, 3),
        dict(base=PreActResNet((1, 1), widths=(4, 8), stem=bind(stem, width=8)), modules=((2,), ())),
        slow_in_xla=True,
    ),
    Tiny(
        applications.DPN92,
        (32, 48, 3),
        dict(depths=(2, 1), increments=(4, 2), inner=8, groups=2, widths=(8, 16)),
        slow_in_xla=True,
    ),
    Tiny(
        applications.FractalNet20,
        (32, 48, 3),
        dict(widths=(8, 12), dropouts=(0.0, 0.1)),
        slow_in_xla=True,
    ),
    Tiny(applications.NASNetALarge, (32, 48, 3), dict(cells=1, filters=8, stem=6), slow_in_xla=True),
    Tiny(
        applications.StochasticDepth110,
        (32, 48, 3),
        dict(depths=(1, 1, 1), widths=(16, 24, 24)),
        slow_in_xla=True,
    ),
    Tiny(applications.DenseNet121, (32, 48, 3), dict(depths=(1, 2), growth=4, start=8), slow_in_xla=True),
    Tiny(applications.ODENet, (28, 34, 1), dict(width=4, **EQUATION), slow_in_xla=True),
    Tiny(
        applications.CBAMResNet18,
        (32, 48, 3),
        dict(depths=(1, 1), widths=(8, 16), attend=bind(CBAM, ratio=4)),
        slow_in_xla=True,
    ),
    Tiny(
        applications.ResNeSt50Fast_2s2x40d,
        (32, 48, 3),
        dict(depths=(1, 2), widths=(16, 32), stem=bind(stem_deep, widths=(4, 4, 8)), zero_gamma=False),
        slow_in_xla=True,
    ),
    Tiny(
        applications.SENet154,
        (32, 48, 3),
        dict(
            depths=(1, 1),
            widths=(4, 8),
            inner=same,
            spatial=bind(conv3x3, groups=2),
            dropout=0.0,
        ),
        slow_in_xla=True,
    ),
    Tiny(
        applications.SEVGG16,
        (32, 48, 3),
        dict(depths=(1,) * 5, widths=(16,) * 5, hidden=(8,), dropout=0.0),
        any_size=False,
        slow_in_xla=True,
    ),
    Tiny(
        applications.CapsNet,
        (20, 24, 1),
        dict(filters=8, capsules=12, dimensions=(4, 6), decoder=(8,)),
        any_size=False,
        slow_in_xla=True,
    ),
    Tiny(
        applications.NFResNet26,
        (32, 48, 3),
        dict(depths=(1, 2), widths=(16, 24), attend=SqueezeExcite),
        slow_in_xla=True,
    ),
    Tiny(
        applications.NFNetF0,
        (32, 48, 3),
        dict(
            depths=(1, 2),
            widths=(16, 24),
            stem=bind(nfnet.stem_3x3, widths=(4, 8)),
            block=bind(nfnet.bottleneck, group_width=4),
            last=32,
            dropout=0.0,
        ),
        slow_in_xla=True,
    ),
    Tiny(
        applications.ViT_B16,
        (32, 48, 3),
        dict(patch=8, depth=2, width=16, hidden=24, heads=2),
        any_size=False,
        tokens=True,
    ),
    Tiny(
        applications.Mixer_B16,
        (32, 48, 3),
        dict(patch=8, depth=2, width=16, tokens=12, channels=24),
        any_size=False,
        tokens=True,
        slow_in_xla=True,
    ),
    Tiny(applications.CapsNetBaseline, (8, 10, 1), dict(widths=(4, 6), hidden=(8,), dropout=0.0), any_size=False),
]
each_kind = pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.row.name)


def test_every_recipe_has_a_tiny_network():
    assert {type(row.architecture) for row in ROWS} == {type(tiny.row.architecture) for tiny in TINY}


def parameters(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_counts_are_exact_and_names_unique(row):
    with keras.StatelessScope(initialize_variables=False):  # counting needs shapes only: half of the time, no memory
        model = row()
    assert parameters(model) == row.params
    assert count_macs(model) == row.macs
    assert model.input_shape == (None, *row.input_shape) and model.output_shape == (
        None,
        *row.architecture.positions,
        row.classes,
    )
    names = [operation.name for operation in model.operations]
    assert len(set(names)) == len(names)
    assert model.name == row.name.lower() and model.origin.row == row.name
    keras.backend.clear_session()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_row_prints_itself_and_cites_its_paper(row):
    assert f"{row.params:,}" in str(row) and f"{row.macs:,}" in str(row) and row.paper.title in str(row)
    assert row.paper.title in applications.cite(row) and (row.paper.arxiv or "") in applications.cite(row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_recipe_fields_never_reuse_an_argument_of_the_call(row):
    arguments = set(inspect.signature(type(row).__call__).parameters) - {"self", "changes"}
    assert not arguments & {field.name for field in fields(row.architecture)}


def test_the_call_takes_keras_applications_arguments_in_their_order():
    ours = [p for p in inspect.signature(applications.ResNet50.__call__).parameters.values()]
    theirs = inspect.signature(keras.applications.ResNet50).parameters
    assert [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD] == list(theirs)


@each_kind
def test_saves_and_reloads(tiny, tmp_path):
    model = tiny()
    x = np.random.default_rng(0).normal(size=(2, *tiny.shape)).astype("float32")
    before = model(x)  # not by predict, which would trace each of the four
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert reloaded.origin == model.origin and type(reloaded) is type(model)
    np.testing.assert_array_equal(reloaded(x), before)
    # Positions cannot say which lineage they follow: said here.
    lineage = {key: getattr(tiny.row.architecture, key) for weights in tiny.row.weights for key in weights.changes}
    for arguments in (dict(weights=tmp_path / "model.keras"), dict(weights=tmp_path / "model.weights.h5", **lineage)):
        np.testing.assert_array_equal(tiny(**arguments)(x), before)


def steps_again():
    for tiny in TINY:
        slow = tiny.row.name in (
            "STCNN",
            "STCNNMultiSVHN",
            "STCNN2xCUB",
            "ODENet",
            "InceptionV4",
            "NASNetALarge",
        )  # 3 s or more each
        yield pytest.param(tiny, id=tiny.row.name, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("tiny", list(steps_again()))
def test_recomputation_takes_the_same_step(tiny):
    """Loss, all gradients, moving statistics and random states; names and places of all weights."""
    plain, recomputed = tiny(), tiny(recompute=True)
    assert list(state_dict_names(plain)) == list(state_dict_names(recomputed))
    for one, other in zip(plain.variables, recomputed.variables, strict=True):
        other.assign(one)
    random = np.random.default_rng(0)
    x = random.normal(size=(4, *tiny.shape)).astype("float32")
    y = random.integers(0, 5, (4, *tiny.row.architecture.positions))
    found = []
    for model in (plain, recomputed):
        model.compile(loss=MarginLoss() if tiny.row.scores == "lengths" else "sparse_categorical_crossentropy")
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), training=True)
        found.append([loss, *tape.gradient(loss, [variable.value for variable in model.trainable_variables])])
    largest = max(np.abs(gradient).max() for gradient in found[0][1:])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * largest)
    for one, other in zip(plain.variables, recomputed.variables, strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-6)


def precisions():
    """Inside XLA, as `compile()` picks it on a GPU, and without."""
    for tiny in TINY:
        for policy, jit in (("mixed_float16", True), ("mixed_bfloat16", False), ("mixed_bfloat16", True)):
            slow = jit and (tiny.slow_in_xla or policy == "mixed_bfloat16")
            name = f"{tiny.row.name}-{policy}{'-xla' * jit}"
            yield pytest.param(tiny, policy, jit, id=name, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("tiny", "policy", "jit"), list(precisions()))
def test_trains_under_mixed_precision(tiny, policy, jit):
    """In mixed_float16 with its loss scaling."""
    keras.config.set_dtype_policy(policy)
    model = tiny()
    loss = MarginLoss() if tiny.row.scores == "lengths" else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=jit)
    random = np.random.default_rng(0)
    x = random.normal(size=(8, *tiny.shape)).astype("float32")
    y = random.integers(0, 5, (8, *tiny.row.architecture.positions))
    losses = model.fit(x, y, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert model.output.dtype == "float32" and model.layers[-1].compute_dtype == "float32"


@pytest.mark.parametrize(("grow", "channels"), [(0, 1), (1, 4), (None, 3), (None, 1)])
@each_kind
def test_other_input_shapes(tiny, grow, channels):
    """One channel, four; odd sizes; unknown ones."""
    height, width = tiny.shape[:2]
    shape = (None, None, channels) if grow is None else (height + grow, width - grow, channels)
    if not tiny.any_size:
        shape = (height, width, channels)
        with pytest.raises(ValueError, match="size"):
            tiny(input_shape=(None, None, channels))
    model = tiny(input_shape=shape)
    image = np.ones((1, shape[0] or height + 8, shape[1] or width, channels), "float32")
    scores = keras.ops.convert_to_numpy(model(image))
    assert scores.shape == (1, *tiny.row.architecture.positions, 5) and scores.min() >= 0 and scores.max() <= 1
    assert tiny.row.scores == "lengths" or np.abs(scores.sum(-1) - 1).max() < 1e-5


@each_kind
def test_without_the_top(tiny):
    changes = tiny.changes if tiny.any_size else {**tiny.changes, "input_shape": tiny.shape}
    features = tiny.row(include_top=False, **changes)
    expected = (None, None, tiny.shape[2]) if tiny.any_size else tiny.shape
    assert features.input_shape == (None, *expected)
    assert len(features.output_shape) == (3 if tiny.tokens else 4)
    for pooling in ("avg", "max"):
        pooled = tiny.row(include_top=False, pooling=pooling, **changes)
        assert pooled.output_shape == (None, features.output_shape[-1])


def test_builds_upon_a_tensor():
    inputs = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    model = applications.ResNet20(input_tensor=scaled, name="mine")
    assert model.input is inputs and model.name == "mine"
    assert model(np.zeros((1, 32, 32, 3), "float32")).shape == (1, 10)  # without a warning about lists


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(weights="imagenette"), ValueError, "`weights` argument should be either `None`.*timm/resnet18.a1_in1k"),
        (dict(weights="resnet18.a1_in1"), ValueError, "Did you mean"),
        (dict(weights="imagenet"), FileNotFoundError, "not on this machine.*lineage='timm/resnet18.a1_in1k'"),
        (dict(weights="nowhere.safetensors"), ValueError, "no weights file 'nowhere.safetensors'"),
        (dict(lineage="caffe"), ValueError, "`lineage` argument"),
        (dict(pooling="average"), ValueError, "`pooling` is None, 'avg' or 'max'"),
        (dict(classes=0), ValueError, "`classes` is an integer of at least 1"),
        (dict(classes=2.5), ValueError, "`classes` is an integer of at least 1"),
        (dict(input_shape=(32, 32)), ValueError, "`input_shape` must be a tuple of three integers"),
        (dict(input_shape=(32, 0, 3)), ValueError, "`input_shape` must be a tuple of three integers"),
        (dict(input_shape=(32, 32, None)), ValueError, "number of channels"),
        (dict(input_tensor=np.zeros((1, 32, 32, 3))), ValueError, "`input_tensor` is a Keras tensor"),
        (dict(depth=3), TypeError, "unexpected keyword argument 'depth'.*ResNet has: depths"),
        (dict(depths=(1, 1)), ValueError, "as many `depths` as `widths`"),
        (dict(weights="tv_in1k"), ValueError, "`weights` argument"),
    ],
)
def test_bad_arguments_are_clear_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        applications.ResNet18(**arguments)


def test_changes_that_contradict_the_lineage_are_an_error():
    with pytest.raises(ValueError, match="stride_first=True contradicts the weights 'timm/resnet50.tv_in1k'"):
        applications.ResNet50(lineage="resnet50.tv_in1k", stride_first=True)


def test_contradicting_shapes_are_an_error():
    with pytest.raises(ValueError, match="contradicts `input_tensor`"):
        applications.ResNet20(input_tensor=keras.Input((32, 32, 3)), input_shape=(32, 32, 1))


def test_channels_first_is_an_error():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            applications.ResNet20()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_list_models():
    assert applications.list_models("resnet1*") == ["ResNet18", "ResNet101", "ResNet110", "ResNet152", "ResNet1202"]
    assert "ResNet20" not in applications.list_models(weights=True) and "ResNet50" in applications.list_models()
    with pytest.raises(ValueError, match="Did you mean ResNet50"):
        applications.get_model("resnet-50")


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_preprocess_input_never_mutates(dtype):
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(dtype)
    before = x.copy()
    y = applications.ResNet50.preprocess_input(x)
    expected = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(y, expected, atol=2e-6)
    assert y.dtype == "float32" and isinstance(y, np.ndarray)
    tensor = applications.ResNet50.preprocess_input(keras.ops.convert_to_tensor(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), y, atol=1e-6)
    symbolic = applications.ResNet50.preprocess_input(keras.Input((4, 4, 3), dtype=dtype))
    assert symbolic.shape == (None, 4, 4, 3)


def test_preprocessing_belongs_to_the_checkpoint():
    assert applications.ResNet34.preprocessing("resnet34.ra4_e3600_r224_in1k").mean == (0.5, 0.5, 0.5)
    assert applications.ResNet34.preprocessing().mean == (0.485, 0.456, 0.406)
    assert applications.ResNet20.preprocessing().scale == 1.0
    with pytest.raises(ValueError, match="has no published tags"):
        applications.ResNet20.preprocessing("timm")


def test_decode_predictions():
    preds = np.zeros((2, 1000), "float32")
    preds[0, [388, 2]] = 0.7, 0.3
    decoded = applications.ResNet50.decode_predictions(preds, top=2)
    assert [item[:2] for item in decoded[0]] == [("n02510455", "giant_panda"), ("n01484850", "great_white_shark")]
    assert [item[0] for item in decoded[1]] == ["n01440764", "n01443537"]
    with pytest.raises(ValueError, match=r"a 2D array of shape \(samples, 1000\)"):
        applications.ResNet50.decode_predictions(preds[0])
    with pytest.raises(ValueError, match="ResNet20 has 10 classes"):
        applications.ResNet20.decode_predictions(preds)


def test_imagenet_classes():
    classes = applications.imagenet_classes()
    assert len(classes) == 1000 and len({wordnet for wordnet, _ in classes}) == 1000
    assert classes[0] == ("n01440764", "tench") and classes[999] == ("n15075141", "toilet_tissue")
