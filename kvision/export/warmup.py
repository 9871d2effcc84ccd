"""What TensorFlow Serving answers before it takes requests: no caller waits for the first answer, the slowest."""

import pathlib
from collections.abc import Mapping

import tensorflow as tf

WARMUP = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")


def write_requests(folder: pathlib.Path, signatures: Mapping) -> None:
    """Writes one request for each signature, of one grey image, into a version folder.

    Args:
        folder: of the SavedModel.
        signatures: concrete functions by name, of which "tensor" tells the size of the image.

    Raises:
        ValueError: tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ImportError as error:
        raise ValueError(
            "Warm-up requests are written by tensorflow-serving-api: `pip install kvision[serving]`."
        ) from error
    inputs = {name: function.structured_input_signature[0][0] for name, function in signatures.items()}
    image = tf.io.encode_jpeg(tf.fill(inputs["tensor"].shape[1:], tf.constant(128, tf.uint8)))
    values = {"pixels": 128.0, "images": image.numpy()}
    file = folder / WARMUP
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name, spec in inputs.items():
            request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=name))
            proto = tf.make_tensor_proto(
                values[spec.name], spec.dtype, [1, *spec.shape[1:]]
            )  # one value for all pixels
            request.inputs[spec.name].CopyFrom(proto)
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))
