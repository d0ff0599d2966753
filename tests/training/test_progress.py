"""How progress is shown, on a terminal, in a notebook and in a log."""

import io
import math
import re
import sys
from datetime import datetime

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from tfpix2pix.activity import doing
from tfpix2pix.training import progress
from tfpix2pix.training.progress import (
    LogView,
    NotebookView,
    TerminalView,
    duration,
    length_sentence,
    peak_memory_gb,
    progress_view,
)

FACTS = {"rate": "2.3 images/s", "left": "1 h 12 min", "memory": "3.1 GB"}
LOSSES = "g/gan 0.693  g/l1 0.312  d/real 0.500  d/fake 0.400"


def console(**options):
    return Console(file=io.StringIO(), width=80, **options)


def text_of(view_console):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", view_console.file.getvalue())


def show(to, steps, first_step=0, total_steps=400, facts=FACTS):
    """A run's calls on the view that suits `to`; the text written."""
    view = progress_view(to, first_step, total_steps)
    view.start()
    for step in steps:
        view.update(step, facts, LOSSES)
        view.logged(step, facts, LOSSES)
    view.stop()
    return text_of(to)


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, to be set."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


class FakeHandle:
    """IPython's display and the handle that it gives."""

    def __init__(self):
        self.shown = []

    def update(self, line):
        self.shown.append(line)

    def __call__(self, line, display_id):
        assert display_id is True
        self.update(line)
        return self


@pytest.fixture
def handle(monkeypatch):
    fake = FakeHandle()
    monkeypatch.setattr("IPython.display.display", fake)
    return fake


@pytest.mark.parametrize(
    ("options", "view", "environment"),
    [
        ({"force_jupyter": True}, NotebookView, {}),
        ({"force_terminal": True}, TerminalView, {"TERM": "xterm"}),
        ({"force_terminal": True}, LogView, {"TERM": "dumb"}),
        ({"force_terminal": False}, LogView, {}),
    ],
)
def test_the_view_suits_where_the_console_writes(options, view, environment):
    assert type(progress_view(console(**options, _environ=environment), 0, 400)) is view


def test_a_log_gets_a_plain_line_at_the_logging_cadence():
    to = console(force_terminal=False)
    view = progress_view(to, 0, 400)
    view.start()
    for step in range(1, 401):
        view.update(step, FACTS, LOSSES)
    view.logged(400, {**FACTS, "left": "0 s"}, LOSSES)
    view.stop()
    assert to.file.getvalue() == f"step 400/400  2.3 images/s  0 s left  3.1 GB  {LOSSES}\n"


def test_a_log_gets_a_line_of_what_is_done_before_the_first_step():
    to = console(force_terminal=False)
    progress_view(to, 0, 400).doing("Compiles [the] step")
    assert to.file.getvalue() == "Compiles [the] step.\n"


def test_a_terminal_and_a_notebook_show_it_in_place_of_the_losses(handle):
    for options in ({"force_terminal": True}, {"force_jupyter": True}):
        to = console(**options, _environ={"TERM": "xterm"})
        view = progress_view(to, 0, 400)
        view.start()
        view.doing("Compiles the step")
        told = text_of(to) + repr(handle.shown)
        assert "Compiles the step …" in told and "0/400" in told
        view.update(400, FACTS, LOSSES)
        view.stop()
        assert LOSSES in (text_of(to) if "force_terminal" in options else repr(handle.shown[-1]))
        assert "Compiles" not in (text_of(to)[-150:] if "force_terminal" in options else repr(handle.shown[-1]))


@pytest.mark.parametrize(
    ("options", "log", "text"),
    [
        ({"force_terminal": False}, True, "Reads [all].\n"), ({"force_terminal": False}, False, ""),
        ({"force_terminal": True, "_environ": {"TERM": "dumb"}}, True, "Reads [all].\n"),
    ],
)  # fmt: skip
def test_what_takes_seconds_is_a_line_in_a_log(options, log, text):
    to = console(**options)
    with doing(to, "Reads [all]", log=log):
        assert to.file.getvalue() == text
    assert to.file.getvalue() == text


def test_what_takes_seconds_has_a_spinner_on_a_terminal_which_vanishes():
    to = console(force_terminal=True, _environ={"TERM": "xterm"})
    with doing(to, "Reads all"):
        assert re.search(r"\S Reads all …", text_of(to))
        to.print("a line in between")
    assert to.file.getvalue().endswith("\x1b[2K") and "a line in between" in text_of(to)


def test_texts_are_shown_as_they_are():
    odd = {"rate": "[red]2[/red]"}
    assert "[red]2[/red]" in show(console(force_terminal=False), [1], facts=odd)
    assert "[red]2[/red]" in show(console(force_terminal=True), [1], facts=odd)


def test_a_terminal_gets_a_bar_with_all_of_it_in_80_columns():
    text = show(console(force_terminal=True), [12345], total_steps=80000)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    assert max(map(len, lines)) <= 80
    assert any(
        re.fullmatch(r"step [━╸╺ ]{8,24} 12345/80000 2.3 images/s  1 h 12 min left  3.1 GB", line) for line in lines
    )
    assert LOSSES in lines


def test_a_narrow_terminal_loses_nothing():
    to = Console(file=io.StringIO(), width=40, force_terminal=True)
    text = show(to, [12345], total_steps=80000)
    assert all(word in text.split() for word in " ".join([*FACTS.values(), LOSSES, "12345/80000"]).split())


def test_a_terminal_is_redrawn_five_times_a_second_and_at_the_last_step(clock, monkeypatch):
    to, drawn = console(force_terminal=True), []
    view = TerminalView(to, 0, 100)
    monkeypatch.setattr(view.live, "refresh", lambda: drawn.append(view.state.step))
    for step in range(1, 101):
        clock[0] = step * 0.0625
        view.update(step, FACTS, LOSSES)
    assert drawn == [*range(1, 100, 4), 100]


def test_a_terminal_keeps_the_last_state_that_it_was_told(clock):
    assert "3/400" in show(console(force_terminal=True), [1, 2, 3])


def test_a_notebook_is_redrawn_twice_a_second_and_at_the_last_step(clock, handle):
    view = NotebookView(console(force_jupyter=True), 0, 100)
    view.start()
    for step in range(1, 101):
        clock[0] = step * 0.125
        view.update(step, FACTS, LOSSES)
    shown = [int(re.search(r"step (\d+)/", repr(line))[1]) for line in handle.shown]
    assert shown == [0, *range(1, 100, 4), 100]


def test_a_notebook_gets_one_line_that_tells_all(handle):
    show(console(force_jupyter=True), [120])
    line = handle.shown[-1]
    assert repr(line) == f"step 120/400 ███─────── 30 %  2.3 images/s  1 h 12 min left  3.1 GB  {LOSSES}"
    assert line._repr_html_().startswith("<pre") and repr(line) in line._repr_html_()


def test_a_resumed_run_starts_where_it_was(handle):
    show(console(force_jupyter=True), [], first_step=200)
    assert repr(handle.shown[0]) == "step 200/400 █████───── 50 %"


CELL = """
from rich.console import Console
from tfpix2pix.training.progress import NotebookView, progress_view

view = progress_view(Console(), 0, 40)
assert type(view) is NotebookView
view.start()
for step in range(1, 41):
    view.update(step, {"rate": "2.3 images/s", "left": "8 s"}, "g/l1 < 0.3")
view.stop()
print("after")
"""


def test_a_real_notebook_keeps_one_line_redrawn_in_place(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    line, after = [output for output in notebook.cells[0].outputs if output.get("name") != "stderr"]
    assert line["data"]["text/plain"] == "step 40/40 ██████████ 100 %  2.3 images/s  8 s left  g/l1 < 0.3"
    assert "g/l1 &lt; 0.3</pre>" in line["data"]["text/html"]
    assert after["text"] == "after\n"
    nbformat.validate(notebook)


@pytest.mark.parametrize("view", [TerminalView, NotebookView])
def test_a_caller_may_ask_whether_texts_are_wanted(view, clock, handle):
    progress = view(console(force_terminal=True), 0, 100)
    assert progress.due(1)
    progress.update(1, FACTS, LOSSES)
    assert not progress.due(2) and progress.due(100)
    clock[0] = 0.5
    assert progress.due(2)
    assert not LogView(console(), 0, 100).due(100)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (8.4, "8 s"),
        (59.6, "1 min 00 s"),
        (70, "1 min 10 s"),
        (7500, "2 h 05 min"),
        (86399, "23 h 59 min"),
        (76 * 3600 + 1800, "3 d 4 h"),
        (-1, "0 s"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.skipif(sys.platform == "win32", reason="no `resource` there")
def test_peak_memory_is_in_gb_on_each_system(monkeypatch):
    assert 0.05 < peak_memory_gb() < 1000
    used = type("Usage", (), {"ru_maxrss": 2_000_000})
    monkeypatch.setattr(progress.resource, "getrusage", lambda who: used)
    for platform, gb in (("linux", 2.048), ("darwin", 0.002)):
        monkeypatch.setattr(sys, "platform", platform)
        assert peak_memory_gb() == pytest.approx(gb)


def test_peak_memory_is_unknown_without_resource(monkeypatch):
    monkeypatch.setattr(progress, "resource", None)
    assert math.isnan(peak_memory_gb())


def test_gpu_memory_is_that_of_the_first_gpu_if_there_is_one(monkeypatch):
    config = progress.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [])
    assert progress.gpu_memory_gb() is None
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(config.experimental, "get_memory_info", lambda device: {"GPU:0": {"peak": 5e9}}[device])
    assert progress.gpu_memory_gb() == 5.0


EVENING = datetime(2026, 11, 30, 18, 30)


@pytest.mark.parametrize(("steps", "step_s", "text"), [
    (60_000, 0.3, "60,000 steps at 0.3 s: about 5 h 00 min, until about 23:30, "),
    (60_000, 0.6, "60,000 steps at 0.6 s: about 10 h 00 min, until about Tue 01 Dec 04:30, "),
    (400, 0.25, "400 steps at 0.25 s: about 1 min 40 s, until about 18:31, "),
])  # fmt: skip
def test_the_length_of_a_training_is_told_with_its_end(steps, step_s, text):
    assert length_sentence(steps, step_s, EVENING) == f"{text}without samples, validation and checkpoints."


def test_a_long_training_is_told_the_key_that_shortens_it():
    assert length_sentence(3601, 1.0, EVENING, shorten=True).endswith("begin again with training.minutes=50.")
    assert "training.minutes" not in length_sentence(3600, 1.0, EVENING, shorten=True)
    assert "training.minutes" not in length_sentence(90_000, 1.0, EVENING)
