"""Evaluations made from arrays, as `tfpix2pix evaluate` makes them: in memory, and as folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.evaluation.comparison.evaluations import Evaluated
from tfpix2pix.evaluation.folder import FORMAT_VERSION, RECORD, RESAMPLED, ROWS, Record, write_rows
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bootstrap import Resampling, interval

METRIC_OF = {
    "psnr_db": "psnr",
    "unit_mae": "unit_errors",
    "unit_mae_dose": "unit_errors",
    "unit_bias": "unit_bias",
    "gradient_magnitude": "gradient",
    "swd_16": "swd",
    "pixel_accuracy": "segmentation",
    "class_iou": "segmentation",
    "semantic_class_iou": "semantic",
}


@lru_cache
def weights(names: tuple[str, ...], replicates: int, seed: int) -> np.ndarray:
    """(images, 1 + replicates)"""
    return np.stack([Resampling(replicates, seed).weights(name) for name in names])


def scored(
    name: str,
    per_image: Mapping[str, Sequence[float]],
    *,
    whole: Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    replicates: int = 200,
    split: str | None = "val",
    folder: str | None = "data/facades",
    groups: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    **protocol: Any,
) -> Evaluated:
    """An evaluation whose figures are means of `per_image` values, NaN where an image has none, and, without
    replicates, those of `whole`. Images of one of `groups`, one for each image, are drawn together."""
    rows = {figure: np.asarray(values, np.float64) for figure, values in per_image.items()}
    count = len(next(iter(rows.values()))) if rows else 3
    names = tuple(names or (f"{number:03}" for number in range(count)))
    drawn = weights(tuple(groups or names), replicates, seed)
    arrays, figures = {}, {}
    for figure, values in rows.items():
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            arrays[figure] = values[known] @ drawn[known] / drawn[known].sum(axis=0)
    arrays |= {figure: np.array([value]) for figure, value in (whole or {}).items()}
    for figure, values in arrays.items():
        metric = METRIC_OF.get(figure, figure)
        low, high = (interval(values) if len(set(groups or names)) > 1 else None) or (None, None)
        figures[figure] = {
            "metric": metric, "value": float(values[0]), "low": low, "high": high, "better": METRICS[metric].better,
            **({"unit": units[figure]} if figure in (units or {}) else {}),
        }  # fmt: skip
    of_groups = {"groups": len(set(groups))} if groups else {}
    record = {
        "format_version": FORMAT_VERSION,
        "model": f"runs/{name}",
        "name": name,
        "kind": "run",
        "step": 2000,
        "package_version": "0.1.0",
        "created": "2026-11-26T10:00:00+00:00",
        "data": {"dir": folder, "split": split, "images": len(names), "of": len(names), **of_groups},
        "protocol": {
            "size_px": 128, "fit": "resize", "statistics": "image", "noise": "off", "seed": seed, "variants": 4,
            "replicates": replicates, "covered": 0.95, "segmenter": None, "features": None, **protocol,
        },
        "figures": figures,
        "protocols": {figure["metric"]: METRICS[figure["metric"]].protocol for figure in figures.values()},
        "at_own_size": None,
        "not_measured": {},
        "notes": list(notes),
    }  # fmt: skip
    return Evaluated(name, Record.model_validate(record), names, rows, arrays)


def write(path: Path, evaluated: Evaluated) -> Path:
    """The same as a folder, its images in no order."""
    path.mkdir(parents=True)
    evaluated.record.write(path / RECORD)
    rows = [
        {"name": image, **{name: values[i] for name, values in evaluated.rows.items() if np.isfinite(values[i])}}
        for i, image in enumerate(evaluated.images)
    ]
    write_rows(path / ROWS, rows[1:] + rows[:1])
    np.savez_compressed(path / RESAMPLED, **evaluated.replicates)
    return path
