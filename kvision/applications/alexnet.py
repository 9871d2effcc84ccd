"""ImageNet Classification with Deep Convolutional Neural Networks: Krizhevsky, Sutskever & Hinton, NIPS 2012.

Figure 2 is `features`, its two towers are the groups; section 5 the initialization. The one-tower network is from the
first author's "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kvision.applications._publishers import torchvision
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv_relu
from kvision.blocks.head import classify, dense_relu, flatten, small_normal
from kvision.blocks.pool import max_pool
from kvision.layers import LRN

PAPER = Paper(
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors=("Alex Krizhevsky", "Ilya Sutskever", "Geoffrey E. Hinton"),
    venue="NIPS 2012",
    month="2012-12",
)
ONE_WEIRD_TRICK = Paper(
    title="One weird trick for parallelizing convolutional neural networks",
    authors=("Alex Krizhevsky",),
    venue="arXiv 2014",
    month="2014-04",
    arxiv="1404.5997",
)


@dataclass(frozen=True)
class AlexNetRecipe(Architecture):
    """Five convolutions and three dense layers.

    Args:
        widths: of the convolutions.
        groups: of the convolutions: where there are two, the towers do not see each other (Figure 2).
        first_pad: zeros around the image. The paper's 224 does not fit its own 55: 227 without zeros does.
        biases: that the convolutions start from; 1 gives the rectifiers positive inputs (section 5).
        hidden_bias: the same for the hidden dense layers.
        normalize: after the first two convolutions, made from its `name`; None for none.
        pool_first: pool, then normalize: the order of Caffe's CaffeNet.
        hidden: widths of the dense layers before the last.
        dropout: share of their outputs dropped in training (section 4.2).
    """

    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    groups: tuple[int, int, int, int, int] = (1, 2, 1, 2, 2)
    first_pad: int = 0
    biases: tuple[float, float, float, float, float] = (0.0, 1.0, 0.0, 1.0, 1.0)
    hidden_bias: float = 1.0
    normalize: Callable | None = bind(LRN)
    pool_first: bool = False
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def features(self, x):  # (B, 227, 227, 3)
        shapes = ((11, 4, self.first_pad), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
        for place, ((kernel, stride, pad), width, groups, bias) in enumerate(
            zip(shapes, self.widths, self.groups, self.biases, strict=True), start=1
        ):
            options = dict(groups=groups, bias=bias, initializer=small_normal, name=f"conv{place}")
            x = conv_relu(x, width, kernel, stride, pad=pad, **options)
            if place in (1, 2):  # (B, 55, 55, 96) to (B, 27, 27, 96), (B, 27, 27, 256) to (B, 13, 13, 256)
                x = self.respond(x, place)
        return max_pool(x, name="pool5")  # (B, 6, 6, 256)

    def respond(self, x, place):
        """Normalization and overlapping pooling (sections 3.3 and 3.4)."""
        if self.pool_first:
            x = max_pool(x, name=f"pool{place}")
        if self.normalize is not None:
            x = self.normalize(name=f"norm{place}")(x)
        return x if self.pool_first else max_pool(x, name=f"pool{place}")

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for place, units in enumerate(self.hidden, start=6):
            x = dense_relu(x, units, name=f"fc{place}", dropout=self.dropout, bias=self.hidden_bias)
        return classify(x, classes, activation, name=f"fc{6 + len(self.hidden)}")


# The names of torchvision's sequential layers.
OWT_NAMES = (
    ("^features.0.", "^conv1."),
    ("^features.3.", "^conv2."),
    ("^features.6.", "^conv3."),
    ("^features.8.", "^conv4."),
    ("^features.10.", "^conv5."),
    ("^classifier.1.", "^fc6."),
    ("^classifier.4.", "^fc7."),
    ("^classifier.6.", "^fc8."),
)

AlexNet = Variant(
    "AlexNet",
    AlexNetRecipe(),
    PAPER,
    params=60_965_224,
    macs=724_406_816,
    input_shape=(227, 227, 3),
    reported=(
        Reported("top-1 error", 37.5, "ILSVRC-2010 test, 10-crop", "Table 1"),
        Reported("top-5 error", 17.0, "ILSVRC-2010 test, 10-crop", "Table 1"),
        Reported("top-1 error", 40.7, "ILSVRC-2012 validation, 10-crop, one network", "Table 2"),
    ),
)
AlexNetUngrouped = Variant(
    "AlexNetUngrouped",
    replace(AlexNet.architecture, groups=(1, 1, 1, 1, 1)),
    PAPER,
    params=62_378_344,
    macs=1_135_256_096,
    input_shape=(227, 227, 3),
)
AlexNetOWT = Variant(
    "AlexNetOWT",
    AlexNetRecipe(
        widths=(64, 192, 384, 256, 256),
        groups=(1, 1, 1, 1, 1),
        first_pad=2,
        biases=(0.0,) * 5,
        hidden_bias=0.0,
        normalize=None,
    ),
    ONE_WEIRD_TRICK,
    params=61_100_840,
    macs=714_188_480,
    weights=(
        torchvision(
            "alexnet",
            top1=56.522,
            address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            top=("fc6", "fc7", "fc8"),
            rename=OWT_NAMES,
            flattened={"fc6.weight": (256, 6, 6)},
        ),
    ),
)
