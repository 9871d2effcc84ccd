"""Three contrast normalizations: Cireşan, Meier, Masci & Schmidhuber, "A committee of neural networks for traffic sign
classification", IJCNN 2011. The names are MATLAB's: imadjust, histeq and adapthisteq."""

import keras
from keras import ops

from kvision.layers.lab import lab, rgb


class _Contrast(keras.layers.Layer):
    """Changes the lightness of images: L of CIE L*a*b* for RGB, the values themselves for one channel.

    A subclass writes `adjust`, from lightness `(B, H, W)` in [0, 1] to lightness. Each image is for itself. Worked out
    in float32 under every policy.

    Args:
        value_range: of the pixels, in and out. Values beyond it are clipped.

    Raises:
        ValueError: images of neither 1 nor 3 channels, or an empty range.
    """

    def __init__(self, value_range=(0.0, 1.0), **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.value_range = tuple(float(value) for value in value_range)
        if len(self.value_range) != 2 or self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"`value_range` is the lowest and the highest pixel. Received: {value_range}")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        if input_shape[-1] not in (1, 3):
            raise ValueError(
                f"{type(self).__name__} changes the lightness of images with 1 channel (grey) or 3 (RGB). "
                f"Received: images of shape {tuple(input_shape)}"
            )

    def adjust(self, lightness):
        raise NotImplementedError

    def call(self, inputs):
        low, high = self.value_range
        x = ops.clip((ops.cast(inputs, "float32") - low) / (high - low), 0, 1)
        if x.shape[-1] == 1:
            y = self.adjust(x[..., 0])[..., None]
        else:
            colors = lab(x)
            lightness = self.adjust(ops.clip(colors[..., 0], 0, 1))
            y = rgb(ops.concatenate([lightness[..., None], colors[..., 1:]], axis=-1))
        return ops.cast(y * (high - low) + low, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "value_range": self.value_range}


@keras.saving.register_keras_serializable(package="kvision")
class ImageAdjustment(_Contrast):
    """Stretches the lightness linearly over the range, so that 1 % of the pixels saturate at either end: imadjust.

    With n pixels, floor(n / 100) at least become black, and as many white. An image whose remaining pixels are all
    equal is left as it is.

    Args:
        fraction: of the pixels that saturate at either end, in [0, 0.5).

    Input and output: `(B, H, W, 1)` or `(B, H, W, 3)`.

    Raises:
        ValueError: a fraction out of its range.
    """

    def __init__(self, fraction=0.01, value_range=(0.0, 1.0), **kwargs):
        super().__init__(value_range, **kwargs)
        if not 0 <= fraction < 0.5:
            raise ValueError(f"`fraction` lies in [0, 0.5). Received: {fraction}")
        self.fraction = float(fraction)

    def adjust(self, lightness):
        batch, height, width = ops.shape(lightness)
        values = ops.sort(ops.reshape(lightness, (batch, height * width)), axis=1)
        count = ops.cast(height * width, "float32")
        cut = ops.cast(ops.floor(self.fraction * count + 1e-3), "int32")  # 0.01 * 300 is just below 3
        low = ops.take(values, cut, axis=1)[:, None, None]
        high = ops.take(values, height * width - 1 - cut, axis=1)[:, None, None]
        spread = high > low
        stretched = ops.clip((lightness - low) / ops.where(spread, high - low, 1.0), 0, 1)
        return ops.where(spread, stretched, lightness)

    def get_config(self):
        return {**super().get_config(), "fraction": self.fraction}


@keras.saving.register_keras_serializable(package="kvision")
class AdaptiveHistogramEqualization(_Contrast):
    """Equalizes the lightness of every tile by its own clipped histogram, with a smooth passage between tiles: CLAHE.

    Each tile's histogram makes a map from lightness to lightness (see `equalizing`); a pixel goes through the maps of
    the four tiles around it, weighted bilinearly by how near their centres are. Before that, no bin may hold more
    pixels than MATLAB's `ClipLimit` allows: what is above is spread over all bins. (MATLAB spreads whole pixels, in
    rounds, and never above the limit.)

    Piecewise constant in the pixels: no gradient.

    Args:
        tiles: rows and columns of tiles; one integer for both. The paper's are 6x6 pixels large, 8x8 of 48x48. Heights
            and widths that they do not divide have tiles that differ by one pixel.
        clip_limit: in [0, 1]: 0 for histograms as flat as can be, 1 for none clipped. MATLAB's default is 0.01.
        bins: of the histograms; 256 is one for every value of a byte.

    Input and output: `(B, H, W, 1)` or `(B, H, W, 3)`.

    Raises:
        ValueError: an argument out of its range, or an image with fewer pixels than tiles in a row or column.
    """

    def __init__(self, tiles=8, clip_limit=0.01, bins=256, value_range=(0.0, 1.0), **kwargs):
        super().__init__(value_range, **kwargs)
        self.tiles = (tiles, tiles) if isinstance(tiles, int) else tuple(tiles)
        self.clip_limit, self.bins = float(clip_limit), bins
        if len(self.tiles) != 2 or min(self.tiles) < 1 or not 0 <= clip_limit <= 1 or bins < 2:
            raise ValueError(
                "`tiles` is one or two integers of at least 1, `clip_limit` lies in [0, 1], and `bins` is at least 2. "
                f"Received: tiles={tiles}, clip_limit={clip_limit}, bins={bins}"
            )

    def build(self, input_shape):
        super().build(input_shape)
        if any(size is not None and size < tiles for size, tiles in zip(input_shape[1:3], self.tiles, strict=True)):
            raise ValueError(
                f"An image has a pixel at least for each of {self.tiles[0]}x{self.tiles[1]} tiles. "
                f"Received: images of shape {tuple(input_shape)}"
            )

    def adjust(self, lightness):
        batch, height, width = ops.shape(lightness)
        down, across = self.tiles
        bin_ = ops.cast(ops.round(lightness * (self.bins - 1)), "int32")
        image = ops.arange(batch, dtype="int32")[:, None, None]
        row, column = ops.arange(height, dtype="int32")[:, None], ops.arange(width, dtype="int32")

        def place(tile_row, tile_column):
            """Where the pixels' bins lie in the histograms of these tiles, laid end to end."""
            return ((image * down + tile_row) * across + tile_column) * self.bins + bin_

        own = ops.reshape(place(row * down // height, column * across // width), (-1,))
        counts = ops.segment_sum(ops.ones_like(own, dtype="float32"), own, batch * down * across * self.bins)
        maps = ops.reshape(equalizing(self.clip(ops.reshape(counts, (-1, self.bins)))), (-1,))
        y = 0.0
        for tile_row, weight_row in _neighbours(row, height, down):
            for tile_column, weight_column in _neighbours(column, width, across):
                y += weight_row * weight_column * ops.take(maps, place(tile_row, tile_column))
        return y

    def clip(self, counts):
        """Histograms `(..., bins)` with no bin above the limit, and the same sums."""
        pixels = ops.sum(counts, axis=-1, keepdims=True)
        least = ops.ceil(pixels / self.bins)
        clipped = ops.minimum(counts, least + ops.round(self.clip_limit * (pixels - least)))
        return clipped + (pixels - ops.sum(clipped, axis=-1, keepdims=True)) / self.bins

    def get_config(self):
        arguments = {"tiles": self.tiles, "clip_limit": self.clip_limit, "bins": self.bins}
        return {**super().get_config(), **arguments}


@keras.saving.register_keras_serializable(package="kvision")
class HistogramEqualization(AdaptiveHistogramEqualization):
    """Gives the lightness of the image a nearly uniform histogram: histeq. One tile, and nothing clipped.

    Piecewise constant in the pixels: no gradient.

    Args:
        bins: of the histogram; 256 is one for every value of a byte.

    Input and output: `(B, H, W, 1)` or `(B, H, W, 3)`.

    Raises:
        ValueError: fewer than 2 bins.
    """

    def __init__(self, bins=256, value_range=(0.0, 1.0), **kwargs):
        super().__init__(1, 1.0, bins, value_range, **kwargs)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key not in ("tiles", "clip_limit")}


def equalizing(counts):
    """For histograms `(..., bins)`, the lightness that each bin becomes: the share of the pixels up to it.

    Shares are taken above the lowest occupied bin, which becomes 0, as the highest becomes 1. A histogram of one bin
    alone says nothing: its map changes nothing.
    """
    total = ops.cumsum(counts, axis=-1)
    pixels = total[..., -1:]
    lowest = ops.min(ops.where(total > 0, total, pixels), axis=-1, keepdims=True)
    spread = pixels > lowest
    shares = ops.clip((total - lowest) / ops.where(spread, pixels - lowest, 1.0), 0, 1)
    return ops.where(spread, shares, ops.linspace(0.0, 1.0, counts.shape[-1]))


def _neighbours(place, size, tiles):
    """The two tiles between whose centres each pixel lies, with their weights; the outermost tile twice beyond it."""
    position = (ops.cast(place, "float32") + 0.5) * (tiles / ops.cast(size, "float32")) - 0.5
    before = ops.floor(position)
    for tile, weight in ((before, before + 1 - position), (before + 1, position - before)):
        yield ops.cast(ops.clip(tile, 0, tiles - 1), "int32"), weight
