"""Errors show no control characters and no passwords, and name what the caller wrote: an argument or an option."""

import ast
import os
import re
import warnings
from pathlib import Path

import pytest

import tfpix2pix
from tests.conftest import run_cli
from tfpix2pix import cli
from tfpix2pix.cli.shared import names_options
from tfpix2pix.errors import RunError, UserError, escape_controls, listed, redact_url

ROOT = Path(tfpix2pix.__file__).parent
COMMANDS = re.compile(r"`(tfpix2pix|train|translate|export) [^`]*`|pip install [^.]*")  # right for both callers
SETTING = re.compile(r"--set [a-z_.{}]+=")  # of the configuration, right for both too
OF_OTHERS = {"--separable_conv"}  # options of other programs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"), ("\x07", "\\x07"), ("a\rb", "a\\x0db"), ("\x9b31m", "\\x9b31m"),
        ("two\nlines\t1", "two\nlines\t1"), ("Früchte 😀", "Früchte 😀"), (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\ud800", "\\ud800"),
    ],
)  # fmt: skip
def test_control_characters_are_written_out(text, shown):
    assert escape_controls(text) == shown
    assert str(UserError(text)) == str(RunError(text)) == shown.replace("\n", "\\n")  # one line, whatever the name


@pytest.mark.parametrize(
    ("names", "most", "joined"),
    [
        ("", 4, ""), ("a", 4, "a"), ("abcd", 4, "a, b, c and d"), ("abcde", 4, "a, b, c, d and 1 more"),
        ("abcdef", None, "a, b, c, d, e and f"), ("abc", 1, "a and 2 more"),
    ],
)  # fmt: skip
def test_a_list_of_names_says_how_many_more_there_are(names, most, joined):
    assert listed(list(names), most) == joined


def test_a_file_gives_the_terminal_no_orders(tmp_path):
    (tmp_path / "a\x1b]0;mine\x07.png").write_text("no image")
    code, out, err = run_cli("translate", tmp_path / "missing\x1b[2J", "x.png", "--out", tmp_path / "out")
    assert code == 2
    assert "\x1b" not in out + err
    code, out, err = run_cli(
        "data", "check", tmp_path, "--set", "data.source=photographs", "--set", "data.operator=edges"
    )
    assert "mine" in out + err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ann:pass@host/a.tar.gz?token=x", "http://host/a.tar.gz"),
        ("https://host:8501/path", "https://host:8501/path"),
        ("ann:p@ss@host:8501", "host:8501"),
        ("http://host/a@b", "http://host/a@b"),
        ("localhost:8501", "localhost:8501"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    assert redact_url(url) == shown


def test_a_servers_password_is_not_said(tmp_path):
    code, _, err = run_cli("translate", "m", "x.png", "--server", "ftp://ann:s3cret@host", "--out", tmp_path / "out")
    assert code == 2
    assert "s3cret" not in err


def options_in(source: str) -> set[str]:
    """The options in the texts of a module, its docstrings aside. A field of an f-string reads {}."""
    nodes = list(ast.walk(ast.parse(source)))
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    texts = []
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))
            left_out |= {id(part) for part in node.values}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            texts.append(node.value)
    said = (SETTING.sub("", COMMANDS.sub("", text)) for text in texts)
    return {option for text in said for option in re.findall(r"--[a-z][\w-]*", text)} - OF_OTHERS


def test_only_the_command_line_speaks_of_options():
    """The package names arguments, `out`. `names_options` makes options of them, --out."""
    modules = [path for path in ROOT.rglob("*.py") if path.parent != ROOT / "cli"]
    options = {path.relative_to(ROOT).as_posix(): options_in(path.read_text(encoding="utf-8")) for path in modules}
    assert {name: names for name, names in options.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ('raise UserError("Change --out.")', {"--out"}),
        ('raise UserError(f"Received {path}. " f"Add --overwrite, or --out {path}.")', {"--overwrite", "--out"}),
        ('text = f"{\'--best\' if best else size}"', {"--best"}),
        ('text = "Say `tfpix2pix export --best`, or `--set data.dir=x`, or --best."', {"--best"}),
        ('text = f"Say `--set data.{key}={value}` or `train --fresh`."', set()),
        ('def f():\n    """As --out does."""', set()),
    ],
)  # fmt: skip
def test_options_are_found_in_texts(source, options):
    assert options_in(source) == options


def test_every_command_names_its_options():
    commands = [command for app in (cli.app, cli.data_app, cli.study_app) for command in app.registered_commands]
    assert len(commands) == len([*cli.COMMANDS, *cli.DATA_COMMANDS, *cli.STUDY_COMMANDS])
    assert [command.name for command in commands if not hasattr(command.callback, "__wrapped__")] == []


@pytest.mark.parametrize("kind", [UserError, RunError])
def test_errors_and_warnings_of_a_command_name_options(kind):
    text = "`size_px` must fit `format`. Received 3 for a key of `out`. See `run_dir` or `tfpix2pix train`."

    @names_options(run_dir="RUN", size_px="--size")
    def command(format_: str, out: str) -> None:
        warnings.warn(text, stacklevel=1)
        raise kind(text)

    said = "--size must fit --format. Received 3 for a key of `out`. See RUN or `tfpix2pix train`."
    with pytest.warns(UserWarning, match=f"^{re.escape(said)}$"), pytest.raises(kind, match=f"^{re.escape(said)}$"):
        command("tflite", "exports")


def test_an_argument_from_python_is_an_option_on_the_command_line(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match=r"Received .*full, which holds something else\. Choose another `run_dir`\."):
        tfpix2pix.train("smoke", run_dir=tmp_path / "full")
    code, _, err = run_cli("train", "smoke", "--run", tmp_path / "full")
    assert code == 2
    assert re.search(r"Received .*full, which holds something else\. Choose another --run\.$", err.strip())
