"""The Markdown page and the plots of what has been measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from card.plan import MEASURED, Row

HEADER = ("who", "px", "batch", "precision", "compiled", "ms a step", "images/s", "peak MB", "device ms", "of the card")


def row_of(found: dict[str, Any]) -> Row:
    return Row(**{name: found[name] for name in asdict(Row("", 0, 0, ""))})


def _cell(value: float | None, form: str = ".3g") -> str:
    return "" if value is None else f"{value:{form}}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def images_per_s(found: dict[str, Any]) -> float:
    return found["batch"] * found["gpus"] / found["step_s"]


def _line(found: dict[str, Any], rates: dict[str, float]) -> list[str]:
    head = [found["engine"], str(found["size_px"]), str(found["batch"]), found["precision"], "yes" * found["xla"]]
    if found["state"] != MEASURED:
        return [*head, found["state"], *[""] * (len(HEADER) - 6)]
    rate, product = rates.get(found["precision"]), found.get("gflop")
    share = product / found["step_s"] / rate if rate and product else None
    device_ms = 1e3 * found["device_s"] if found.get("device_s") else None
    figures = (1e3 * found["step_s"], images_per_s(found), found.get("peak_mb"), device_ms)
    return [*head, *map(_cell, figures), _cell(share, ".0%")]


def steps_table(found: dict[str, Any]) -> str:
    rows = [row for row in found["rows"] if not row["pipeline"]]
    ordered = sorted(rows, key=lambda row: (row["size_px"], row["batch"], row["engine"], row["precision"], row["xla"]))
    return _table(HEADER, [_line(row, found["card"]["matrix_gflops"]) for row in ordered])


def pipeline_table(found: dict[str, Any]) -> str:
    rows = [row for row in found["rows"] if "pipeline_share" in row]
    header = ("px", "batch", "precision", "bare step, ms", "step in the loop, ms", "share of pairs and loop")
    return _table(header, [
        [str(row["size_px"]), str(row["batch"]), row["precision"], _cell(1e3 * row["bare_s"]),
         _cell(1e3 * row["step_s"]), _cell(row["pipeline_share"], ".0%")] for row in rows
    ])  # fmt: skip


def scaling(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with several GPUs, and that of one GPU which they are compared with."""
    several = [row for row in found["rows"] if row["gpus"] > 1 and row["state"] == MEASURED]
    same = ("engine", "size_px", "batch", "precision", "xla", "pipeline")
    alike = lambda row: all(row[name] == several[0][name] for name in same)  # noqa: E731
    one = [row for row in found["rows"] if several and row["gpus"] == 1 and row["state"] == MEASURED and alike(row)]
    return one[:1] + sorted(several, key=lambda row: row["gpus"]) if one else []


def scaling_table(found: dict[str, Any]) -> str:
    rows = scaling(found)
    lines = [
        [str(row["gpus"]), str(row["batch"]), _cell(1e3 * row["step_s"]), _cell(images_per_s(row)),
         _cell(images_per_s(row) / images_per_s(rows[0]) / row["gpus"], ".0%")] for row in rows
    ]  # fmt: skip
    return _table(("GPUs", "batch of each", "ms a step", "images/s", "of as many single GPUs"), lines)


def advice(found: dict[str, Any]) -> str:
    """Returns the choice of `auto` on this card, the fastest row at batch 1, and the row to change if they differ."""
    if found["small"]:
        return found["card"]["explained"]
    at = [
        row for row in found["rows"]
        if row["engine"] == "tfpix2pix" and row["state"] == MEASURED and not row["pipeline"] and row["batch"] == 1
        and row["precision"] != "tf32"
    ]  # fmt: skip
    smallest = min((row["size_px"] for row in at), default=0)
    at = [row for row in at if row["size_px"] == smallest]
    card = found["card"]
    chosen = [row for row in at if (row["precision"], row["xla"]) == (card["auto"], card["auto_xla"])]
    if not chosen:
        return f"`auto` chooses {card['auto']} here, which has not been measured."
    best = min(at, key=lambda row: row["step_s"])
    name = lambda row: f"{row['precision']} {'with' if row['xla'] else 'without'} XLA"  # noqa: E731
    if best is chosen[0]:
        return f"`auto` chooses {name(best)} here. Nothing was faster at {smallest} px, batch 1."
    times = chosen[0]["step_s"] / best["step_s"]
    return (
        f"`auto` chooses {name(chosen[0])} here. {name(best)} was {times:.2f} times as fast at {smallest} px, batch 1. "
        f"`CHOICES` in tfpix2pix/training/hardware.py holds the rule."
    )


def missing_lines(found: dict[str, Any]) -> list[str]:
    """Each row without figures, by its reason."""
    reasons: dict[str, list[str]] = {}
    for row in found["missing"]:
        reasons.setdefault(row["reason"], []).append(row_of(row).title)
    for row in found["rows"]:
        if row["state"] != MEASURED:
            reasons.setdefault(f"{row['state']} ({row['reason']})", []).append(row_of(row).title)
    return [f"- {reason}: {'; '.join(titles)}" for reason, titles in reasons.items()]


def page(found: dict[str, Any]) -> str:
    """The page: the card, every table with rows, what `auto` does, and what is missing."""
    card = found["card"]
    parts = [f"# The training step on {card['name']}", *found["notes"]]
    rates = ", ".join(f"{rate:.0f} {name}" for name, rate in card["matrix_gflops"].items())
    parts.append(f"TensorFlow {card['tensorflow']}, {found['date']}. Matrix products, GFLOP/s: {rates}.")
    parts += ["## Steps", steps_table(found), "`of the card`: the step's products at its rate of matrix products."]
    if any("pipeline_share" in row for row in found["rows"]):
        parts += ["## Input pipeline", pipeline_table(found)]
    if scaling(found):
        parts += ["## Several GPUs", scaling_table(found)]
    if found.get("long"):
        parts += ["## A long training", long_line(found["long"])]
    parts += ["## `auto`", advice(found)]
    if missing := missing_lines(found):
        parts += ["## Missing", "\n".join(missing)]
    return "\n\n".join(parts) + "\n"


def long_line(sessions: list[dict[str, float]]) -> str:
    total = sum(session["seconds"] for session in sessions)
    times = f"{total / 60:.1f} minutes in {len(sessions)} sessions, start-up included"
    return f"facades, {sessions[-1]['step']} steps: {times}."


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """Writes `gpu-speed.png`, and `gpu-memory.png` and `gpu-scaling.png` where there are such figures."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in found["rows"] if row["state"] == MEASURED and not row["pipeline"]]
    drawn = []
    for name, label, value in (
        ("speed", "images/s", images_per_s),
        ("memory", "peak memory, GB", lambda row: row["peak_mb"] / 1e3 if "peak_mb" in row else None),
    ):
        shown = [row for row in rows if value(row) is not None]
        sizes = sorted({row["size_px"] for row in shown})
        if not shown:
            continue
        figure, panels = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 4), layout="constrained", squeeze=False)
        for axes, size in zip(panels[0], sizes, strict=True):
            lines: dict[str, list[tuple[int, float]]] = {}
            for row in (row for row in shown if row["size_px"] == size):
                compiled = " compiled" if row["xla"] else ""
                key = f"{row['engine']} {row['precision']}{compiled}"
                lines.setdefault(key, []).append((row["batch"], value(row)))
            for key, points in sorted(lines.items()):
                style = "o-" if key.startswith("tfpix2pix") else "s--"
                axes.plot(*zip(*sorted(points), strict=True), style, label=key, markersize=4)
            axes.set(title=f"{size} px", xlabel="batch", ylabel=label)
            axes.set_xscale("log", base=2)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize=7)
        figure.suptitle(found["card"]["name"], fontsize=9)
        drawn.append(folder / f"gpu-{name}.png")
        figure.savefig(drawn[-1], dpi=110)
        plt.close(figure)
    if several := scaling(found):
        figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
        counts = [row["gpus"] for row in several]
        axes.plot(counts, [images_per_s(row) for row in several], "o-", label="measured")
        axes.plot(counts, [images_per_s(several[0]) * count for count in counts], "--", label="as many single GPUs")
        axes.set(xlabel="GPUs", ylabel="images/s", title=found["card"]["name"])
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        drawn.append(folder / "gpu-scaling.png")
        figure.savefig(drawn[-1], dpi=110)
        plt.close(figure)
    return drawn
