"""The tf.data room: where images come from, how they are augmented, and the batches that `model.fit` reads."""

from kvision.data.augmentation.base import Augmentation
from kvision.data.augmentation.color import ColorJitter, PCALighting
from kvision.data.augmentation.crop import RandomCrop, RandomResizedCrop, RandomScaleCrop
from kvision.data.augmentation.cutmix import CutMix
from kvision.data.augmentation.distortion import RandomClutter, RandomProjection, RandomSimilarity, RandomSpline
from kvision.data.augmentation.elastic import RandomElastic
from kvision.data.augmentation.erasing import Cutout, RandomErasing
from kvision.data.augmentation.flip import RandomFlip
from kvision.data.augmentation.from_keras import FromKeras
from kvision.data.augmentation.keras_cv import AugMix, RandAugment
from kvision.data.augmentation.mixing import Either, Mixing, Mixup
from kvision.data.augmentation.noise import VicinityNoise
from kvision.data.augmentation.overlap import OverlappingPairs
from kvision.data.augmentation.padded_crop import RandomCropWithPadding
from kvision.data.augmentation.warp import RandomAffine
from kvision.data.images import decode_image, resize_for_evaluation
from kvision.data.pipeline import evaluation_batches, steps, training_batches
from kvision.data.preview import preview
from kvision.data.sources.load import load
from kvision.data.sources.split import Split
from kvision.data.statistics import pixel_statistics
from kvision.data.views import Crops144, GridCrops, Mirrored, TenCrops, Whole

__all__ = [
    "AugMix",
    "Augmentation",
    "ColorJitter",
    "Crops144",
    "CutMix",
    "Cutout",
    "Either",
    "FromKeras",
    "GridCrops",
    "Mirrored",
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
    "TenCrops",
    "VicinityNoise",
    "Whole",
    "decode_image",
    "evaluation_batches",
    "load",
    "pixel_statistics",
    "preview",
    "resize_for_evaluation",
    "steps",
    "training_batches",
]
