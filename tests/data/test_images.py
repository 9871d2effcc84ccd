import io
import pathlib
import sys
import types

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image

from kvision.classifier import Preprocess
from kvision.data import decode_image, resize_for_evaluation

RAMP = np.stack([*np.meshgrid(np.arange(0, 240, 8), np.arange(0, 160, 8)), np.full((20, 30), 90)], -1).astype(np.uint8)


def encoded(format, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


PHOTOGRAPHS = sorted((pathlib.Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LATER = [Image.fromarray(255 - RAMP)]
GREY = np.asarray(Image.fromarray(RAMP).convert("L"))[..., np.newaxis]


@pytest.mark.parametrize(
    ("contents", "expected", "tolerance"),
    [
        (encoded("JPEG", quality=95, subsampling=0), RAMP, 6),
        (encoded("JPEG", "CMYK", quality=95), RAMP, 6),
        (encoded("JPEG", "L", quality=95), GREY, 6),
        (encoded("PNG"), RAMP, 0),
        (encoded("PNG", "L"), GREY, 0),
        (encoded("PNG", "LA"), GREY, 0),
        (encoded("PNG", "RGBA"), RAMP, 0),
        (tf.io.encode_png(tf.cast(RAMP, tf.uint16) * 257).numpy(), RAMP, 0),
        (encoded("BMP"), RAMP, 0),
        (encoded("BMP", "L"), GREY, 0),
        (encoded("BMP", "RGBA"), RAMP, 0),
        (encoded("GIF", save_all=True, append_images=LATER), RAMP, 40),  # 256 colours; the second frame is the negative
        (encoded("WEBP", lossless=True), RAMP, 0),
    ],
)
def test_decode_image(contents, expected, tolerance):
    image = decode_image(contents)
    assert (image.dtype, image.shape) == (tf.uint8, (20, 30, 3))
    assert np.abs(image.numpy().astype(int) - expected).max() <= tolerance
    grey = decode_image(contents, channels=1)
    assert (grey.dtype, grey.shape) == (tf.uint8, (20, 30, 1))
    assert np.abs(grey.numpy().astype(int) - GREY).max() <= tolerance + 1


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda path: path.name)
def test_a_jpeg_is_decoded_as_by_pillow(photograph):
    image = decode_image(photograph.read_bytes())
    np.testing.assert_array_equal(image, Image.open(photograph).convert("RGB"))


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("interpolation", "size", "fraction", "squash"),
    [
        ("bilinear", 224, 0.875, False),
        ("bicubic", 224, 0.875, False),
        ("bicubic", 288, 1.0, False),
        ("bicubic", 256, 0.9, True),
        ("bicubic", 512, 0.951, True),
    ],
)
def test_the_preprocessing_of_a_jpeg_is_that_of_timm(photograph, interpolation, size, fraction, squash):
    """From the file to the network's input, within what the docstring of `resize_for_evaluation` states, in levels."""
    with Image.open(photograph) as file:
        expected = by_pillow(file, size, fraction, interpolation, squash)
    resized = resize_for_evaluation(decode_image(photograph.read_bytes()), size, fraction, interpolation, squash)
    differences = np.abs(resized.numpy() - expected)
    print(f"{differences.max():.2f} largest, {differences.mean():.3f} mean, {(differences > 1).mean():.5f} above 1")
    assert differences.max() < (1 if interpolation == "bilinear" else 10)
    assert (differences > 1).mean() < 1e-3 and differences.mean() < 0.3
    assert resized.numpy().min() >= 0 and resized.numpy().max() <= 255.001
    preprocess = Preprocess(MEAN, STD)
    np.testing.assert_allclose(preprocess(expected), (expected / 255 - np.array(MEAN)) / np.array(STD), atol=1e-5)


def by_pillow(image, size, fraction, interpolation, squash=False):
    """What timm does: the reference of these tests, which the next one compares with timm."""
    whole = int(size / fraction)
    width, height = (whole if squash else whole * side // min(image.size) for side in image.size)
    resized = image.resize((width, height), getattr(Image.Resampling, interpolation.upper()))
    top, left = round((height - size) / 2), round((width - size) / 2)
    return np.asarray(resized, np.float32)[top : top + size, left : left + size]


def test_the_reference_is_timm():
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    timm_data = pytest.importorskip("timm.data")
    for photograph in PHOTOGRAPHS:
        image = Image.open(photograph).convert("RGB")
        for mode in ("center", "squash"):
            transform = timm_data.create_transform(
                (3, 256, 256), crop_pct=0.9, interpolation="bicubic", crop_mode=mode, mean=(0,) * 3, std=(1 / 255,) * 3
            )
            expected = transform(image).permute(1, 2, 0).numpy()
            np.testing.assert_allclose(by_pillow(image, 256, 0.9, "bicubic", mode == "squash"), expected, atol=1e-3)


def test_decode_image_in_a_graph_has_a_static_rank():
    decode = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
    assert decode.get_concrete_function().output_shapes.as_list() == [None, None, 3]


@pytest.mark.parametrize("contents", [b"", b"not an image", encoded("JPEG")[:300], encoded("PNG")[:60]])
def test_decode_image_refuses(contents):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(contents)


def test_decode_image_refuses_two_channels():
    with pytest.raises(ValueError, match="channels must be 1 .* or 3 .*, got 2"):
        decode_image(encoded("PNG"), channels=2)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(90, 130), (131, 90), (40, 40), (30, 200)])
@pytest.mark.parametrize(("size", "fraction"), [(56, 0.875), (64, 1.0), (48, 0.9)])
def test_resize_is_the_protocol_of_timm(shape, size, fraction, interpolation):
    waves = np.sin(np.arange(shape[0])[:, None, None] / 9) * np.cos(np.arange(shape[1])[:, None] / 7 + np.arange(3))
    image = np.round(127 + 120 * waves).astype(np.uint8)
    short = int(size / fraction)
    height, width = (short * side // min(shape) for side in shape)
    pillow = Image.fromarray(image).resize((width, height), getattr(Image.Resampling, interpolation.upper()))
    top, left = round((height - size) / 2), round((width - size) / 2)
    expected = np.asarray(pillow, np.float32)[top : top + size, left : left + size]

    ours = resize_for_evaluation(image, size, fraction, interpolation)
    assert (ours.dtype, ours.shape) == (tf.float32, (size, size, 3))
    assert np.abs(ours - expected).max() < 1.6  # Pillow rounds to whole numbers, twice
    batch = tf.function(
        lambda images: resize_for_evaluation(images, size, fraction, interpolation),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    assert batch.get_concrete_function().output_shapes.as_list() == [None, size, size, 3]
    np.testing.assert_array_equal(batch(np.stack([image, image]))[1], ours)


def test_resize_to_a_rectangle_covers_it():
    image = np.broadcast_to(np.arange(60, dtype=np.float32)[:, None, None], (60, 40, 1))
    np.testing.assert_allclose(resize_for_evaluation(image, (20, 40))[:, 0, 0], np.arange(20, 40), atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_of_the_size_itself_is_the_identity(dtype, interpolation):
    image = RAMP.astype(dtype)
    traced = tf.function(
        lambda image: resize_for_evaluation(image, (20, 30), 1.0, interpolation),
        input_signature=[tf.TensorSpec((None, None, 3), dtype)],
    )
    for resized in (resize_for_evaluation(image, (20, 30), 1.0, interpolation), traced(image)):
        assert resized.dtype == tf.float32
        np.testing.assert_array_equal(resized, RAMP)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "positive integers, got 0"),
        ({"size": (8, -1)}, r"positive integers, got \(8, -1\)"),
        ({"size": 8, "crop_fraction": 0}, r"crop_fraction must be in \(0, 1\], got 0"),
        ({"size": 8, "crop_fraction": 1.1}, r"crop_fraction must be in \(0, 1\], got 1.1"),
        ({"size": 8, "interpolation": "cubic"}, "interpolation must be one of bilinear, bicubic, got 'cubic'"),
        ({"size": 8, "image": RAMP[..., 0]}, r"\(H, W, C\) or \(B, H, W, C\), got \(20, 30\)"),
    ],
)
def test_resize_names_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        resize_for_evaluation(**{"image": RAMP, **options})
