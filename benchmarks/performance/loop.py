"""The whole loop beside the bare step, in one process and in turns. One JSON line.

    python benchmarks/performance/loop.py --data FOLDER [--steps 200] [--precision auto]

Trains the facades preset as the command does: reading and jittering, the health watch, a line of metrics.jsonl and
TensorBoard every 20 steps; and within so many steps one sample grid, one measurement of held-out pairs and one
checkpoint, whose time is counted apart, since they come once in 1,000 steps. Between its steps, after every 15, three
bare steps on tensors at hand are timed: what the loop takes more is what it costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from tfpix2pix.quiet import load_tensorflow

BARE_EVERY, BARE_STEPS = 15, 3
CADENCE = 1_000  # steps, of samples, measurements and checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    import tfpix2pix as p2p
    from tfpix2pix.runs import session
    from tfpix2pix.training.execution import Execution

    bare_s: list[float] = []
    inside_s: list[float] = []  # of the compiled loop's calls, waiting for pairs included; the rest is Python's
    ends: list[float] = []  # of the loop's steps, with the time of bare ones taken out
    away_s = [0.0]
    rare_s = dict.fromkeys(("_sample", "_validate", "_save"), 0.0)
    plain_call, bare = Execution.__call__, {}

    def call(execution: Execution, count: int):
        start = time.perf_counter()
        losses = plain_call(execution, count)
        inside_s.append(time.perf_counter() - start)
        ends.append(time.perf_counter() - away_s[0])
        if len(ends) % BARE_EVERY == 0:
            start = time.perf_counter()
            if not bare:
                bare["step"] = tf.function(execution.step, autograph=False)
                bare["pair"] = [tf.random.uniform((1, *spec.shape[1:])) for spec in execution._batches.element_spec]
                bare["step"](bare["pair"])
            for _ in range(BARE_STEPS):
                before = time.perf_counter()
                float(bare["step"](bare["pair"])["g/total"])
                bare_s.append(time.perf_counter() - before)
            away_s[0] += time.perf_counter() - start
        return losses

    def timed(name: str):
        plain = getattr(session.Session, name)

        def method(self, step, losses):
            start = time.perf_counter()
            plain(self, step, losses)
            if step:
                rare_s[name] += time.perf_counter() - start
                away_s[0] += time.perf_counter() - start

        return method

    plain_report = session.Session._report_untrained

    def report_untrained(self):  # once, after the first steps
        start = time.perf_counter()
        plain_report(self)
        away_s[0] += time.perf_counter() - start

    Execution.__call__, session.Session._report_untrained = call, report_untrained
    for name in rare_s:
        setattr(session.Session, name, timed(name))
    overrides = (f"training.steps={given.steps}", f"training.precision={given.precision}", *given.overrides)
    with tempfile.TemporaryDirectory() as folder:
        p2p.train("facades", data=str(given.data), run_dir=f"{folder}/run", overrides=overrides)
    loop_s = (ends[-1] - ends[BARE_EVERY]) / (len(ends) - 1 - BARE_EVERY)
    step_s = statistics.mean(bare_s)
    rare = {f"{name.strip('_')}_s": seconds for name, seconds in rare_s.items()}
    whole_s = loop_s + sum(rare_s.values()) / CADENCE
    inside = statistics.mean(inside_s[BARE_EVERY + 1 :])
    figures = {"bare_step_s": step_s, "loop_step_s": loop_s, "inside_s": inside, "between_s": loop_s - inside, **rare}
    print(json.dumps({**figures, "whole_over_bare": whole_s / step_s}))


if __name__ == "__main__":
    main()
