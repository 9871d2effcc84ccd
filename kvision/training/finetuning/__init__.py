"""From a pretrained network to a classifier of other images."""
