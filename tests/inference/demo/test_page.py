"""The page as a person uses it, in a real Chromium: drawn on, files dropped, models side by side."""

import http.client
import io
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.evaluation.report.browser import started
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.canvas import canvas_for

gradio = pytest.importorskip("gradio", reason="the page is made by Gradio, an extra")
from tfpix2pix.inference.demo.page import shown_errors  # noqa: E402
from tfpix2pix.inference.demo.serve import serve  # noqa: E402
from tfpix2pix.inference.demo.sheet import painted  # noqa: E402

WAIT_MS = 60_000  # two browsers on two cores are slow
UPLOAD_MB = 1


@contextmanager
def served(*named: tuple[str | None, Path], **options):
    """The address of a page served by a thread of this process."""
    ready, until, failed = threading.Event(), threading.Event(), []
    served = SimpleNamespace(address=None)

    def opened(address: str) -> None:
        served.address = address
        ready.set()

    def run() -> None:
        try:
            serve(
                [(name, path, p2p.load(path)) for name, path in named],
                ready=opened,
                until=until,
                upload_mb=UPLOAD_MB,
                **options,
            )
        except BaseException as error:  # shown by the test
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(120)
        if failed:
            raise failed[0]
        yield served.address
    finally:
        until.set()
        thread.join(60)


@pytest.fixture(scope="module")
def models(smoke_run, smoke_exports) -> list[tuple[str | None, Path]]:
    """A run, a SavedModel and a TFLite file of it."""
    exports = [smoke_exports(format).path for format in ("saved_model", "tflite")]
    return [(None, smoke_run.directory.path), ("served", Path(exports[0])), ("phone", Path(exports[1]))]


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(models, browser):
    with served(*models) as address:
        yield address


class Demo:
    """The open page and what is on it."""

    def __init__(self, browser, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
        self.page.set_default_timeout(WAIT_MS)
        self.errors, self.outside = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url, address))
        self.page.goto(address)
        self.results = self.page.locator(".translation img")
        self.results.last.wait_for()

    def _asked(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.outside.append(url)

    def result(self, place: int = 0) -> str:
        return self.results.nth(place).get_attribute("src")

    @contextmanager
    def new_results(self, *places: int):
        """The block's deed gives new translations at the places."""
        places = places or (0,)
        before = [self.result(place) for place in places]
        yield
        self.page.wait_for_function(
            "([places, before]) => places.every((place, index) => "
            "document.querySelectorAll('.translation img')[place]?.getAttribute('src') !== before[index])",
            arg=[list(places), before],
        )

    def pixels(self, place: int = 0) -> np.ndarray:
        """uint8 (H, W, 3) of a translation, as its file to download holds it."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download").nth(place).click()
        path = Path(download.value.path())
        return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))

    def sheet(self) -> np.ndarray:
        """What is on the sheet, uint8 (H, W, 3)."""
        return painted(self.page.evaluate("document.querySelector('.sheet canvas').toDataURL('image/png')"))

    def wait_for_caption(self, place: int, text: str) -> None:
        """Until it stands under a translation."""
        self.page.locator(f"#caption-{place}").filter(has_text=text).wait_for()

    def wait_for_layout(self) -> None:
        """Until the page neither grows nor scrolls by itself."""
        state = "`${document.documentElement.scrollHeight} ${window.scrollY}`"
        self.page.wait_for_function(
            f"() => {{ const now = {state}, same = now === window.before; window.before = now; return same }}",
            polling=300,
        )

    def stroke(self) -> None:
        box = self.page.locator(".sheet canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x - 60, y - 40)
        mouse.down()
        mouse.move(x + 60, y + 40, steps=6)
        mouse.up()

    def seed(self):
        return self.page.get_by_role("spinbutton", name="Seed")

    def thumbnail(self, seed: int) -> np.ndarray:
        """A variant of the strip, uint8 (H, W, 3), once the strip has followed the drawing."""
        self.page.locator('.strip[aria-busy="false"]').wait_for()
        self.page.wait_for_timeout(200)  # the last picture is decoded
        place = f'.strip [data-seed="{seed}"] canvas'
        return painted(self.page.evaluate("place => document.querySelector(place).toDataURL('image/png')", place))

    def said(self) -> str:
        """Returns the error that the page shows."""
        toast = self.page.locator(".toast-body").last
        toast.wait_for()
        return toast.inner_text()


@pytest.fixture
def demo(browser, address):
    demo = Demo(browser, address)
    yield demo
    assert demo.errors == []
    assert demo.outside == []  # it works without a network
    demo.page.close()


def test_a_drawing_is_translated_by_all_models_as_translate_does(demo, models):
    """Drawn from a blank sheet, one stroke: exact colours, three models, each as it translates a file."""
    with demo.new_results(0, 1, 2):
        demo.page.get_by_role("button", name="Blank sheet").click()
    assert (demo.sheet() == 255).all()
    with demo.new_results(0, 1, 2):
        demo.stroke()
    demo.page.wait_for_timeout(1000)  # the last piece of the stroke
    drawing = demo.sheet()
    assert set(np.unique(drawing)) == {0, 255}  # no smooth edges
    assert 5 < (drawing[..., 0] == 0).sum() < 200
    for place, (_, path) in enumerate(models):
        translator = p2p.load(path)
        expected = translator.translate(canvas_for(translator.card.config.data).input_of(drawing))
        np.testing.assert_array_equal(demo.pixels(place), expected)


def test_the_eraser_and_undo_bring_back_what_was_there(demo):
    before = demo.sheet()
    demo.stroke()
    drawn = demo.sheet()
    assert (drawn != before).any()
    demo.page.get_by_role("radio", name="eraser").click()
    demo.stroke()
    np.testing.assert_array_equal(demo.sheet(), before)
    demo.page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(demo.sheet(), drawn)


def test_examples_come_onto_the_sheet(demo):
    before = demo.sheet()
    with demo.new_results():
        demo.page.locator(".thumbnail-item").last.click()
    after = demo.sheet()
    assert after.shape == before.shape and (after != before).any()


def test_the_field_is_the_noises_seed(demo, models):
    """Another seed, another image of the models that have noise; the TFLite file has none and says so."""
    with demo.new_results(0, 1):
        demo.seed().fill("7")
    translator = p2p.load(models[0][1])
    drawing = canvas_for(translator.card.config.data).input_of(demo.sheet())
    np.testing.assert_array_equal(demo.pixels(0), translator.translate(drawing, translator.noise(1, 7)))
    demo.wait_for_caption(2, "no noise input")


def expected(models, demo, seed: int) -> np.ndarray:
    """The first model's translation of the sheet by a seed."""
    translator = p2p.load(models[0][1])
    drawing = canvas_for(translator.card.config.data).input_of(demo.sheet())
    return translator.translate(drawing, translator.noise(1, seed))


def test_another_is_another_seed_that_stays_while_drawing(demo, models):
    with demo.new_results(0, 1):
        demo.page.get_by_role("button", name="Another").click()
    demo.wait_for_caption(0, "seed 1")
    with demo.new_results(0, 1):
        demo.stroke()
    demo.page.wait_for_timeout(1000)  # the last piece of the stroke
    np.testing.assert_array_equal(demo.pixels(0), expected(models, demo, 1))
    with demo.new_results(0, 1):
        demo.page.locator(".sheet canvas").press("a")
    demo.wait_for_caption(0, "seed 2")
    assert demo.seed().input_value() == "2"
    demo.page.locator(".strip-spoken").filter(has_text="Translated: seed 2").wait_for(state="attached")
    with demo.page.expect_download() as download:
        demo.page.get_by_role("button", name="Download").first.click()
    assert download.value.suggested_filename.endswith("-seed-2.png")


def test_the_strip_follows_the_drawing_and_a_thumbnail_becomes_the_picture(demo, models):
    demo.page.get_by_role("button", name="Show variants").click()
    demo.page.get_by_role("button", name="Variant 3").wait_for()
    np.testing.assert_array_equal(demo.thumbnail(6), expected(models, demo, 6))
    with demo.new_results(0, 1):
        demo.page.get_by_role("button", name="Variant 3").click()
    demo.wait_for_caption(0, "seed 3")
    with demo.new_results(0, 1):
        demo.stroke()
    demo.page.locator('.strip[aria-busy="true"]').wait_for()
    for seed in (3, 6):
        np.testing.assert_array_equal(demo.thumbnail(seed), expected(models, demo, seed))
    pressed = demo.page.locator('.strip [aria-pressed="true"]')
    assert pressed.count() == 1 and pressed.get_attribute("data-seed") == "3"
    demo.page.get_by_role("button", name="Other variants").click()
    demo.page.get_by_role("button", name="Variant 12").wait_for()


def test_without_noise_there_is_no_other_answer(models, browser):
    with served(models[2]) as address:
        demo = Demo(browser, address)
        assert demo.page.get_by_role("button", name="Another").count() == 0 and demo.seed().count() == 0
        demo.page.close()


def test_on_a_phone_the_translation_stays_in_sight(models, browser):
    with served(models[0]) as address:
        demo = Demo(browser, address)
        demo.page.set_viewport_size({"width": 390, "height": 800})
        demo.page.locator(".sheet canvas").evaluate("canvas => canvas.scrollIntoView({ block: 'end' })")
        demo.page.wait_for_timeout(200)
        places = (".translation", ".sheet canvas", "#another")
        picture, sheet, another = (demo.page.locator(place).bounding_box() for place in places)
        assert demo.page.evaluate("document.documentElement.scrollWidth") == 390
        assert picture["y"] >= 0 and picture["y"] + picture["height"] <= sheet["y"]
        assert sheet["x"] + sheet["width"] <= 390 and sheet["y"] + sheet["height"] <= another["y"] + 1
        assert another["y"] > 650 and another["y"] + another["height"] <= 800  # where a thumb is
        demo.page.close()


def test_on_a_phone_other_answers_are_in_sight_while_drawing(models, browser):
    with served(models[0]) as address:
        demo = Demo(browser, address)
        demo.page.set_viewport_size({"width": 390, "height": 800})
        demo.wait_for_layout()
        demo.page.locator(".sheet canvas").evaluate("canvas => canvas.scrollIntoView({ block: 'end' })")
        demo.wait_for_layout()
        scrolled = demo.page.evaluate("window.scrollY")
        with demo.new_results():
            demo.page.get_by_role("button", name="Another").click()
        demo.page.get_by_role("button", name="Show variants").click()
        demo.page.get_by_role("button", name="Variant 6").wait_for()
        demo.page.wait_for_timeout(200)
        assert demo.page.evaluate("window.scrollY") == scrolled
        controls = (demo.page.get_by_role("button", name=name) for name in ("Another", "Other variants", "Variant 6"))
        for box in (control.bounding_box() for control in (*controls, demo.seed())):
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 800
        assert demo.page.locator(".translation").bounding_box()["y"] >= 0
        demo.page.close()


def test_a_dropped_photograph_becomes_an_input_is_translated_and_can_be_drawn_on(demo, tmp_path):
    path = tmp_path / "photo of a cat.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(path)
    demo.page.get_by_role("tab", name="File").click()
    with demo.new_results(0, 1, 2):
        demo.page.locator("input[type=file]").last.set_input_files(path)
    demo.wait_for_caption(0, "64x48 px")
    demo.wait_for_caption(2, "reflected to it or cut into tiles")
    with demo.new_results():  # by hand, without the operator
        demo.page.get_by_role("checkbox", name="make the input from it (edges)").uncheck()
    demo.page.get_by_role("button", name="Draw on it").click()
    demo.page.wait_for_function("document.querySelector('.sheet canvas')?.width === 64")
    assert demo.sheet().shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["bad.png", "notes.txt", "empty.jpg"])
def test_what_is_no_image_is_said_on_the_page(demo, tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"<b>not</b> an image")
    demo.page.get_by_role("tab", name="File").click()
    demo.page.locator("input[type=file]").last.set_input_files(tmp_path / name)
    said = demo.said()
    assert f"Every image must be readable and whole. Received {name}, which" in said
    assert str(tmp_path) not in said and "Traceback" not in said


def test_too_large_a_file_is_refused_on_the_page(demo, tmp_path):
    (tmp_path / "large.png").write_bytes(os.urandom((UPLOAD_MB << 20) + 1))
    demo.page.get_by_role("tab", name="File").click()
    demo.page.locator("input[type=file]").last.set_input_files(tmp_path / "large.png")
    assert "exceed the maximum allowed size of 1" in demo.said()


def test_what_came_over_the_wire_must_be_a_picture():
    for value in (None, "", "data:image/png;base64,!!", "data:image/png;base64,AAAA", "https://elsewhere/a.png"):
        with pytest.raises(UserError, match=r"A drawing must be a picture\. Received one that "):
            painted(value)


def test_an_error_is_said_without_markup_and_without_the_servers_paths():
    with pytest.raises(gradio.Error) as caught, shown_errors("/tmp/gradio/a/<b>.png", "<b>.png"):
        raise UserError("Received /tmp/gradio/a/<b>.png, which is none.")
    assert caught.value.message == "Received &lt;b&gt;.png, which is none."
    with pytest.raises(gradio.Error, match="fit in memory"), shown_errors():
        raise MemoryError


@pytest.mark.parametrize(("name", "status"), [("localhost", 200), ("127.0.0.1", 200), ("evil.example", 400), ("", 400)])
def test_the_page_answers_to_its_own_names_alone(address, name, status):
    """A foreign name may be pointed at this machine (DNS rebinding)."""
    address = address.split("/")[2]
    port = address.rpartition(":")[2]
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", "/", headers={"Host": f"{name}:{port}" if name else ""})
    assert connection.getresponse().status == status


def test_a_port_that_is_taken_is_said(smoke_run):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"a free port. Received 127.0.0.1 and {port}: "),
            served((None, smoke_run.directory.path), port=port),
        ):
            pass


def test_other_machines_are_let_in_with_a_warning(smoke_run, monkeypatch):
    said = []
    monkeypatch.setattr("tfpix2pix.inference.demo.serve.warnings.warn", lambda message, **_: said.append(message))
    with served((None, smoke_run.directory.path), host="0.0.0.0"):
        pass
    assert "Everyone who reaches this machine as 0.0.0.0 can use the page." in said


def test_the_python_of_the_document_makes_the_page(smoke_run):
    text = (Path(__file__).parents[3] / "docs" / "page.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert code.endswith("page.launch()\n")
    names = {}
    exec(code.replace("runs/demo", str(smoke_run.directory.path)).replace("page.launch()\n", ""), names)
    assert isinstance(names["page"], gradio.Blocks)
