"""Random augmentations for tf.data: layers that map a batch to a batch, on stateless random numbers from one seed."""
