"""Runs the trainings of `train --seeds`, and prints what comes next."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tfpix2pix.cli.shared import out_console, progress_console

if TYPE_CHECKING:
    from tfpix2pix.runs.plan import Plan


def run_group(plans: list[Plan], run: Path | None, *, dry_run: bool) -> None:
    """Trains the plans one after another, or describes the first, and prints the commands that come next."""
    if dry_run:
        from tfpix2pix.runs.dry_run import describe

        seeds = ", ".join(str(plan.config.seed) for plan in plans)
        where = ", ".join(str(plan.directory.path) for plan in plans if plan.directory)
        out_console.print(describe(plans[0]))
        out_console.print(f"Runs: {len(plans)}, of seeds {seeds}{f', in {where}' if where else ''}.")
        return
    from tfpix2pix.runs.seeds import run_seeds
    from tfpix2pix.section import as_name

    directories = [plan.directory for plan in plans]
    measured = all(len(plan.sources["val"]) for plan in plans)
    again = f"tfpix2pix train --run {quote(str(run))} --seeds {len(plans)} --resume"
    try:
        for result in run_seeds(plans, progress_console):
            if result.interrupted:
                out_console.print(f"Stopped {result.path} at step {result.card.step}, saved. Continue: {again}")
                return
            out_console.print(f"Run directory: {result.path}, at step {result.card.step}")
    except KeyboardInterrupt:
        if directories[0].is_run():
            out_console.print(f"Stopped. Continue: {again}")
        raise
    if measured:
        paths = [str(directory.path) for directory in directories]
        commands = [f"tfpix2pix evaluate {quote(path)}" for path in paths]
        name = as_name(run.name) or "runs"
        commands.append(f"tfpix2pix compare {' '.join(quote(f'{name}={path}') for path in paths)}")
        out_console.print(f"Evaluate and compare: {' && '.join(commands)}")
