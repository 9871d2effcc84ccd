"""From bytes to pixels: the decoding and the resizing that training, evaluation and exported models share."""

import tensorflow as tf

KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


def decode_image(contents: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decodes one JPEG (grey, RGB, CMYK), PNG (8 or 16 bits; alpha is dropped), GIF (first frame), BMP or
    WebP (not animated) file.

    JPEG files are decoded by the accurate transform, as Pillow does it: the same numbers, at the same speed as by
    TensorFlow's own choice, which is up to 18 of 255 levels off (1.3 in the mean of a photograph).

    Args:
        contents: the bytes of the file, a scalar string.
        channels: 3 for RGB (grey is repeated), 1 for grey (RGB is weighted as in ITU-R BT.601).

    Returns:
        uint8 (H, W, channels), 0..255.

    Raises:
        ValueError: channels is neither 1 nor 3.
        tf.errors.InvalidArgumentError: the bytes are not an image, or only a part of one.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB), got {channels!r}")
    image = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
    )
    image = tf.ensure_shape(image, (None, None, 3))
    return image if channels == 3 else tf.image.rgb_to_grayscale(image)


def resize_for_evaluation(
    image: tf.Tensor,
    size: int | tuple[int, int],
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
    squash: bool = False,
) -> tf.Tensor:
    """Resizes with the aspect ratio kept, then crops the centre: the evaluation protocol of torchvision and timm.

    The image is resized (antialiased) until it just covers floor(size / crop_fraction), as by its shorter side for a
    square, and the centre of that is cut out. `size=224, crop_fraction=0.875` is the usual 224 from 256.
    An image that already has the size comes back as it was.

    On photographs, of 255 levels, the result is within 1 of Pillow's by bilinear interpolation; by bicubic 99.9 % of it
    are within 1, the mean difference is 0.3, and the largest, where an edge overshoots, 10: Pillow rounds and clips to
    whole numbers between its two passes. Without antialiasing it would be up to 80 (5 in the mean).

    Args:
        image: (H, W, C) or (B, H, W, C), any numeric dtype; H and W may be unknown when a graph is traced.
        size: height and width of the result in pixels; one integer for both.
        crop_fraction: the part of the resized height and width that is kept, in (0, 1].
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5, as Pillow).
        squash: whether height and width are resized to floor(size / crop_fraction) each, whatever the aspect ratio.

    Returns:
        float32 (h, w, C) or (B, h, w, C), in the units of the input, not rounded; of uint8 images in [0, 255], which
        bicubic interpolation would leave at edges.

    Raises:
        ValueError: a size below 1, a crop_fraction outside (0, 1], another interpolation, or an image of another rank.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be one or two positive integers, got {size!r}")
    if not 0 < crop_fraction <= 1:
        raise ValueError(f"crop_fraction must be in (0, 1], got {crop_fraction!r}")
    if interpolation not in KERNELS:
        raise ValueError(f"interpolation must be one of {', '.join(KERNELS)}, got {interpolation!r}")
    image = tf.convert_to_tensor(image)
    if image.shape.rank not in (3, 4):
        raise ValueError(f"image must have the shape (H, W, C) or (B, H, W, C), got {image.shape}")
    if crop_fraction == 1 and image.shape[-3:-1] == (height, width):
        return tf.cast(image, tf.float32)

    old_height, old_width = tf.unstack(tf.shape(image)[-3:-1])
    full_height, full_width = int(height / crop_fraction), int(width / crop_fraction)
    new_height, new_width = tf.constant(full_height), tf.constant(full_width)
    if not squash:
        new_height = tf.maximum(full_height, old_height * full_width // old_width)
        new_width = tf.maximum(full_width, old_width * full_height // old_height)
    # Half of the margin is rounded to even, as in torchvision's center_crop.
    corner = tf.round(tf.cast([new_height - height, new_width - width], tf.float32) / 2)
    # tf.image.resize calls this op too, but has no way to compute only the pixels that are kept: half the time.
    resized = tf.raw_ops.ScaleAndTranslate(
        images=image if image.shape.rank == 4 else image[tf.newaxis],
        size=(height, width),
        scale=tf.cast([new_height / old_height, new_width / old_width], tf.float32),
        translation=-corner,
        kernel_type=KERNELS[interpolation],
        antialias=True,
    )
    if image.dtype == tf.uint8 and interpolation == "bicubic":
        resized = tf.clip_by_value(resized, 0.0, 255.0)
    return resized if image.shape.rank == 4 else resized[0]
