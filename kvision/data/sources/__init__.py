"""Where labelled images come from: arrays, folders and TensorFlow Datasets, each divided into splits."""
