"""Exported pages of untrained models, in a real Chromium."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import tiny_config
from tests.export.helpers import generator_of
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.export.web import page
from tfpix2pix.inference.demo.canvas import canvas_for
from tfpix2pix.inference.translator import Translator
from tfpix2pix.models.noise import noise_size

WAIT_MS = 60_000


def made(
    folder: Path, *, noise_input: bool = False, examples=(), single_file: bool = True, card=None, **changes
) -> Path:
    """A page of an untrained model, `page.html` in a folder, or the folder of a site."""
    config = tiny_config(**changes)
    generator = generator_of(config, noise_input=noise_input)
    model_card = ModelCard.of(
        config, 7, noise_size=noise_size(generator), fixed_size_px=config.data.image_size_px,
        metrics={"trained": {"l1": 0.25}}, metrics_images=3, **(card or {}),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "page.html" if single_file else folder
    (page.write_file if single_file else page.write_folder)(generator, model_card, path, examples=examples)
    return path


def translator_of(path: Path) -> Translator:
    """Python's translator of the model in a page."""
    return Translator((page.read_folder if path.is_dir() else page.read_file)(path))


def expected_of(path, picture, vector=None):
    """Python's translation of a drawing, as a picture."""
    translator = translator_of(path)
    data = translator.card.config.data
    result = translator.translate(canvas_for(data).input_of(picture), vector, "a drawing")
    return pictures_of(data)[1](to_signed(result, data.ranges[1]))


def levels(first, second):
    """The largest difference."""
    assert first.shape == second.shape
    return np.abs(first.astype(int) - second.astype(int)).max()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served as `python -m http.server` does."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Open:
    """An open page: what it shows, asks for and complains of."""

    def __init__(self, browser, address: str, *, wishes: str = "", width_px: int = 1280, **options) -> None:
        height_px = 800 if width_px < 500 else 1000
        self.context = browser.new_context(viewport={"width": width_px, "height": height_px}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: "Content Security" in said.text and self.errors.append(said.text))
        self.address = address
        self.page.goto(f"{address}#{wishes}" if wishes else address)
        self.page.locator("body[data-ready]").wait_for()

    def __enter__(self) -> Open:
        return self

    def __exit__(self, kind, *_: object) -> None:
        outside = [url for url in self.requests if not url.startswith((self.address, "data:", "blob:"))]
        self.context.close()
        if kind is None:
            assert self.errors == []
            assert outside == []

    def __getattr__(self, name: str):
        return getattr(self.page, name)

    def wait(self) -> None:
        """Waits until the drawing on the sheet has been translated."""
        for _ in range(2):
            self.page.wait_for_timeout(150)
            self.page.locator('body[data-idle="true"]').wait_for()

    def pixels(self, canvas: str) -> np.ndarray:
        """Returns the picture on a canvas, uint8 (H, W, 3)."""
        uri = self.page.evaluate("id => document.querySelector(id).toDataURL('image/png')", canvas)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))

    def sheet(self) -> np.ndarray:
        return self.pixels("#sheet canvas")

    def result(self) -> np.ndarray:
        self.wait()
        return self.pixels("#after")

    def button(self, name: str):
        return self.page.get_by_role("button", name=name, exact=True)

    def choose(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).click()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Returns the place of a pixel of the sheet on the page."""
        canvas = self.page.locator("#sheet canvas")
        canvas.scroll_into_view_if_needed()
        box, height, width = canvas.bounding_box(), *self.sheet().shape[:2]
        scale = min(box["width"] / width, box["height"] / height)
        left = box["x"] + (box["width"] - width * scale) / 2
        top = box["y"] + (box["height"] - height * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
        first, last = self.place(*start), self.place(*end)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        self.page.mouse.move(*last, steps=steps)
        self.page.mouse.up()

    def open_file(self, path: Path) -> None:
        self.page.locator("#file").set_input_files(path)
        self.wait()
