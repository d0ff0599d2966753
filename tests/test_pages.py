"""The shell of all pages: text stays text, nothing is requested, and no script runs but the page's own."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tests.data.doctor.helpers import config_of, make_set
from tests.evaluation.report.browser import Tab, started
from tests.evaluation.report.test_evaluation_page import CARD, RECORD, ROWS, make, whole
from tests.evaluation.study.test_page import made_pairs
from tfpix2pix.data.doctor import write_html
from tfpix2pix.data.doctor.findings import Examination, finding
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.study.page import Design, write_study
from tfpix2pix.pages import check_page_place, environment, page_tag, render_page

HOSTILE = (
    "\"'><script>alert(1)</script></title></style></textarea>{{ 7 * 7 }}{% raw %}\x07\x1b[31m\u2028\u202e&lt;<marquee>&"
)
SHOWN = HOSTILE.replace("\x07", r"\x07").replace("\x1b", r"\x1b")  # as no page can show it otherwise


class Reader(HTMLParser):
    """The text of a page outside its style and scripts, its elements, and the values of their attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.tags, self.values, self.inside = "", [], [], ""
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.append(tag)
        self.values += [value for _, value in attrs]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        self.text += data if self.inside not in ("style", "script") else ""


def report(folder: Path) -> Path:
    figure = {**RECORD["figures"]["l1"], "better": "lower"}
    record = {
        **RECORD,
        "name": HOSTILE,
        "kind": HOSTILE,
        "package_version": HOSTILE,
        "created": HOSTILE,
        "data": {**RECORD["data"], "dir": HOSTILE, "split": HOSTILE, "attribution": HOSTILE},
        "protocol": {**RECORD["protocol"], HOSTILE: HOSTILE},
        "figures": {"l1": figure, HOSTILE: figure},
        "protocols": {"l1": HOSTILE},
        "not_measured": {HOSTILE: HOSTILE},
        "notes": [HOSTILE],
    }
    rows = [{**row, "name": HOSTILE + row["name"], HOSTILE: row["l1"]} for row in ROWS]
    return make(folder, whole, record, rows, by=HOSTILE, card={**CARD, "name": HOSTILE, "config": {HOSTILE: HOSTILE}})


def check(folder: Path) -> Path:
    findings = tuple(finding(kind, "train", [HOSTILE], HOSTILE) for kind in ("identical", "leak"))
    counts = {HOSTILE: {HOSTILE: 3}}
    examination = Examination(findings, (HOSTILE,), HOSTILE, {HOSTILE: 3}, 3, counts, counts)
    data = config_of(make_set(folder / "pairs"), attribution=HOSTILE).data
    write_html(examination, data, 0, folder / "check.html")
    return folder / "check.html"


def study(folder: Path) -> Path:
    path, design = folder / "study.html", Design(practice=1, trials=2)
    write_study(path, made_pairs(3), title=HOSTILE, design=design, model={HOSTILE: HOSTILE}, attribution=HOSTILE)
    return path


PAGES = {report: 28, check: 12, study: 3}  # how to make one with hostile text -> how often that is to be read at least


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_hostile_text_stays_text(tmp_path, page):
    read = Reader(page(tmp_path))
    assert read.text.count(SHOWN) >= PAGES[page]
    assert "49" not in read.text.replace(SHOWN, "").split()  # no template was made of it
    assert read.tags.count("script") == (0 if page is check else 2)
    assert "marquee" not in read.tags
    assert all(read.tags.count(tag) == 1 for tag in ("style", "html", "body"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_pages_have_one_policy_one_tag_and_one_look(tmp_path, page):
    text = page(tmp_path).read_text("utf-8")
    for once in ("Content-Security-Policy", 'name="generator"', "--paper: #fcfcfb"):
        assert text.count(once) == 1
    assert text.index("Content-Security-Policy") < text.index("<style>") < len(text.partition("<script")[0])
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_nothing_that_slips_in_runs_or_loads(tmp_path):
    slipped = (
        """<img src="https://example.org/x.png" onerror="window.ran = 1"><iframe src="https://example.org"></iframe>"""
    )
    with started() as browser, Tab(browser, report(tmp_path)) as tab:
        assert tab.errors == [] and tab.loaded() == []
        tab.evaluate(f"document.body.insertAdjacentHTML('beforeend', {slipped!r})")
        tab.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 2'}))")
        tab.wait_for_timeout(200)
        assert tab.evaluate("window.ran") is None
        assert [error for error in tab.errors if "violates the following Content Security Policy" not in error] == []
        assert len(tab.errors) >= 3


def test_a_name_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render_page("data/doctor/check.html", "data check", "")
    assert environment().autoescape is True


def test_a_page_of_another_kind_is_not_replaced(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f"<html><head>{page_tag('evaluation')}")
    check_page_place(path, "evaluation")
    with pytest.raises(UserError, match=r"^A page must not overwrite a file. Received .*page.html, which exists. Go."):
        check_page_place(path, "data check", "Go.")
