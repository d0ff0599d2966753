"""TF Serving's two interfaces over exported SavedModels, for tests: the official protos, and the same REST paths,
bodies, codes and messages. `python -m tests.inference.remote.server MODELS --rest-port P` serves MODELS/NAME/VERSION/.

The facts are those of tensorflow_serving/g3doc/api_rest.md, http_rest_api_util.cc (paths), http_server.cc (codes),
predict_util.cc and server_core.cc (messages) in github.com/tensorflow/serving.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

LOOPBACK = "127.0.0.1"
PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(?P<rest>.*)")
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip


class Fault(Exception):
    """An error as TF Serving has them: a code's name and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Version:
    """One loaded SavedModel."""

    def __init__(self, path: Path) -> None:
        self._loaded = tf.saved_model.load(str(path))
        graph = SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]
        self.signatures = {name: item for name, item in graph.signature_def.items() if not name.startswith("__")}

    def predict(self, signature: str, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        known = self.signatures[signature].inputs
        if set(known) != set(inputs):
            raise Fault("INVALID_ARGUMENT", f"input size does not match signature: {sorted(inputs)} {sorted(known)}")
        try:
            return self._loaded.signatures[signature](**inputs)
        except tf.errors.OpError as error:
            raise Fault("INVALID_ARGUMENT", error.message) from error


class Core:
    """The models, and the faults that a test asked for."""

    def __init__(self, models: Path, labels: Mapping[str, Mapping[str, int]]) -> None:
        self.labels = labels
        self.versions = {
            folder.name: {int(path.name): Version(path) for path in folder.iterdir() if path.name.isdigit()}
            for folder in models.iterdir()
            if folder.is_dir()
        }
        self.lock = threading.Lock()
        self.requests: list[str] = []  # signatures that were asked for
        self.delay_s = 0.0
        self.under_way = self.most_under_way = 0
        self.closed = False
        self._failures: list[Fault | None] = []

    def fail_next(self, count: int, code: str = "UNAVAILABLE", message: str = "the queue is full") -> None:
        self._failures = [Fault(code, message) for _ in range(count)]

    def drop_next(self, count: int) -> None:
        """Connections that end without an answer."""
        self._failures = [None] * count

    def interfere(self) -> Fault | str | None:
        """What a request meets before it is served; "drop" for a cut connection."""
        with self.lock:
            if self._failures:
                return self._failures.pop() or "drop"
        return "drop" if self.closed else None  # a kept connection has a thread that outlives its server

    def find(self, name: str, version: int | None, label: str | None) -> tuple[int, Version]:
        versions = self.versions.get(name, {})
        if label:
            version = self.labels.get(name, {}).get(label)
            if version is None:
                raise Fault("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        if not versions or (version is not None and version not in versions):
            servable = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Fault("NOT_FOUND", f"Servable not found for request: {servable}")
        version = max(versions) if version is None else version
        return version, versions[version]

    def status(self, name: str, version: int | None, label: str | None) -> get_model_status_pb2.GetModelStatusResponse:
        if not self.versions.get(name):
            raise Fault("NOT_FOUND", f"Could not find any versions of model {name}")
        one = version is not None or label
        versions = [self.find(name, version, label)[0]] if one else sorted(self.versions[name], reverse=True)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number in versions:
            state = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
            answer.model_version_status.add(version=number, state=state).status.SetInParent()  # OK
        return answer

    def metadata(self, name: str, version: int | None, label: str | None):
        """(version, SignatureDefMap)"""
        number, model = self.find(name, version, label)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for signature, definition in model.signatures.items():
            signatures.signature_def[signature].CopyFrom(definition)
        return number, signatures

    def predict(self, model: Version, signature: str, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with self.lock:
            self.requests.append(signature)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            time.sleep(self.delay_s)
            return model.predict(signature, inputs)
        finally:
            with self.lock:
                self.under_way -= 1


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, core: Core) -> None:
        self.core = core

    def Predict(self, request, context):
        def predict():
            spec = request.model_spec
            number, model = self.core.find(*_of_spec(spec))
            signature = spec.signature_name or "serving_default"
            if signature not in model.signatures:
                raise Fault("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            _write_spec(answer.model_spec, spec.name, number)
            for name, tensor in self.core.predict(model, signature, inputs).items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            return answer

        return _served(self.core, context, predict)

    def GetModelMetadata(self, request, context):
        def metadata():
            if list(request.metadata_field) != ["signature_def"]:
                raise Fault("INVALID_ARGUMENT", "Metadata field(s) not supported")
            number, signatures = self.core.metadata(*_of_spec(request.model_spec))
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            _write_spec(answer.model_spec, request.model_spec.name, number)
            answer.metadata["signature_def"].Pack(signatures)
            return answer

        return _served(self.core, context, metadata)


class Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, core: Core) -> None:
        self.core = core

    def GetModelStatus(self, request, context):
        return _served(self.core, context, lambda: self.core.status(*_of_spec(request.model_spec)))


def _of_spec(spec: model_pb2.ModelSpec) -> tuple[str, int | None, str | None]:
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label or None


def _write_spec(spec: model_pb2.ModelSpec, name: str, version: int) -> None:
    spec.name, spec.version.value = name, version


def _served(core: Core, context: grpc.ServicerContext, answer: Callable):
    fault = core.interfere()
    if fault == "drop":  # what a gRPC client is told of a cut
        fault = Fault("UNAVAILABLE", "Socket closed")
    try:
        if fault:
            raise fault
        return answer()
    except Fault as error:
        context.abort(grpc.StatusCode[error.code], str(error))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        self.serve(self.get, b"")

    def do_POST(self) -> None:
        self.serve(self.post, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def serve(self, answer: Callable[[re.Match, bytes], dict], body: bytes) -> None:
        fault, match = self.server.core.interfere(), PATH.fullmatch(self.path)
        if fault == "drop":
            self.close_connection = True
            return
        try:
            if fault:
                raise fault
            if not match:
                raise Fault("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
            status, content = 200, answer(match, body)
        except Fault as error:
            status, content = HTTP_STATUS[error.code], {"error": str(error)}
        data = json.dumps(content, indent=1).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def get(self, match: re.Match, body: bytes) -> dict:
        core, which = self.server.core, _of_path(match)
        if match["rest"] == "/metadata":
            number, signatures = core.metadata(*which)
            spec = {"name": match["name"], "signature_name": "", "version": str(number)}
            return {"model_spec": spec, "metadata": {"signature_def": _as_json(signatures)}}
        if match["rest"]:
            raise Fault("INVALID_ARGUMENT", f"Malformed request: GET {self.path}")
        return _as_json(core.status(*which))

    def post(self, match: re.Match, body: bytes) -> dict:
        if match["rest"] != ":predict":
            raise Fault("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
        core = self.server.core
        _, model = core.find(*_of_path(match))
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Fault("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
        signature = request.get("signature_name", "serving_default")
        if signature not in model.signatures:
            raise Fault("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature def')
        known = {name: spec.dtype for name, spec in model.signatures[signature].inputs.items()}
        if ("instances" in request) == ("inputs" in request):
            raise Fault("INVALID_ARGUMENT", "Missing or too many of 'inputs' and 'instances' key")
        by_rows = "instances" in request
        columns = _columns(request["instances"], known) if by_rows else request["inputs"]
        if not by_rows and not (isinstance(columns, dict) and set(columns) <= set(known)):
            columns = {next(iter(known)): columns}
        inputs = {name: _tensor(columns[name], dtype) for name, dtype in known.items() if name in columns}
        outputs = {name: _values(name, tensor) for name, tensor in core.predict(model, signature, inputs).items()}
        if not by_rows:
            return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
        if len(outputs) == 1:  # TF Serving leaves the name out
            return {"predictions": next(iter(outputs.values()))}
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}


def _of_path(match: re.Match) -> tuple[str, int | None, str | None]:
    return match["name"], int(match["version"]) if match["version"] else None, match["label"]


def _columns(rows: list, known: Mapping[str, int]) -> dict[str, list]:
    """Of `instances`: a list of objects, or of values where there is one input."""
    if all(isinstance(row, dict) and set(row) <= set(known) for row in rows):
        return {name: [row[name] for row in rows if name in row] for name in known}
    if len(known) != 1:
        raise Fault("INVALID_ARGUMENT", "instances is a plain list, but expecting list of objects")
    return {next(iter(known)): rows}


def _tensor(values: list, dtype: int) -> tf.Tensor:
    if tf.as_dtype(dtype) != tf.string:
        return tf.constant(values, tf.as_dtype(dtype))
    return tf.constant([base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode() for item in values])


def _values(name: str, tensor: tf.Tensor) -> list:
    array = tensor.numpy()
    if array.dtype != np.object_:
        return array.tolist()
    as_binary = name.endswith("_bytes")
    return [{"b64": base64.b64encode(value).decode()} if as_binary else value.decode() for value in array.tolist()]


def _as_json(message) -> dict:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


class ModelServer:
    """Serves `models`/NAME/VERSION/ on free ports of the loopback interface, as a context manager.

    Args:
        labels: of each model: label -> version.
    """

    def __init__(self, models: Path, labels: Mapping[str, Mapping[str, int]] | None = None, rest_port: int = 0) -> None:
        self.core = Core(Path(models), labels or {})
        self._http = ThreadingHTTPServer((LOOPBACK, rest_port), Handler)
        self._http.daemon_threads = True
        self._http.core = self.core
        self._grpc = grpc.server(
            ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(self.core), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(self.core), self._grpc)
        self.ports = {"rest": self._http.server_port, "grpc": self._grpc.add_insecure_port(f"{LOOPBACK}:0")}

    def address(self, transport: str) -> str:
        return f"{LOOPBACK}:{self.ports[transport]}"

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._grpc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.core.closed = True
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait(10)
        self.core.versions.clear()  # gRPC keeps what serves, and with it 30 MB a model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--rest-port", type=int, default=0)
    parser.add_argument("--label", action="append", default=[], metavar="NAME@LABEL=VERSION")
    arguments = parser.parse_args()
    labels: dict[str, dict[str, int]] = {}
    for text in arguments.label:
        name, label, version = re.fullmatch(r"(.+)@(.+)=(\d+)", text).groups()
        labels.setdefault(name, {})[label] = int(version)
    with ModelServer(arguments.models, labels, arguments.rest_port) as server:
        print(json.dumps(server.ports), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
