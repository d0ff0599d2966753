"""TF Serving's REST interface: JSON, files in base64. Needs nothing but `requests`."""

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

from tfpix2pix.serving.faults import (
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
from tfpix2pix.serving.model import Target

Tensor = Sequence[bytes] | np.ndarray

# HTTP status -> what it means, whoever sends it: a proxy in front of TF Serving writes no JSON.
OF_STATUS = {401: forbidden, 403: forbidden, 413: refused, 429: busy, 502: busy, 503: busy, 504: busy}
OF_TF_SERVING = {400: refused, 404: not_there, 501: foreign}  # with TF Serving's own message


CHUNK_BYTES = 1 << 16
MOST_METADATA_BYTES = 1 << 24
SPARE_BYTES = 1 << 20  # of an answer beside its values
BYTES_A_VALUE = 40  # a float as text, or two bytes of a file that does not compress, in base64


class Answer(NamedTuple):
    """An HTTP answer, unpacked."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


class RestTransport:
    """Asks by HTTP, from any number of threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._sessions = threading.local()  # a session keeps its connection open, and belongs to one thread

    def close(self) -> None:
        self._sessions = threading.local()

    def signatures(self) -> set[str]:
        """Names of the model's signatures."""
        answer = self._ask("GET", "/metadata", most_bytes=MOST_METADATA_BYTES)
        try:
            return set(answer["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError):
            raise foreign(self.target, "an answer without signatures") from None

    def predict(self, signature: str, inputs: Mapping[str, Tensor], output: str, most_values: int) -> Tensor:
        """The output of a signature, of `most_values` at most: float32, or bytes where its name ends in `_bytes`."""
        columns = [[{name: value} for value in _to_json(tensor)] for name, tensor in inputs.items()]
        rows = [{name: value for part in row for name, value in part.items()} for row in zip(*columns, strict=True)]
        content = {"signature_name": signature, "instances": rows}
        answer = self._ask("POST", ":predict", content, most_bytes=SPARE_BYTES + BYTES_A_VALUE * most_values)
        try:
            values = [
                value[output] if isinstance(value, dict) and output in value else value
                for value in answer["predictions"]  # named where there are several outputs
            ]
            if output.endswith("_bytes"):
                return [base64.b64decode(value["b64"], validate=True) for value in values]
            return np.asarray(values, np.float32)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise no_answer(self.target, f"no {output}") from None

    def _ask(self, method: str, path: str, content: Any = None, *, most_bytes: int) -> Any:
        """The JSON of an answer of status 200."""
        target = self.target
        try:
            answered = self._exchange(method, path, content, most_bytes)
        except requests.exceptions.SSLError as error:
            raise foreign(target, f"no trusted TLS ({reason_of(error)})") from error
        except requests.Timeout as error:
            raise too_slow(target) from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if _speaks_no_http(error):
                raise foreign(target, "an answer that is no HTTP") from error
            raise unreachable(target, reason_of(error)) from error
        except requests.RequestException as error:
            raise foreign(target, str(error)) from error
        status = answered.status
        try:
            answer = json.loads(answered.content)
        except (ValueError, RecursionError):
            answer = None
        message = str(answer["error"]) if isinstance(answer, dict) and "error" in answer else ""
        if status == 200 and isinstance(answer, dict) and not message:
            return answer
        received = message or f"HTTP status {status} {answered.reason}".strip()
        if (make := OF_STATUS.get(status)) is busy:
            raise busy(target, received, _seconds(answered.headers.get("Retry-After", "")))
        make = make or (OF_TF_SERVING.get(status) if message else foreign if status < 500 else None) or failed
        raise make(target, received)

    def _exchange(self, method: str, path: str, content: Any, most_bytes: int) -> Answer:
        """A request and its answer, within the time-out altogether: a socket's own counts from byte to byte."""
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
            except Exception as error:  # to be raised where the answer is waited for
                result.put(error)

        threading.Thread(target=exchange, daemon=True).start()
        try:
            answer = result.get(timeout=target.timeout_s)
        except Empty:
            del self._sessions.one  # the thread may still be at it
            raise too_slow(target) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "one"):
            self._sessions.one = requests.Session()
        return self._sessions.one


def _to_json(tensor: Tensor) -> list:
    if isinstance(tensor, np.ndarray):
        return tensor.tolist()
    return [{"b64": base64.b64encode(value).decode()} for value in tensor]


def _speaks_no_http(error: BaseException | None) -> bool:
    """Whether something answered, but not in HTTP: a gRPC port, say. Python's name for silence is a kind of that."""
    while error is not None:
        if isinstance(error, http.client.BadStatusLine):
            return not isinstance(error, http.client.RemoteDisconnected)
        error = error.__cause__ or error.__context__
    return False


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() else 0.0
