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
from tfpix2pix.inference.demo.models import Shown, Translation, read_input, sheet_size_px, translate
from tfpix2pix.inference.demo.sheet import PACKAGE, painted, sheet, with_picture
from tfpix2pix.inference.demo.strip import MOST_SEED, next_seeds, seed_of, strip, thumbnail, turned, with_variants
from tfpix2pix.pages import asset, attribution_line

FILES_KEPT = 32  # to download, for each model; Gradio keeps its own copies for KEPT_S
KEPT_S = 3600  # seconds
ANOTHER = "another"  # id of its button
TRANSLATION_PX = 420  # height on the page
SMALL_PX = 128  # smaller pictures are shown with their pixels as squares
CSS = asset(PACKAGE, "page.css")
# Gradio applies `CSS` to what is in its container. In one that hides what overflows, nothing stays in sight.
HEAD = "<style>.gradio-container { overflow: clip !important }</style>"
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
        self.pictures: list[gr.Image] = []  # of the components, those that show that work goes on or has failed
        with gr.Row(elem_classes=["alone"] if len(models) == 1 else []):
            for number, model in enumerate(models):
                with gr.Column(min_width=240):
                    picture = gr.Image(
                        label=model.name, format="png", interactive=False, height=TRANSLATION_PX,
                        buttons=["fullscreen"],
                        elem_classes=["translation", *(["small"] if max(sheet_size_px(model)) < SMALL_PX else [])],
                    )  # fmt: skip
                    caption = gr.Markdown(elem_id=f"caption-{number}")
                    download = gr.DownloadButton("Download", size="sm", interactive=False)
                    self.components += [picture, caption, download]
                    self.pictures.append(picture)

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
        seed = f"-seed-{translation.seed}" if translation.seed else ""
        suffix = suffix_for(translation.image.shape[-1], translation.image.dtype)
        path = Path(self._folder.name) / str(self._count) / f"{name}{seed}{suffix}"
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
        examples: pictures of inputs to begin with, uint8 (H, W, 3). The page opens with the first.
    """
    first = models[0]
    start = examples[0] if examples else canvas.blank(*sheet_size_px(first))
    noisy = next((model for model in models if model.card.noise_size), None)
    seed_at_first = int(first.card.noise == "on")

    with gr.Blocks(title=f"{first.name}: tfpix2pix", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.Markdown(f"# {', '.join(_plain(model.name) for model in models)}\n{_instructions(canvas)}")
        translated = gr.State()  # (input as its file holds it, its name), translated again for another noise
        seeds = gr.State([])  # of the strip of variants
        turns = gr.State({"count": 0})  # shared by the events of a page: a translation ends the making of thumbnails
        with gr.Row(elem_id="work"):
            with gr.Column(min_width=320), gr.Tabs() as tabs:
                with gr.Tab("Draw", id="draw"):
                    paper = sheet(canvas, start, ANOTHER if noisy else "")
                    gallery = gr.Gallery(
                        list(examples), label="Begin with", columns=4, height=160, allow_preview=False,
                        visible=bool(examples), interactive=False, format="png", buttons=[],
                    )  # fmt: skip
                with gr.Tab("File", id="file"):
                    file = gr.File(label=_file_label(first), height=110)
                    by_operator, enlarge = _reading_choices(first)
                    seen = gr.Image(label="Input", interactive=False, format="png", visible=False, buttons=[])
                    draw_on = gr.Button("Draw on it", size="sm", visible=False)
            with gr.Column(min_width=320, scale=len(models), elem_id="result"):
                outputs = Outputs(models)
                with gr.Column(visible=noisy is not None, elem_id="answers"):
                    with gr.Row(elem_id="noise"):
                        another = gr.Button("Another", elem_id=ANOTHER, size="md", min_width=80)
                        seed = gr.Number(
                            seed_at_first, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, min_width=80
                        )
                        more = gr.Button("Show variants", size="md", min_width=120)
                    variants = strip(seed_at_first)
                if noisy:
                    gr.Markdown(_seed_help(noisy))
        with gr.Accordion("About", open=False):
            gr.Markdown(_facts(models))
        for attribution in dict.fromkeys(model.card.attribution for model in models if model.card.attribution):
            gr.HTML(attribution_line(attribution))

        def translated_by(
            image: np.ndarray, name: str, seed: int, turns: dict[str, int], *, is_new: bool = True
        ) -> list[Any]:
            turns["count"] += 1
            values = outputs.of(image, seed, name)
            turns["count"] += 1  # thumbnails that were asked for meanwhile are of the input before
            return [turned(seed, is_new=is_new), *values]

        def on_drawing(drawing: str, seed: float | None, turns: dict[str, int]):
            with shown_errors():
                image = canvas.input_of(painted(drawing))
                return [(image, "the drawing"), *translated_by(image, "the drawing", seed_of(seed), turns)]

        def on_file(path: str | None, is_photograph: bool, factor: float, seed: float | None, turns: dict[str, int]):
            if path is None:
                return [gr.skip()] * (4 + len(outputs.components))
            name = Path(path).name
            with shown_errors(path, name):
                image = read_input(Path(path), first.card, by_operator=is_photograph, enlarge=int(factor))
                picture = canvas.picture_of(image)
                return [
                    (image, name), gr.Image(picture, visible=True), gr.Button(visible=True),
                    *translated_by(image, name, seed_of(seed), turns),
                ]  # fmt: skip

        def on_seed(shown: tuple[np.ndarray, str] | None, seed: float | None, turns: dict[str, int]):
            if shown is None:
                return [gr.skip()] * (1 + len(outputs.components))
            with shown_errors():
                return translated_by(*shown, seed_of(seed), turns, is_new=False)

        def on_another(shown: tuple[np.ndarray, str] | None, seed: float | None, turns: dict[str, int]):
            with shown_errors():
                (other,) = next_seeds(seed_of(seed), 1)
            return [other, *on_seed(shown, other, turns)]

        def on_thumbnail(shown: tuple[np.ndarray, str] | None, pressed: str, turns: dict[str, int]):
            with shown_errors():
                seed = seed_of(pressed)
            return [seed, *on_seed(shown, seed, turns)]

        def on_more(seeds: list[int], turns: dict[str, int]):
            turns["count"] += 1
            seeds = next_seeds(seeds[-1] if seeds else 0)
            return seeds, gr.Button("Other variants"), with_variants(seeds, [])

        def on_asked(shown: tuple[np.ndarray, str] | None, seeds: list[int], turns: dict[str, int]):
            pictures, turn = [], turns["count"]
            for seed in seeds if noisy and shown else []:
                with shown_errors():
                    pictures.append(thumbnail(translate(noisy, shown[0], noise=seed, where=shown[1]).picture))
                if turns["count"] != turn:  # a stroke has taken over, after which the strip asks again
                    return
                yield with_variants(seeds, pictures)

        one_at_a_time = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
        options = {"api_visibility": "private", "show_progress": "hidden"}
        newest = {**one_at_a_time, "show_progress": "hidden", "trigger_mode": "always_last"}
        shown = [variants, *outputs.components]
        paper.input(on_drawing, [paper, seed, turns], [translated, *shown], **newest)
        gr.on(
            [file.upload, by_operator.input, enlarge.input], on_file, [file, by_operator, enlarge, seed, turns],
            [translated, seen, draw_on, *shown], show_progress_on=outputs.pictures, **one_at_a_time,
        )  # fmt: skip
        seed.input(on_seed, [translated, seed, turns], shown, **newest)
        another.click(on_another, [translated, seed, turns], [seed, *shown], **newest)
        variants.click(on_thumbnail, [translated, variants, turns], [seed, *shown], **newest)
        more.click(on_more, [seeds, turns], [seeds, more, variants], **options)
        variants.submit(
            on_asked, [translated, seeds, turns], variants, trigger_mode="always_last", concurrency_limit=1, **options
        )  # beside the models' own, so that it never keeps a stroke waiting
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


def _seed_help(model: Shown) -> str:
    without = "the mean style" if model.card.config.generator.noise == "modulation" else "no noise"
    return (
        f"Seed 0 is {without}. Every other number gives a variant, the same one as "
        f"`tfpix2pix translate --noise on --seed` with that number."
    )


def _caption(translation: Translation) -> str:
    height, width = translation.image.shape[:2]
    notes = "".join(f"<br>{escape(note)}" for note in translation.notes)
    seed = f", seed {translation.seed}" if translation.seed else ""
    return f"{width}x{height} px, {translation.seconds * 1e3:.0f} ms{seed}{notes}"


def _facts(models: Sequence[Shown]) -> str:
    titles = models[0].facts
    rows = [[_plain(value) for value in model.facts.values()] for model in models]
    lines = [list(titles), ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Returns text escaped for Markdown and HTML."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~-])", r"\\\1", text)
