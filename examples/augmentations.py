"""Every augmentation of `kvision.data`, on a photograph that comes with scikit-learn, four times.

    python examples/augmentations.py        # half a minute; writes runs/augmentations.png

Other random numbers make each of the four another; the same picture comes out again, since they are drawn
from the seeds below. Mixed labels are written above mixtures.
"""

import sys

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_images

from kvision import data, visualize

SIZE, DRAWS = (160, 240), 4
NAMES = ("temple", "flower")
LAYERS = {
    "RandomFlip": data.RandomFlip(),
    "RandomCropWithPadding": data.RandomCropWithPadding(40, "reflect"),
    "RandomResizedCrop": data.RandomResizedCrop(SIZE),
    "RandomScaleCrop": data.RandomScaleCrop(SIZE, shorter=(240, 400)),
    "ColorJitter": data.ColorJitter(hue=0.1),
    "PCALighting": data.PCALighting(0.5),
    "VicinityNoise": data.VicinityNoise(25),
    "RandomAffine": data.RandomAffine(),
    "RandomElastic": data.RandomElastic(alpha=150, sigma=9),
    "RandomProjection": data.RandomProjection(deviation=15),
    "RandomSpline": data.RandomSpline(deviation=10),
    "RandomErasing": data.RandomErasing(1.0),
    "Cutout": data.Cutout(80, fill=(124, 116, 104)),
    "Mixup": data.Mixup(1.0, classes=2),
    "CutMix": data.CutMix(classes=2),
    "RandAugment": data.RandAugment(magnitude=0.7),
    "AugMix": data.AugMix(severity=0.6),
}


def main(path: str = "runs/augmentations.png") -> None:
    photos = tf.image.resize(load_sample_images().images, SIZE, antialias=True)
    photos, labels = tf.cast(tf.round(photos), tf.uint8), tf.constant([0, 1])
    images, captions = [], []
    for name, layer in LAYERS.items():
        for draw in range(DRAWS):
            drawn, label = layer(photos, labels, seed=(draw, 1))
            images.append(drawn[0].numpy() / np.float32(255))
            captions.append(name if draw == 0 else mixture(label[0]) if isinstance(layer, data.Mixing) else " ")
    visualize.save(visualize.sheet(images, captions, title="Augmentations", columns=2 * DRAWS), path)
    print(f"The picture: {path}")


def mixture(parts: tf.Tensor) -> str:
    return " + ".join(f"{name} {part:.2f}" for name, part in zip(NAMES, parts.numpy(), strict=True) if part > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
