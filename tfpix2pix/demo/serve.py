"""The page served: on this machine alone unless told otherwise."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from tfpix2pix.artefacts import load
from tfpix2pix.demo.canvas import canvas_for
from tfpix2pix.demo.models import Shown, check_alike, example_pictures, warm
from tfpix2pix.errors import UserError

LOCAL = ("127.0.0.1", "localhost", "::1")
ALL = ("0.0.0.0", "::")  # every address of the machine, under names that it does not know


def serve(
    named: Sequence[tuple[str | None, Path]],
    *,
    data: str | None = None,
    best: bool = False,
    weights: str | None = None,
    trust: bool = False,
    host: str = LOCAL[0],
    port: int | None = None,
    open_browser: bool = False,
    upload_mb: int = 20,
    ready: Callable[[str], None] = lambda address: None,
    until: threading.Event | None = None,
) -> None:
    """Serves a page with models side by side until interrupted.

    Args:
        named: name (None: the model's own) and path of each.
        data: folder of paired data whose held-out inputs to begin with; None: the first model's own, where at hand.
        trust: open models that can do more than compute.
        host: address to listen on; any but this machine's own lets others use the page.
        port: None for the first free one from 7860.
        upload_mb: the largest file that may be dropped.
        ready: called with the address when the page can be opened.
        until: serve until it is set.

    Raises:
        UserError: Gradio is not installed, a path is no model, models take different kinds of input, or the port or
            host cannot be had.
    """
    try:
        import gradio as gr
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from tfpix2pix.demo import page as pages
    except ImportError as error:
        raise UserError(
            f"The page needs Gradio. Received none here ({error.name}). Install it by pip install 'tfpix2pix[demo]'."
        ) from error
    models = _open(named, best=best, weights=weights, trust=trust)
    check_alike(models)
    for model in models:
        warm(model)
    config = models[0].card.config
    examples = example_pictures(config, data)
    page = pages.build_page(models, canvas_for(config.data, examples), examples)
    if host not in LOCAL:
        warnings.warn(f"everyone who reaches this machine as {host} can use the page", stacklevel=2)
    only_its_own = Middleware(TrustedHostMiddleware, allowed_hosts=_names_of(host))
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, share=False, inbrowser=open_browser, prevent_thread_lock=True,
            quiet=True, show_error=True, max_file_size=upload_mb * 2**20, footer_links=[], enable_monitoring=False,
            run_history=False, mcp_server=False, ssr_mode=False, theme=gr.themes.Default(**pages.OWN_FONTS),
            css=pages.CSS, app_kwargs={"middleware": [only_its_own]},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UserError(
            f"--host and --port must be an address of this machine and a free port. Received {host} and "
            f"{port or 'any port from 7860'}: {_first_sentence(error)} Choose others."
        ) from error
    try:
        ready(address)
        (until or threading.Event()).wait()
    finally:
        page.close(verbose=False)


def _names_of(host: str) -> list[str]:
    """By which names the page answers. A site elsewhere whose name is pointed at this machine would otherwise be let
    into the page by the browser (DNS rebinding)."""
    return ["*"] if host in ALL else sorted({*LOCAL, "[::1]", host})


def _open(named: Sequence[tuple[str | None, Path]], *, best: bool, weights: str | None, trust: bool) -> list[Shown]:
    """Models by the names that they are given, or else by their own; by their paths where that is another's too."""
    translators = [load(path, best=best, weights=weights, trust=trust) for _, path in named]
    names = [name or translator.card.name for (name, _), translator in zip(named, translators, strict=True)]
    names = [
        str(path) if given is None and names.count(name) > 1 else name
        for name, (given, path) in zip(names, named, strict=True)
    ]
    return [Shown(name, translator) for name, translator in zip(names, translators, strict=True)]


def _first_sentence(error: Exception) -> str:
    return f"{str(error).splitlines()[0].rstrip('.')}." if str(error) else f"{type(error).__name__}."
