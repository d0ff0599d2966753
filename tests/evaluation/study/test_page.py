"""The page of a perceptual test: what is in it, and whole sessions in a real Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.report.browser import started
from tests.evaluation.report.test_evaluation_page import policy
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.study import page
from tfpix2pix.evaluation.study.page import Design, Pair, write_study
from tfpix2pix.evaluation.study.score import score

TITLE = "Tom & <b>Jerry</b></title>"


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch):
    monkeypatch.setattr(page, "FIXATION_MS", 20)
    monkeypatch.setattr(page, "BLANK_MS", 20)


def made_pairs(count: int, size_px: int = 16) -> list[Pair]:
    """Noise, all different, with names that are not HTML."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 2, size_px, size_px, 3), np.uint8)
    return [Pair(f"{index}</script><i>&", real, generated) for index, (real, generated) in enumerate(images)]


SHORT = Design(practice=2, trials=4, shown_s=0.05)


def make(folder: Path, *, model=None, attribution: str = "", **design) -> Path:
    path = folder / "index.html"
    design = replace(SHORT, **design)
    write_study(path, made_pairs(8), title=TITLE, design=design, model=model or {}, attribution=attribution)
    return path


def data_of(path: Path) -> dict:
    """What the page holds, its key read."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8")).group(1)
    data = json.loads(text)
    return {**data, "key": json.loads(base64.b64decode(data["key"]))}


def pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


# The page, read.


def test_the_page_holds_both_images_of_the_drawn_pairs_without_loss(tmp_path):
    data = data_of(make(tmp_path))
    by_name = {pair.name: pair for pair in made_pairs(8)}
    assert [row["practice"] for row in data["key"]] == [True] * 2 + [False] * 4
    assert sorted(row[kind] for row in data["key"] for kind in ("real", "generated")) == list(range(12))
    for row in data["key"]:
        np.testing.assert_array_equal(pixels(data["images"][row["real"]]), by_name[row["name"]].real)
        np.testing.assert_array_equal(pixels(data["images"][row["generated"]]), by_name[row["name"]].generated)


def test_neither_words_nor_places_in_the_page_say_which_image_is_which(tmp_path):
    text = make(tmp_path).read_text("utf-8")
    held = re.search(r'id="data">(.*?)</script>', text).group(1)
    assert not re.search("generated|real|fake", held)
    key = data_of(tmp_path / "index.html")["key"]
    before = [row["real"] < row["generated"] for row in key]
    assert {True, False} == set(before)


def test_the_page_loads_nothing(tmp_path):
    text = make(tmp_path).read_text("utf-8")
    assert f'content="{policy(text)}"' in text
    assert not re.search(r"""<[^>]*(src|href)=|url\(|@import|https?:""", text)


def test_the_same_seed_is_the_same_page_and_the_id_is_of_what_raters_see(tmp_path):
    first, again, other, model, longer = (
        make(tmp_path / name, **options)
        for name, options in {
            "a": {}, "b": {}, "c": {"seed": 1}, "d": {"model": {"name": "m"}}, "e": {"shown_s": 1},
        }.items()
    )  # fmt: skip
    assert first.read_bytes() == again.read_bytes()
    studies = [data_of(path)["study"] for path in (first, other, model, longer)]
    assert studies[0] == studies[2]
    assert len(set(studies)) == 3
    assert data_of(first)["key"][0]["name"] != data_of(other)["key"][0]["name"]


def test_only_the_drawn_pairs_are_made(tmp_path):
    class Lazily(list):
        taken = 0

        def __getitem__(self, index):
            self.taken += 1
            return super().__getitem__(index)

    pairs = Lazily(made_pairs(30))
    write_study(tmp_path / "index.html", pairs, title="", design=Design(practice=1, trials=3))
    assert pairs.taken == 4


def test_images_of_different_inputs_where_asked_for(tmp_path):
    data = data_of(make(tmp_path, same_input=False))
    by_pixels = {pair.real.tobytes(): pair.name for pair in made_pairs(8)}
    reals = [by_pixels[pixels(data["images"][row["real"]]).tobytes()] for row in data["key"]]
    generated = [row["name"] for row in data["key"]]
    assert sorted(reals) == sorted(generated)
    assert all(real != other for real, other in zip(reals, generated, strict=True))
    assert data["same_input"] is False


PAIRS = made_pairs(3)
WRONG = {  # pairs and options -> what is said
    "too few": (PAIRS, {"practice": 10, "trials": 40}, "10 practice and 40 other trials. Received 3 pairs. Lower `tr"),
    "no trials": (PAIRS, {"practice": 3, "trials": 0}, "`trials` must be 1 or more. Received 0"),
    "less than none": (PAIRS, {"practice": -1, "trials": 3}, "`practice` must be 0 or more. Received -1"),
    "no time": (PAIRS, {"practice": 0, "trials": 3, "shown_s": 0}, "up to 60 seconds. Received 0"),
    "one name": ([PAIRS[0]] * 3, {"practice": 0, "trials": 3}, "different names. Received .* twice"),
    "sizes": (
        [Pair("odd", PAIRS[0].real, PAIRS[0].real[:8])],
        {"practice": 0, "trials": 1},
        r"Received 16×16 real \('odd'\) and 16×8 generated",
    ),
    "floats": (
        [Pair("odd", PAIRS[0].real / 255, PAIRS[0].real)],
        {"practice": 0, "trials": 1},
        r"Received float64 of shape \(16, 16, 3\) in 'odd'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_no_study_is_said_and_nothing_written(tmp_path, what):
    pairs, options, said = WRONG[what]
    with pytest.raises(UserError, match=said):
        write_study(tmp_path / "index.html", pairs, title="", design=Design(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_not_overwritten(tmp_path):
    before = make(tmp_path).read_bytes()
    with pytest.raises(UserError, match="raters may have answered it"):
        make(tmp_path, seed=1)
    assert (tmp_path / "index.html").read_bytes() == before


# The page, in a browser.


@pytest.fixture(scope="module")
def chromium():
    with started() as browser:
        yield browser


# Notes when images appear and disappear, independently of the page's own clock.
WITNESS = """
window.witnessed = [];
new MutationObserver((records) => {
  for (const {target} of records) if (target.tagName === "IMG" && target.closest("#stage"))
    witnessed.push({src: target.src, alt: target.alt, shown: target.checkVisibility({visibilityProperty: true}),
      at: performance.now()});
}).observe(document, {subtree: true, attributes: true, attributeFilter: ["class"]});
"""


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Hides the page and shows it again as soon as the first image is on it.
HIDE_WITH_FIRST_IMAGE = f"""new MutationObserver((_, observer) => {{
  if (!document.querySelector("#stage img.shown")) return;
  observer.disconnect();
  for (const hidden of [true, false]) ({HIDE})(hidden);
}}).observe(document, {{subtree: true, attributes: true, attributeFilter: ["class"]}})"""


class Rater:
    """Plays a study in a tab of its own, and knows which image is generated from the page's data."""

    def __init__(self, browser, path: Path, *, width_px: int = 1280, height_px: int = 800) -> None:
        self.context = browser.new_context(viewport={"width": width_px, "height": height_px})
        self.page, self.path, self.data, self.width_px = self.context.new_page(), path, data_of(path), width_px
        self.requests, self.errors, self.presented = [], [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.add_init_script(WITNESS)
        self.page.set_default_timeout(30_000)
        self.page.goto(path.as_uri())

    def __enter__(self) -> Rater:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def start(self, name: str = "") -> None:
        self.page.fill("#rater", name)
        self.page.click("#begin")

    def sees(self, selector: str) -> bool:
        return self.page.locator(selector).is_visible()

    def fits(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth") <= self.width_px

    def generated_was_first(self) -> bool:
        """Waits for the question; whether the generated image was the first."""
        self.page.wait_for_selector("#question.shown")
        events = self.page.evaluate("witnessed")[-4:]
        assert [event["shown"] for event in events] == [True, False, True, False]
        assert {event["alt"] for event in events} == {"First image", "Second image"}
        first, second = (self.data["images"].index(event["src"]) for event in events[::2])
        row = next(row for row in self.data["key"] if {first, second} == {row["real"], row["generated"]})
        times = [event["at"] for event in events]
        self.presented.append((row["name"], first == row["generated"], times[1] - times[0], times[3] - times[2]))
        assert not self.page.locator("#stage img").count()
        return first == row["generated"]

    def answer(self, rightly: bool, by: str) -> None:
        first = self.generated_was_first() == rightly
        if by == "clicks":
            self.page.click("#answer-first" if first else "#answer-second")
        else:
            keys = {"digits": "12", "arrows": ("ArrowLeft", "ArrowRight")}[by]
            self.page.keyboard.press(keys[not first])

    def practise(self, rightly: bool, by: str) -> str:
        """Answers, and reads the feedback."""
        self.answer(rightly, by)
        self.page.wait_for_selector("#feedback", state="visible")
        text = self.page.inner_text("#verdict")
        self.page.click("#next") if by == "clicks" else self.page.keyboard.press("Enter")
        return text

    def go_on(self, by: str) -> None:
        self.page.wait_for_selector("#pause", state="visible")
        self.page.click("#go-on") if by == "clicks" else self.page.keyboard.press("Enter")

    def save(self, folder: Path) -> Path:
        self.page.wait_for_selector("#end", state="visible")
        with self.page.expect_download() as download:
            self.page.click("#save")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


def mulberry32(seed: int):
    """The twin of the page's generator: uniform on [0, 1)."""
    while True:
        seed = (seed + 0x6D2B79F5) % 2**32
        t = (seed ^ seed >> 15) * (seed | 1) % 2**32
        t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
        yield (t ^ t >> 14) / 2**32


def scheduled(names: list[str], practice: int, seed: int) -> list[tuple[str, bool]]:
    random, order = mulberry32(seed), []
    for part in (names[:practice], names[practice:]):
        for last in range(len(part) - 1, 0, -1):
            other = int(next(random) * (last + 1))
            part[last], part[other] = part[other], part[last]
        order += part
    return [(name, next(random) < 0.5) for name in order]


@pytest.mark.parametrize(("by", "width_px"), [("digits", 1280), ("arrows", 1280), ("clicks", 360)])
def test_a_whole_session_scores_as_it_was_played(chromium, tmp_path, by, width_px):
    path = make(tmp_path, model={"name": "m"})
    played = {"digits": [True, False, False, True], "arrows": [True] * 4, "clicks": [False, True, True, True]}[by]
    with Rater(chromium, path, width_px=width_px, height_px=640) as rater:
        assert rater.page.inner_text("h1") == TITLE == rater.page.title()
        assert rater.fits()
        rater.start("Ann <b>& Bob")
        assert rater.page.inner_text("#progress") == "Practice 1 of 2"
        assert rater.practise(True, by) == "Right."
        assert rater.practise(False, by).startswith("Wrong: the ")
        rater.go_on(by)
        for index, rightly in enumerate(played):
            assert rater.page.inner_text("#progress") == f"{index + 1} of 4"
            assert not rater.sees("#feedback")
            rater.answer(rightly, by)
            assert rater.fits()
        saved = rater.save(tmp_path)
        assert rater.page.inner_text("#own") == f"You found the generated image in {sum(played)} of 4 pairs."
        assert rater.page.input_value("#text", timeout=100) == saved.read_text("utf-8")
        assert {url.partition(":")[0] for url in rater.requests} <= {"file", "data", "blob"}
        assert [url for url in rater.requests if url.startswith("file")] == [path.as_uri()]
        assert rater.errors == []

    scored = score([saved])
    assert scored.rate == 1 - sum(played) / 4
    assert list(scored.per_rater) == ["Ann <b>& Bob"]
    result = json.loads(saved.read_text("utf-8"))
    assert saved.name == f"study-{rater.data['study']}-Ann_b_Bob.json"
    assert (result["title"], result["model"], result["shown_s"]) == (TITLE, {"name": "m"}, 0.05)
    assert [trial["fooled"] for trial in result["trials"]] == [False, True, *(not rightly for rightly in played)]
    assert [(trial["name"], trial["generated_first"]) for trial in result["trials"]] == [
        presented[:2] for presented in rater.presented
    ]
    assert [presented[:2] for presented in rater.presented] == scheduled(
        [row["name"] for row in rater.data["key"]], practice=2, seed=result["seed"]
    )
    assert result["started"] < result["ended"] and result["ended"].endswith("Z")
    assert not any(trial["hidden"] for trial in result["trials"])


def test_images_are_shown_for_the_time_asked_and_gone_before_the_question(chromium, tmp_path):
    with Rater(chromium, make(tmp_path, practice=0, trials=3, shown_s=0.3)) as rater:
        rater.start()
        for _ in range(3):
            rater.answer(True, "digits")
        result = json.loads(rater.save(tmp_path).read_text("utf-8"))
    noted = np.array([trial["shown_ms"] for trial in result["trials"]])
    witnessed = np.array([presented[2:] for presented in rater.presented])
    np.testing.assert_allclose(noted, witnessed, atol=100)  # frames against a clock, on a busy machine
    assert 290 <= noted.min() <= 320  # which may show some for longer


def test_raters_have_seeds_and_names_of_their_own(chromium, tmp_path):
    path, kept = make(tmp_path), []
    for _ in range(2):
        with Rater(chromium, path) as rater:
            rater.start()
            rater.page.wait_for_selector("#session", state="visible")
            kept.append(json.loads(rater.page.evaluate("Object.values(localStorage)[0]")))
    assert kept[0]["seed"] != kept[1]["seed"]
    assert kept[0]["rater"] != kept[1]["rater"]
    assert all(re.fullmatch("[0-9a-f]{8}", session["rater"]) for session in kept)


def test_either_image_comes_first_equally_often_and_every_order_happens():
    orders = [scheduled(list("abc"), 0, seed * 7919) for seed in range(2000)]
    assert np.mean([first for order in orders for _, first in order]) == pytest.approx(0.5, abs=0.03)
    counts = np.unique([[name for name, _ in order] for order in orders], axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 2000 / 6 * 0.8


def test_a_trial_with_the_page_out_of_sight_is_marked_and_not_counted(chromium, tmp_path):
    with Rater(chromium, make(tmp_path, practice=0, trials=2, shown_s=0.4)) as rater:
        rater.page.evaluate(HIDE_WITH_FIRST_IMAGE)
        rater.start("Ann")
        rater.answer(False, "digits")
        rater.answer(True, "digits")
        saved = rater.save(tmp_path)
    assert [trial["hidden"] for trial in json.loads(saved.read_text("utf-8"))["trials"]] == [True, False]
    result = score([saved])
    assert (result.rate, result.trials) == (0, 1)
    assert result.notes[0].startswith("1 trial left out")


def test_a_reload_goes_on_where_it_was_and_marks_the_trial_that_it_repeats(chromium, tmp_path):
    with Rater(chromium, make(tmp_path, practice=0, trials=3)) as rater:
        rater.start("Ann & <b>")
        rater.answer(True, "digits")
        rater.generated_was_first()
        rater.page.reload()
        assert rater.page.inner_text("#kept-text").startswith("Ann & <b> has answered 1 of 3 pairs on this device.")
        rater.page.click("#continue")
        assert rater.page.inner_text("#progress") == "2 of 3"
        rater.answer(True, "digits")
        rater.answer(True, "digits")
        result = json.loads(rater.save(tmp_path).read_text("utf-8"))
        assert [trial["hidden"] for trial in result["trials"]] == [False, True, False]
        assert len({trial["name"] for trial in result["trials"]}) == 3
        rater.page.reload()
        assert "Nobody should take part twice" in rater.page.inner_text("#kept-text")
        rater.page.click("#continue")
        assert json.loads(rater.save(tmp_path).read_text("utf-8")) == result


def test_keys_before_the_question_and_held_keys_answer_nothing(chromium, tmp_path):
    with Rater(chromium, make(tmp_path, practice=0, trials=2, shown_s=1.0)) as rater:
        rater.start()
        rater.page.keyboard.press("1")
        rater.page.wait_for_selector("#question.shown")
        rater.page.keyboard.press("Control+1")
        rater.page.keyboard.press("x")
        assert rater.sees("#question") and rater.page.inner_text("#progress") == "1 of 2"
        rater.page.keyboard.down("2")
        rater.page.keyboard.down("2")
        rater.page.wait_for_selector("#question.shown", state="hidden")
        rater.page.wait_for_selector("#question.shown")
        rater.page.keyboard.down("2")  # still held: a repeat
        assert rater.page.inner_text("#progress") == "2 of 2" and rater.sees("#question")


def test_where_the_browser_keeps_nothing_leaving_is_asked_about(chromium, tmp_path):
    with Rater(chromium, make(tmp_path, practice=0, trials=1)) as rater:
        rater.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
        rater.page.reload()
        assert rater.page.evaluate("onbeforeunload") is None
        rater.start()
        rater.answer(True, "digits")
        assert rater.page.evaluate("onbeforeunload !== null")
        assert score([rater.save(tmp_path)]).rate == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(chromium, tmp_path, scheme):
    tab = chromium.new_page(color_scheme=scheme)
    tab.goto(make(tmp_path).as_uri())
    # A system colour: what the browser paints behind a page that paints nothing.
    probe = "const e = document.createElement('i'); e.style.color = 'Canvas'; document.body.append(e);"
    seen = tab.evaluate(f"(() => {{ {probe} return [e, document.body].map((x) => getComputedStyle(x).color); }})()")
    behind, text = (np.mean([int(level) for level in re.findall(r"\d+", color)[:3]]) for color in seen)
    assert (behind > text) == (scheme == "light")
    assert abs(behind - text) > 180
    tab.close()
