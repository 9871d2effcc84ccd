"""Files from strangers: bounded by their headers, decoded as training decodes them."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kvision.data import decode_image
from kvision.export.encoded import MAX_PIXELS, decode_bounded

RAMP = np.stack([*np.meshgrid(np.arange(0, 240, 8), np.arange(0, 160, 8)), np.full((20, 30), 90)], -1).astype(np.uint8)
NEGATIVE = Image.fromarray(255 - RAMP)


def encoded(format, mode="RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def from_the_top(contents: bytes) -> bytes:
    """A BMP file with the height that says so."""
    return contents[:22] + struct.pack("<i", -20) + contents[26:]


FILES = {
    "jpeg": encoded("JPEG"),
    "grey jpeg": encoded("JPEG", "L"),
    "progressive jpeg": encoded("JPEG", progressive=True, exif=b"Exif\0\0" + b"\0" * 999),
    "png": encoded("PNG"),
    "alpha png": encoded("PNG", "RGBA"),
    "gif": encoded("GIF"),
    "gif of two frames": encoded("GIF", save_all=True, append_images=[NEGATIVE], loop=0, comment=b"two"),
    "bmp": encoded("BMP"),
    "bmp from the top": from_the_top(encoded("BMP")),
    "webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "webp with a canvas": encoded("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}


@pytest.fixture(scope="module")
def decode():
    """In a graph, as it is exported."""
    return tf.function(
        lambda contents, most: decode_bounded(contents, 3, most),
        input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.float64)],
        autograph=False,
    )


def test_pixels_are_those_of_training_and_their_number_is_known_before(decode):
    for name, contents in FILES.items():
        np.testing.assert_array_equal(decode(contents, 600), decode_image(contents), err_msg=name)
        with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than the limit"):
            decode(contents, 599)


def test_the_kinds_of_webp_are_all_there():
    assert [FILES[name][12:16] for name in FILES if "webp" in name] == [b"VP8 ", b"VP8L", b"VP8X"]


def png(width, height) -> bytes:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def gif(screen, frame) -> bytes:
    descriptor = struct.pack("<BHHHHB", 0x2C, 0, 0, *frame, 0)
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6) + descriptor + b"\x02\x02\x4c\x01\x00;"


def jpeg(width, height) -> bytes:
    found = FILES["jpeg"].index(b"\xff\xc0")  # start of frame: length, precision, height, width
    return FILES["jpeg"][: found + 5] + struct.pack(">HH", height, width) + FILES["jpeg"][found + 9 :]


def resized(name, place, *numbers) -> bytes:
    sizes = b"".join(number.to_bytes(size, "little") for number, size in numbers)
    return FILES[name][:place] + sizes + FILES[name][place + len(sizes) :]


BOMBS = [
    png(60_000, 60_000),
    png(2**31, 2**32 - 1),  # beyond 64 bits
    gif((60_000, 60_000), (1, 1)),
    gif((1, 1), (60_000, 60_000)),
    jpeg(65_500, 65_500),
    resized("bmp", 18, (50_000, 4), (50_000, 4)),
    resized("bmp", 18, (50_000, 4), (2**32 - 50_000, 4)),
    resized("webp", 26, (16_383, 2), (16_383, 2)),
    resized("lossless webp", 21, (2**28 - 1, 4)),
    resized("webp with a canvas", 24, (2**24 - 1, 3), (2**24 - 1, 3)),
]


def test_bombs_are_refused_by_their_headers(decode):
    for contents in BOMBS:
        with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than the limit"):
            decode(contents, MAX_PIXELS)


def test_of_a_gif_nothing_after_the_first_frame_is_read(decode):
    assert FILES["gif"].endswith(b"\0;")
    bomb = gif((1, 1), (60_000, 60_000))[19:]
    for rest in (b"", b"garbage", bomb):
        np.testing.assert_array_equal(decode(FILES["gif"][:-1] + rest, 600), decode_image(FILES["gif"]))


def test_no_images(decode):
    for contents in (
        b"",
        b"x",
        b"\xff\xd8\xff",
        b"\x89PNG",
        b"GIF89a",
        b"BM",
        b"RIFF",
        b"II*\0 a TIFF file",
        b"<svg/>",
    ):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(contents, 1e9)


def test_files_cut_off_at_any_byte_are_errors_or_images(decode):
    for contents in FILES.values():
        for end in range(0, len(contents), 67):
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                assert decode(contents[:end], 600).shape == (20, 30, 3)
