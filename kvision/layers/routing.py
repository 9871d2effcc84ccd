"""Squashing, and routing by agreement: Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829, section 2."""

import keras
from keras import ops


def squash(s):
    """Equation 1: vectors `(..., D)` keep their direction, and their length n becomes n^2 / (1 + n^2).

    Computed in float32; the gradient at the zero vector is zero.
    """
    x = ops.cast(s, "float32")
    n = length(x, keepdims=True)
    return ops.cast(x * (n / (1 + ops.square(n))), s.dtype)


def _squash_gradient(s, upstream):
    """Of float32 vectors: they are turned by n / (1 + n^2), and along themselves stretched by that factor's slope."""
    n = length(s, keepdims=True)
    along = ops.sum(s * upstream, axis=-1, keepdims=True) / ops.where(n > 0, n, 1.0)
    return upstream * (n / (1 + ops.square(n))) + s * along * (1 - ops.square(n)) / ops.square(1 + ops.square(n))


def length(x, keepdims=False):
    """Lengths of float32 vectors. The square root has no slope at zero, so that it never sees one."""
    squares = ops.sum(ops.square(x), axis=-1, keepdims=keepdims)
    positive = squares > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, 1.0)), 0.0)


def route(predictions, bias, iterations: int, stop_gradient: bool = False):
    """Procedure 1: the capsules above to which the predictions agree.

    Each iteration couples capsule i below to the capsules j above by the softmax over j of its logits, sums the
    predictions so weighted, squashes the sums to `v_j`, and adds the agreement `u_{j|i} . v_j` to the logits. Logits
    start from zero: the first iteration weighs all by 1 / J. What the last one would add is not computed.

    The predictions are much larger than all else. Their gradient is a sum of outer products, two for each iteration
    after the first (couplings with sums, agreements with vectors), and is written once, as one product of matrices.

    Args:
        predictions: `u_{j|i}`, `(B, J, I, D)`.
        bias: `(J, D)`, added to the sums before they are squashed.
        iterations: at least 1.
        stop_gradient: whether gradients take the couplings for constants.

    Returns:
        `v_j`, `(B, J, D)`, in float32, as are softmax and squashing.
    """
    dtype = keras.backend.standardize_dtype(predictions.dtype)

    def narrow(x):
        return ops.cast(x, dtype)

    def agree(predictions, v):
        """`u_{j|i} . v_j`: `(B, J, I)`."""
        return ops.cast(ops.matmul(predictions, narrow(v)[..., None])[..., 0], "float32")

    def gather(predictions, weights):
        """`sum_i w_ij u_{j|i}`: `(B, J, D)`."""
        return ops.cast(ops.matmul(narrow(weights)[:, :, None], predictions)[:, :, 0], "float32")

    @ops.custom_gradient
    def run(predictions, bias):
        _, above, below, _ = predictions.shape
        sums = ops.cast(ops.mean(predictions, axis=2), "float32") * (below / above) + bias
        v = squash(sums)
        listened = v  # the agreements so far, with one v after the other, are the agreement with their sum
        steps = []
        for _ in range(1, iterations):
            coupling = ops.softmax(agree(predictions, listened), axis=1)
            steps.append((listened, coupling, sums))
            sums = gather(predictions, coupling) + bias
            v = squash(sums)
            listened = listened + v

        def gradient(upstream):
            pairs, to_listened = [], 0.0  # (B, J, I) and (B, J, D), whose outer products are the predictions' gradient
            to_sums = [_squash_gradient(sums, upstream)]  # of the last iteration, and then of those before
            for heard, coupling, earlier_sums in reversed(steps):
                pairs.append((coupling, to_sums[-1]))
                if stop_gradient:
                    break
                to_coupling = agree(predictions, to_sums[-1]) * coupling
                to_agreement = to_coupling - coupling * ops.sum(to_coupling, axis=1, keepdims=True)
                pairs.append((to_agreement, heard))
                to_listened = to_listened + gather(predictions, to_agreement)
                to_sums.append(_squash_gradient(earlier_sums, to_listened))
            else:
                pairs.append((ops.full(ops.shape(predictions)[:3], 1 / above, "float32"), to_sums[-1]))
            left, right = (narrow(ops.stack(factors, axis=2)) for factors in zip(*pairs, strict=True))
            return ops.matmul(ops.transpose(left, (0, 1, 3, 2)), right), ops.sum(sum(to_sums), axis=0)

        return v, gradient

    return run(predictions, ops.cast(bias, "float32"))
