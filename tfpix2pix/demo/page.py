"""The page itself: Gradio's components and which event makes which translation."""

from __future__ import annotations

import os
import re
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import: it would ask other machines

import gradio as gr
import numpy as np

from tfpix2pix.data import OPERATORS
from tfpix2pix.data.images import suffix_for, write_image
from tfpix2pix.demo.canvas import Canvas
from tfpix2pix.demo.models import Shown, Translation, read_input, side_px, translate
from tfpix2pix.demo.sheet import painted, sheet, with_picture
from tfpix2pix.errors import UserError
from tfpix2pix.pages import attribution_line

MOST_NOISE = 32  # seeds on the slider
FILES_KEPT = 32  # to download; Gradio keeps its own copies for KEPT_S
KEPT_S = 3600
TRANSLATION_PX = 420  # height on the page
SMALL_PX = 128  # below, pixels are shown as squares
CSS = """
.translation img { width: 100%; height: 100%; object-fit: contain }
.small img { image-rendering: pixelated }
"""
OWN_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # nothing is fetched


class Outputs:
    """The models' translations on the page, and the files of them."""

    def __init__(self, models: Sequence[Shown]) -> None:
        self.models = models
        self._folder = tempfile.TemporaryDirectory(prefix="tfpix2pix-demo-")  # goes with the page
        self._files: deque[Path] = deque()
        self._count = 0
        self.components: list[gr.components.Component] = []
        with gr.Row():
            for place, model in enumerate(models):
                with gr.Column(min_width=240):
                    picture = gr.Image(
                        label=model.name, format="png", interactive=False, height=TRANSLATION_PX,
                        buttons=["fullscreen"],
                        elem_classes=["translation", *(["small"] if side_px(model) < SMALL_PX else [])],
                    )  # fmt: skip
                    caption = gr.Markdown(elem_id=f"caption-{place}")
                    download = gr.DownloadButton("Download", size="sm", interactive=False)
                    self.components += [picture, caption, download]

    def of(self, image: np.ndarray, noise: int, where: str) -> list[Any]:
        """Values of `components`."""
        values = []
        for model in self.models:
            made = translate(model, image, noise=noise, where=where)
            download = gr.DownloadButton(value=str(self._file(model, made)), interactive=True)
            values += [made.picture, _caption(made), download]
        return values

    def _file(self, model: Shown, made: Translation) -> Path:
        """A file in the depth of the model's targets, as `tfpix2pix translate` writes it."""
        self._count += 1
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.name).strip("-.") or "translation"
        suffix = suffix_for(made.image.shape[-1], made.image.dtype)
        path = Path(self._folder.name) / str(self._count) / f"{name}{suffix}"
        write_image(path, made.image, made.palette)
        self._files.append(path)
        if len(self._files) > FILES_KEPT * len(self.models):
            oldest = self._files.popleft()
            oldest.unlink(missing_ok=True)
            oldest.parent.rmdir()
        return path


def build_page(models: Sequence[Shown], canvas: Canvas, examples: Sequence[np.ndarray] = ()) -> gr.Blocks:
    """The page of models that take the same kind of input, as `gr.Blocks`: `.launch()` serves it.

    Args:
        canvas: of the first model.
        examples: pictures of inputs to begin with, uint8 (H, W, 3).
    """
    first, side = models[0], side_px(models[0])
    start = max(examples, key=np.std) if examples else canvas.blank(side, side)  # the one that shows most
    noisy = any(model.card.noise_size for model in models)

    with gr.Blocks(title=f"{first.name}: tfpix2pix", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.Markdown(f"# {', '.join(_plain(model.name) for model in models)}\n{_what_to_do(canvas)}")
        translated = gr.State()  # (input as its file holds it, its name): what the slider's noise is for
        with gr.Row():
            with gr.Column(min_width=320):
                with gr.Tabs() as tabs:
                    with gr.Tab("Draw", id="draw"):
                        paper = sheet(canvas, start)
                        gallery = gr.Gallery(
                            list(examples), label="Begin with", columns=4, height=160, allow_preview=False,
                            visible=bool(examples), interactive=False, format="png", buttons=[],
                        )  # fmt: skip
                    with gr.Tab("File", id="file"):
                        file = gr.File(label=_file_label(first), height=110)
                        by_operator, enlarge = _ways_to_read(first)
                        seen = gr.Image(label="Input", interactive=False, format="png", visible=False, buttons=[])
                        draw_on = gr.Button("Draw on it", size="sm", visible=False)
                noise = gr.Slider(
                    0, MOST_NOISE, value=int(first.card.noise == "on"), step=1, visible=noisy,
                    label="Noise: 0 for none, otherwise the seed",
                )  # fmt: skip
            with gr.Column(min_width=320, scale=len(models)):
                outputs = Outputs(models)
        with gr.Accordion("About", open=False):
            gr.Markdown(_facts(models))
        for attribution in dict.fromkeys(model.card.attribution for model in models if model.card.attribution):
            gr.HTML(attribution_line(attribution))

        def on_drawing(drawing: str, seed: int):
            with told():
                image = canvas.input_of(painted(drawing))
                return [(image, "the drawing"), *outputs.of(image, seed, "the drawing")]

        def on_file(path: str | None, made_by_operator: bool, times: float, seed: int):
            if path is None:
                return [gr.skip()] * (3 + len(outputs.components))
            name = Path(path).name
            with told(path, name):
                image = read_input(Path(path), first.card, by_operator=made_by_operator, enlarge=int(times))
                picture = canvas.picture_of(image)
                return [
                    (image, name), gr.Image(picture, visible=True), gr.Button(visible=True),
                    *outputs.of(image, seed, name),
                ]  # fmt: skip

        def on_noise(what: tuple[np.ndarray, str] | None, seed: int):
            if what is None:
                return [gr.skip()] * len(outputs.components)
            with told():
                return outputs.of(what[0], seed, what[1])

        one_at_a_time = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
        newest = {**one_at_a_time, "trigger_mode": "always_last", "show_progress": "hidden"}
        paper.input(on_drawing, [paper, noise], [translated, *outputs.components], **newest)
        gr.on(
            [file.upload, by_operator.input, enlarge.input], on_file, [file, by_operator, enlarge, noise],
            [translated, seen, draw_on, *outputs.components], **one_at_a_time,
        )  # fmt: skip
        noise.input(on_noise, [translated, noise], outputs.components, **newest)
        own = {"api_visibility": "private", "show_progress": "hidden"}
        gallery.select(_chosen(examples), None, paper, **own)
        draw_on.click(lambda picture: (with_picture(picture), gr.Tabs(selected="draw")), seen, [paper, tabs], **own)
    return page


@contextmanager
def told(path: str = "", name: str = ""):
    """A user's mistake is said on the page; of a dropped file its name, not where the page keeps it."""
    try:
        yield
    except UserError as error:
        raise gr.Error(escape(str(error).replace(path or "\0", name)), duration=None, print_exception=False) from error
    except MemoryError as error:
        raise gr.Error(
            "An image and its translation must fit in memory. Received one that did not. Make it smaller.",
            duration=None, print_exception=False,
        ) from error  # fmt: skip


def _ways_to_read(model: Shown) -> tuple[gr.Checkbox, gr.Slider]:
    """Whether the model's operator makes the input, and how many times it is enlarged: shown where it matters."""
    data = model.card.config.data
    enlarges = data.makes_inputs and OPERATORS[data.operator].leaves == "fewer"
    makes = data.makes_inputs and not enlarges
    by_operator = gr.Checkbox(makes, label=f"A photograph: make the input from it ({data.operator})", visible=makes)
    times = data.downsample_factor if enlarges else 1
    enlarge = gr.Slider(1, 16, value=times, step=1, label="Enlarge first, times", visible=enlarges)
    return by_operator, enlarge


def _chosen(pictures: Sequence[np.ndarray]) -> Callable[[gr.SelectData], gr.HTML]:
    def chosen(event: gr.SelectData) -> gr.HTML:
        return with_picture(pictures[event.index])

    return chosen


def _what_to_do(canvas: Canvas) -> str:
    if canvas.holes:
        return "Paint over what shall go, or drop a file: the model fills it while you paint."
    return "Draw, or drop a file: the translation follows as you draw."


def _file_label(model: Shown) -> str:
    if model.card.config.data.makes_inputs:
        return "Drop a photograph here: PNG, JPEG, TIFF, NPY, …"
    return "Drop an input here: PNG, JPEG, TIFF, NPY, …, 8 or 16 bits or floats"


def _caption(made: Translation) -> str:
    height, width = made.image.shape[:2]
    notes = "".join(f"<br>{escape(note)}" for note in made.notes)
    return f"{width}x{height} px, {made.seconds * 1e3:.0f} ms{notes}"


def _facts(models: Sequence[Shown]) -> str:
    titles = models[0].facts
    rows = [[_plain(value) for value in model.facts.values()] for model in models]
    lines = [list(titles), ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~-])", r"\\\1", text)
