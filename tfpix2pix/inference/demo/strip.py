"""Builds the strip of variants by noise. The value of this component is the seed of the thumbnail that was pressed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import gradio as gr
import numpy as np
from PIL import Image

from tfpix2pix.data.formats import encode
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.sheet import PACKAGE
from tfpix2pix.pages import asset, data_uri

MOST_SEED = 999_999
VARIANTS = 6
THUMBNAIL_PX = 160  # at most, as in strip.js
_turns = itertools.count()  # makes a turn new, even of the same seed
SCRIPT = asset(PACKAGE, "strip.js").replace("export function", "function")
# `props.turn` is [count, seed, whether the input is another], of the newest translation. `props.variants` is [seeds,
# addresses of the thumbnails so far]. When no stroke goes on, the strip asks for thumbnails of the input: `submit`.
ON_LOAD = """
const root = document.createElement("div"), spoken = document.createElement("p");
spoken.className = "strip-spoken";
spoken.setAttribute("role", "status");
element.replaceChildren(root, spoken);
const strip = makeStrip(root, (seed) => {
  props.value = String(seed);
  trigger("click");
});
let resting = null;
function ask() {
  clearTimeout(resting);
  resting = setTimeout(() => {
    if (document.querySelector(".sheet [data-stroke]")) ask();
    else if (strip.seeds.length && strip.waits) trigger("submit");
  }, 300);
}
watch("turn", () => {
  document.getElementById("another")?.setAttribute("aria-keyshortcuts", "A");
  const [, seed, isNew] = props.turn;
  strip.mark(seed);
  if (isNew) strip.wait(true);
  if (strip.waits) ask();
  clearTimeout(spoken.timer);
  spoken.timer = setTimeout(() => { spoken.textContent = seed ? `Translated: seed ${seed}` : "Translated"; }, 1000);
});
watch("variants", async () => {
  const [seeds, addresses] = props.variants;
  strip.begin(seeds);
  strip.mark(props.turn[1]);
  strip.wait(addresses.length < seeds.length);
  if (!addresses.length) ask();
  await Promise.all(addresses.map(async (address, index) => {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    strip.put(seeds[index], picture);
  }));
});
"""


def strip(seed: int) -> gr.HTML:
    """Returns the component, with `seed` for the first translation.

    Its events are `click`, of a thumbnail, and `submit`, which asks for thumbnails.
    """
    return gr.HTML(
        html_template="<div></div>", css_template=asset(PACKAGE, "strip.css"), js_on_load=SCRIPT + ON_LOAD,
        apply_default_css=False, elem_id="variants", turn=[next(_turns), seed, False], variants=[[], []],
    )  # fmt: skip


def turned(seed: int, *, is_new: bool) -> gr.HTML:
    """Returns an update after a translation by a seed. `is_new` says whether it is of another input."""
    return gr.HTML(turn=[next(_turns), seed, is_new])


def with_variants(seeds: Sequence[int], pictures: Sequence[np.ndarray]) -> gr.HTML:
    """Returns an update with thumbnails of the first seeds: `pictures`, uint8 (H, W, 3)."""
    return gr.HTML(variants=[list(seeds), [data_uri(encode(picture, ".png"), "image/png") for picture in pictures]])


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Returns a picture, uint8 (H, W, 3), reduced to what the strip shows."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return np.asarray(image)


def next_seeds(last: int, count: int = VARIANTS) -> list[int]:
    """Returns the seeds after `last`. After `MOST_SEED` comes 1."""
    return [(last + index) % MOST_SEED + 1 for index in range(count)]


def seed_of(value: object) -> int:
    """Returns the seed that a field or a thumbnail holds; an empty field holds 0.

    Raises:
        UserError: it is no whole number from 0 to `MOST_SEED`.
    """
    try:
        seed = int(value or 0)
    except (TypeError, ValueError, OverflowError):
        seed = -1
    if not 0 <= seed <= MOST_SEED:
        raise UserError(f"A seed must be a whole number from 0 to {MOST_SEED}. Received {value!r}. Give 1, say.")
    return seed
