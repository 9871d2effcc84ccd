"""What TensorFlow Serving reads is what its protocol buffers say, and what it is asked, the signatures understand."""

import base64
import contextlib
import http.server
import json
import pathlib
import re
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from kvision import applications
from kvision.classifier import Preprocess
from kvision.export import savedmodel, server_files
from kvision.export.warmup import WARMUP

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
LABELS = [f"digit {number}" for number in range(10)]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "served"
    model = applications.ResNet20(input_shape=(16, 16, 3), depths=(1, 1, 1), widths=(16, 16, 16))
    random = np.random.default_rng(0)
    model.get_layer("fc").kernel.assign(random.normal(size=(16, 10)))
    return savedmodel(model, folder, LABELS, Preprocess((0.5,), (0.3,)), warmup=True)


@pytest.fixture(scope="module")
def signatures(served):
    loaded = tf.saved_model.load(str(served))
    return {name: (loaded, function) for name, function in loaded.signatures.items()}  # keeps the variables alive


def photo() -> bytes:
    return tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype="uint8")).numpy()


def answer(signatures, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """As the server does it: protos to tensors, the signature, tensors to protos."""
    _, function = signatures[request.model_spec.signature_name or "serving_default"]
    inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
    response = predict_pb2.PredictResponse(model_spec=request.model_spec)
    for name, value in function(**inputs).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


def test_warmup_requests_are_answered_by_every_signature(served, signatures):
    assert str(WARMUP) == "assets.extra/tf_serving_warmup_requests"
    records = [bytes(record.numpy()) for record in tf.data.TFRecordDataset(str(served / WARMUP))]
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    assert {request.model_spec.signature_name for request in requests} == set(signatures)
    for request in requests:
        outputs = answer(signatures, request).outputs
        assert all(proto.tensor_shape.dim[0].size == 1 for proto in outputs.values())
        assert "ok" not in outputs or tf.make_ndarray(outputs["ok"]).tolist() == [True]
    assert sum(map(len, records)) < 2000


def batching_parameters():
    """The message of tensorflow_serving/servables/tensorflow/session_bundle_config.proto, which is in no package."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        ["max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"], 1
    ):
        message.field.add(
            name=name, number=number, label=1, type=kind.TYPE_MESSAGE, type_name=".google.protobuf.Int64Value"
        )
    message.field.add(name="allowed_batch_sizes", number=6, label=3, type=kind.TYPE_INT64)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))


def test_the_servers_files(tmp_path):
    command = server_files(tmp_path, "digits", batch_sizes=(1, 3, 9), timeout=0.002, threads=4)
    config = text_format.Parse((tmp_path / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")
    batching = text_format.Parse((tmp_path / "batching_parameters").read_text(), batching_parameters()())
    assert (batching.max_batch_size.value, list(batching.allowed_batch_sizes)) == (9, [1, 3, 9])
    assert (batching.batch_timeout_micros.value, batching.num_batch_threads.value) == (2000, 4)
    # What the command names is there, under the place where Docker mounts the folder.
    assert f"-v {tmp_path}:{model.base_path} " in command
    for file in re.findall(rf"={model.base_path}/(\S+)", command):
        assert (tmp_path / file).is_file()
    (tmp_path / "batching_parameters").write_text("mine")
    server_files(tmp_path, "other")
    assert (tmp_path / "batching_parameters").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["batching_parameters", "models.config"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="two words"), "letters, digits"),
        (dict(batch_sizes=(8, 4)), "ascending"),
        (dict(batch_sizes=()), "ascending"),
        (dict(threads=0), "`threads` at least 1"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        server_files(tmp_path / "served", **{"name": "digits", **arguments})
    assert not list(tmp_path.iterdir())


def snippet(word: str) -> str:
    """The README's Python that has the word."""
    (found,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block)
    return found


@contextlib.contextmanager
def grpc_server(signatures):
    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            assert request.model_spec.name == "digits"
            return answer(signatures, request)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@contextlib.contextmanager
def rest_server(signatures):
    """One request by the rules of TensorFlow Serving's REST: base64 in `b64` becomes bytes, a row an instance."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            assert self.path == "/v1/models/digits:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            _, function = signatures[body.get("signature_name", "serving_default")]
            (name,) = function.structured_input_signature[1]
            values = [base64.b64decode(instance["b64"]) for instance in body["instances"]]
            outputs = {key: value.numpy() for key, value in function(**{name: tf.constant(values)}).items()}
            outputs["labels"] = outputs["labels"].astype(str)
            rows = [{key: value[row].tolist() for key, value in outputs.items()} for row in range(len(values))]
            content = json.dumps({"predictions": rows}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join()


@pytest.mark.parametrize(("word", "port", "start"), [("grpc", 8500, grpc_server), ("b64", 8501, rest_server)])
def test_the_readmes_clients_are_answered(signatures, tmp_path, monkeypatch, word, port, start):
    (tmp_path / "seven.jpg").write_bytes(photo())
    monkeypatch.chdir(tmp_path)
    code = snippet(word)
    assert f"localhost:{port}" in code
    names = {}
    with start(signatures) as free:
        exec(code.replace(f"localhost:{port}", f"127.0.0.1:{free}"), names)
    _, function = signatures["serving_default"]
    expected = {name: value.numpy()[0] for name, value in function(images=tf.constant([photo()])).items()}
    found = {name: np.ravel(value) for name, value in names["answer"].items()}
    assert found.keys() == expected.keys() and bool(found["ok"][0]) is True
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-6)
    assert [getattr(label, "decode", lambda text=label: text)() for label in found["labels"]] == [
        label.decode() for label in expected["labels"]
    ]
