"""How cost grows, drawn: a plot an axis, with the roofline."""

from __future__ import annotations

from pathlib import Path

from performance.tables import roofline_s

LABELS = {
    "size": "image size, px", "batch": "batch", "width": "base filters", "files": "files listed",
}  # fmt: skip


def draw(found: dict, folder: Path) -> list[Path]:
    """Writes `performance-<axis>.png` for every axis that was measured."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = []
    for axis, rows in found["growth"].items():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        points, key = [row["point"] for row in rows], "first_step_s" if axis == "files" else "step_s"
        left.plot(points, [row[key] for row in rows], "o-", label="measured", color="#1f6feb")
        if axis != "files":
            ceiling = [roofline_s(row, found["ceilings"], found["precision"]) for row in rows]
            left.plot(points, ceiling, "--", label="roofline", color="#888888")
        left.set_ylabel("to the end of the first step, s" if axis == "files" else "a step, s")
        right.plot(points, [row["peak_mb"] / 1e3 for row in rows], "o-", color="#d1242f")
        right.set_ylabel("peak memory, GB")
        for axes in (left, right):
            axes.set_xlabel(LABELS[axis])
            axes.set_xscale("log", base=10 if axis == "files" else 2)
            if axis != "files":
                axes.set_xticks(points, [str(point) for point in points])
            axes.grid(alpha=0.3)
        if axis != "files":
            left.set_yscale("log", base=2)
            left.yaxis.set_major_formatter("{x:.2g}")
        for axes in (right, left) if axis == "files" else (right,):
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        left.legend(frameon=False)
        drawn.append(folder / f"performance-{axis}.png")
        figure.savefig(drawn[-1], dpi=110)
        plt.close(figure)
    return drawn
