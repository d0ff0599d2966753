"""Builds the page from Gradio's components, and connects their events with translations."""

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

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import, which would send data to other machines

import gradio as gr
import numpy as np

from tfpix2pix.data import OPERATORS
from tfpix2pix.data.images import suffix_for, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.canvas import Canvas
from tfpix2pix.inference.demo.models import Shown, Translation, read_input, side_px, translate
from tfpix2pix.inference.demo.sheet import painted, sheet, with_picture
from tfpix2pix.pages import attribution_line

MOST_NOISE = 32  # seeds on the slider
FILES_KEPT = 32  # to download, for each model; Gradio keeps its own copies for KEPT_S
KEPT_S = 3600  # seconds
TRANSLATION_PX = 420  # height on the page
SMALL_PX = 128  # smaller pictures are shown with their pixels as squares
CSS = """
.translation img { width: 100%; height: 100%; object-fit: contain }
.small img { image-rendering: pixelated }
"""
# Fonts of the browser's machine, so that it fetches none.
OWN_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


class Outputs:
    """Shows the models' translations on the page, and keeps their files to download."""

    def __init__(self, models: Sequence[Shown]) -> None:
        self.models = models
        self._folder = tempfile.TemporaryDirectory(prefix="tfpix2pix-demo-")  # removed with the page
        self._files: deque[Path] = deque()
        self._count = 0
        self.components: list[gr.components.Component] = []
        with gr.Row():
            for number, model in enumerate(models):
                with gr.Column(min_width=240):
                    picture = gr.Image(
                        label=model.name, format="png", interactive=False, height=TRANSLATION_PX,
                        buttons=["fullscreen"],
                        elem_classes=["translation", *(["small"] if side_px(model) < SMALL_PX else [])],
                    )  # fmt: skip
                    caption = gr.Markdown(elem_id=f"caption-{number}")
                    download = gr.DownloadButton("Download", size="sm", interactive=False)
                    self.components += [picture, caption, download]

    def of(self, image: np.ndarray, noise: int, where: str) -> list[Any]:
        """Returns the values of `components` for an input."""
        values = []
        for model in self.models:
            translation = translate(model, image, noise=noise, where=where)
            download = gr.DownloadButton(value=str(self._file(model, translation)), interactive=True)
            values += [translation.picture, _caption(translation), download]
        return values

    def _file(self, model: Shown, translation: Translation) -> Path:
        """Writes a translation as `tfpix2pix translate` does, and removes the oldest files."""
        self._count += 1
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.name).strip("-.") or "translation"
        suffix = suffix_for(translation.image.shape[-1], translation.image.dtype)
        path = Path(self._folder.name) / str(self._count) / f"{name}{suffix}"
        write_image(path, translation.image, translation.palette)
        self._files.append(path)
        if len(self._files) > FILES_KEPT * len(self.models):
            oldest = self._files.popleft()
            oldest.unlink(missing_ok=True)
            oldest.parent.rmdir()
        return path


def build_page(models: Sequence[Shown], canvas: Canvas, examples: Sequence[np.ndarray] = ()) -> gr.Blocks:
    """Returns the page of models that take the same kind of input. Its method `launch` serves it.

    Args:
        canvas: canvas of the first model.
        examples: pictures of inputs to begin with, uint8 (H, W, 3).
    """
    first, side = models[0], side_px(models[0])
    start = max(examples, key=np.std) if examples else canvas.blank(side, side)  # the picture with most contrast
    noisy = any(model.card.noise_size for model in models)

    with gr.Blocks(title=f"{first.name}: tfpix2pix", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.Markdown(f"# {', '.join(_plain(model.name) for model in models)}\n{_instructions(canvas)}")
        translated = gr.State()  # (input as its file holds it, its name), translated again for another noise
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
                        by_operator, enlarge = _reading_choices(first)
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
            with shown_errors():
                image = canvas.input_of(painted(drawing))
                return [(image, "the drawing"), *outputs.of(image, seed, "the drawing")]

        def on_file(path: str | None, is_photograph: bool, factor: float, seed: int):
            if path is None:
                return [gr.skip()] * (3 + len(outputs.components))
            name = Path(path).name
            with shown_errors(path, name):
                image = read_input(Path(path), first.card, by_operator=is_photograph, enlarge=int(factor))
                picture = canvas.picture_of(image)
                return [
                    (image, name), gr.Image(picture, visible=True), gr.Button(visible=True),
                    *outputs.of(image, seed, name),
                ]  # fmt: skip

        def on_noise(shown: tuple[np.ndarray, str] | None, seed: int):
            if shown is None:
                return [gr.skip()] * len(outputs.components)
            with shown_errors():
                image, name = shown
                return outputs.of(image, seed, name)

        one_at_a_time = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
        newest = {**one_at_a_time, "trigger_mode": "always_last", "show_progress": "hidden"}
        paper.input(on_drawing, [paper, noise], [translated, *outputs.components], **newest)
        gr.on(
            [file.upload, by_operator.input, enlarge.input], on_file, [file, by_operator, enlarge, noise],
            [translated, seen, draw_on, *outputs.components], **one_at_a_time,
        )  # fmt: skip
        noise.input(on_noise, [translated, noise], outputs.components, **newest)
        options = {"api_visibility": "private", "show_progress": "hidden"}
        gallery.select(_chosen(examples), None, paper, **options)
        draw_on.click(lambda picture: (with_picture(picture), gr.Tabs(selected="draw")), seen, [paper, tabs], **options)
    return page


@contextmanager
def shown_errors(path: str = "", name: str = ""):
    """Shows a UserError on the page, with the name of a dropped file in place of its path."""
    try:
        yield
    except UserError as error:
        raise gr.Error(escape(str(error).replace(path or "\0", name)), duration=None, print_exception=False) from error
    except MemoryError as error:
        raise gr.Error(
            "An image and its translation must fit in memory. Received one that did not. Make it smaller.",
            duration=None, print_exception=False,
        ) from error  # fmt: skip


def _reading_choices(model: Shown) -> tuple[gr.Checkbox, gr.Slider]:
    """Returns the inputs for the operator and the enlargement, each visible if the model needs it."""
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


def _instructions(canvas: Canvas) -> str:
    if canvas.holes:
        return (
            "Paint over the parts that the model should replace, or drop a file. The translation follows as you paint."
        )
    return "Draw, or drop a file. The translation follows as you draw."


def _file_label(model: Shown) -> str:
    if model.card.config.data.makes_inputs:
        return "Drop a photograph here: PNG, JPEG, TIFF, NPY, …"
    return "Drop an input here: PNG, JPEG, TIFF, NPY, …, 8 or 16 bits or floats"


def _caption(translation: Translation) -> str:
    height, width = translation.image.shape[:2]
    notes = "".join(f"<br>{escape(note)}" for note in translation.notes)
    return f"{width}x{height} px, {translation.seconds * 1e3:.0f} ms{notes}"


def _facts(models: Sequence[Shown]) -> str:
    titles = models[0].facts
    rows = [[_plain(value) for value in model.facts.values()] for model in models]
    lines = [list(titles), ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Returns text escaped for Markdown and HTML."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~-])", r"\\\1", text)
