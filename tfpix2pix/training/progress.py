"""Shows progress: redrawn in place on a terminal or in a notebook, line by line in a log."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Protocol

import tensorflow as tf
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

try:
    import resource
except ImportError:  # Windows
    resource = None

BAR_COLUMNS = (8, 24)  # smallest and largest width on a terminal
NOTEBOOK_BAR = 10
LONG_S = 3600  # a training that takes longer is told how to make it shorter
AFTER_FACT = {"left": " left"}  # words after the text of a fact


class View(Protocol):
    """Shows the progress of a run.

    `facts` are short texts by name, in the order to show them. `left` is a duration.
    """

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def doing(self, text: str) -> None:
        """Shows what is done before the next step, which takes some seconds."""

    def due(self, step: int) -> bool:
        """Returns True if `update` would draw now. If not, its texts need not be computed (losses wait for a GPU)."""

    def update(self, step: int, facts: Mapping[str, str], losses: str) -> None:
        """Takes the state after a step, and draws if it is due."""

    def logged(self, step: int, facts: Mapping[str, str], losses: str) -> None:
        """Takes the state after every `training.log_every_steps`."""


class LogView:
    """Prints a plain line at each call of `logged`."""

    def __init__(self, console: Console, first_step: int, total_steps: int) -> None:
        self.console, self.total_steps = console, total_steps

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def doing(self, text: str) -> None:
        self.console.print(f"{text}.", soft_wrap=True, highlight=False, markup=False)

    def due(self, step: int) -> bool:
        return False

    def update(self, step: int, facts: Mapping[str, str], losses: str) -> None: ...

    def logged(self, step: int, facts: Mapping[str, str], losses: str) -> None:
        line = _joined(f"step {step}/{self.total_steps}", _facts_text(facts), losses)
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


class TerminalView:
    """Draws a bar with steps and facts, and the losses below it."""

    redraw_s = 0.2

    def __init__(self, console: Console, first_step: int, total_steps: int) -> None:
        self.console, self.state = console, _State(first_step, total_steps, self.redraw_s)
        self.live = Live(console=console, get_renderable=self._picture, auto_refresh=False)

    def start(self) -> None:
        self.live.start()

    def stop(self) -> None:
        self.live.stop()  # draws once more

    def doing(self, text: str) -> None:
        self.state.losses = f"{text} …"
        self.live.refresh()

    def due(self, step: int) -> bool:
        return self.state.due(step)

    def update(self, step: int, facts: Mapping[str, str], losses: str) -> None:
        if self.state.take(step, facts, losses):
            self.live.refresh()

    def logged(self, step: int, facts: Mapping[str, str], losses: str) -> None: ...

    def _picture(self) -> Group:
        state = self.state
        count = f"{state.step:>{len(str(state.total_steps))}}/{state.total_steps}"
        room = self.console.width - len(_joined("step", count, state.facts))
        bar = ProgressBar(state.total_steps, state.step, width=min(max(room, BAR_COLUMNS[0]), BAR_COLUMNS[1]))
        line = Table.grid(padding=(0, 1))
        for _ in range(3):
            line.add_column(no_wrap=True)
        line.add_column()  # facts wrap if the terminal is narrow
        line.add_row("step", bar, Text(count, "progress.download"), Text(state.facts, "progress.remaining"))
        return Group(line, Text(state.losses))


class NotebookView:
    """Draws a line, as HTML and as text, by IPython's display handle. A saved notebook keeps it, unlike a widget."""

    redraw_s = 0.5  # a redraw sends a message to the browser

    def __init__(self, console: Console, first_step: int, total_steps: int) -> None:
        self.state = _State(first_step, total_steps, self.redraw_s)
        self.handle: Any = None

    def start(self) -> None:
        from IPython.display import display  # installed if this is a notebook

        self.handle = display(_Line(self._line()), display_id=True)

    def stop(self) -> None:
        self._redraw()

    def doing(self, text: str) -> None:
        self.state.losses = f"{text} …"
        self._redraw()

    def due(self, step: int) -> bool:
        return self.state.due(step)

    def update(self, step: int, facts: Mapping[str, str], losses: str) -> None:
        if self.state.take(step, facts, losses):
            self._redraw()

    def logged(self, step: int, facts: Mapping[str, str], losses: str) -> None: ...

    def _redraw(self) -> None:
        if self.handle is not None:
            self.handle.update(_Line(self._line()))

    def _line(self) -> str:
        state = self.state
        share = state.step / max(state.total_steps, 1)
        bar = ("█" * int(share * NOTEBOOK_BAR)).ljust(NOTEBOOK_BAR, "─")
        count = f"step {state.step}/{state.total_steps} {bar} {int(100 * share)} %"
        return _joined(count, state.facts, state.losses)


class _State:
    """Holds the texts that a view shows, and the time of its last drawing."""

    def __init__(self, first_step: int, total_steps: int, redraw_s: float) -> None:
        self.step, self.total_steps, self.facts, self.losses = first_step, total_steps, "", ""
        self.redraw_s, self.drawn_s = redraw_s, -math.inf

    def due(self, step: int) -> bool:
        """Returns True at the last step, and if `redraw_s` have passed since the last drawing."""
        return step == self.total_steps or monotonic() - self.drawn_s >= self.redraw_s

    def take(self, step: int, facts: Mapping[str, str], losses: str) -> bool:
        """Takes the state after a step. Returns True if it should be drawn."""
        self.step, self.facts, self.losses = step, _facts_text(facts), losses
        due = self.due(step)
        if due:
            self.drawn_s = monotonic()
        return due


class _Line:
    """Holds a line of text for IPython to display."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<pre style="margin: 0; white-space: pre-wrap">{html.escape(self.text)}</pre>'


KINDS: tuple[tuple[Callable[[Console], bool], type[View]], ...] = (  # the first that suits the console is used
    (lambda console: console.is_jupyter, NotebookView),
    (lambda console: console.is_terminal and not console.is_dumb_terminal, TerminalView),
    (lambda console: True, LogView),
)


def progress_view(console: Console, first_step: int, total_steps: int) -> View:
    """Returns the view for the terminal, notebook or log that `console` writes to."""
    return next(view for suits, view in KINDS if suits(console))(console, first_step, total_steps)


def duration(seconds: float) -> str:
    """Returns a duration as text: `8 s`, `1 min 10 s`, `2 h 05 min`, `3 d 4 h`, or `?` if it is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def length_sentence(steps: int, step_s: float, now: datetime, *, shorten: bool = False) -> str:
    """Returns how long `steps` of `step_s` seconds take, and when they end.

    Args:
        now: the time at which they begin, as a clock on the wall shows it.
        shorten: name the key that limits the time, if it is more than an hour.
    """
    left_s = steps * step_s
    ends = now + timedelta(seconds=left_s)
    day = "" if ends.date() == now.date() else f"{ends:%a %d %b} "
    hint = " For less, begin again with training.minutes=50." if shorten and left_s > LONG_S else ""
    return (
        f"{steps:,} steps at {step_s:.2g} s: about {duration(left_s)}, until about {day}{ends:%H:%M}, without samples, "
        f"validation and checkpoints.{hint}"
    )


def peak_memory_gb() -> float:
    """Returns the peak resident memory of this process, GB (1e9 bytes). NaN if the system does not report it."""
    if resource is None:
        return math.nan
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e9


def gpu_memory_gb() -> float | None:
    """Returns TensorFlow's peak memory on the first GPU, GB (1e9 bytes). None without a GPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    try:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    except (ValueError, tf.errors.OpError):  # an allocator that keeps no statistics
        return None


def _facts_text(facts: Mapping[str, str]) -> str:
    return _joined(*(text + AFTER_FACT.get(name, "") for name, text in facts.items()))


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
