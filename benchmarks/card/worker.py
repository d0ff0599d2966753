"""A process that measures rows, and the side that asks it. If it dies or takes too long, another takes the next row."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from card.plan import FAILED, MEASURED, NO_MEMORY, TOO_LONG, Row

PROCESS = Path(__file__)
KILLED = -9  # by the system, for lack of memory


class Worker:
    """The asking side: one process at a time, started when a row needs it, with one JSON line for a row and back."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.kind, self.process = settings, None, None

    def ask(self, row: Row | None, limit_s: float, kind: str | None = None) -> dict[str, Any]:
        """The answer to a row, or to None, which asks for the card. `kind`: the process, if there is no row."""
        kind = kind or row.process
        if kind != self.kind or self.process is None or self.process.poll() is not None:
            self.close()
            self._start(kind)
        self.process.stdin.write(json.dumps(row and asdict(row)) + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=limit_s)
        except queue.Empty:
            self.close()
            return {"state": TOO_LONG, "reason": f"more than {limit_s:.0f} s"}
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.close()
        return {"state": NO_MEMORY if code == KILLED else FAILED, "reason": f"the process ended with {code}"}

    def _start(self, kind: str) -> None:
        self.kind = kind
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", **os.environ}
        self.process = subprocess.Popen(
            [sys.executable, PROCESS, kind, json.dumps(self.settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen, lines: queue.Queue[str]) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None


def answer(measure: Any, row: dict[str, Any] | None) -> dict[str, Any]:
    """The figures of a row with their state; a lack of memory and an error are answers too."""
    from tfpix2pix.memory import lacks_memory

    try:
        return {"state": MEASURED, **measure(None if row is None else Row(**row))}
    except Exception as error:  # whatever a library raises: the other rows are still of interest
        short = lacks_memory(error) or type(error).__name__ == "OutOfMemoryError"  # PyTorch's
        text = str(error).strip().splitlines() or [""]
        return {"state": NO_MEMORY if short else FAILED, "reason": f"{type(error).__name__}: {text[0][:200]}"}


def main() -> None:
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the errors
    if kind == "torch":
        from card.torch_rows import measurer
    else:
        from card.tensorflow_rows import measurer
    measure = measurer(**settings)
    for line in sys.stdin:
        print(json.dumps(answer(measure, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
