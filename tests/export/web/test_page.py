"""Exported pages as people use them, in Chromium: from a server and from a disk, drawn on, with files and a camera."""

import io
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.report.browser import started
from tests.export.web.pages import Open, expected_of, levels, made, served, translator_of
from tfpix2pix.data.operators import mask
from tfpix2pix.inference.demo.canvas import HOLE

pytestmark = pytest.mark.slow  # a browser


@pytest.fixture(scope="module")
def browser():
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with started(*camera) as browser:
        yield browser


@pytest.fixture(scope="module")
def path(litert, tmp_path_factory):
    """The page of a model with noise."""
    examples = [np.full((32, 32, 3), 200, np.uint8), np.tile(np.uint8([[[0], [255]]]), (32, 16, 3))]
    return made(tmp_path_factory.mktemp("page"), noise_input=True, examples=examples)


@pytest.fixture
def page(browser, path):
    with Open(browser, path.as_uri()) as page:
        page.wait()
        yield page


@pytest.mark.parametrize("single_file", [True, False], ids=["file", "folder"])
def test_a_drawing_is_translated_as_python_does_it(single_file, browser, litert, tmp_path):
    """In a worker, also from a disk; no request leaves the page and its policy is kept (`Open` asserts both)."""
    path = made(tmp_path / "site", single_file=single_file, noise_input=True)
    with served(tmp_path / "site") as address, Open(browser, path.as_uri() if single_file else address) as page:
        page.drag((5, 5), (25, 20))
        drawing, result = page.sheet(), page.result()
        assert len(np.unique(drawing.reshape(-1, 3), axis=0)) == 2  # no smooth edges
        assert levels(result, expected_of(path, drawing)) <= 1
        assert re.fullmatch(r"WebAssembly, 32×32 px, \d+ ms", page.locator("#status").inner_text())


@pytest.mark.parametrize(
    "changes",
    [
        {"input_channels": 1, "color_space": "lab"},
        {"input_classes": 3, "class_colors": ["#000000", "#ff0000", "#0000ff"], "class_names": ["sky", "wall", "door"]},
        {"target_classes": 3, "class_colors": ["#000000", "#ff0000", "#0000ff"]},
        {"input_channels": 4, "target_channels": 4},
        {"input_channels": 1, "target_channels": 1, "target_range": [0, 4095], "target_dtype": "uint16"},
    ],
    ids=["lab", "from label maps", "to label maps", "alpha", "gray, with a range"],
)
def test_every_kind_of_image_can_be_drawn(changes, browser, litert, tmp_path):
    card = {key: changes[key] for key in changes.keys() & {"target_dtype"}}
    path = made(tmp_path, data={key: changes[key] for key in changes.keys() - card.keys()}, card=card)
    with Open(browser, path.as_uri()) as page:
        for name, y in ((1, 6), (0, 20)):
            page.locator("#sheet [data-color]").nth(name).click()
            page.drag((4, y), (28, y + 8))
        drawing, result = page.sheet(), page.result()
        assert drawing.std() > 0
        if changes.get("target_classes"):
            assert (result != expected_of(path, drawing)).any(axis=-1).mean() <= 1e-2
        elif changes.get("target_channels") == 4:
            assert result.shape == (32, 32, 3)  # a canvas keeps its colours only where it is opaque
        else:
            assert levels(result, expected_of(path, drawing)) <= 1


def test_holes_are_painted_into_a_photograph(browser, litert, tmp_path, rng):
    path = made(tmp_path, data={"source": "photographs", "operator": "mask", "input_channels": 4})
    photograph = rng.integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    with Open(browser, path.as_uri()) as page:
        page.open_file(tmp_path / "photo.png")
        page.drag((8, 8), (20, 20))
        drawing = page.sheet()
        holes = (drawing == HOLE).all(axis=-1)
        assert 20 < holes.sum() < 400
        np.testing.assert_array_equal(drawing[~holes], photograph[~holes])
        assert levels(page.result(), expected_of(path, drawing)) <= 1
    assert mask(photograph, translator_of(path).card.config.data, rng).shape == (32, 32, 4)


@pytest.mark.parametrize(("height", "width"), [(50, 70), (20, 50), (500, 700)])
def test_files_of_any_size_go_through_tiles_as_in_python(height, width, page, path, tmp_path, rng):
    small = rng.integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    photograph = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    page.locator("#scale").select_option("own")
    page.open_file(tmp_path / "photo.png")
    page.locator("#status", has_text=f"{width}×{height} px").wait_for()
    np.testing.assert_array_equal(page.sheet(), photograph)
    assert levels(page.result(), translator_of(path).translate(photograph)) <= 1


def test_files_can_be_reduced_to_the_size_that_the_model_takes(page, tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (50, 100, 3), np.uint8)).save(tmp_path / "photo.png")
    if page.locator("#scale").input_value() != "model":
        page.locator("#scale").select_option("model")
    page.open_file(tmp_path / "photo.png")
    assert page.result().shape == (16, 32, 3)


def test_seeds_make_the_variants_of_translate(page, path):
    page.locator("#seed").fill("5")
    translator = translator_of(path)
    seeded = page.result()
    assert levels(seeded, expected_of(path, page.sheet(), translator.noise(1, 5))) <= 1
    assert levels(seeded, expected_of(path, page.sheet())) > 1
    page.button("Show variants").click()
    page.button("Variant 6").wait_for()
    page.button("Variant 2").click()
    assert page.locator("#seed").input_value() == "2"
    assert levels(page.result(), expected_of(path, page.sheet(), translator.noise(1, 2))) <= 1
    page.button("Other variants").click()
    page.button("Variant 12").wait_for()


def test_models_of_many_channels_take_files_alone(browser, litert, tmp_path, rng):
    path = made(tmp_path, data={"input_channels": 7, "target_channels": 2})
    array = rng.integers(0, 256, (40, 33, 7), np.uint8)
    np.save(tmp_path / "in.npy", array)
    (tmp_path / "photo.png").write_bytes(b"")
    with Open(browser, path.as_uri()) as page:
        assert page.locator("#sheet, #camera, #examples").count() == 0
        page.locator("#file").set_input_files(tmp_path / "in.npy")
        page.wait()
        with page.expect_download() as download:
            page.button("Download").click()
        received = np.load(io.BytesIO(open(download.value.path(), "rb").read()))
        expected = translator_of(path).translate(array)
        assert levels(np.rint(received), expected) <= 1
        page.locator("#file").set_input_files(tmp_path / "photo.png")
        assert "is not a NumPy file with 7 channels" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("name", ["bad.png", "notes.txt", "bad.npy"])
def test_what_is_no_image_is_said_and_the_page_goes_on(name, page, path, tmp_path):
    (tmp_path / name).write_bytes(b"<b>not</b> an image")
    page.locator("#file").set_input_files(tmp_path / name)
    page.get_by_role("alert").filter(has_text=f"The page cannot open {name}: it is not").wait_for()
    page.drag((3, 3), (9, 9))
    assert levels(page.result(), expected_of(path, page.sheet())) <= 1


def test_rectangle_fill_eraser_and_undo(page):
    page.button("Blank sheet").click()
    blank = page.sheet()
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    page.choose("rectangle")
    page.drag((10, 8), (20, 24))
    drawn = page.sheet()
    changed = (drawn != blank).any(axis=-1)
    assert changed[8:25, 10:21].all() and changed.sum() == 17 * 11
    page.choose("fill")
    page.locator("#sheet [data-color]").nth(2).click()
    page.mouse.click(*page.place(30, 30))
    filled = page.sheet()
    around = np.unique(filled[~changed], axis=0)  # the rectangle has another colour
    assert len(around) == 1 and (around != blank[0, 0]).any() and (around != drawn[8, 10]).any()
    np.testing.assert_array_equal(filled[changed], drawn[changed])
    page.button("Undo").click()
    np.testing.assert_array_equal(page.sheet(), drawn)
    page.locator("#examples button").nth(1).click()
    before = page.sheet()
    assert page.button("Undo").is_disabled()
    page.choose("brush")
    page.drag((2, 2), (28, 28))
    assert (page.sheet() != before).any()
    page.choose("eraser")
    page.drag((2, 2), (28, 28))
    np.testing.assert_array_equal(page.sheet(), before)


def test_keys_draw_choose_and_undo(page):
    page.button("Blank sheet").click()
    blank = page.sheet()
    page.locator("#sheet canvas").focus()
    for key in ("ArrowUp", " ", "Shift+ArrowRight", "Escape"):
        page.keyboard.press(key)
    changed = (page.sheet() != blank).any(axis=-1)
    assert changed[15, 16:27].all() and 10 < changed.sum() < 90
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(page.sheet(), blank)
    page.get_by_role("radio", name="brush").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="rectangle").get_attribute("aria-checked") == "true"
    assert page.evaluate("document.activeElement.textContent") == "rectangle"


def test_pictures_are_pasted_dropped_and_taken_by_the_camera(page, rng):
    picture = rng.integers(0, 256, (24, 40, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png")
    give = """([bytes, kind]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
      document.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data })
        : new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }"""
    page.locator("#scale").select_option("own")
    for kind in ("paste", "drop"):
        page.button("Blank sheet").click()
        page.evaluate(give, [list(content.getvalue()), kind])
        page.locator("#status", has_text="40×24 px").wait_for()
        np.testing.assert_array_equal(page.sheet(), picture)
        page.locator("#examples button").first.click()
        page.wait()
    before = page.sheet()
    page.button("Camera").click()
    page.locator("#video").evaluate("video => new Promise((done) => video.requestVideoFrameCallback(done))")
    page.button("Take the picture").click()
    page.locator("#viewfinder").wait_for(state="hidden")
    page.wait()
    assert page.sheet().shape == (32, 32, 3) and (page.sheet() != before).any()


def test_the_result_is_compared_and_downloaded(page):
    page.drag((3, 3), (20, 20))
    result = page.result()
    with page.expect_download() as download:
        page.button("Download").click()
    assert download.value.suggested_filename.endswith(".png")
    np.testing.assert_array_equal(np.asarray(Image.open(download.value.path()).convert("RGB")), result)
    page.get_by_role("slider", name="Compare").fill("40")
    assert page.locator("#after").evaluate("canvas => canvas.style.clipPath") == "inset(0px 60% 0px 0px)"
    np.testing.assert_array_equal(page.pixels("#before"), page.sheet())


@pytest.mark.parametrize(
    ("wishes", "text"),
    [("compatible", "WebAssembly, compatible build, 32"), ("main", "WebAssembly, on the page's own thread, 32")],
)
def test_the_compatible_build_and_the_pages_own_thread_give_the_same(wishes, text, browser, path):
    with Open(browser, path.as_uri(), wishes=wishes) as page:
        page.drag((5, 5), (25, 20))
        assert levels(page.result(), expected_of(path, page.sheet())) <= 1
        assert page.locator("#status").inner_text().startswith(text)


def test_strokes_do_not_fill_the_memory(page):
    """Two hundred of them: the script's heap, after a collection."""
    session = page.context.new_cdp_session(page.page)

    def heap_bytes() -> float:
        session.send("HeapProfiler.collectGarbage")
        return (
            session.send("Runtime.getHeapUsage")["usedSize"]
            + session.send("Runtime.getHeapUsage")["backingStorageSize"]
        )

    def strokes(count: int) -> None:
        for index in range(count):
            page.drag((index % 30, 2), (30 - index % 30, 29), steps=2)
        page.wait()

    strokes(25)  # fills the list of undos
    before = heap_bytes()
    strokes(200)
    assert heap_bytes() - before < 2e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_result_stays_in_sight(scheme, browser, path):
    with Open(browser, path.as_uri(), width_px=390, has_touch=True, color_scheme=scheme) as page:
        page.wait()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        x, y = page.place(16, 16)
        places = ("#after", "#another", "#sheet canvas")
        result, another, sheet = (page.locator(place).bounding_box() for place in places)
        assert result["y"] >= 0 and result["y"] + result["height"] <= sheet["y"] + 1
        assert result["y"] + result["height"] <= another["y"] <= sheet["y"] - another["height"]
        assert sheet["y"] + sheet["height"] <= 800
        before = page.sheet()
        page.touchscreen.tap(x, y)
        assert (page.sheet() != before).any()


@pytest.fixture(scope="module")
def checkers(pytestconfig, litert):
    """The folder in which npm has installed axe-core and html-validate."""
    folder = litert.parent / "checkers"
    if not (folder / "node_modules" / "axe-core").is_dir():
        folder.mkdir(exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "axe-core@4", "html-validate@10"]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("npm cannot install axe-core and html-validate")
    return folder


@pytest.mark.parametrize(("width_px", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing(width_px, scheme, browser, path, checkers):
    with Open(browser, path.as_uri(), width_px=width_px, color_scheme=scheme) as page:
        page.button("Show variants").click()
        page.button("Variant 6").wait_for()
        page.evaluate((checkers / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def test_an_html_validator_finds_nothing(litert, checkers, tmp_path):
    made(tmp_path / "site", single_file=False, noise_input=True, examples=[np.zeros((32, 32, 3), np.uint8)])
    program = checkers / "node_modules" / ".bin" / "html-validate"
    command = [program, "--preset", "standard,a11y", tmp_path / "site" / "index.html"]
    done = subprocess.run(command, cwd=checkers, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_page_says_what_its_model_is(page, path):
    text = page.locator(".about").inner_text()
    assert (
        "colour pictures to colour pictures" in text
        and "step 7" in text
        and "Author and licence are not stated" in text
    )
    assert "Intended use" in text and "0.25" in text and "LiteRT.js 2.5.3 (Apache-2.0)" in text
    card = json.loads(page.locator("#card").text_content())
    assert card["config"]["data"]["dir"] is None and card["fixed_size_px"] == 32
    assert "Version 2.0, January 2004" in page.locator("pre").first.text_content()
