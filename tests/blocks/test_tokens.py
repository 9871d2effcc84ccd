import keras
import numpy as np
import pytest

from kvision.blocks.tokens import drop, mlp, patches

RANDOM = np.random.default_rng(0)


def test_patches_are_tokens_row_by_row():
    """With ones for weights each token is the sum of its patch."""
    inputs = keras.Input((4, 6, 1))
    model = keras.Model(inputs, patches(inputs, 2, 3, name="embed"))
    model.get_layer("embed.proj").set_weights([np.ones((2, 2, 1, 3)), np.arange(3.0)])
    image = RANDOM.normal(size=(1, 4, 6, 1)).astype("float32")
    sums = [image[0, r : r + 2, c : c + 2].sum() for r in (0, 2) for c in (0, 2, 4)]
    np.testing.assert_allclose(model(image)[0], np.array(sums)[:, None] + np.arange(3.0), atol=1e-5)


@pytest.mark.parametrize("shape", [(None, 16, 3), (16, 17, 3), (15, 16, 3)])
def test_other_sizes_are_errors(shape):
    with pytest.raises(ValueError, match="multiples of the patch size, 8"):
        patches(keras.Input(shape), 8, 4, name="embed")


def test_mlp_keeps_the_width():
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, mlp(inputs, 7, name="mlp", dropout=0.5))
    assert model.output_shape == (None, 5, 4)
    assert [layer.name for layer in model.layers[1:]] == ["mlp.fc1", "mlp.drop1", "mlp.fc2", "mlp.drop2"]
    assert model.count_params() == 4 * 7 + 7 + 7 * 4 + 4


def test_no_dropout_is_no_layer():
    x = keras.Input((5, 4))
    assert drop(x, 0.0, name="drop") is x
