"""What was measured, as Markdown: `performance.json` in, the tables of docs/performance.md out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from performance.turns import ratio, spread

BYTES_OF_ADAM = 28  # of a parameter: weight, two moments and the gradient read, the first three written


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def ranged(figures: dict[str, float], digits: int = 2) -> str:
    return f"**{figures['median']:.{digits}f}** ({figures['min']:.{digits}f} to {figures['max']:.{digits}f})"


def seconds(rows: Sequence[dict], key: str) -> str:
    return f"{spread([row[key] for row in rows])['median']:.3f}"


def roofline_s(row: dict, ceilings: dict, precision: str) -> float:
    """What the step's products and Adam's traffic take at the machine's ceilings, one after the other."""
    products = row["gflop"] / ceilings[f"{precision}_gflops"]
    return products + BYTES_OF_ADAM * row["parameters"] / 1e9 / ceilings["copy_gb_s"]


def machine(found: dict) -> str:
    info, ceilings = found["machine"], found["ceilings"]
    return (
        f"{info['processor']}, {info['cores']} cores ({', '.join(info['instructions'])}), {info['memory_gb']} GB; "
        f"Python {info['python']}, TensorFlow {info['tensorflow']}, Keras {info['keras']}"
        f"{', PyTorch ' + info['torch'] if info.get('torch') else ''}"
        f"{', OpenVINO ' + info['openvino'] if info.get('openvino') else ''}; {info['date']}. "
        f"Ceilings (`peak.py`): {ceilings['float32_gflops']:.0f} GFLOP/s float32, "
        f"{ceilings['bfloat16_gflops']:.0f} GFLOP/s bfloat16, copies {ceilings['copy_gb_s']:.1f} GB/s."
    )


def step(found: dict) -> str:
    parts = []
    for batch, contestants in found["step"].items():
        ours = {name: rows for name, rows in contestants.items() if name.startswith("tfpix2pix")}
        peers = {name: rows for name, rows in contestants.items() if name not in ours}
        head = [
            "batch " + batch,
            "s a step",
            *(f"times as fast as {name}" for name in peers),
            "peak MB",
            "of the roofline",
        ]
        rows = []
        for name, own in contestants.items():
            ratios = [ranged(ratio(rows, own, "step_s")) if name in ours else "" for rows in peers.values()]
            share = ""
            if name in ours:
                roof = roofline_s(own[0], found["ceilings"], name.split()[-1])
                share = f"{roof / spread([row['step_s'] for row in own])['median']:.0%}"
            rows.append(
                [name, seconds(own, "step_s"), *ratios, f"{spread([r['peak_mb'] for r in own])['median']:.0f}", share]
            )
        parts.append(f"{table(head, rows)}\n\n{len(own)} rounds; median, and the range over rounds.")
    return "\n\n".join(parts)


def loop(found: dict) -> str:
    names = {"bare_step_s": "bare step, s", "loop_step_s": "step in the loop, s", "sample_s": "a sample grid, s",
             "validate_s": "held-out figures of 50 pairs, s", "save_s": "a checkpoint, s"}  # fmt: skip
    rows = [[label, *(f"{row[key]:.3f}" for row in found["loop"])] for key, label in names.items()]
    rows.append(["all of it over the bare step", *(f"**{row['whole_over_bare']:.3f}**" for row in found["loop"])])
    return table(["", *(f"run {number + 1}" for number in range(len(found["loop"])))], rows)


def startup(found: dict) -> str:
    ends = ("first_sample", "first_step")
    rows = [
        [
            *(f"{row[f'{name}_s']:.1f} ({row[f'{name}_cpu_s']:.1f})" for name in ("import", *ends)),
            *(f"{row[f'{name}_times']:.1f} ({row[f'{name}_cpu_s'] / row['import_cpu_s']:.1f})" for name in ends),
        ]
        for row in found["startup"]
    ]
    return table(
        ["importing TensorFlow, s", "to the first sample grid, s", "to the end of the first step, s",
         "sample, times the import", "step, times the import"], rows,
    )  # fmt: skip


def memory(found: dict) -> str:
    rows = [
        [f"{row['size']} px", row["levels"], f"{row['peak_mb']:.0f}", f"{row['step_s']:.2f}"] for row in found["memory"]
    ]
    return table(["image", "levels computed again", "peak MB", "s a step"], rows)


def inference(found: dict) -> str:
    contestants = found["inference"]["forms"]
    first = contestants.get("tutorial recipe, TensorFlow float32")
    own = contestants["SavedModel float32"]
    rows = [
        [name, f"{spread([r['forward_s'] for r in rows])['median'] * 1e3:.1f}",
         ranged(ratio(first, rows, "forward_s")) if first else "", ranged(ratio(own, rows, "forward_s"))]
        for name, rows in contestants.items()
    ]  # fmt: skip
    return table(["256 px, one image", "ms", "times as fast as the recipe", "as our SavedModel in float32"], rows)


def folders(found: dict) -> str:
    rows = []
    for name, row in found["inference"]["folders"].items():
        best = min(row["bare"].values(), key=lambda figures: figures["s_per_image"])
        share = row["folder"]["s_per_image"] / best["s_per_image"]
        rows.append(
            [name, f"{best['s_per_image'] * 1e3:.1f}", f"{row['folder']['s_per_image'] * 1e3:.1f}", f"**{share:.2f}**"]
        )
    return table(
        ["", "bare pass at its best batch, ms an image", "`translate` of a folder, ms an image", "times"], rows
    )


def growth(found: dict) -> str:
    return "\n\n".join(
        _listed(rows) if axis == "files" else _axis(axis, rows, found) for axis, rows in found["growth"].items()
    )


def _axis(axis: str, rows: Sequence[dict], found: dict) -> str:
    cells = []
    for row in rows:
        share = roofline_s(row, found["ceilings"], found["precision"]) / row["step_s"]
        cells.append([row["point"], f"{row['step_s']:.3f}", f"{row['peak_mb']:.0f}", f"{share:.0%}"])
    return table([axis, "s a step", "peak MB", "of the roofline"], cells)


def _listed(rows: Sequence[dict]) -> str:
    cells = [[f"{row['point']:,}", f"{row['first_step_s']:.1f}", f"{row['peak_mb']:.0f}"] for row in rows]
    return table(["files listed", "to the end of the first step, s", "peak MB"], cells)


TABLES = {
    "machine": machine, "step": step, "loop": loop, "startup": startup, "memory": memory, "inference": inference,
    "folders": folders, "growth": growth,
}  # fmt: skip


def markdown(found: dict) -> dict[str, str]:
    """Name -> table, of what was measured."""
    have = {*found, *(("machine",) if "ceilings" in found else ()), *(("folders",) if "inference" in found else ())}
    return {name: make(found) for name, make in TABLES.items() if name in have}


def filled(document: str, tables: dict[str, str]) -> str:
    """A document with each table between its marks, `<!-- name -->` and `<!-- /name -->`."""
    for name, text in tables.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        document = marks.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", document)
    return document
