"""A real Chromium to try pages in. Tests that need one are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def started(*options: str) -> Iterator:
    """The browser of Playwright's synchronous API, with more options of its command line."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="a page is tried in Chromium by Playwright")
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"a page is tried in Chromium, which is not there under any of the names {', '.join(NAMES)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", *options])
        yield browser
        browser.close()


class Tab:
    """A page opened from the disk, with what it asked for and what went wrong."""

    def __init__(self, browser, path: Path, *, width_px: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width_px, "height": 800}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text))
        self.page.set_default_timeout(20_000)
        self.page.goto(path.as_uri())

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def __getattr__(self, name: str):
        return getattr(self.page, name)

    def loaded(self) -> list[str]:
        """What was requested beside the page itself and the pictures in it."""
        return [url for url in self.requests[1:] if not url.startswith("data:")]

    def focused(self) -> str:
        """What has the focus, by its accessible name."""
        return self.page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")
