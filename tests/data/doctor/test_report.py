"""The examination put in a terminal and on a page."""

import re
import shutil
from html.parser import HTMLParser

import pytest
from rich.console import Console

from tests.conftest import write_image
from tests.data.doctor.helpers import combine, config_of, examined, make_set, moved, scene
from tfpix2pix.data.doctor import as_table, quick_lines, write_html
from tfpix2pix.data.doctor.findings import Examination, finding

NAME = '<b>&[red]"'


@pytest.fixture
def spoilt(tmp_path):
    train = make_set(tmp_path / "pairs") / "train"
    write_image(train / f"{NAME}.png", combine(scene(50)[0], moved(scene(50)[1], 7, 0)))
    (train / "3.png").write_bytes(b"")
    shutil.copy(train / "5.png", tmp_path / "pairs" / "val" / "copy.png")
    return tmp_path / "pairs"


def printed(renderable) -> str:
    console = Console(width=150, record=True, file=open("/dev/null", "w"))
    console.print(renderable)
    return console.export_text()


def test_a_table_has_a_row_a_kind_and_ends_with_the_verdict(spoilt):
    text = printed(as_table(examined(spoilt)))
    for words in ("unreadable", "misaligned", "leak", f"train/{NAME}", "train/5 and val/copy", "Keep it in one split"):
        assert words in text
    assert "size of image: 128x64 px: 13" in text and "kind of image: RGB, 8 bits: 13" in text
    assert "Note: The left half" in text.replace("\n", " ")
    assert text.rstrip().splitlines()[-1].strip() == "14 pairs, 3 findings of 3 kinds"


def test_a_table_of_nothing(tmp_path):
    text = printed(as_table(examined(make_set(tmp_path))))
    assert text.rstrip().splitlines()[-1].strip() == "12 pairs, no faults found"
    assert "what to do" not in text


def test_quick_lines(spoilt, tmp_path):
    lines = quick_lines(examined(spoilt))
    assert [line.split(":")[0] for line in lines[:3]] == ["unreadable", "misaligned", "leak"]
    assert lines[0].startswith("unreadable: 1, the first train/3: Every image must be readable")
    assert "tfpix2pix data check" in lines[3] and lines[4].startswith("The left half")
    (note,) = quick_lines(examined(make_set(tmp_path / "good")))
    assert note.startswith("The left half")


def test_many_of_a_kind_are_one_line():
    findings = [finding("unreadable", "train", [str(index)], "It is broken.") for index in range(40)]
    result = Examination(tuple(findings), (), "folders", {"train": 40}, 40, {}, {})
    assert len(quick_lines(result)) == 2
    text = printed(as_table(result))
    assert "train/0, train/1, train/2, train/3, train/4 and 35 more" in text
    assert text.rstrip().endswith("40 pairs, 40 findings")


class Page(HTMLParser):
    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.loads, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(examination, config, path):
    write_html(examination, config.data, 0, path)
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def test_a_page_is_whole_and_loads_nothing(spoilt, tmp_path):
    config, path = config_of(spoilt), tmp_path / "report" / "page.html"
    page = page_of(examined(spoilt), config, path)
    assert page.loads and all(url.startswith("data:image/jpeg;base64,") for url in page.loads)
    assert len(page.loads) == 3 + 11  # one of the displaced pair, two of the leak, none of the unreadable file; a dozen
    assert not {"script", "link", "b", "iframe"} & set(page.tags) - {"b"}
    text = path.read_text(encoding="utf-8")
    assert NAME in page.text and NAME not in text and "<b>&" not in text
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'none'; "
    assert f"content=\"{policy}base-uri 'none'; form-action 'none'\"" in text
    assert not re.search("https?:", text) and "url(" not in text and "@import" not in text
    assert 'name="viewport"' in text and "color-scheme: light dark" in text
    assert "14 pairs, 3 findings of 3 kinds" in page.text and "128x64 px" in page.text


def test_a_page_of_a_good_set(tmp_path):
    folder = make_set(tmp_path / "pairs")
    page = page_of(examined(folder), config_of(folder), tmp_path / "page.html")
    assert "12 pairs, no faults found" in page.text
    assert len(page.loads) == page.tags.count("figure") == 12  # as a run reads them, although nothing is wrong
    assert "train/0" in page.text and "val/103" in page.text


def test_pictures_are_few(tmp_path):
    folder = make_set(tmp_path / "pairs", train=40)
    for seed in range(40):
        write_image(folder / "train" / f"{seed}.png", combine(scene(seed)[0], scene(seed)[0]))
    result = examined(folder)
    assert result.kinds == {"identical": 40}
    page = page_of(result, config_of(folder), tmp_path / "page.html")
    assert len(page.loads) == 24 + 12 and "16 more" in page.text
    assert all(f"train/{seed}" in page.text for seed in range(40))


def test_a_pair_that_is_gone_since_has_no_picture(spoilt, tmp_path):
    result = examined(spoilt)
    shutil.copy(spoilt / "train" / "3.png", spoilt / "train" / "5.png")
    page = page_of(result, config_of(spoilt), tmp_path / "page.html")
    assert len(page.loads) == 2 + 10
