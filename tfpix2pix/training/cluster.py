"""Reads from TF_CONFIG, without TensorFlow, which of several workers this process is."""

from __future__ import annotations

import os
from typing import NamedTuple

from tfpix2pix.errors import UserError
from tfpix2pix.safe_files import parse_json

KINDS = ("chief", "worker")
EXAMPLE = '{"cluster": {"worker": ["host1:9999", "host2:9999"]}, "task": {"type": "worker", "index": 0}}'


class Worker(NamedTuple):
    """Holds the number of this process among all workers. Worker 0 is the chief, which alone reports and saves."""

    index: int
    count: int


def this_worker(strategy: str) -> Worker:
    """Returns which worker this process is, under a row of `STRATEGIES`.

    Raises:
        UserError: TF_CONFIG does not identify this worker: under `multiworker`, or under `auto` if it is set.
    """
    text = os.environ.get("TF_CONFIG", "")
    if strategy not in ("auto", "multiworker") or (strategy == "auto" and not text):
        return Worker(0, 1)
    try:
        config = parse_json(text)
        cluster = {kind: list(config["cluster"][kind]) for kind in KINDS if kind in config["cluster"]}
        kind, index = config["task"]["type"], int(config["task"]["index"])
        before = len(cluster.get("chief", ())) if kind == "worker" else 0
        if not 0 <= index < len(cluster[kind]):
            raise ValueError(f"there is no {kind} {index} among {len(cluster[kind])}")
        for address in (address for addresses in cluster.values() for address in addresses):
            if not str(address).rpartition(":")[2].isdecimal() or ":" not in str(address):
                raise ValueError(f"{address} does not name a port")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        received = f"{text!r} ({reason})" if text else "none"
        raise UserError(
            f"TF_CONFIG must name all workers and say which one this is. Received {received}. "
            f"Set it as in {EXAMPLE} (docs/distributed.md), or unset it and leave `training.strategy` at auto to train "
            f"on this machine alone."
        ) from None
    return Worker(before + index, sum(map(len, cluster.values())))
