"""Runs the parts of a job in Apache Beam: by its direct runner on this machine, or by Flink, Spark or Dataflow."""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfpix2pix.errors import RunError, UserError, shortly
from tfpix2pix.quiet import load_tensorflow

logging.disable(logging.WARNING)  # Beam warns on import of what it lacks for Google's services
try:
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.runner import PipelineState
except ImportError as error:
    raise UserError(
        "`engine` beam needs Apache Beam. Received no module apache_beam. Install it with pip install "
        "'tfpix2pix[beam]'."
    ) from error
finally:
    logging.disable(logging.NOTSET)

ANSWERS = "answers"  # beginning of the names of the files with the answers to parts
DIRECT = (None, "DirectRunner", "direct")
NAME = re.compile(r"\w+")
RAISED = re.compile(r"^(?:[\w.]*\.)?\w*(?:Error|Exception): ", re.MULTILINE)  # begins the text of an error of a worker


class _Work(apache_beam.DoFn):
    """Answers parts, each by one line of JSON. A worker opens the job once."""

    def __init__(self, open: Callable[[], Callable[[int], Any]]) -> None:
        self.open = open

    def setup(self) -> None:
        load_tensorflow()  # without its messages, and with the operations that it has where the job was started
        self.answer = self.open()

    def process(self, part: int) -> Iterator[str]:
        yield json.dumps({"part": part, "answer": self.answer(part)})


def options_of(options: Sequence[str]) -> PipelineOptions:
    """Returns the options of a pipeline.

    Args:
        options: `KEY=VALUE`, or `KEY` for a switch, each as on the command line of a Beam program.

    Raises:
        UserError: an option is not of this form, its value does not fit, or neither Beam nor, as far as is known
            before the job is sent, the runner has such an option.
    """
    for option in options:
        if not NAME.fullmatch(option.partition("=")[0]):
            raise UserError(
                f"`engine_options` must be KEY=VALUE. Received {option!r}. Write runner=FlinkRunner, for example."
            )
    parsed = _parsed(options)
    said = io.StringIO()
    logging.disable(logging.WARNING)  # it warns of unknown ones, which are named below
    try:
        with contextlib.redirect_stderr(said):
            known, all_ = parsed.get_all_options(), parsed.get_all_options(retain_unknown_options=True)
    except SystemExit as ended:
        reason = said.getvalue().strip().splitlines()[-1:] or ["an option that does not fit"]
        raise UserError(
            f"`engine_options` must fit Beam's pipeline options. Received {reason[0].partition('error: ')[2]}. "
            f"Correct it."
        ) from ended
    finally:
        logging.disable(logging.NOTSET)
    runner = parsed.view_as(StandardOptions).runner
    unknown = [name for name in all_ if name not in known]
    if unknown and runner in DIRECT:  # others ask their job server, which has options of its own
        near = difflib.get_close_matches(unknown[0], known, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else "Leave it out."
        raise UserError(f"`engine_options` must be Beam's pipeline options. Received {unknown[0]!r}. {advice}")
    more = [] if known["default_sdk_harness_log_level"] else ["default_sdk_harness_log_level=WARNING"]
    if runner in DIRECT:
        # Keeps the direct runner in Python. Otherwise Beam downloads a program, Prism, and asks it to run the
        # pipeline. Nothing in the pipeline has a trigger.
        more.append("allow_unsafe_triggers")
    return _parsed([*options, *more])


def _parsed(options: Sequence[str]) -> PipelineOptions:
    return PipelineOptions([f"--{option}" for option in options])


def run(
    open: Callable[[], Callable[[int], Any]], parts: Sequence[int], options: Sequence[str], folder: Path
) -> list[Any]:
    """Answers every part once, by any number of workers, and returns the answers in the order of `parts`.

    Args:
        open: a function that can be pickled. It returns a function from the number of a part to plain data.
        parts: numbers. A runner that loses a worker may answer a part again, so that must do no harm.
        options: as for `options_of`.
        folder: a folder that the workers and this process reach. Answers pass through files in it, which are removed.

    Raises:
        UserError: as `options_of`, or `open` raises it.
        RunError: the pipeline does not run to its end.
    """
    pipeline_options = options_of(options)
    _remove_answers(folder)
    try:
        pipeline = apache_beam.Pipeline(options=pipeline_options)
        _ = (
            pipeline
            | "parts" >> apache_beam.Create(list(parts))
            | "spread" >> apache_beam.Reshuffle()
            | "work" >> apache_beam.ParDo(_Work(open))
            | "write" >> apache_beam.io.WriteToText(str(folder / ANSWERS))
        )
        state = pipeline.run().wait_until_finish()
    except (UserError, RunError):
        raise
    except Exception as error:  # each runner has its own
        raise RunError(f"The pipeline must run to its end. Received: {_reason(error)}. {AGAIN}") from error
    if state != PipelineState.DONE:
        raise RunError(f"The pipeline must run to its end. Received the state {state}. {AGAIN}")
    answers = _read_answers(folder)
    wrong = [part for part in parts if part not in answers or answers[part][0] != 1]
    if wrong or len(answers) != len(parts):
        raise RunError(
            f"Every part of the job must be answered once. Received {len(wrong)} of {len(parts)} that were not, in "
            f"{folder}. {AGAIN}"
        )
    _remove_answers(folder)
    return [answers[part][1] for part in parts]


AGAIN = "Look at the workers' logs, then start the same command again: what is finished is not done again."


def _read_answers(folder: Path) -> dict[int, tuple[int, Any]]:
    """Returns the number of answers to each part, and one of them."""
    counts: Counter[int] = Counter()
    answers = {}
    for path in sorted(folder.glob(f"{ANSWERS}-*-of-*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            counts[row["part"]] += 1
            answers[row["part"]] = row["answer"]
    return {part: (counts[part], answer) for part, answer in answers.items()}


def _remove_answers(folder: Path) -> None:
    for path in folder.glob(f"{ANSWERS}-*-of-*"):
        path.unlink()
    for path in folder.glob(f"beam-temp-{ANSWERS}-*"):  # of a pipeline that was killed
        shutil.rmtree(path, ignore_errors=True)


def _reason(error: Exception) -> str:
    """Returns the last error in the text of a runner's error, which may be the traceback of a worker."""
    text = str(error).partition(" [while running")[0]
    raised = list(RAISED.finditer(text))
    return shortly(RuntimeError(text[raised[-1].start() :] if raised else text), at_most=400)
