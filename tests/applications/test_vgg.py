"""Claims of section 2.3 and Table 1, and section 3.1's way from a shallow network to a deep one."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.vgg import start_from
from kvision.blocks.bind import bind
from kvision.blocks.conv import he, prelu
from kvision.layers import PReLU

ROWS = [getattr(applications, name) for name in applications.list_models("vgg*")]
SMALL = dict(input_shape=(32, 32, 3), widths=(4, 8, 16, 16, 16), hidden=(8, 8), classes=3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_weight_layers_and_stage_shapes(row, without_values):
    model = row()
    layers = [x for x in model.layers if isinstance(x, (keras.layers.Conv2D, keras.layers.Dense))]
    assert str(len(layers)) == row.name.removeprefix("VGG")[:2]
    shapes = [layer.output.shape[1:] for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert shapes == [(112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 512)]
    kernels = {layer.kernel_size for layer in layers if isinstance(layer, keras.layers.Conv2D)}
    assert kernels == ({(3, 3), (1, 1)} if row.name == "VGG16C" else {(3, 3)})
    keras.backend.clear_session()


def test_deeper_from_shallower():
    shallow, deep = applications.VGG11(**SMALL), applications.VGG16(**SMALL)
    before = np.array(deep.get_layer("features.2").kernel)
    start_from(deep, shallow)
    # conv1_1, conv2_1, conv3_1, conv3_2 by their indices in configurations A and D, and the dense layers
    pairs = [("features.0", "features.0"), ("features.3", "features.5"), ("features.6", "features.10")]
    pairs += [
        ("features.8", "features.12"),
        *((name, name) for name in ("pre_logits.fc1", "pre_logits.fc2", "head.fc")),
    ]
    for source, target in pairs:
        np.testing.assert_array_equal(shallow.get_layer(source).kernel, deep.get_layer(target).kernel)
    np.testing.assert_array_equal(deep.get_layer("features.2").kernel, before)
    with pytest.raises(ValueError, match="differ in shape"):
        start_from(deep, applications.VGG11(**{**SMALL, "classes": 4}))
    with pytest.raises(ValueError, match="is no VGG with its top"):
        start_from(deep, applications.ResNet20())


def test_prelu_and_he_initialization_fill_the_holes():
    """He et al., arXiv:1502.01852: slopes that start at 0.25, one for each channel, and N(0, 2 / ((1 + a^2) n))."""
    holes = dict(rectify=prelu, initializer=bind(he, slope=0.25))
    model = applications.VGG11(**holes, **SMALL)
    slopes = [layer.alpha.shape for layer in model.layers if isinstance(layer, PReLU)]
    assert slopes == [(1, 1, width) for width in (4, 8, 16, 16, 16, 16, 16, 16)]
    assert model.origin.changes["rectify"] == "prelu" and model.origin.changes["initializer"] == "he(slope=0.25)"
    wide = applications.VGG11(**holes, **{**SMALL, "widths": (4, 64, 64, 64, 64)})
    deviation = np.std(wide.get_layer("features.6").kernel)
    assert deviation == pytest.approx(np.sqrt(2 / (1 + 0.25**2) / (9 * 64)), rel=0.03)
