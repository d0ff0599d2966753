"""Serves the page, by default on this machine alone."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tfpix2pix.data.parts import check_one_file
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.canvas import canvas_for
from tfpix2pix.inference.demo.models import Shown, check_alike, example_pictures, warm
from tfpix2pix.inference.translator import Translator
from tfpix2pix.training.loop import stop_on_signals

LOOK_EVERY_S = 0.2  # whether the page shall be closed
LOCAL = ("127.0.0.1", "localhost", "::1")
ALL = ("0.0.0.0", "::")  # every address of the machine, under any name


def serve(
    models: Iterable[tuple[str | None, Path, Translator]],
    *,
    data: str | None = None,
    drawings: Sequence[Path] = (),
    host: str = LOCAL[0],
    port: int | None = None,
    upload_mb: int = 20,
    ready: Callable[[str], None] = lambda address: None,
    until: threading.Event | None = None,
) -> None:
    """Serves a page with models side by side until interrupted.

    Args:
        models: name (None: the model's own), path and translator of each model. They are iterated after Gradio is
            imported, so that a generator can open them late.
        data: folder of paired data. The page offers its held-out inputs; None: the first model's own, if available.
        drawings: files of pictures to begin with that come with the first model.
        host: address to listen on; any address but this machine's own lets others use the page.
        port: port to listen on; None: the first free one from 7860.
        upload_mb: size of the largest file that may be dropped, MB.
        ready: called with the address when the page can be opened.
        until: event that ends the serving; None: an interrupt ends it.

    Raises:
        UserError: Gradio is not installed, models take different kinds of input or inputs in several files, or the host
            or port is not available.
    """
    try:
        import gradio as gr
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from tfpix2pix.inference.demo import page as pages
    except ImportError as error:
        raise UserError(
            f"The page needs Gradio. Received no module {error.name}. Install it with pip install 'tfpix2pix[demo]'."
        ) from error
    shown = _under_names(list(models))
    for model in shown:
        check_one_file(model.card.config.data, "The page to draw on")
    check_alike(shown)
    for model in shown:
        warm(model)
    config = shown[0].card.config
    examples = example_pictures(config, data, drawings, shown[0].translator)
    page = pages.build_page(shown, canvas_for(config.data, examples), examples)
    if host not in LOCAL:
        warnings.warn(f"Everyone who reaches this machine as {host} can use the page.", stacklevel=2)
    own_names_only = Middleware(TrustedHostMiddleware, allowed_hosts=_names_of(host))
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, share=False, prevent_thread_lock=True,
            quiet=True, show_error=True, max_file_size=upload_mb * 2**20, footer_links=[], enable_monitoring=False,
            run_history=False, mcp_server=False, ssr_mode=False, theme=gr.themes.Default(**pages.OWN_FONTS),
            css=pages.CSS, head=pages.HEAD, app_kwargs={"middleware": [own_names_only]},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UserError(
            f"`host` and `port` must be an address of this machine and a free port. Received {host} and "
            f"{port or 'any port from 7860'}: {_first_sentence(error)} Choose others."
        ) from error
    ended = until or threading.Event()
    try:
        with stop_on_signals() as stopped:  # a KeyboardInterrupt would be lost in a callback of another library
            ready(address)
            while not (stopped() or ended.wait(LOOK_EVERY_S)):
                pass
    finally:
        page.close(verbose=False)


def _names_of(host: str) -> list[str]:
    """Returns the host names that the page answers to.

    Otherwise a site whose name points to this machine could use the page in the browser (DNS rebinding).
    """
    return ["*"] if host in ALL else sorted({*LOCAL, "[::1]", host})


def _under_names(models: Sequence[tuple[str | None, Path, Translator]]) -> list[Shown]:
    """Names models by the caller's names, else by their cards, or by their paths if two cards have the same name."""
    names = [own or translator.card.name for own, _, translator in models]
    return [
        Shown(str(path) if own is None and names.count(name) > 1 else name, translator)
        for name, (own, path, translator) in zip(names, models, strict=True)
    ]


def _first_sentence(error: Exception) -> str:
    return f"{str(error).splitlines()[0].rstrip('.')}." if str(error) else f"{type(error).__name__}."
