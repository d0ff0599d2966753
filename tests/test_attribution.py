"""Whose the data are, and by which licence, stands wherever they are shown."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.data.doctor.helpers import config_of, examined, make_set
from tests.evaluation.report.test_evaluation_page import RECORD
from tests.evaluation.report.test_evaluation_page import make as make_report
from tests.evaluation.study.test_page import make as make_study
from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import SOURCES, source_row
from tfpix2pix.data.doctor import write_html
from tfpix2pix.pages import attribution_line

SAID = "Prints of A & B <b>, CC BY-SA 4.0. https://example.org/prints."
SHOWN = "Data: Prints of A & B <b>, CC BY-SA 4.0. https://example.org/prints."


class Reader(HTMLParser):
    """The text and the links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.links = "", []
        self.feed(page)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.links += [dict(attrs)["href"]] if tag == "a" else []


def check_page(path: Path, *others: Path) -> None:
    page = Reader(path.read_text("utf-8"))
    assert SHOWN in page.text and "https://example.org/prints" in page.links
    for other in others:
        assert "Data: " not in Reader(other.read_text("utf-8")).text


def test_addresses_become_links_and_nothing_else_does():
    line = Reader(attribution_line(SAID))
    assert line.text == SHOWN and line.links == ["https://example.org/prints"]
    assert attribution_line("") == attribution_line(None) == ""


def test_reports_say_it(tmp_path):
    record = {**RECORD, "data": {**RECORD["data"], "attribution": SAID}}
    check_page(make_report(tmp_path / "said", record=record), make_report(tmp_path / "not"))


def test_studies_say_it(tmp_path):
    (tmp_path / "said").mkdir()
    (tmp_path / "not").mkdir()
    check_page(make_study(tmp_path / "said", attribution=SAID), make_study(tmp_path / "not"))


def test_data_checks_say_it(tmp_path):
    config = config_of(make_set(tmp_path / "pairs"))
    attributed = config.model_copy(update={"data": config.data.model_copy(update={"attribution": SAID})})
    for name, described in (("said", attributed), ("not", config)):
        write_html(examined(tmp_path / "pairs"), described.data, described.seed, tmp_path / f"{name}.html")
    check_page(tmp_path / "said.html", tmp_path / "not.html")


@pytest.mark.parametrize("name", SOURCES)
def test_sources_that_bring_their_data_say_whose_they_are(name):
    row = source_row(name)
    assert bool(row.attribution) == (row.brings_data and not row.invented)  # what is drawn at random is nobody's
    assert not row.attribution or re.search("public domain|CC0|CC BY", row.attribution)
    card = ModelCard.of(Config.model_validate({"data": {"source": name}}), 1)
    assert card.attribution == row.attribution


def test_a_source_may_be_a_function_alone(monkeypatch):
    monkeypatch.setitem(SOURCES, "mine", lambda config, split, seed: None)
    row = source_row("mine")
    assert row.read_as == "`data.source: mine`" and not row.attribution and not row.other_way
