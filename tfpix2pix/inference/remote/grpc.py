"""Calls TF Serving's gRPC interface by its official client: faster for large images, without base64 and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError
from tfpix2pix.inference.remote.faults import (
    busy,
    failed,
    forbidden,
    foreign,
    no_answer,
    not_there,
    refused,
    too_slow,
    unreachable,
)
from tfpix2pix.inference.remote.model import Target
from tfpix2pix.quiet import load_tensorflow

Tensor = Sequence[bytes] | np.ndarray

OPTIONS = [
    ("grpc.max_send_message_length", -1),  # unlimited: the default of 4 MB is an image of a megapixel in floats
    ("grpc.max_receive_message_length", 1 << 30),
    ("grpc.enable_retries", 0),  # `until_it_passes` repeats requests
    ("grpc.initial_reconnect_backoff_ms", 100),  # no longer than the pauses of `until_it_passes`
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
OF_CODE = {
    "NOT_FOUND": not_there, "INVALID_ARGUMENT": refused, "FAILED_PRECONDITION": refused, "OUT_OF_RANGE": refused,
    "UNAUTHENTICATED": forbidden, "PERMISSION_DENIED": forbidden, "UNIMPLEMENTED": foreign,
    "DEADLINE_EXCEEDED": too_slow, "RESOURCE_EXHAUSTED": busy, "UNAVAILABLE": busy,
}  # fmt: skip
# Words in gRPC's messages of the code UNAVAILABLE -> the error; the first that fits.
OF_WORDS = {
    "http1": foreign, "parsing http/2": foreign,
    "connect": unreachable, "socket closed": unreachable, "name resolution": unreachable,
}  # fmt: skip


class GrpcTransport:
    """Sends requests by gRPC, from any number of threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        load_tensorflow()
        try:
            import grpc
            from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(
                f"The transport grpc needs tensorflow-serving-api. Received no module {error.name}. "
                f"Install it with pip install 'tfpix2pix[serving]', or use the transport rest."
            ) from error
        if target.server.user or target.server.path:
            raise UserError(
                f"A gRPC server must be HOST:PORT or https://HOST:PORT alone. Received a user or a path with "
                f"{target.server}. Leave it out, or use the transport rest."
            )
        self._grpc, self._metadata, self._predict = grpc, get_model_metadata_pb2, predict_pb2
        address = str(target.server)
        self._channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), OPTIONS)
            if target.server.tls
            else grpc.insecure_channel(address, OPTIONS)
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def signatures(self) -> set[str]:
        """Returns the names of the model's signatures."""
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._name(request.model_spec)
        answer, signatures = self._call(self._stub.GetModelMetadata, request), self._metadata.SignatureDefMap()
        if not answer.metadata["signature_def"].Unpack(signatures):
            raise foreign(self.target, "an answer without signatures")
        return set(signatures.signature_def)

    def predict(self, signature: str, inputs: Mapping[str, Tensor], output: str, most_values: int) -> Tensor:
        """Returns an output of at most `most_values` values: float32, or bytes if its name ends in `_bytes`."""
        import tensorflow as tf

        request = self._predict.PredictRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = signature
        for name, tensor in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
        answer = self._call(self._stub.Predict, request)
        if output not in answer.outputs:
            raise no_answer(self.target, f"no {output}")
        tensor = answer.outputs[output]
        if output.endswith("_bytes"):
            return list(tensor.string_val)
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        if min(shape, default=1) < 0 or math.prod(shape) > most_values:  # a tensor of one value may claim any shape
            raise no_answer(self.target, f"a tensor of shape {tuple(shape)}")
        try:
            return tf.make_ndarray(tensor).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise no_answer(self.target, f"a damaged tensor ({error})") from error

    def _name(self, spec: Any) -> None:
        """Writes the name, version and label of the model into a `ModelSpec`."""
        model = self.target.model
        spec.name = model.name
        if model.version is not None:
            spec.version.value = model.version
        if model.label:
            spec.version_label = model.label

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self.target.timeout_s)
        except self._grpc.RpcError as error:
            code, words = error.code().name, error.details() or error.code().name
            error_of = OF_CODE.get(code, failed)
            if code == "UNAVAILABLE":
                error_of = next((row for word, row in OF_WORDS.items() if word in words.lower()), busy)
            raise error_of(self.target, words) from error
