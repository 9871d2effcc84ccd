"""JPEG files for benchmarks that read images."""

import pathlib

CLASSES, HEIGHT, WIDTH = 10, 375, 500  # the usual size of ImageNet's


def photographs(folder: pathlib.Path, count: int) -> None:
    """Writes so many, in class folders: windows of the two photographs that scikit-learn ships."""
    import tensorflow as tf
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images  # 427x640
    for number in range(count):
        window = tf.image.stateless_random_crop(photos[number % 2], (HEIGHT, WIDTH, 3), (0, number))
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        tf.io.write_file(str(path), tf.io.encode_jpeg(window, quality=90))
