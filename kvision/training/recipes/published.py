"""How the networks were trained: the training sections of their papers as rows, in order of publication.

`print(kvision.training.get_recipe("ResNet"))` shows one. Where a paper counts steps, epochs are steps times images in a
batch, divided by training images. What a paper leaves open is taken from the code that its authors published, or from
Caffe's; the row says so. Figures that could not be looked up are marked "from memory". What a network has in itself
(dropout, dropped paths, initial values) is not here, nor are rates that differ by layer.
"""

import difflib
import fnmatch
from dataclasses import replace

from kvision import data
from kvision.training.recipes.augmentation import Layer, Layers, ScaledCrop, whole
from kvision.training.recipes.optimization import (
    SGD,
    Adam,
    RMSprop,
    all_but_normalization,
    everything,
    kernels,
    margin,
    quadratic,
)
from kvision.training.recipes.recipe import Recipe
from kvision.training.recipes.schedules import Constant, Cosine, Exponential, Halving, Plateau, Polynomial, Steps

IMAGENET, CIFAR, MNIST, SVHN = 1_281_167, 50_000, 60_000, 604_388  # training images

FLIP = Layer(data.RandomFlip)
SHIFT = Layer(data.RandomCropWithPadding, padding=4)
LIGHT = Layer(data.PCALighting)
COLOR = Layer(data.ColorJitter)
HOWARD = Layer(data.ColorJitter, brightness=0.5, contrast=0.5, saturation=0.5)  # arXiv:1312.5402, from memory
INCEPTION_CROP = Layer(data.RandomResizedCrop)
TORCH_CROP = Layer(data.RandomResizedCrop, interpolation="bicubic")  # of fb.resnet.torch


def mixed_and_distorted(magnitude: float) -> Layers:
    """Of NFNets. There half of each batch is mixed in one way, half in the other; here half of the batches."""
    mixup, cutmix = Layer(data.Mixup, alpha=0.2, per="sample"), Layer(data.CutMix, per="sample")
    distortion = Layer(data.RandAugment, count=4, magnitude=magnitude)
    return Layers(FLIP, Layer(data.Either, first=mixup, second=cutmix), distortion)


MCDNN = Recipe(
    name="MCDNN",
    month="2012-02",
    source="Ciresan, Meier & Schmidhuber, arXiv:1202.2745, section 3.1: the columns for MNIST",
    images=MNIST,
    batch=1,
    epochs=800,  # from memory
    rate=0.001,
    schedule=Exponential(0.993, floor=0.03),  # to 0.00003
    momentum=0.0,  # from memory
    augment=Layers(  # amounts from memory, of the same authors' earlier networks (arXiv:1102.0183)
        Layer(data.RandomAffine, rotation=15, translation=1.5, scale=1.15, flip=0, shear=0, stretch=1),
        Layer(data.RandomElastic, alpha=36.0, sigma=6.0),
    ),
)
AlexNet = Recipe(
    name="AlexNet",
    month="2012-12",
    source="Krizhevsky, Sutskever & Hinton, NIPS 2012, sections 4.1 and 5",
    images=IMAGENET,
    batch=128,
    epochs=90,  # from memory: "roughly 90 cycles"
    rate=0.01,
    schedule=Plateau(drops=3),  # three: from memory
    decay=5e-4,
    decayed=kernels,  # as in Caffe's bvlc_alexnet
    crop=ScaledCrop(256, 256, size=227, square=True),  # the paper says 224, its arithmetic and Caffe 227
    augment=Layers(FLIP, LIGHT),
)
NINCIFAR = Recipe(
    name="NINCIFAR",
    month="2013-12",
    source="Lin, Chen & Yan, arXiv:1312.4400, section 4.1; the authors' Caffe files",
    images=CIFAR,
    batch=128,
    epochs=120_000 * 128 / CIFAR,  # code, from memory
    rate=0.1,  # code, from memory
    schedule=Steps(at=(100_000 * 128 / CIFAR, 115_000 * 128 / CIFAR)),  # code, of CIFAR-100
    decay=1e-4,  # code, from memory
    decayed=kernels,
)
NINCIFARAugmented = replace(
    NINCIFAR,
    name="NINCIFARAugmented",
    source="Lin, Chen & Yan, arXiv:1312.4400, section 4.2: translation and mirrors",
    augment=Layers(SHIFT, FLIP),
)
VGG = replace(
    AlexNet,
    name="VGG",
    month="2014-09",
    source="Simonyan & Zisserman, arXiv:1409.1556, section 3.1",
    batch=256,
    epochs=74,
    crop=ScaledCrop(256, 512),
)
GoogLeNet = Recipe(
    name="GoogLeNet",
    month="2014-09",
    source="Szegedy et al., arXiv:1409.4842, section 6; what it does not tell is of Caffe's bvlc_googlenet",
    images=IMAGENET,
    batch=32,  # Caffe
    epochs=10_000_000 * 32 / IMAGENET,  # Caffe
    rate=0.01,  # Caffe
    schedule=Exponential(0.96, every=8),
    decay=2e-4,  # Caffe
    decayed=kernels,  # Caffe
    crop=INCEPTION_CROP,
    augment=Layers(FLIP, HOWARD),
)
GoogLeNetQuick = replace(
    GoogLeNet,
    name="GoogLeNetQuick",
    source="Caffe's bvlc_googlenet, quick_solver.prototxt: the published weights; its images were squeezed to squares",
    epochs=2_400_000 * 32 / IMAGENET,
    schedule=Polynomial(0.5),
    crop=ScaledCrop(256, 256, square=True),
    augment=Layers(FLIP),
)
FirstProgram = Recipe(
    name="FirstProgram",
    month="2015",
    source="Nielsen, Neural Networks and Deep Learning, chapter 1: SGD(training_data, 30, 10, 3.0)",
    images=50_000,
    batch=10,
    epochs=30,
    rate=3.0,
    schedule=Constant(),
    momentum=0.0,
    loss=quadratic,  # of sigmoid outputs
)
BNInception = replace(
    GoogLeNet,
    name="BNInception",
    month="2015-02",
    source="Ioffe & Szegedy, arXiv:1502.03167, section 4.2.1: BN-x30 (BN-x5 has the rate 0.0075)",
    epochs=6_000_000 * 32 / IMAGENET,  # from memory
    rate=0.045,
    schedule=Exponential(0.96, every=8 / 6),  # six times as fast
    decay=2e-4 / 5,
    augment=Layers(FLIP),  # "less photometric distortions"
)
HighwayCIFAR = Recipe(
    name="HighwayCIFAR",
    month="2015-05",
    source="Srivastava, Greff & Schmidhuber, arXiv:1505.00387 and 1507.06228; the authors' Caffe files for 19 layers",
    images=CIFAR,
    batch=100,
    epochs=200_000 * 100 / CIFAR,
    rate=0.025,  # of biases twice that
    schedule=Steps(at=(100_000 * 100 / CIFAR, 150_000 * 100 / CIFAR, 175_000 * 100 / CIFAR)),
    optimizer=SGD(nesterov=True),
    decay=1e-3,  # of the last layer ten times that
    decayed=kernels,
    augment=Layers(SHIFT, FLIP),
)
HighwayMNIST = replace(
    HighwayCIFAR,
    name="HighwayMNIST",
    source="Srivastava, Greff & Schmidhuber, arXiv:1505.00387 and 1507.06228; the authors' Caffe files for 10 layers",
    images=MNIST,
    epochs=180_000 * 100 / MNIST,
    rate=0.01,
    schedule=Steps(at=(60_000 * 100 / MNIST, 120_000 * 100 / MNIST)),
    augment=Layers(),
)
STNRotated = Recipe(
    name="STNRotated",
    month="2015-06",
    source="Jaderberg et al., arXiv:1506.02025, section 4.1 and appendix A.4: MNIST, turned",
    images=MNIST,
    batch=256,
    epochs=150_000 * 256 / MNIST,
    rate=0.01,
    schedule=Steps(at=(50_000 * 256 / MNIST, 100_000 * 256 / MNIST)),
    momentum=0.0,  # none is named
    augment=Layers(Layer(data.RandomSimilarity)),
)
STNScaled = replace(
    STNRotated,
    name="STNScaled",
    source="Jaderberg et al., arXiv:1506.02025, section 4.1 and appendix A.4: MNIST, turned, scaled and shifted",
    augment=Layers(Layer(data.RandomSimilarity, degrees=45, scales=(0.7, 1.2), size=(42, 42))),
)
STNProjected = replace(
    STNRotated,
    name="STNProjected",
    source="Jaderberg et al., arXiv:1506.02025, section 4.1 and appendix A.4: MNIST, projected",
    augment=Layers(Layer(data.RandomProjection)),
)
STNElastic = replace(
    STNRotated,
    name="STNElastic",
    source="Jaderberg et al., arXiv:1506.02025, section 4.1 and appendix A.4: MNIST, bent",
    augment=Layers(Layer(data.RandomSpline)),
)
STNCluttered = replace(
    STNRotated,
    name="STNCluttered",
    source="Jaderberg et al., arXiv:1506.02025, section 4.1 and appendix A.4: MNIST, in clutter",
    augment=Layers(Layer(data.RandomClutter)),
)
InceptionV3 = replace(
    GoogLeNet,
    name="InceptionV3",
    month="2015-12",
    source="Szegedy et al., arXiv:1512.00567, sections 7 and 8; the authors' TensorFlow code",
    epochs=100,
    rate=0.045,
    schedule=Exponential(0.94, every=2),
    optimizer=RMSprop(rho=0.9, epsilon=1.0),
    momentum=0.9,  # code
    decay=0.0,  # the paper names none; in the code 4e-5 is a part of the loss
    smoothing=0.1,
    clipnorm=2.0,
    average=0.9999,  # "a running average", of the code
)
ResNet = Recipe(
    name="ResNet",
    month="2015-12",
    source="He, Zhang, Ren & Sun, arXiv:1512.03385, section 3.4",
    images=IMAGENET,
    batch=256,
    epochs=600_000 * 256 / IMAGENET,  # from memory
    rate=0.1,
    schedule=Plateau(),
    decay=1e-4,
    decayed=everything,  # the paper does not tell
    crop=ScaledCrop(256, 480),
    augment=Layers(FLIP, LIGHT),
)
ResNetCIFAR = replace(
    ResNet,
    name="ResNetCIFAR",
    source="He, Zhang, Ren & Sun, arXiv:1512.03385, section 4.2",
    images=CIFAR,
    batch=128,
    epochs=64_000 * 128 / CIFAR,
    schedule=Steps(at=(32_000 * 128 / CIFAR, 48_000 * 128 / CIFAR)),
    crop=whole,
    augment=Layers(SHIFT, FLIP),
)
ResNet110CIFAR = replace(
    ResNetCIFAR,
    name="ResNet110CIFAR",
    source="He, Zhang, Ren & Sun, arXiv:1512.03385, section 4.2: 110 layers start at a tenth of the rate",
    warmup=400 * 128 / CIFAR,  # from memory: until the error is below 80 %, "about 400 iterations"
    start=0.01,
    gradual=False,
)
StochasticDepthCIFAR = replace(
    ResNetCIFAR,
    name="StochasticDepthCIFAR",
    month="2016-03",
    source="Huang, Sun, Liu, Sedra & Weinberger, arXiv:1603.09382, section 4",
    images=45_000,  # from memory: 5,000 are kept for validation
    epochs=500,
    schedule=Steps(at=(250, 375)),
    optimizer=SGD(nesterov=True),
)
WideResNetCIFAR = replace(
    ResNetCIFAR,
    name="WideResNetCIFAR",
    month="2016-05",
    source="Zagoruyko & Komodakis, arXiv:1605.07146, section 3",
    epochs=200,
    schedule=Steps(at=(60, 120, 160), factor=0.2),
    optimizer=SGD(nesterov=True),
    decay=5e-4,
    augment=Layers(Layer(data.RandomCropWithPadding, padding=4, mode="reflect"), FLIP),  # the border is of the code
)
WideResNetSVHN = replace(
    WideResNetCIFAR,
    name="WideResNetSVHN",
    images=SVHN,
    epochs=160,
    rate=0.01,
    schedule=Steps(at=(80, 120)),
    augment=Layers(),
)
FractalNetCIFAR = Recipe(
    name="FractalNetCIFAR",
    month="2016-05",
    source="Larsson, Maire & Shakhnarovich, arXiv:1605.07648, section 4",
    images=CIFAR,
    batch=100,
    epochs=400,
    rate=0.02,
    schedule=Halving(),
    decay=0.0,  # none is named
    augment=Layers(SHIFT, FLIP),
)
DenseNetCIFAR = replace(
    StochasticDepthCIFAR,
    name="DenseNetCIFAR",
    month="2016-08",
    source="Huang, Liu, van der Maaten & Weinberger, arXiv:1608.06993, section 4.2",
    images=CIFAR,
    batch=64,
    epochs=300,
    schedule=Steps(at=(150, 225)),
)
DenseNet = replace(
    DenseNetCIFAR,
    name="DenseNet",
    source="Huang, Liu, van der Maaten & Weinberger, arXiv:1608.06993, section 4.2; images as in fb.resnet.torch",
    images=IMAGENET,
    batch=256,
    epochs=90,
    schedule=Steps(at=(30, 60)),
    crop=TORCH_CROP,
    augment=Layers(COLOR, LIGHT, FLIP),
)
ResNeXt = replace(
    DenseNet,
    name="ResNeXt",
    month="2016-11",
    source="Xie, Girshick, Dollar, Tu & He, arXiv:1611.05431, section 4; epochs, drops and images of the authors' code",
    epochs=100,
    schedule=Steps(at=(30, 60, 90)),
)
ResNeXtCIFAR = replace(
    DenseNetCIFAR,
    name="ResNeXtCIFAR",
    month="2016-11",
    source="Xie, Girshick, Dollar, Tu & He, arXiv:1611.05431, section 5.3; the batch of the authors' code (paper: 256)",
    batch=128,
    decay=5e-4,
)
ResidualAttention = replace(
    ResNet,
    name="ResidualAttention",
    month="2017-04",
    source="Wang et al., arXiv:1704.06904, section 4.2",
    batch=256,  # not named; that of ResNet
    epochs=530_000 * 256 / IMAGENET,
    schedule=Steps(at=(200_000 * 256 / IMAGENET, 400_000 * 256 / IMAGENET, 500_000 * 256 / IMAGENET)),
    optimizer=SGD(nesterov=True),
)
LargeMinibatch = Recipe(
    name="LargeMinibatch",
    month="2017-06",
    source="Goyal et al., arXiv:1706.02677, sections 2 and 5.1: ImageNet in 1 hour",
    images=IMAGENET,
    batch=8192,
    epochs=90,
    rate=3.2,  # 0.1 for 256
    schedule=Steps(at=(30, 60, 80)),
    warmup=5,
    start=0.1,
    optimizer=SGD(nesterov=True),
    decay=1e-4,
    decayed=all_but_normalization,
    crop=INCEPTION_CROP,
    augment=Layers(FLIP),
)
RandomErasingCIFAR = replace(
    DenseNetCIFAR,
    name="RandomErasingCIFAR",
    month="2017-08",
    source="Zhong, Zheng, Kang, Li & Yang, arXiv:1708.04896, section 4; the authors' code",
    batch=128,
    optimizer=SGD(),
    decay=5e-4,
    augment=Layers(SHIFT, FLIP, Layer(data.RandomErasing)),
)
SENet = Recipe(
    name="SENet",
    month="2017-09",
    source="Hu, Shen & Sun, arXiv:1709.01507, ImageNet classification",
    images=IMAGENET,
    batch=1024,
    epochs=100,  # from memory
    rate=0.6,
    schedule=Steps(at=(30, 60, 90)),  # from memory
    decay=1e-4,  # from memory
    crop=INCEPTION_CROP,
    augment=Layers(FLIP),
)
SENet154 = replace(
    SENet,
    name="SENet154",
    source="Hu, Shen & Sun, arXiv:1709.01507, appendix on SENet-154",
    batch=2048,
    rate=1.0,
    smoothing=0.1,
)
Mixup = replace(
    LargeMinibatch,
    name="Mixup",
    month="2017-10",
    source="Zhang, Cisse, Dauphin & Lopez-Paz, arXiv:1710.09412, section 3.1: ImageNet",
    batch=1024,
    rate=0.4,
    augment=Layers(FLIP, Layer(data.Mixup, alpha=0.2)),
)
MixupCIFAR = replace(
    ResNetCIFAR,
    name="MixupCIFAR",
    month="2017-10",
    source="Zhang, Cisse, Dauphin & Lopez-Paz, arXiv:1710.09412, section 3.2; the authors' code",
    epochs=200,
    schedule=Steps(at=(100, 150)),
    augment=Layers(SHIFT, FLIP, Layer(data.Mixup, alpha=1.0)),
)
CapsNet = Recipe(
    name="CapsNet",
    month="2017-10",
    source="Sabour, Frosst & Hinton, arXiv:1710.09829, section 5; the authors' code: MNIST",
    images=MNIST,
    batch=128,
    epochs=300_000 * 128 / MNIST,
    rate=0.001,
    schedule=Exponential(0.96, every=2_000 * 128 / MNIST, staircase=False, floor=0.001),  # to 0.000001
    optimizer=Adam(),
    loss=margin,
    augment=Layers(Layer(data.RandomCropWithPadding, padding=2)),
)
ODENet = Recipe(
    name="ODENet",
    month="2018-06",
    source="Chen, Rubanova, Bettencourt & Duvenaud, arXiv:1806.07366, section 3; the authors' code: MNIST",
    images=MNIST,
    batch=128,
    epochs=160,
    rate=0.1,
    schedule=Steps(at=(60, 100, 140)),
    augment=Layers(SHIFT),
)
CutMix = replace(
    DenseNet,
    name="CutMix",
    month="2019-05",
    source="Yun et al., arXiv:1905.04899, section 4.1; the authors' code: ImageNet",
    epochs=300,
    schedule=Steps(at=(75, 150, 225)),
    crop=INCEPTION_CROP,
    augment=Layers(FLIP, COLOR, LIGHT, Layer(data.CutMix)),
)
CutMixCIFAR = replace(
    DenseNetCIFAR,
    name="CutMixCIFAR",
    month="2019-05",
    source="Yun et al., arXiv:1905.04899, section 4.1; the authors' code: PyramidNet-200",
    rate=0.25,
    augment=Layers(SHIFT, FLIP, Layer(data.CutMix, probability=0.5)),
)
ResNeSt50 = Recipe(
    name="ResNeSt50",
    month="2020-04",
    source="Zhang et al., arXiv:2004.08955, section 4.2; distortions of the authors' code",
    images=IMAGENET,
    batch=8192,
    epochs=270,
    rate=3.2,  # 0.1 for 256
    schedule=Cosine(),
    warmup=5,
    decay=1e-4,
    decayed=kernels,
    smoothing=0.1,
    crop=INCEPTION_CROP,
    augment=Layers(  # 12 of 30; the paper's networks had AutoAugment in its place
        Layer(data.RandAugment, count=2, magnitude=0.4), FLIP, COLOR, LIGHT, Layer(data.Mixup, alpha=0.2)
    ),
)
ResNeSt101 = replace(ResNeSt50, name="ResNeSt101", batch=4096, rate=1.6)  # from memory
ResNeSt200 = replace(ResNeSt50, name="ResNeSt200", batch=2048, rate=0.8)  # from memory; 269 layers too
ViTFineTuning = Recipe(
    name="ViTFineTuning",
    month="2020-10",
    source="Dosovitskiy et al., arXiv:2010.11929, section 4.1 and appendix B.1.1; the authors' code: ImageNet at 384",
    images=0.99 * IMAGENET,  # the rest is for validation
    batch=512,
    epochs=20_000 * 512 / (0.99 * IMAGENET),
    rate=0.03,  # the code's; the paper chose among 0.003, 0.01, 0.03 and 0.06
    schedule=Cosine(),
    warmup=500 * 512 / (0.99 * IMAGENET),
    crop=Layer(data.RandomResizedCrop, area=(0.05, 1.0)),
    augment=Layers(FLIP),
    clipnorm=1.0,
)
ViTFineTuningCIFAR = replace(
    ViTFineTuning,
    name="ViTFineTuningCIFAR",
    source="Dosovitskiy et al., arXiv:2010.11929, section 4.1 and appendix B.1.1; the authors' code: CIFAR at 384",
    images=0.98 * CIFAR,
    epochs=10_000 * 512 / (0.98 * CIFAR),
    warmup=500 * 512 / (0.98 * CIFAR),
)
NFNetF0 = Recipe(
    name="NFNetF0",
    month="2021-02",
    source="Brock, De, Smith & Simonyan, arXiv:2102.06171, section 4.1 and appendix A; layers of the authors' code",
    images=IMAGENET,
    batch=4096,
    epochs=360,
    rate=1.6,  # 0.1 for 256
    schedule=Cosine(),
    warmup=5,
    optimizer=SGD(nesterov=True),
    decay=2e-5,
    decayed=kernels,
    smoothing=0.1,
    crop=TORCH_CROP,
    augment=mixed_and_distorted(magnitude=0.5),  # 5 of 10
    clipping=0.01,
    average=0.99999,
)
NFNetF1 = replace(NFNetF0, name="NFNetF1", augment=mixed_and_distorted(magnitude=1.0))
NFNetF2 = replace(NFNetF1, name="NFNetF2")
NFNetF3 = replace(NFNetF1, name="NFNetF3")  # 15 of 10 there, which is more than RandAugment takes
NFNetF4 = replace(NFNetF3, name="NFNetF4")
NFNetF5 = replace(NFNetF3, name="NFNetF5")
NFNetF6 = replace(NFNetF3, name="NFNetF6")
MixerFineTuning = replace(
    ViTFineTuning,
    name="MixerFineTuning",
    month="2021-05",
    source="Tolstikhin et al., arXiv:2105.01601, section 3: as ViT; the authors' code: at 224",
)


def list_recipes(pattern: str = "*") -> list[str]:
    """The names of all rows, in order of publication.

    Args:
        pattern: shell-style wildcards that a name must match; case does not matter.
    """
    rows = [row for row in globals().values() if isinstance(row, Recipe)]
    return [row.name for row in rows if fnmatch.fnmatchcase(row.name.lower(), pattern.lower())]


def get_recipe(name: str) -> Recipe:
    """The row of that name (case does not matter).

    Raises:
        ValueError: no such row; the message names the closest ones, or all.
    """
    known = {row.lower(): row for row in list_recipes()}
    if name.lower() in known:
        return globals()[known[name.lower()]]
    close = [known[match] for match in difflib.get_close_matches(name.lower(), known, 3)]
    raise ValueError(
        f"There is no recipe named {name!r}. "
        + (f"Did you mean {', '.join(close)}?" if close else f"The names are: {', '.join(known.values())}")
    )
