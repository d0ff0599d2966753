"""Which rows are measured, in which order, and until when. It imports neither TensorFlow nor PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

MEASURED, NO_MEMORY, FAILED, TOO_LONG = "measured", "out of memory", "failed", "took too long"
SIZES, BATCHES = (256, 512, 1024), (1, 16, 4, 64)  # in the order of importance
SMALL_SIZES, SMALL_BATCHES = (64,), (1, 2)  # without a GPU
LAST = 100
TIER = 3  # ranks that are measured together, so that an engine starts once for them
ROW_S, SMALL_ROW_S = 2.0, 0.2  # seconds of steps that are timed in a row
LONGEST_ROW_S = 120.0
SMALL_FILTERS, FILTERS = 4, 64
SMALL_NETWORKS = ("generator.levels=3", "discriminator.receptive_field_px=16")  # settings, without a GPU


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        engine: `tfpix2pix`, `tutorial` or `torch`.
        precision: `float32`, `tf32` (float32 with products of TF32), `bfloat16` or `float16`.
        xla: the step is compiled by XLA; for `torch` by `torch.compile`.
        pipeline: the step in the loop beside the bare step, on pairs that are read from JPEG files.
        gpus: number of GPUs, each with a batch of this size.
    """

    engine: str
    size_px: int
    batch: int
    precision: str
    xla: bool = False
    pipeline: bool = False
    gpus: int = 1

    @property
    def title(self) -> str:
        more = [f"{self.size_px} px", f"batch {self.batch}", self.precision]
        more += ["compiled" if self.engine == "torch" else "XLA"] * self.xla
        more += ["input pipeline"] * self.pipeline + [f"{self.gpus} GPUs"] * (self.gpus > 1)
        return f"{self.engine}, {', '.join(more)}"

    @property
    def process(self) -> str:
        """The process that measures it: TensorFlow and PyTorch may not share a GPU's memory."""
        return "torch" if self.engine == "torch" else "tensorflow"

    def needs_less_than(self, other: Row) -> bool:
        """True if a row that differs in size, batch or GPUs alone takes no more memory than `other`."""
        same = ("engine", "precision", "xla", "pipeline")
        alike = all(getattr(self, name) == getattr(other, name) for name in same)
        return alike and self.size_px <= other.size_px and self.batch <= other.batch


def precisions_of(capability: tuple[int, int] | None) -> tuple[str, ...]:
    """The precisions that a card has instructions for, the one that `auto` chooses first. Without a card: two."""
    if capability is None:
        return "float32", "bfloat16"
    if capability >= (8, 0):
        return "bfloat16", "float32", "tf32", "float16"
    return ("float16", "float32") if capability >= (7, 0) else ("float32", "float16")


def plan(capability: tuple[int, int] | None, gpus: int = 1, *, with_torch: bool = True) -> list[Row]:
    """All rows by importance: how far a row is from 256 px, batch 1 and the precision that `auto` chooses.

    Sizes count two a step; batches, precisions, XLA and peers one. The rows of one tier are together by process.
    """
    sizes, batches = (SMALL_SIZES, SMALL_BATCHES) if capability is None else (SIZES, BATCHES)
    precisions = precisions_of(capability)
    ranked: list[tuple[int, Row]] = []
    for a, size in enumerate(sizes):
        for b, batch in enumerate(batches):
            for c, precision in enumerate(precisions):
                for xla in (False, True):
                    if capability is None and xla and (b or c):
                        continue  # a CPU compiles for a minute: one row, the last
                    rank = LAST if capability is None and xla else 2 * a + b + c + xla
                    ranked.append((rank, Row("tfpix2pix", size, batch, precision, xla)))
            usual = "tf32" if "tf32" in precisions else "float32"  # as peers are used: their library's default
            low = precisions[0] if capability else "bfloat16"
            ranked.append((1 + 2 * a + b, Row("tutorial", size, batch, usual)))
            if with_torch:
                ranked.append((1 + 2 * a + b, Row("torch", size, batch, usual)))
                ranked.append((2 + 2 * a + b, Row("torch", size, batch, low)))
                if b == 0 and capability:
                    ranked.append((5 + 2 * a, Row("torch", size, batch, low, xla=True)))
            if b < 2:
                ranked.append((2 + 2 * a + b, Row("tfpix2pix", size, batch, precisions[0], pipeline=True)))
    for count in range(1, gpus + 1 if gpus > 1 else 1):
        ranked.append((2, Row("tfpix2pix", sizes[0], batches[1], precisions[0], pipeline=True, gpus=count)))
    order = {"tensorflow": 0, "torch": 1}
    ranked.sort(key=lambda item: (item[0] // TIER, order[item[1].process], item[0]))
    return list(dict.fromkeys(row for _, row in ranked))


@dataclass
class Results:
    """Holds the rows that were measured, with state and figures, and the missing rows with the reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)


def measure_all(
    rows: Iterable[Row],
    ask: Callable[[Row, float], dict[str, Any]],
    *,
    minutes: float,
    results: Results,
    after_each: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    began_s: float | None = None,
) -> None:
    """Measures rows in their order until the time is spent, and says what becomes of each.

    Args:
        ask: (row, seconds at most) -> `{"state": …, figures}`.
        minutes: time from `began_s` on. A row begins only if the longest row of its kind so far would still end.
        after_each: is called after each row: writes what there is.
    """
    began_s = clock() if began_s is None else began_s
    end_s, longest_s, refused = began_s + 60 * minutes, {}, []
    spent = f"the {minutes:g} minutes were spent"
    for row in rows:
        left_s = end_s - clock()
        smaller = next((each for each in refused if each.needs_less_than(row)), None)
        if smaller:
            reason = f"batch {smaller.batch} at {smaller.size_px} px did not fit in memory"
            results.rows.append({**asdict(row), "state": NO_MEMORY, "reason": reason})
        elif left_s <= longest_s.get((row.process, row.xla), 0.0):
            results.missing.append({**asdict(row), "reason": spent})
        else:
            start_s, kind = clock(), (row.process, row.xla)
            answer = ask(row, min(LONGEST_ROW_S, left_s))
            took_s = clock() - start_s
            longest_s[kind] = max(longest_s.get(kind, 0.0), took_s)
            if answer["state"] == TOO_LONG and left_s < LONGEST_ROW_S:
                results.missing.append({**asdict(row), "reason": spent})
            else:
                results.rows.append({**asdict(row), **answer, "took_s": round(took_s, 2)})
            if answer["state"] == NO_MEMORY:
                refused.append(row)
        after_each()
