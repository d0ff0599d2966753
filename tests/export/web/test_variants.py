"""Many answers to one question on exported pages: Another, the strip of variants, and seeds that can be had again."""

import re

import numpy as np
import pytest

from tests.conftest import tiny_config
from tests.evaluation.report.browser import started
from tests.export.web.pages import Open, expected_of, levels, made, translator_of
from tfpix2pix.config.card import ModelCard
from tfpix2pix.export.web import page as pages

KINDS = ("dropout", "gaussian", "modulation")
NOISES = [("dropout", 64, "no noise"), ("modulation", 8, "the mean style")]


@pytest.mark.parametrize(("noise", "size", "without"), NOISES)
def test_a_page_says_what_its_seeds_are(noise, size, without):
    text = rendered(noise, size)
    help_text = re.search('id="seed-help">(.*?)</p>', text)[1]
    assert help_text.startswith(f"Seed 0 is {without}. ")
    assert "the same one as <code>tfpix2pix translate --noise on --seed</code> with that number." in help_text


def test_without_noise_there_is_no_other_answer():
    text = rendered("none", 0)
    assert not any(f'id="{name}"' in text for name in ("another", "more", "seed", "variants"))


def rendered(noise: str, noise_size: int) -> str:
    """The page without its model."""
    card = ModelCard.of(tiny_config(generator={"noise": noise}), 7, noise_size=noise_size, fixed_size_px=32)
    return pages._page(card, [], {}, pages.FOLDER_POLICY, dict.fromkeys(pages.IN_FILE, ""))


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def paths(litert, tmp_path_factory):
    """A page for each kind of noise, and one of a model without."""
    folder = tmp_path_factory.mktemp("pages")
    examples = [np.tile(np.uint8([[[0], [255]]]), (32, 16, 3))]
    return {
        noise: made(folder / noise, noise_input=noise != "none", examples=examples, generator={"noise": noise})
        for noise in (*KINDS, "none")
    }


@pytest.fixture(scope="module")
def path(paths):
    return paths["modulation"]


@pytest.fixture
def page(browser, path):
    with Open(browser, path.as_uri()) as page:
        page.wait()
        yield page


def of_seed(path, picture, seed: int):
    """Python's translation of a drawing by `translate --noise on --seed`; 0: off."""
    return expected_of(path, picture, translator_of(path).noise(1, seed) if seed else None)


def show_variants(page) -> None:
    page.button("Show variants").click()
    refreshed(page)


def refreshed(page) -> None:
    page.locator('.strip[aria-busy="false"]').wait_for()


def thumbnail(page, seed: int):
    return page.pixels(f'.strip [data-seed="{seed}"] canvas')


@pytest.mark.slow
@pytest.mark.parametrize("noise", KINDS)
def test_another_is_another_seed_that_stays_while_drawing(noise, browser, paths):
    path = paths[noise]
    with Open(browser, path.as_uri()) as page:
        off = page.result()
        page.button("Another").click()
        first = page.result()
        page.button("Another").click()
        second = page.result()
        assert page.locator("#seed").input_value() == "2"
        assert levels(first, off) > 1 and levels(second, off) > 1 and levels(first, second) > 1
        page.drag((5, 5), (25, 20))
        assert levels(page.result(), of_seed(path, page.sheet(), 2)) <= 1
        assert page.locator("#status").inner_text().endswith(" ms, seed 2")
        page.locator("#seed").fill("0")
        assert levels(page.result(), of_seed(path, page.sheet(), 0)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("noise", KINDS)
def test_the_strip_follows_the_drawing_and_a_thumbnail_becomes_the_picture(noise, browser, paths):
    path = paths[noise]
    with Open(browser, path.as_uri()) as page:
        page.wait()
        show_variants(page)
        page.button("Variant 3").click()
        assert levels(page.result(), thumbnail(page, 3)) == 0
        page.drag((5, 5), (25, 20))
        assert levels(page.result(), of_seed(path, page.sheet(), 3)) <= 1
        refreshed(page)
        for seed in (1, 6):
            assert levels(thumbnail(page, seed), of_seed(path, page.sheet(), seed)) <= 1
        pressed = page.locator('.strip [aria-pressed="true"]')
        assert pressed.count() == 1 and pressed.get_attribute("data-seed") == "3"


@pytest.mark.slow
def test_the_strip_waits_for_the_end_of_a_stroke(page):
    show_variants(page)
    before = thumbnail(page, 1)
    page.mouse.move(*page.place(5, 5))
    page.mouse.down()
    page.mouse.move(*page.place(25, 20), steps=5)
    page.wait()
    page.wait_for_timeout(600)  # the hand rests
    assert page.locator(".strip").get_attribute("aria-busy") == "true"
    np.testing.assert_array_equal(thumbnail(page, 1), before)
    page.mouse.up()
    refreshed(page)
    assert (thumbnail(page, 1) != before).any()


@pytest.mark.slow
def test_the_key_a_on_the_sheet_is_another_and_is_announced(page):
    assert page.button("Another").get_attribute("aria-keyshortcuts") == "A"
    page.locator("#sheet canvas").focus()
    page.keyboard.press("a")
    page.locator("#spoken").filter(has_text=re.compile("^Translated: .*, seed 1$")).wait_for(state="attached")
    page.keyboard.press("Control+a")
    page.locator("#compare").focus()
    page.keyboard.press("a")
    page.wait()
    assert page.locator("#seed").input_value() == "1"
    assert "A gives another translation." in page.locator(".sheet-help").text_content()


@pytest.mark.slow
def test_a_download_names_its_seed(page):
    for seed, name in (("0", "pix2pix.png"), ("12", "pix2pix-seed-12.png")):
        page.locator("#seed").fill(seed)
        page.wait()
        with page.expect_download() as download:
            page.button("Download").click()
        assert download.value.suggested_filename == name


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "then"), [("999999", "1"), ("", "1"), ("-4", "1")])
def test_after_the_last_seed_and_after_none_comes_the_first(typed, then, page):
    page.locator("#seed").fill(typed)
    page.button("Another").click()
    assert page.locator("#seed").input_value() == then


@pytest.mark.slow
def test_a_model_without_noise_has_no_another(browser, paths):
    with Open(browser, paths["none"].as_uri()) as page:
        before = page.result()
        assert page.button("Another").count() == 0
        page.locator("#sheet canvas").focus()
        page.keyboard.press("a")
        np.testing.assert_array_equal(page.result(), before)
        assert "another" not in page.locator(".sheet-help").text_content()
