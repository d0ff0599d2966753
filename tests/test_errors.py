"""Errors show no control characters and no passwords."""

import pytest

from tests.conftest import run_cli
from tfpix2pix.errors import RunError, UserError, escape_controls, redact_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"), ("\x07", "\\x07"), ("a\rb", "a\\x0db"), ("\x9b31m", "\\x9b31m"),
        ("two\nlines\t1", "two\nlines\t1"), ("Früchte 😀", "Früchte 😀"),
    ],
)  # fmt: skip
def test_control_characters_are_written_out(text, shown):
    assert escape_controls(text) == shown
    assert str(UserError(text)) == str(RunError(text)) == shown


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
