"""Decoded images in memory."""

import dataclasses
import warnings

import numpy as np
import tensorflow as tf

from kvision.data.sources.split import WHOLE, Split


def cached(split: Split, limit: int) -> Split:
    """The same split with its images in memory: the same examples in the same orders, only faster.

    Reads every image once, here and now. If they take more than `limit` bytes a warning says so, and the split comes
    back as it was.
    """
    dataset = split.examples(None, WHOLE)
    _, image, label = dataset.element_spec
    if image.shape.is_fully_defined() and split.size * image.shape.num_elements() * image.dtype.size > limit:
        return _too_large(split, limit)
    shapes, begins = np.zeros((split.size, 3), np.int64), np.zeros(split.size, np.int64)
    labels = np.zeros(split.size, label.dtype.as_numpy_dtype)
    readable = np.zeros(split.size, bool)
    pixels, total = [], 0
    for place, values, number in dataset.as_numpy_iterator():
        shapes[place], begins[place], labels[place], readable[place] = values.shape, total, number, True
        pixels.append(values.ravel())
        total += values.size
        if total * values.itemsize > limit:
            return _too_large(split, limit)
    # Eager tensors are captured by the functions below: constants of the graph would be copied into it.
    complete = readable.all()
    with tf.device("CPU"):
        pixels = tf.constant(np.concatenate([np.zeros(0, image.dtype.as_numpy_dtype), *pixels]))
        shapes, begins, labels, readable = map(tf.constant, (shapes, begins, labels, readable))

    def read(place):
        begin, shape = begins[place], shapes[place]
        values = tf.reshape(pixels[begin : begin + tf.reduce_prod(shape)], shape)
        return place, tf.ensure_shape(values, image.shape), labels[place]

    def examples(seed, shard):
        places = split.places(seed, shard)
        return (places if complete else places.filter(lambda place: readable[place])).map(read)

    return dataclasses.replace(split, examples=examples)


def _too_large(split, limit):
    message = f"the images of the {split.name} split take more than {limit:,} bytes: they are read anew in every epoch"
    warnings.warn(message, stacklevel=4)
    return split
