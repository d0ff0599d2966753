"""Calls TF Serving's REST interface: JSON, with files in base64. Needs `requests` alone."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import requests

from tfpix2pix.inference.remote.faults import (
    busy,
    failed,
    forbidden,
    foreign,
    no_answer,
    not_there,
    reason_of,
    refused,
    too_slow,
    unreachable,
)
from tfpix2pix.inference.remote.model import Target

Tensor = Sequence[bytes] | np.ndarray

# HTTP status -> its error, from TF Serving or from a proxy in front of it, which writes no JSON.
OF_STATUS = {401: forbidden, 403: forbidden, 413: refused, 429: busy, 502: busy, 503: busy, 504: busy}
OF_TF_SERVING = {400: refused, 404: not_there, 501: foreign}  # if the answer has TF Serving's message


CHUNK_BYTES = 1 << 16
MOST_METADATA_BYTES = 1 << 24
SPARE_BYTES = 1 << 20  # of an answer, beside its values
BYTES_A_VALUE = 40  # at most: a float as text, or two bytes of an incompressible file in base64


class Answer(NamedTuple):
    """Holds an HTTP answer, decompressed."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


class RestTransport:
    """Sends requests by HTTP, from any number of threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._sessions = threading.local()  # a session keeps a connection open, for one thread

    def close(self) -> None:
        self._sessions = threading.local()

    def signatures(self) -> set[str]:
        """Returns the names of the model's signatures."""
        answer = self._call("GET", "/metadata", most_bytes=MOST_METADATA_BYTES)
        try:
            return set(answer["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError):
            raise foreign(self.target, "an answer without signatures") from None

    def predict(self, signature: str, inputs: Mapping[str, Tensor], output: str, most_values: int) -> Tensor:
        """Returns an output of at most `most_values` values: float32, or bytes if its name ends in `_bytes`."""
        columns = [[{name: value} for value in _to_json(tensor)] for name, tensor in inputs.items()]
        rows = [{name: value for part in row for name, value in part.items()} for row in zip(*columns, strict=True)]
        content = {"signature_name": signature, "instances": rows}
        answer = self._call("POST", ":predict", content, most_bytes=SPARE_BYTES + BYTES_A_VALUE * most_values)
        try:
            values = [
                value[output] if isinstance(value, dict) and output in value else value
                for value in answer["predictions"]  # TF Serving names outputs if there are several
            ]
            if output.endswith("_bytes"):
                return [base64.b64decode(value["b64"], validate=True) for value in values]
            return np.asarray(values, np.float32)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise no_answer(self.target, f"no {output}") from None

    def _call(self, method: str, path: str, content: Any = None, *, most_bytes: int) -> Any:
        """Returns the JSON of an answer of status 200. Raises the error of any other."""
        target = self.target
        try:
            response = self._exchange(method, path, content, most_bytes)
        except requests.exceptions.SSLError as error:
            raise foreign(target, f"no trusted TLS ({reason_of(error)})") from error
        except requests.Timeout as error:
            raise too_slow(target) from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if _speaks_no_http(error):
                raise foreign(target, "an answer that is not HTTP") from error
            raise unreachable(target, reason_of(error)) from error
        except requests.RequestException as error:
            raise foreign(target, str(error)) from error
        status = response.status
        try:
            answer = json.loads(response.content)
        except (ValueError, RecursionError):
            answer = None
        message = str(answer["error"]) if isinstance(answer, dict) and "error" in answer else ""
        if status == 200 and isinstance(answer, dict) and not message:
            return answer
        received = message or f"HTTP status {status} {response.reason}".strip()
        error_of = OF_STATUS.get(status)
        if error_of is busy:
            raise busy(target, received, _seconds(response.headers.get("Retry-After", "")))
        error_of = error_of or (OF_TF_SERVING.get(status) if message else foreign if status < 500 else None) or failed
        raise error_of(target, received)

    def _exchange(self, method: str, path: str, content: Any, most_bytes: int) -> Answer:
        """Sends a request and returns its answer, both within `timeout_s`.

        A socket's own time-out is only from byte to byte.
        """
        target, session, result = self.target, self._session(), SimpleQueue()

        def exchange() -> None:
            try:
                with session.request(
                    method, f"{target.server.url}{target.model.path}{path}", stream=True, timeout=target.timeout_s,
                    data=None if content is None else json.dumps(content).encode(),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,  # a redirected POST becomes a GET
                ) as response:  # fmt: skip
                    read = bytearray()
                    for chunk in response.iter_content(CHUNK_BYTES):
                        read += chunk
                        if len(read) > most_bytes:
                            raise no_answer(target, f"more than the {most_bytes} bytes that a translation has")
                result.put(Answer(response.status_code, response.reason or "", response.headers, bytes(read)))
            except Exception as error:  # the caller's thread raises it
                result.put(error)

        threading.Thread(target=exchange, daemon=True).start()
        try:
            answer = result.get(timeout=target.timeout_s)
        except Empty:
            del self._sessions.session  # the thread may still use it
            raise too_slow(target) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
        return self._sessions.session


def _to_json(tensor: Tensor) -> list:
    if isinstance(tensor, np.ndarray):
        return tensor.tolist()
    return [{"b64": base64.b64encode(value).decode()} for value in tensor]


def _speaks_no_http(error: BaseException | None) -> bool:
    """Returns True if something other than HTTP answered, such as a gRPC port.

    `RemoteDisconnected`, a subclass of `BadStatusLine`, means that nothing answered.
    """
    while error is not None:
        if isinstance(error, http.client.BadStatusLine):
            return not isinstance(error, http.client.RemoteDisconnected)
        error = error.__cause__ or error.__context__
    return False


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() else 0.0
