"""WebGPU on a GPU made of software, for correctness alone: WebAssembly is faster there and usually chosen."""

import pytest

from tests.evaluation.report.browser import started
from tests.export.web.pages import Open, expected_of, levels, made

pytestmark = pytest.mark.slow  # a browser


@pytest.mark.parametrize(
    ("wishes", "text"),
    [("webgpu", "levels of 255, so WebGPU is used."), ("", "The largest difference of WebGPU from WebAssembly is 0")],
    ids=["wished for", "by the first image"],
)
def test_webgpu_is_compared_with_webassembly(wishes, text, litert, tmp_path):
    path = made(tmp_path)
    options = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    with started(*options) as browser, Open(browser, path.as_uri(), wishes=wishes) as page:
        page.locator("#note", has_text=text).wait_for()
        page.drag((5, 5), (25, 20))
        assert levels(page.result(), expected_of(path, page.sheet())) <= 1
        if wishes:
            assert page.locator("#status").inner_text().startswith("WebGPU, 32×32 px")
