"""TF Serving's REST interface: JSON, files in base64. Needs nothing but `requests`."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

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


class RestTransport:
    """Asks by HTTP, from any number of threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._sessions = threading.local()  # a session keeps its connection open, and belongs to one thread

    def close(self) -> None:
        self._sessions = threading.local()

    def signatures(self) -> set[str]:
        """Names of the model's signatures."""
        answer = self._ask("GET", "/metadata")
        try:
            return set(answer["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError):
            raise foreign(self.target, "an answer without signatures") from None

    def predict(self, signature: str, inputs: Mapping[str, Tensor], output: str) -> Tensor:
        """The output of a signature: float32, or bytes where its name ends in `_bytes`."""
        columns = [[{name: value} for value in _to_json(tensor)] for name, tensor in inputs.items()]
        rows = [{name: value for part in row for name, value in part.items()} for row in zip(*columns, strict=True)]
        answer = self._ask("POST", ":predict", {"signature_name": signature, "instances": rows})
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

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        """The JSON of an answer of status 200."""
        target, session = self.target, self._session()
        try:
            response = session.request(
                method,
                f"{target.server.url}{target.model.path}{path}",
                data=None if content is None else json.dumps(content).encode(),
                headers={"Content-Type": "application/json"},
                timeout=target.timeout_s,
                allow_redirects=False,  # a redirected POST becomes a GET
            )
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
        status = response.status_code
        try:
            answer = response.json()
        except ValueError:
            answer = None
        message = str(answer["error"]) if isinstance(answer, dict) and "error" in answer else ""
        if status == 200 and isinstance(answer, dict) and not message:
            return answer
        received = message or f"HTTP status {status} {response.reason or ''}".strip()
        if (make := OF_STATUS.get(status)) is busy:
            raise busy(target, received, _seconds(response.headers.get("Retry-After", "")))
        make = make or (OF_TF_SERVING.get(status) if message else foreign if status < 500 else None) or failed
        raise make(target, received)

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
