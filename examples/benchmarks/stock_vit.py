"""The vision transformers that the benchmarks compare with: from Keras's own layers, and keras-hub's."""


def layers(net, shape):
    """The network of the recipe `net` from Keras's layers alone, as its guides write it."""
    import keras
    from keras import layers

    def norm(x):
        return layers.LayerNormalization(epsilon=1e-6)(x)

    class Embedding(layers.Layer):
        """The class token and the positions."""

        def build(self, input_shape):
            _, tokens, width = input_shape
            self.token = self.add_weight((1, 1, width), name="token")
            self.positions = self.add_weight((1, tokens + 1, width), name="positions")

        def call(self, inputs):
            token = keras.ops.repeat(self.token, keras.ops.shape(inputs)[0], axis=0)
            return keras.ops.concatenate([token, inputs], axis=1) + self.positions

    inputs = keras.Input(shape)
    x = layers.Conv2D(net.width, net.patch, net.patch)(inputs)
    x = Embedding()(layers.Reshape((-1, net.width))(x))
    for _ in range(net.depth):
        y = norm(x)
        y = layers.MultiHeadAttention(net.heads, net.width // net.heads)(y, y)
        x = layers.Add()([x, y])
        y = layers.Dense(net.hidden, "gelu")(norm(x))
        x = layers.Add()([x, layers.Dense(net.width)(y)])
    x = layers.Flatten()(layers.Cropping1D((0, x.shape[1] - 1))(norm(x)))
    return keras.Model(inputs, layers.Dense(1000, "softmax", dtype="float32")(x))


def hub(net, shape):
    """keras-hub's, with the numbers of the recipe `net`."""
    import keras
    import keras_hub

    backbone = keras_hub.models.ViTBackbone(
        image_shape=shape,
        patch_size=net.patch,
        num_layers=net.depth,
        num_heads=net.heads,
        hidden_dim=net.width,
        mlp_dim=net.hidden,
    )
    x = keras.layers.Flatten()(keras.layers.Cropping1D((0, backbone.output.shape[1] - 1))(backbone.output))
    return keras.Model(backbone.input, keras.layers.Dense(1000, "softmax", dtype="float32")(x))
