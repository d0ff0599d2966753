"""Words the errors of a server alike for every transport, and repeats requests after temporary ones."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from time import sleep
from typing import TypeVar

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.remote.model import Target

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
LONGEST_MESSAGE = 300
NODE = re.compile(r"\s*\[\[.*", re.DOTALL)  # the node of the graph, which tells a user nothing
OURS = re.compile(r"(An image must|A label map must)[^\[]*")  # the graph's own sentence within the runtime's message
Result = TypeVar("Result")


class Passing(RunError):
    """Reports a temporary failure: the same request may succeed later, after `wait_s` if the server names a time.

    Requests do not change the server, so every request may be repeated.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def until_it_passes(request: Callable[[], Result], retries: int) -> Result:
    """Returns `request()`, and repeats it up to `retries` times if it raises `Passing`.

    Pauses double. They are random, so that the clients of a server that recovers do not all return at once.

    Raises:
        RunError: the last request has failed, too.
    """
    for attempt in range(retries + 1):
        try:
            return request()
        except Passing as error:
            if attempt == retries:
                times = f" The request was sent {retries + 1} times." if retries else ""
                raise RunError(f"{error}{times}") from error
            pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
            sleep(max(pause_s, min(error.wait_s, LONGEST_PAUSE_S)))
    raise AssertionError("unreachable: `retries` is 0 or more")


def shortened(message: str) -> str:
    """Returns the readable part of a server's message, for use in a sentence."""
    ours = OURS.search(message)
    text = " ".join((ours.group() if ours else NODE.sub("", message)).split()).rstrip(".")
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def reason_of(error: BaseException) -> str:
    """Returns the system's own reason for a lost connection, which the innermost error holds."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def unreachable(target: Target, message: str) -> RunError:
    return Passing(
        f"A server must answer at {target.server}. Received: {shortened(message)}. Start it, or change `server`."
    )


def busy(target: Target, message: str, wait_s: float = 0.0) -> RunError:
    return Passing(
        f"A server must have room for a request. Received from {target.server}: {shortened(message)}. "
        f"Try again later, or send fewer images at once.",
        wait_s,
    )


def too_slow(target: Target, message: str = "") -> RunError:
    return RunError(
        f"A server must answer within {target.timeout_s:g} s. Received no answer from {target.server}. "
        f"Raise `timeout_s`, or send smaller images."
    )


def failed(target: Target, message: str) -> RunError:
    return RunError(
        f"A server must answer a request without an error. Received from {target.server}: {shortened(message)}. "
        f"Read its log."
    )


def not_there(target: Target, message: str) -> UserError:
    return UserError(
        f"The server must have the model {target.model}. Received from {target.server}: {shortened(message)}. "
        f"Check the name, and the version or label: NAME, NAME:VERSION or NAME@LABEL."
    )


def refused(target: Target, message: str) -> UserError:
    if "version label" in message.lower():  # TF Serving's code for an unknown label is that of a bad request
        return not_there(target, message)
    return UserError(
        f"An image must fit the served model. Received from {target.server}: {shortened(message)}. "
        f"Change the image (`tile_px` sends a large one in parts), or use another model than {target.model}."
    )


def forbidden(target: Target, message: str) -> UserError:
    return UserError(
        f"The server must grant access. Received from {target.server}: {shortened(message)}. "
        f"Ask its operator for access."
    )


def foreign(target: Target, message: str) -> UserError:
    return UserError(
        f"`server` must be a TF Serving. Received from {target.server}: {shortened(message)}. "
        f"Check host, port and transport: its REST port is 8501, its gRPC port 8500, unless set otherwise."
    )


def no_answer(target: Target, message: str) -> RunError:
    return RunError(
        f"A server must answer with a translation. Received from {target.server}: {shortened(message)}. "
        f"Check that {target.model} was written by `tfpix2pix export`."
    )
