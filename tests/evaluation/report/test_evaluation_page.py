"""The report of an evaluation: what is in the page, and how it behaves in a real Chromium."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from tests.evaluation.report.browser import Tab, started
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.report.page import Beside, Pictures, check_by, write_report
from tfpix2pix.evaluation.report.pictures import error_map, jpeg_uri

COUNT = 12
L1 = [0.31, 0.12, 0.55, 0.20, 0.47, 0.08, 0.62, 0.25, 0.36, 0.41, 0.17, 0.29]  # ranked: 5 1 10 | 3 7 11 0 8 9 | 4 2 6
EVIL = "<img src=x onerror=alert(1)>"
NAMES = [str(number) for number in range(1, COUNT)] + [EVIL]
ROWS = [
    {"name": name, "l1": l1, "sharpness": 0.5 + index / 10, "diversity": 0.0123}
    for index, (name, l1) in enumerate(zip(NAMES, L1, strict=True))
]
RECORD = {
    "format_version": 1,
    "model": "runs/a",
    "name": 'Façades & "more" </script>',
    "kind": "run",
    "step": 2000,
    "package_version": "0.1.0",
    "created": "2026-11-26T10:00:00+00:00",
    "data": {"dir": "data/facades", "split": "val", "images": COUNT, "of": 100},
    "protocol": {"size_px": 32, "seed": 0, "replicates": 1000, "covered": 0.95, "segmenter": {"classes": 12}},
    "figures": {
        "l1": {"metric": "l1", "value": 0.31917, "low": 0.24, "high": 0.41, "better": "lower"},
        "sharpness": {"metric": "sharpness", "value": 0.9, "low": 0.8, "high": 1.0, "better": "near 1"},
        "fid": {"metric": "fid", "value": 120.149, "low": None, "high": None, "better": "lower"},
    },
    "protocols": {"l1": "mean <b>absolute</b> difference"},
    "not_measured": {"kid": "it needs a feature network"},
    "notes": ["One & only note."],
}
CARD = {"name": "a", "objective": "l1+cgan", "value_range": [-1, 1], "config": {"x": "</script>"}}
LINES = [{"step": step, "g/l1": 1 / step} for step in (1, 2, 3)]


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def whole(index: int) -> Pictures:
    variants = (picture(100 + index), picture(200 + index)) if index % 2 else ()
    return Pictures(NAMES[index], picture(index), picture(50 + index), picture(300 + index), variants)


def output_only(index: int) -> Pictures:
    return Pictures(NAMES[index], picture(index))


def make(folder: Path, pictures=whole, record=RECORD, rows=ROWS, **options) -> Path:
    path = folder / "report.html"
    beside = {name: options.pop(name) for name in ("lines", "card", "agreements") if name in options}
    write_report(path, record, rows, pictures, **{"shown": 4, **options}, beside=Beside(**{"card": CARD, **beside}))
    return path


def data_of(path: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text("utf-8")).group(1))


def words(text: str) -> str:
    """What is to be read in a page."""
    text = re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def policy(text: str) -> str:
    """The one policy of a page: it requests nothing, and runs its own script alone."""
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


# The page, read.


VOID = {"meta", "img", "input", "br", "link"}  # elements without an end tag


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


def test_tags_are_balanced_and_ids_unique(tmp_path):
    parser = Balanced()
    parser.feed(make(tmp_path).read_text("utf-8"))
    parser.close()
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))


def test_every_metric_is_in_it_by_name_and_key_with_its_interval_and_how_it_comes_about(tmp_path):
    said = words(make(tmp_path).read_text("utf-8"))
    for row in (
        "Mean absolute difference (L1) l1 0.3192 0.2400 to 0.4100 lower",
        "Sharpness relative to the targets sharpness 0.9000 0.8000 to 1.000 near 1",
        "Fréchet distance of features (FID) fid 120.1 – lower",
    ):
        assert row in said
    assert escape("mean <b>absolute</b> difference") in said
    assert "Kernel distance of features (KID) kid it needs a feature network" in said
    assert "One &amp; only note." in said
    assert "replicates 1000" in said
    assert "segmenter classes 12" in said
    for fact in ("training run", "2,000", "data/facades", "val", "12 of 100", "2026-11-26 10:00:00 UTC", "0.1.0"):
        assert fact in said


def test_a_record_without_the_entries_that_may_be_missing_opens(tmp_path):
    optional = ("step", "protocols", "not_measured", "notes")
    record = {key: value for key, value in RECORD.items() if key not in optional}
    record |= {"data": {"images": COUNT}, "protocol": {"size_px": 32}}
    record["figures"] = {"mine": {"metric": "no_longer_there", "value": float("nan"), "better": ""}}
    said = words(make(tmp_path, record=record, card=None).read_text("utf-8"))
    assert "mine – – –" in said and f"training run {COUNT} images" in said


def test_the_page_loads_nothing_and_each_picture_is_in_it_once(tmp_path):
    text = make(tmp_path).read_text("utf-8")
    assert f'content="{policy(text)}"' in text
    assert not re.search(r"""<[^>]*(src|href)=["'](?!data:|#)|url\(|@import|https?:""", text)
    uris = re.findall(r"data:image/jpeg[^\"]*", text)
    assert len(uris) == len(set(uris)) > 0


def test_pictures_are_made_once_of_those_shown_and_of_no_others(tmp_path):
    pictured = []

    def pictures(index):
        pictured.append(index)
        return whole(index)

    data = data_of(make(tmp_path, pictures, shown=2))
    spread, best, middle, worst = {0, 11}, {5, 1, 10}, {7, 11, 0}, {4, 2, 6}
    assert sorted(pictured) == sorted(spread | best | middle | worst)
    assert [image["name"] for image in data["images"]] == ["1", "2", "3", "5", "6", "7", "8", "11", EVIL]


def test_best_median_and_worst_by_the_first_figure_that_has_a_better(tmp_path):
    text = make(tmp_path).read_text("utf-8")
    assert groups(text) == {"Best": ["6", "2", "11"], "Median": ["8", EVIL, "1"], "Worst": ["7", "3", "5"]}
    assert "median 0.3000" in text
    assert "Best, median and worst" in text
    assert "Ranked by Mean absolute difference (L1) l1 : lower is better." in words(text)


def test_best_by_another_figure_near_1(tmp_path):
    cards = groups(make(tmp_path, by="sharpness").read_text("utf-8"))
    assert cards["Best"][0] == "6"  # 0.5 + 5 / 10
    assert cards["Worst"][0] == EVIL  # 1.6


def groups(text: str) -> dict[str, list[str]]:
    """heading -> names on the cards under it."""
    sections = re.findall(r'<h3>(\w+)</h3>\s*<div class="cards">(.*?)</article>\s*</div>', text, re.S)
    unescaped = {escape(name): name for name in NAMES}
    return {
        heading: [unescaped[name] for name in re.findall(r'class="open" aria-label="Open (.*?) in large"', cards)]
        for heading, cards in sections
    }


@pytest.mark.parametrize(
    ("count", "headings"), [(1, ["Best"]), (2, ["Best", "Worst"]), (3, ["Best", "Median", "Worst"])]
)
def test_no_image_is_in_two_groups(tmp_path, count, headings):
    cards = groups(make(tmp_path, rows=ROWS[:count]).read_text("utf-8"))
    assert list(cards) == headings
    assert sorted(name for names in cards.values() for name in names) == NAMES[:count]


def test_all_images_of_one_value_have_a_distribution(tmp_path):
    text = make(tmp_path, rows=[{**row, "l1": 0.0} for row in ROWS]).read_text("utf-8")
    assert "from 0.000 to 0.000, median 0.000" in text


def test_an_unknown_figure_is_named_with_the_nearest_and_nothing_written(tmp_path):
    with pytest.raises(UserError, match="one of: l1, sharpness, diversity. Received 'sharpnes'. Did you mean 'sharp"):
        make(tmp_path, by="sharpnes")
    with pytest.raises(
        UserError,
        match="^`by` must be a metric that single images have. Received 'l1', but no image has any. Leave it out.",
    ):
        check_by([], "l1")
    with pytest.raises(UserError, match="0 or more. Received -1. Choose another number."):
        make(tmp_path, shown=-1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_said_before_any_picture_is_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="The folder .*file must be writable"):
        make(tmp_path / "file", pytest.fail)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_page_replaces_its_like_and_nothing_else(tmp_path):
    path = make(tmp_path)
    make(tmp_path, shown=0)
    path.write_text("<html>mine</html>")
    with pytest.raises(UserError, match="must not overwrite a file"):
        make(tmp_path)
    assert path.read_text() == "<html>mine</html>"


def test_metrics_that_are_not_finite_are_left_out(tmp_path):
    rows = [{**ROWS[0], "l1": float("nan"), "ssim": None, "sharpness": np.float32(0.5)}, *ROWS[1:]]
    image = next(entry for entry in data_of(make(tmp_path, rows=rows, shown=12))["images"] if entry["name"] == "1")
    assert image["metrics"] == {"sharpness": 0.5, "diversity": 0.0123}


def test_an_error_map_is_the_mean_difference_on_one_scale():
    output, target = np.zeros((1, 3, 3), np.uint8), np.zeros((1, 3, 3), np.uint8)
    target[0, 1], target[0, 2] = (51, 102, 153), 255  # 102 / 127.5 = 0.8 in the mean; 2 is beyond the scale
    expected = [colormaps["magma"](value, bytes=True)[:3] for value in (0.0, 0.8, 1.0)]
    np.testing.assert_array_equal(error_map(output, target)[0], expected)
    assert error_map(output, target[:, :2]) is None


def test_pictures_are_jpeg_of_full_colour_and_at_most_512_px():
    image = Image.open(io.BytesIO(base64.b64decode(jpeg_uri(picture(0, 300, 1024)).partition(",")[2])))
    assert image.size == (512, 150)
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # no subsampling


def test_variants_which_are_never_shown_in_large_are_smaller():
    variants = Pictures("", picture(0), variants=(picture(0, 400, 200),)).embedded()["variants"]
    (image,) = (Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in variants)
    assert image.size == (80, 160)


def test_pages_stay_small(tmp_path):
    def pictures(index: int) -> Pictures:  # as much noise as a bad translation has
        target, *others = (gaussian(np.random.default_rng(7 * index + seed)) for seed in range(7))
        return Pictures(str(index), others[0], others[1], target, tuple(others[2:]))

    def gaussian(rng) -> np.ndarray:
        smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256))
        return np.clip(smooth + rng.normal(0, 6, (256, 256, 3)), 0, 255).astype(np.uint8)

    rows = [{"name": str(index), "l1": float(index)} for index in range(100)]
    assert make(tmp_path, pictures, rows=rows, shown=24).stat().st_size < 8e6


# The page, in a browser.


@pytest.fixture(scope="module")
def chromium():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("report"), shown=COUNT, lines=LINES)


@pytest.fixture
def tab(chromium, report):
    with Tab(chromium, report) as opened:
        yield opened
        assert opened.errors == []


BOUNDARY = "getComputedStyle(document.querySelector('.card .over')).clipPath"
SHOWN = "[...document.querySelectorAll('.thumbnails .caption > :first-child')].map((each) => each.textContent)"


def test_it_opens_without_errors_or_requests(tab):
    assert tab.title() == f"Evaluation of {RECORD['name']}"
    assert tab.locator(".thumbnails li").count() == COUNT
    assert tab.loaded() == []
    assert tab.locator("main h2").all_inner_texts() == [
        "Best, median and worst", "Gallery", "Metrics", "Training", "Model card",
    ]  # fmt: skip
    assert tab.locator("img.curves").evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 1200
    for image in tab.locator(".card img").all():
        assert image.evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 32


def test_text_of_the_data_stays_text(tab):
    assert tab.inner_text("h1") == RECORD["name"]
    assert EVIL in tab.evaluate(SHOWN)
    assert tab.locator("img[src=x]").count() == 0
    assert '"x": "</script>"' in tab.text_content("#card pre")


def test_the_boundary_moves_by_keyboard(tab):
    assert tab.evaluate(BOUNDARY) == "inset(0px 50% 0px 0px)"
    boundary = tab.get_by_role("slider", name="Boundary between output and target of 6")
    boundary.focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert tab.evaluate(BOUNDARY) == "inset(0px 47% 0px 0px)"
    assert boundary.get_attribute("aria-valuetext") == "53 % output"
    tab.keyboard.press("End")
    assert tab.evaluate(BOUNDARY) == "inset(0px 0% 0px 0px)"


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0])
def test_the_boundary_comes_to_where_the_picture_is_clicked(tab, part):
    stage = tab.locator(".card .pictures").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    tab.mouse.click(box["x"] + part * box["width"], box["y"] + 5)
    line = tab.locator(".card .pictures i").first.bounding_box()
    assert line["x"] + 1 - box["x"] == pytest.approx(part * box["width"], abs=0.01 * box["width"])


def test_the_switch_changes_what_all_outputs_are_compared_with(tab):
    images = {image["name"]: image for image in data_of_page(tab)["images"]}
    for label, role in (("target", "target"), ("input", "input"), ("error map", "error")):
        tab.locator("#extremes").get_by_label(label, exact=True).check()
        assert tab.locator(".card img").first.get_attribute("src") == images["6"][role]
        assert tab.locator(".card .tag.right").all_inner_texts() == [label] * 9
        assert tab.locator("#extremes .scale").is_visible() == (role == "error")
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".card .tag.right").first.inner_text() == "input"


def data_of_page(tab) -> dict:
    return json.loads(tab.text_content("#data"))


def test_a_switch_leaves_the_boundary_where_it_is(tab):
    tab.locator(".card input").first.focus()
    tab.keyboard.press("Home")
    tab.locator("#extremes").get_by_label("input", exact=True).check()
    assert tab.evaluate(BOUNDARY) == "inset(0px 100% 0px 0px)"


def test_the_large_view_opens_goes_on_and_gives_the_focus_back(tab):
    tab.get_by_role("button", name="Open 3 in large").last.focus()
    tab.keyboard.press("Enter")
    large = tab.get_by_role("dialog", name="3")
    assert large.is_visible()
    names = tab.evaluate(SHOWN)
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#large-name") == names[names.index("3") + 1]
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#large-name") == names[names.index("3") - 1]
    tab.click("#next")
    assert tab.inner_text("#large-name") == "3"
    assert tab.inner_text("#large-place") == f"{names.index('3') + 1} of {COUNT}"
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()
    assert tab.focused() == "Open 3 in large"


def test_arrows_move_the_boundary_where_it_has_the_focus(tab):
    tab.locator(".thumbnails button").first.click()
    name = tab.inner_text("#large-name")
    tab.locator("dialog input[type=range]").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("dialog input[type=range]").input_value() == "51"
    assert tab.inner_text("#large-name") == name


def test_variants_are_in_the_large_view_of_images_that_have_them(tab):
    tab.get_by_role("button", name="Open 2 in large").last.click()
    assert tab.inner_text("#by-noise h3") == "With different noise, diversity 0.01230"
    assert tab.locator("#by-noise img").count() == 2
    tab.keyboard.press("ArrowRight")
    assert not tab.locator("#by-noise").is_visible()


def test_sorting_puts_the_worst_first(tab):
    tab.select_option("#sort", "l1")
    worst_first = [name for _, name in sorted(zip(L1, NAMES, strict=True), reverse=True)]
    assert tab.evaluate(SHOWN) == worst_first
    assert tab.locator(".thumbnails .value").first.inner_text() == "l1 0.6200"
    tab.select_option("#sort", "sharpness")
    assert tab.locator(".thumbnails .value").first.inner_text() == "sharpness 1.600"
    tab.select_option("#sort", "l1")
    tab.locator(".thumbnails button").first.click()
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#large-name") == worst_first[1]


def test_the_filter_leaves_names_that_contain_a_text(tab):
    tab.fill("#filter", "ONERROR")
    assert tab.evaluate(SHOWN) == [EVIL]
    assert tab.inner_text("#count") == f"1 of {COUNT}"


def test_every_control_has_a_name(tab):
    tab.locator(".thumbnails button").first.click()
    nameless = """[...document.querySelectorAll("button, input, select, summary, a, [role=region]")].filter((each) =>
      !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim() ||
        document.getElementById(each.getAttribute("aria-labelledby")))).map((each) => each.outerHTML)"""
    assert tab.evaluate(nameless) == []
    assert tab.evaluate("[...document.images].filter((each) => !each.alt).length") == 0


def test_the_first_tab_stop_skips_to_the_content(tab):
    tab.keyboard.press("Tab")
    assert tab.focused() == "Skip to the content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


def test_a_phone_needs_no_sideways_scrolling(chromium, report):
    with Tab(chromium, report, width_px=360) as tab:
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= 360
        table, room = (
            tab.locator("#metrics .scroll").evaluate(f"(each) => each.{of}Width") for of in ("scroll", "client")
        )
        assert table <= room
        tab.locator(".thumbnails button").first.click()
        assert tab.evaluate("document.querySelector('dialog').scrollWidth") <= 360


def test_a_dark_scheme_is_dark(chromium, report):
    def lightness(scheme):
        with Tab(chromium, report, scheme=scheme) as tab:
            color = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            return np.mean([int(part) for part in re.findall(r"\d+", color)])

    assert lightness("light") > 240
    assert lightness("dark") < 40


def test_without_inputs_and_targets_there_is_nothing_to_compare_with(chromium, tmp_path):
    figures = {"gradient_magnitude": {"metric": "gradient", "value": 0.1, "low": None, "high": None, "better": ""}}
    rows = [{"name": name, "gradient_magnitude": 0.1} for name in NAMES]
    path = make(tmp_path, output_only, {**RECORD, "figures": figures, "step": None}, rows, card=None)
    with Tab(chromium, path) as tab:
        assert tab.locator("main h2").all_inner_texts() == ["Gallery", "Metrics"]
        tab.locator(".thumbnails button").first.click()
        assert tab.locator("dialog img").count() == 2  # large, and among all
        assert tab.locator("dialog input").count() == 0
        assert "no targets. Only metrics that need no target were computed." in tab.inner_text("#gallery .lead")
        tab.keyboard.press("Escape")
        assert tab.errors == []


def test_without_targets_outputs_are_compared_with_inputs(chromium, tmp_path):
    path = make(tmp_path, lambda index: Pictures(NAMES[index], picture(index), picture(50 + index)))
    with Tab(chromium, path) as tab:
        assert tab.locator("#extremes .switch label").all_inner_texts() == ["input"]
        assert tab.locator(".card .tag.right").first.inner_text() == "input"
        assert "There are no targets. Outputs are compared with their inputs. Only metrics" in tab.inner_text(
            "#gallery"
        )
        assert tab.errors == []


def with_nearest(index: int) -> Pictures:
    caption = f"{EVIL}, distance 0.{index:03}"
    nearest = {"nearest": picture(400 + index), "nearest_caption": caption}
    return Pictures(NAMES[index], picture(index), None, picture(300 + index), **nearest)


def test_the_nearest_training_target_is_beside_every_output(tmp_path):
    record = {**RECORD, "protocol": {**RECORD["protocol"], "training": "400 training targets in data/facades"}}
    path = make(tmp_path, with_nearest, record)
    data = data_of(path)
    assert data["modes"] == {"target": "target", "error": "error map", "nearest": "nearest training target"}
    for image in data["images"]:
        index = NAMES.index(image["name"])
        assert image["nearest"] == jpeg_uri(picture(400 + index))
        assert image["captions"] == {"nearest": f"{EVIL}, distance 0.{index:03}"}
    said = words(path.read_text("utf-8"))
    assert "differs least from the output's, of 400 training targets in data/facades." in said.replace("&#39;", "'")


def test_without_training_targets_none_are_spoken_of(tmp_path):
    path = make(tmp_path)
    assert "nearest" not in data_of(path)["modes"]
    assert "nearest training" not in words(path.read_text("utf-8"))


@pytest.mark.parametrize("width_px", [1280, 360])
def test_the_nearest_training_target_is_shown_with_its_name_and_distance(chromium, tmp_path, width_px):
    with Tab(chromium, make(tmp_path, with_nearest), width_px=width_px) as tab:
        image = next(image for image in data_of_page(tab)["images"] if image["name"] == "6")
        tab.locator("#extremes").get_by_label("nearest training target", exact=True).check()
        assert tab.locator(".card img").first.get_attribute("src") == image["nearest"]
        assert "output, target, nearest training target." in tab.inner_text("#in-a-row")
        assert tab.locator(".thumbnails li").first.locator("img").count() == 3
        tab.get_by_role("button", name="Open 6 in large").last.click()
        caption = f"nearest training target: {EVIL}, distance 0.005"
        assert tab.locator("#all figcaption").last.inner_text() == caption
        assert tab.evaluate("document.querySelector('dialog').scrollWidth") <= width_px
        assert tab.errors == []


def test_without_javascript_the_metrics_are_there(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert "0.3192" in page.inner_text("table")
    assert page.locator("noscript .note").is_visible()
    assert not page.locator(".tools, .modes").first.is_visible()
    context.close()
