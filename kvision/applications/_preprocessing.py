"""What several papers do to pixels, as far as an image of any size can be given it: figures of training sets."""

from kvision.classifier import Preprocess

# Mean and deviation of each channel. Papers that whiten, normalize the global contrast or subtract the mean image name
# figures of whole images of one size.
CIFAR10 = Preprocess(mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7), scale=1.0)

# The mean image of ILSVRC-2012, averaged over its pixels, in the order RGB (Caffe's networks take BGR).
IMAGENET_MEAN = Preprocess(mean=(123.68, 116.779, 103.939), std=(1.0,) * 3, scale=1.0)
