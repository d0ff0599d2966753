"""Exported pages in Chromium: how far they are from `translate`, how fast, and in how much memory.

    tfpix2pix export RUN --format web --single-file --quantize dynamic --out pages
    python benchmarks/web_page.py pages/*.html

Prints a row of docs/web.md for each page: megabytes, the first image after opening, milliseconds an image in the page
and in Python (medians of 30 and 15), the largest difference in levels of 255 on a drawing and on a photograph of
700×500 px, and the memory of Chromium's renderers before and after 200 strokes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

PHOTOGRAPH_PX = (700, 500)
STROKES = 200
COLUMNS = (
    "page", "MB", "first image, s", "ms, page", "ms, Python", "levels, drawing", "levels, photograph", "MB before",
    "MB after",
)  # fmt: skip


def renderers_mb() -> float:
    """Returns the resident memory of Chromium's renderers, MB."""
    pages = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                pages += int((process / "statm").read_text().split()[1])
        except OSError:  # it has ended
            continue
    return pages * 4096 / 1e6


def row(path: Path) -> list[str]:
    from skimage import data as photographs

    from tests.evaluation.report.browser import started
    from tests.export.web.pages import Open, expected_of, levels, translator_of
    from tfpix2pix.inference.demo.canvas import canvas_for

    translator = translator_of(path)
    data = translator.card.config.data
    side = data.image_size_px
    with started() as browser, tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        with Open(browser, path.resolve().as_uri()) as page:
            page.wait()
            first_s = time.perf_counter() - began_s
            page.button("Blank sheet").click()
            angles = np.linspace(0, 2 * np.pi, 25)
            circle = [(side * (0.5 + 0.38 * np.cos(angle)), side * (0.5 + 0.38 * np.sin(angle))) for angle in angles]
            page.mouse.move(*page.place(*circle[0]))
            page.mouse.down()
            for point in circle[1:]:
                page.mouse.move(*page.place(*point))
            page.mouse.up()
            drawing = page.sheet()
            of_drawing = levels(page.result(), expected_of(path, drawing))
            page_ms = []
            for index in range(30):
                page.drag((index % side, 2), (index % side, 6), steps=2)
                page.wait()
                page_ms.append(float(page.locator("#status").get_attribute("data-ms")))
            image, python_ms = canvas_for(data).input_of(drawing), []
            for _ in range(16):
                began_s = time.perf_counter()
                translator.translate(image)
                python_ms.append(1e3 * (time.perf_counter() - began_s))
            before_mb = renderers_mb()
            for index in range(STROKES):
                page.drag((index % side, 2), (side - 1 - index % side, side - 2), steps=2)
            page.wait()
            after_mb = renderers_mb()
            photograph = np.asarray(Image.fromarray(photographs.astronaut()).resize(PHOTOGRAPH_PX))
            Image.fromarray(photograph).save(Path(folder) / "photograph.png")
            page.open_file(Path(folder) / "photograph.png")
            page.locator("#status", has_text="×".join(map(str, PHOTOGRAPH_PX))).wait_for()
            of_photograph = levels(page.result(), expected_of(path, photograph))
    values = (
        f"{path.stat().st_size / 1e6:.1f}", f"{first_s:.1f}", f"{statistics.median(page_ms):.0f}",
        f"{statistics.median(python_ms[1:]):.0f}", of_drawing, of_photograph, f"{before_mb:.0f}", f"{after_mb:.0f}",
    )  # fmt: skip
    return [path.stem, *map(str, values)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, help="pages of --single-file")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |", f"|---|{'--:|' * (len(COLUMNS) - 1)}", sep="\n")
    for path in options.pages:
        print(f"| {' | '.join(row(path))} |", flush=True)


if __name__ == "__main__":
    main()
