"""Encoded images from strangers: how many pixels a file would become is read from its header before it is decoded."""

import tensorflow as tf

from kvision.data import decode_image

MAX_PIXELS = 89_478_485
"""Pillow's limit: a quarter of a GiB in RGB."""


def decode_bounded(contents: tf.Tensor, channels: int, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """`kvision.data.decode_image`, refusing an image of more than `max_pixels` unseen.

    Of a GIF nothing after the first frame is decoded: a small file can hold a thousand large ones.

    Raises:
        tf.errors.InvalidArgumentError: too many pixels, or no JPEG, PNG, GIF, BMP or WebP file.
    """

    header = tf.strings.substr(contents + 32 * "\0", 0, 32)  # of a shorter file, zeros: decoding will refuse it
    octets = _octets(header)

    def starts(magic: bytes):
        return tf.strings.substr(header, 0, len(magic)) == magic

    def unknown():
        refused = tf.debugging.Assert(False, ["The image is no JPEG, PNG, GIF, BMP or WebP file."])
        with tf.control_dependencies([refused]):
            return tf.identity(contents), tf.zeros((2,), tf.int64)

    formats = [
        (starts(b"\xff\xd8\xff"), lambda: (contents, _jpeg(contents))),
        (starts(b"\x89PNG"), lambda: (contents, _png(octets))),
        (starts(b"GIF8"), lambda: _gif(contents)),
        (starts(b"BM"), lambda: (contents, _bmp(octets))),
        (starts(b"RIFF"), lambda: (contents, _webp(octets))),
    ]
    contents, size = tf.case(formats, default=unknown)
    pixels = tf.reduce_prod(tf.cast(size, tf.float64))  # two numbers of 32 bits overflow an integer
    told = ["The image has more pixels than the limit of", max_pixels, "; height and width:", size]
    with tf.control_dependencies([tf.debugging.Assert(pixels <= max_pixels, told)]):
        return decode_image(tf.identity(contents), channels)


def _octets(contents):
    return tf.cast(tf.io.decode_raw(contents, tf.uint8), tf.int64)


def _number(octets, place, size: int, big_endian: bool = False):
    """The unsigned integer in the `size` bytes at a place."""
    powers = [256 ** (size - 1 - i if big_endian else i) for i in range(size)]
    return tf.reduce_sum(octets[place : place + size] * powers)


def _jpeg(contents):
    return tf.cast(tf.io.extract_jpeg_shape(contents)[:2], tf.int64)


def _png(octets):
    return tf.stack([_number(octets, 20, 4, big_endian=True), _number(octets, 16, 4, big_endian=True)])


def _bmp(octets):
    size = tf.stack([_number(octets, 22, 4), _number(octets, 18, 4)])
    return tf.minimum(size, 2**32 - size)  # a negative height is one counted from the top


def _webp(octets):
    """Of the three kinds of file: lossy, lossless, and those with a canvas."""
    bits = _number(octets, 21, 4)
    lossy = tf.stack([_number(octets, 28, 2), _number(octets, 26, 2)]) % 2**14
    lossless = tf.stack([bits // 2**14, bits]) % 2**14 + 1
    canvas = tf.stack([_number(octets, 27, 3), _number(octets, 24, 3)]) + 1
    kind = octets[15]  # VP8 and a space, L or X
    return tf.where(kind == ord("L"), lossless, tf.where(kind == ord("X"), canvas, lossy))


def _gif(contents):
    """The file up to its first frame, and the height and width of frame and screen, the larger of each."""
    octets = _octets(contents)

    def table(place):
        """Bytes of the colours that the flags at a place announce."""
        flags = octets[place]
        return tf.where(flags < 128, tf.constant(0, tf.int64), 3 * 2 ** (flags % 8 + 1))

    def after_blocks(place):
        """Where a chain of blocks ends that begin with their lengths, the last with 0."""
        (place,) = tf.while_loop(lambda i: octets[i] > 0, lambda i: [i + 1 + octets[i]], [place])
        return place + 1

    start = 13 + table(10)
    (start,) = tf.while_loop(lambda i: octets[i] == 0x21, lambda i: [after_blocks(i + 2)], [start])  # extensions
    end = after_blocks(start + 11 + table(start + 9))
    frame = tf.stack([_number(octets, start + 7, 2), _number(octets, start + 5, 2)])
    screen = tf.stack([_number(octets, 8, 2), _number(octets, 6, 2)])
    return tf.strings.substr(contents, tf.constant(0, tf.int64), end) + ";", tf.maximum(frame, screen)
