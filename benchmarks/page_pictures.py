"""The pictures of docs/page.md: `tfpix2pix demo` in Chromium, with a face drawn on the sheet, and what a bad file does.

    python benchmarks/page_pictures.py openmoji --out docs/images

Needs Playwright and Chromium (the extra `dev`).
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tfpix2pix.quiet import load_tensorflow


def ellipse(x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    angles = [step / 60 * math.tau for step in range(61)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


FACE = {  # strokes, in parts of the sheet
    "head": ellipse(0.5, 0.5, 0.32, 0.32),
    "left eye": ellipse(0.38, 0.42, 0.03, 0.05),
    "right eye": ellipse(0.62, 0.42, 0.03, 0.05),
    "mouth": [*ellipse(0.5, 0.56, 0.18, 0.18)[:31], (0.68, 0.56)],  # the lower half and the line between its ends
}


def draw(page: Page) -> None:
    box = page.locator(".sheet canvas").bounding_box()
    side = min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    for stroke in FACE.values():
        places = [(left + x * side, top + y * side) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
            page.wait_for_timeout(20)  # a frame, so that the sheet gets each place
        page.mouse.up()


def take(page: Page, path: Path) -> None:
    page.wait_for_timeout(3000)
    page.screenshot(path=path)
    Image.open(path).save(path, optimize=True)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    load_tensorflow()
    from tfpix2pix import load
    from tfpix2pix.inference.demo.serve import serve
    from tfpix2pix.runs.pretrained import examples_of, trained_path

    ready, until, addresses = threading.Event(), threading.Event(), []
    named = [(None, path, load(path)) for path in arguments.models]
    opened = lambda address: (addresses.append(address), ready.set())  # noqa: E731
    drawings = examples_of(trained_path(arguments.models[0]))
    threading.Thread(target=lambda: serve(named, drawings=drawings, ready=opened, until=until), daemon=True).start()
    if not ready.wait(60):
        raise SystemExit("the page did not begin, for the reason above")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(addresses[0])
        page.locator(".translation img").last.wait_for()
        page.get_by_role("button", name="Blank sheet").click()
        draw(page)
        take(page, arguments.out / "demo-page.png")
        page.get_by_role("tab", name="File").click()
        bad = Path(folder) / "scan.tif"
        bad.write_bytes(b"cut short")
        page.locator("input[type=file]").last.set_input_files(bad)
        page.locator(".toast-body").wait_for()
        take(page, arguments.out / "demo-page-error.png")
        chromium.close()
    until.set()


if __name__ == "__main__":
    main()
