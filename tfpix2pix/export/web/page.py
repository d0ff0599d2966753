"""Writes the page of a model, as a folder for any web server or as one file that opens from a disk, and reads it back.

The page is made of the files beside this module, of the sheet that `tfpix2pix demo` shares, and of LiteRT.js. There is
no build step: a folder holds the modules as they are, and one file holds them joined by `joined`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from markupsafe import Markup

from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.data.formats import encode
from tfpix2pix.data.labels import class_colors
from tfpix2pix.data.ranges import full_range
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError, escape_controls
from tfpix2pix.export import tflite
from tfpix2pix.export.web import INDEX, KIND, MODEL
from tfpix2pix.export.web.runtime import BUILDS, LICENSE, PACKAGE, VERSION, Runtime, obtain
from tfpix2pix.inference.demo.canvas import HOLE, Canvas, canvas_for, hex_of
from tfpix2pix.pages import asset, data_uri, environment, page_tag
from tfpix2pix.safe_files import read_regular_file

HERE, DEMO = "tfpix2pix.export.web", "tfpix2pix.inference.demo"
DRAWN = (1, 3, 4)  # channels of inputs that can be drawn
SMALL_PX = 128  # smaller pictures are shown with their pixels as squares
FOLDER_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'"
)
FILE_POLICY = (
    "default-src 'none'; script-src '{script}' blob: 'wasm-unsafe-eval'; worker-src blob:; style-src '{style}'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
MOST_MORE_BYTES = 64 << 20  # of a model beyond twenty times its packed size: what is more is a forgery
STYLE_DIGITS = 6  # of the noise of styles in the page
IN_FILE = ("packed", "style", "script", "licenses", "card")  # that a folder has beside the page
PACKED = re.compile(rb'<script type="text/plain" id="packed-model">([A-Za-z0-9+/=]*)</script>')


def write_folder(
    generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = (), *,
    runtime: Runtime | None = None, examples: Sequence[np.ndarray] = (),
) -> None:  # fmt: skip
    """Writes the page into the existing folder `path`.

    Args:
        calibration: inputs of the model, as for `tflite.write`.
        runtime: LiteRT.js; None: that in the cache.
        examples: pictures of inputs to begin with, uint8 (H, W, 3). The page opens with the first.
    """
    runtime = runtime or obtain()
    tflite.write(generator, card, path / MODEL, calibration)
    (path / FILE_NAME).write_text(card.to_json(), encoding="utf-8")
    texts = {"style.css": _style(), "LICENSES.txt": licenses(card), "core.js": core_of(runtime)}
    texts |= {f"{name}.js": code for name, code in own_modules().items()}
    builds = {}
    for build, name in BUILDS.items():
        place = Path(name).name
        texts[f"{place}.js"] = loader_of(runtime, build)
        (path / f"{place}.wasm").write_bytes(runtime.binaries[build])
        builds[build] = {"loader": f"./{place}.js", "binary": f"./{place}.wasm"}
    addresses = {"worker": "worker.js", "model": f"./{MODEL}", "builds": builds}
    texts[INDEX] = _page(card, examples, addresses, FOLDER_POLICY, dict.fromkeys(IN_FILE, ""))
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")


def write_file(
    generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = (), *,
    runtime: Runtime | None = None, examples: Sequence[np.ndarray] = (),
) -> None:  # fmt: skip
    """Writes the page as the file `path`. The arguments are those of `write_folder`."""
    runtime = runtime or obtain()
    with tempfile.TemporaryDirectory(prefix="tfpix2pix-") as folder:
        tflite.write(generator, card, Path(folder) / MODEL, calibration)
        model = (Path(folder) / MODEL).read_bytes()
    own = own_modules()
    parts = {**{name: own[name] for name in ("noise", "tiling", "loader")}, "core": core_of(runtime)}
    parts |= {"engine": own["engine"]}
    contents = {"worker": joined(parts, own["worker"]).encode(), "model": model}
    for build in BUILDS:
        contents |= {f"{build}-loader": loader_of(runtime, build).encode(), f"{build}-binary": runtime.binaries[build]}
    packed = {name: base64.b64encode(_pack(content)).decode() for name, content in contents.items()}
    script, style = joined({name: own[name] for name in ("sheet", "strip", "tiling")}, own["web"]), _style()
    policy = FILE_POLICY.format(script=_digest(script), style=_digest(style))
    whole = {
        "packed": packed, "style": Markup(style), "script": Markup(script), "licenses": licenses(card),
        "card": card.to_json(),
    }  # fmt: skip
    page = _page(card, examples, {}, policy, whole)
    path.write_text(page, encoding="utf-8")


def read_folder(path: Path, trust: bool = False) -> tflite.TFLiteEngine:
    """Returns the engine of the model in a folder."""
    return tflite.read(path / MODEL)


def read_file(path: Path, trust: bool = False) -> tflite.TFLiteEngine:
    """Returns the engine of the model in a page.

    Raises:
        UserError: the page is damaged.
    """
    found = PACKED.search(read_regular_file(path))
    try:
        model = _unpack(base64.b64decode(found[1], validate=True)) if found else b""
    except (ValueError, zlib.error) as error:
        raise UserError(
            f"A page must hold its model whole. Received {path}, which is damaged. Export it again."
        ) from error
    with tempfile.TemporaryDirectory(prefix="tfpix2pix-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / path.with_suffix(".tflite").name).write_bytes(model)
        return tflite.read(Path(folder) / path.with_suffix(".tflite").name)


def own_modules() -> dict[str, str]:
    """Returns the page's own modules: name -> code."""
    modules = {name: asset(HERE, f"{name}.js") for name in ("noise", "tiling", "loader", "engine", "worker", "web")}
    return {**{name: asset(DEMO, f"{name}.js") for name in ("sheet", "strip")}, **modules}


def core_of(runtime: Runtime) -> str:
    """Returns the code of LiteRT.js, which takes `createWasmLib` from loader.js in place of another package."""
    origin = 'import { createWasmLib } from "@litertjs/wasm-utils";'
    code = re.sub(r"^//# sourceMappingURL.*", "", runtime.core, flags=re.MULTILINE)
    return _notice("createWasmLib comes from ./loader.js") + code.replace(
        origin, 'import { createWasmLib } from "./loader.js";'
    )


def loader_of(runtime: Runtime, build: str) -> str:
    """Returns the code that starts a build of WebAssembly, as a module."""
    return _notice("it is a module") + runtime.loaders[build] + "\nexport default ModuleFactory;\n"


def _notice(change: str) -> str:
    return f"// Of {PACKAGE} {VERSION}, https://github.com/google-ai-edge/LiteRT, {LICENSE}. Changed: {change}.\n"


def joined(modules: Mapping[str, str], last: str) -> str:
    """Returns JavaScript modules as one.

    Args:
        modules: name -> code, each after those that it imports. An import is of names alone, from a file of that name.
        last: code of the module that imports them. What it exports, the result exports.
    """
    parts = []
    for name, code in modules.items():
        names = re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", code, re.MULTILINE)
        listed = re.findall(r"^export \{([^}]*)\};?", code, re.MULTILINE)
        names += [word.strip() for text in listed for word in text.split(",")]
        code = re.sub(r"^export \{[^}]*\};?", "", code, flags=re.MULTILINE)
        code = re.sub(r"^export (?=(async |function|const|class))", "", code, flags=re.MULTILINE)
        exported = ", ".join(filter(None, names))
        parts.append(f"const of_{name} = (() => {{\n{_with_names(code)}\nreturn {{ {exported} }};\n}})();\n")
    return "".join(parts) + _with_names(last)


def _with_names(code: str) -> str:
    """Replaces imports by the names of joined modules."""
    return re.sub(
        r'^import \{([^}]*)\} from "[./\w]*?(\w+)\.js";$', r"const {\1} = of_\2;", code, flags=re.MULTILINE
    )  # fmt: skip


def _pack(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def _unpack(packed: bytes) -> bytes:
    """Returns what `_pack` packed. Raises ValueError if it is cut, or more than a model would be."""
    stream = zlib.decompressobj(wbits=31)
    content = stream.decompress(packed, 20 * len(packed) + MOST_MORE_BYTES)
    if not stream.eof:
        raise ValueError("it is cut, or unpacks to too much")
    return content


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _style() -> str:
    shared = (asset(DEMO, f"{name}.css") for name in ("sheet", "strip"))
    return "".join((asset("tfpix2pix", "pages.css"), *shared, asset(HERE, "web.css")))


def licenses(card: ModelCard) -> str:
    """Returns the licences of what an export holds."""
    data = card.attribution or "The author and the licence of the training data are not stated."
    return (
        f"{PACKAGE} {VERSION} (LiteRT.js), https://github.com/google-ai-edge/LiteRT, and the page's own code, of "
        f"tfpix2pix, are under the Apache License 2.0, below.\n\nThe model was trained on: {data}\n\n"
        f"{asset(HERE, 'LICENSE.txt')}"
    )


def _page(
    card: ModelCard, examples: Sequence[np.ndarray], addresses: Mapping[str, Any], policy: str, whole: Mapping[str, Any]
) -> str:
    """Renders the page. `addresses` are those of a folder's files, `whole` what one file holds in their place."""
    data = card.config.data
    draws = bool(data.input_classes) or data.input_channels in DRAWN
    canvas = canvas_for(data, examples)
    uris = [data_uri(encode(picture, ".png"), "image/png") for picture in examples] if draws else []
    side = min(card.static_size_px)  # of a square
    blank = data_uri(encode(canvas.blank(*card.static_size_px), ".png"), "image/png")
    start = uris[0] if uris else blank
    columns, rows = metrics_of(card)
    page = environment().get_template("export/web/web.html").render(
        page_tag=page_tag(KIND), policy=policy, name=card.name, draws=draws, size=side, examples=uris,
        small=side < SMALL_PX, at_training_scale=data.fit != "crop", noisy=bool(card.noise_size),
        has_style=card.config.generator.noise == "modulation", lead=_lead(canvas, draws), hint=_hint(data, draws),
        facts=facts_of(card, canvas), metrics_columns=columns, metrics=rows, metrics_images=card.metrics_images,
        data={**settings_of(card, canvas, draws), "start": start, **addresses},
        **{**whole, "packed": whole["packed"] or {}},
    )  # fmt: skip
    return escape_controls(page)


def settings_of(card: ModelCard, canvas: Canvas, draws: bool) -> dict[str, Any]:
    """Returns what the page's script needs to know of a model, for JSON."""
    data = card.config.data
    inputs, targets = (
        class_colors(data, classes).tolist() if classes else None
        for classes in (data.input_classes, data.target_classes)
    )
    palette = [{"name": name, "color": hex_of(color)} for name, color in canvas.palette.items()]
    sheet = {
        "palette": palette, "pen": hex_of(canvas.pen), "ground": hex_of(canvas.ground), "brushPx": canvas.brush_px,
        "mostPx": max(8, 4 * canvas.brush_px),
    }  # fmt: skip
    dtype = np.dtype(card.target_dtype)
    return {
        "name": card.name, "size": card.fixed_size_px, "stretch": card.stretch, "channels": data.input_channels,
        "outChannels": data.target_channels, "colors": inputs, "outColors": targets,
        "hole": HOLE if canvas.holes else None, "noiseSize": card.noise_size,
        "styles": _short(card.noise_of_styles),
        "keepsValues": not targets and (dtype != np.uint8 or data.target_channels not in DRAWN),
        "inRange": data.ranges[0], "outRange": full_range(dtype, data.ranges[1]), "sheet": sheet if draws else None,
    }  # fmt: skip


def _short(noise: np.ndarray) -> list[list[float]]:
    """Returns noise vectors with few digits, below 1, which would mean none."""
    return noise.astype(np.float64).round(STYLE_DIGITS).clip(max=1 - 10.0**-STYLE_DIGITS).tolist()


def _lead(canvas: Canvas, draws: bool) -> str:
    if not draws:
        return "Open a file, and the model translates it."
    if canvas.holes:
        return "Paint over what the model should replace, and it fills the hole as you paint."
    return "Draw, and the model's picture follows your stroke."


def _hint(data: DataConfig, draws: bool) -> str:
    if not draws:
        return (
            f"NumPy files (.npy) of the shape (height, width, {data.input_channels}), of any size. Drop one here, too."
        )
    made = f" Files are taken as they are, without the operator {data.operator}." if data.makes_inputs else ""
    return f"Pictures and NumPy files of any size, opened, pasted or dropped.{made}"


def facts_of(card: ModelCard, canvas: Canvas) -> dict[str, str]:
    """Returns what the page says of a model: title -> text. `canvas`: what its inputs are painted on."""
    data, size = card.config.data, card.fixed_size_px
    weights = {"none": "float32"}.get(card.quantization, card.quantization)
    origin = f"step {card.step:,}" if card.origin is None else f"imported from {card.origin.kind}"
    others = "larger pictures in tiles" if data.fit == "crop" else "other pictures made as large, or in tiles"
    return {
        "Task": f"{_inputs(canvas)} to {_side(data, 1)}, by a pix2pix generator trained at {data.size_px} px",
        "Made": f"{card.created[:10]}, {origin}, by tfpix2pix {card.package_version}",
        "Takes": f"{size}×{size} px, {others}; weights {weights}",
        "Data": card.attribution or "Author and licence are not stated.",
        "Intended use": "For inputs like those that it was trained on: to play, to sketch and to study. It invents "
        "what its input does not show, so its pictures are no evidence of anything.",
        "Runs by": f"LiteRT.js {VERSION} ({LICENSE})",
    }


def _inputs(canvas: Canvas) -> str:
    data = canvas.data
    if data.input_classes:
        return _side(data, 0)
    if canvas.holes:
        return "photographs with holes"
    if "line" in canvas.palette:
        return "line drawings"
    return f"drawings in {len(data.input_palette)} colours" if data.input_palette else _side(data, 0)


def _side(data: DataConfig, side: int) -> str:
    classes, channels = data.classes[side], (data.input_channels, data.target_channels)[side]
    if classes:
        return f"label maps of {classes} classes"
    kinds = {1: "gray pictures", 3: "colour pictures", 4: "colour pictures with alpha"}
    return kinds.get(channels, f"images of {channels} channels")


def metrics_of(card: ModelCard) -> tuple[list[str], list[list[str]]]:
    """Returns the columns and the rows of the card's metrics, the rows with their names first."""
    columns = [name for name in ("untrained", "trained", "best") if name in card.metrics]
    names = dict.fromkeys(name for column in columns for name in card.metrics[column] if name != "step")
    rows = [
        [name, *(f"{card.metrics[column][name]:.3g}" if name in card.metrics[column] else "" for column in columns)]
        for name in names
    ]
    return columns, rows
