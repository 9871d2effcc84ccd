"""The tf.data room: where images come from, how they are augmented, and the batches that `model.fit` reads."""

from kvision.data.augmentation import Augmentation
from kvision.data.color import ColorJitter, PCALighting
from kvision.data.crop import RandomCropWithPadding
from kvision.data.cutmix import CutMix
from kvision.data.distortion import RandomClutter, RandomProjection, RandomSimilarity, RandomSpline
from kvision.data.elastic import RandomElastic
from kvision.data.erasing import Cutout, RandomErasing
from kvision.data.flip import RandomFlip
from kvision.data.from_keras import FromKeras
from kvision.data.images import decode_image, resize_for_evaluation
from kvision.data.keras_cv import AugMix, RandAugment
from kvision.data.mixing import Either, Mixing, Mixup
from kvision.data.noise import VicinityNoise
from kvision.data.overlap import OverlappingPairs
from kvision.data.pipeline import evaluation_batches, steps, training_batches
from kvision.data.preview import preview
from kvision.data.sources import load
from kvision.data.split import Split
from kvision.data.statistics import pixel_statistics
from kvision.data.warp import RandomAffine
from kvision.data.window import RandomCrop, RandomResizedCrop, RandomScaleCrop

__all__ = [
    "AugMix",
    "Augmentation",
    "ColorJitter",
    "CutMix",
    "Cutout",
    "Either",
    "FromKeras",
    "Mixing",
    "Mixup",
    "OverlappingPairs",
    "PCALighting",
    "RandomAffine",
    "RandAugment",
    "RandomClutter",
    "RandomCrop",
    "RandomCropWithPadding",
    "RandomElastic",
    "RandomErasing",
    "RandomFlip",
    "RandomProjection",
    "RandomResizedCrop",
    "RandomScaleCrop",
    "RandomSimilarity",
    "RandomSpline",
    "Split",
    "VicinityNoise",
    "decode_image",
    "evaluation_batches",
    "load",
    "pixel_statistics",
    "preview",
    "resize_for_evaluation",
    "steps",
    "training_batches",
]
