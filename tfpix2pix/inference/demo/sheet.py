"""Builds the sheet to paint on. The value of this component is the painting, a PNG in a data URI."""

from __future__ import annotations

import base64
import binascii
import itertools

import gradio as gr
import numpy as np

from tfpix2pix.data.formats import Unreadable, decode, encode
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.canvas import Canvas, hex_of
from tfpix2pix.inference.demo.models import MOST_PX
from tfpix2pix.pages import asset, data_uri

PNG = "data:image/png;base64,"
PACKAGE = "tfpix2pix.inference.demo"
_counts = itertools.count()  # makes a sheet new, even with the same picture
SCRIPT = asset(PACKAGE, "sheet.js").replace("export function", "function")
# `props.sheet` is [count, address of the first picture]. `props.value` is the address of the present picture.
ON_LOAD = """
const paper = makeSheet(element, {
  palette: props.palette, pen: props.pen, ground: props.ground, brushPx: props.brush_px, mostPx: props.most_px,
  pauseMs: 150, another: props.another ? () => document.getElementById(props.another).click() : null,
  changed(canvas) {
    props.value = canvas.toDataURL("image/png");
    trigger("input");
  },
});
async function show() {
  const picture = new Image();
  picture.src = props.sheet[1];
  await picture.decode();
  paper.show(picture);
}
watch("sheet", show);
show();
"""


def sheet(canvas: Canvas, picture: np.ndarray, another: str = "") -> gr.HTML:
    """Returns the component with `picture`, uint8 (H, W, 3), on it. Its event is `input`.

    Args:
        another: id of the button that the key A presses; "": none.
    """
    return gr.HTML(
        **_on(picture),
        html_template="<div></div>", css_template=asset(PACKAGE, "sheet.css"),
        js_on_load=SCRIPT + ON_LOAD, apply_default_css=False, elem_classes="sheet",
        palette=[{"name": name, "color": hex_of(color)} for name, color in canvas.palette.items()],
        pen=hex_of(canvas.pen), ground=hex_of(canvas.ground), brush_px=canvas.brush_px,
        most_px=max(8, 4 * canvas.brush_px), another=another,
    )  # fmt: skip


def with_picture(picture: np.ndarray) -> gr.HTML:
    """Returns an update of the component with another picture on it."""
    return gr.HTML(**_on(picture))


def painted(value: str | None) -> np.ndarray:
    """Returns the painting on the sheet, uint8 (H, W, 3).

    Raises:
        UserError: the value is not a picture.
    """
    try:
        if not (value or "").startswith(PNG):
            raise Unreadable("is not a PNG")
        image = decode(base64.b64decode(value[len(PNG) :], validate=True), most_px=MOST_PX)
        if image.dtype != np.uint8 or image.shape[-1] not in (3, 4):
            raise Unreadable(f"has {image.shape[-1]} channels of {image.dtype}")
    except (Unreadable, binascii.Error) as error:
        reason = str(error) if isinstance(error, Unreadable) else "is not base64"
        raise UserError(f"A drawing must be a picture. Received one that {reason}. Load the page again.") from error
    return image[..., :3]


def _on(picture: np.ndarray) -> dict:
    address = data_uri(encode(picture, ".png"), "image/png")
    return {"value": address, "sheet": [next(_counts), address]}
