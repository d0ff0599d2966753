"""A served model as a translator of images, and many requests at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.card import ModelCard
from tfpix2pix.data.formats import Unreadable, decode, encode
from tfpix2pix.data.images import check_range, from_signed, match_channels, to_signed
from tfpix2pix.errors import UserError, row
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.serving import TRANSPORTS
from tfpix2pix.serving.faults import no_answer, until_it_passes
from tfpix2pix.serving.model import ModelName, Server, Target
from tfpix2pix.tiling import fitting_tile, translate_tiles

CARD = "model_card"
OF_FLOATS = ("translate_float", "serving_default")  # the second may be exported as another; the first is its own name
READ_AHEAD = 2  # items a worker

MOST_CARD_BYTES = 1 << 20


class RemoteModel:
    """A model that `tfpix2pix export` wrote and TF Serving serves.

    Args:
        server: HOST:PORT, http://… or https://…
        model: NAME for the newest version, NAME:VERSION or NAME@LABEL.
        transport: a row of `TRANSPORTS`.
        timeout_s: how long the server may take for one answer.
        retries: how often a request is sent again where the failure may pass: no connection, no room.

    Raises:
        UserError: no such model, no TF Serving, or a model that `tfpix2pix export` did not write.
        RunError: no answer.
    """

    def __init__(
        self, server: str, model: str, transport: str = "rest", timeout_s: float = 60.0, retries: int = 3
    ) -> None:
        self.target, self.retries = Target(Server.parse(server), ModelName.parse(model), timeout_s), retries
        try:
            make = row(TRANSPORTS, "The transport", transport)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._transport = make(self.target)
        self.signatures: set[str] = until_it_passes(self._transport.signatures, retries)
        floats = next((name for name in OF_FLOATS if name in self.signatures), None)
        if CARD not in self.signatures or not floats:
            lacking = [name for name in (CARD, "translate_bytes", OF_FLOATS[0]) if name not in self.signatures]
            raise UserError(
                f"A served model must have the signatures of tfpix2pix. Received {self.target.model} at "
                f"{self.target.server} without {', '.join(lacking)}. Export it with `tfpix2pix export`."
            )
        self._translate_float = floats
        content = self._predict(CARD, {"query_bytes": [b"card"]}, "card_bytes", MOST_CARD_BYTES)
        self.card: ModelCard = ModelCard.from_json(content[0], f"The model {self.target.model} at {self.target.server}")
        data = self.card.config.data
        if max(data.input_channels, data.target_channels) > 1 and self.card.target_dtype == "uint16":
            load_tensorflow()  # its codec for 16 bits a colour, without its notes, before threads are under way

    def __repr__(self) -> str:
        return f"RemoteModel({str(self.target.server)!r}, {str(self.target.model)!r}, step {self.card.step})"

    def __enter__(self) -> RemoteModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._transport.close()

    def noise(self, count: int, seed: int) -> np.ndarray:
        """`count` noise vectors of a seed, those of `Translator.noise`: float32 (count, noise_size)."""
        if not self.card.noise_size:
            raise UserError(
                f"A model must have a noise input if `noise` is on. Received `noise` on for {self.target.model}, "
                f"without it. Translate with noise off."
            )
        load_tensorflow()
        from tfpix2pix import rng

        return rng.uniform((count, self.card.noise_size), rng.stream(seed, "translate")).numpy()

    def translate(
        self,
        image: np.ndarray,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """Translates (H, W, C) as `read_side` gives it, into what local translation would write.

        Integers go as PNG, which the server treats as it treats files; floats, and what no PNG holds, as float32.

        Args:
            image: uint8, uint16 or float32 in `data.input_range`; of label maps the class indices.
            noise: (noise_size,) or (1, noise_size); None: off.
            where: its name, for messages.
            tile_px: send an image in tiles of this side that overlap by `overlap_px`, an eighth unless given: for
                images larger than the server takes.

        Raises:
            UserError: an image that does not fit the model, or that the server refuses.
            RunError: no answer, or one that is no translation.
        """
        data = self.card.config.data
        if not data.input_classes:
            check_range(image, data.ranges[0], "data.input_range", where)
        image = match_channels(image, data.input_channels, where)
        as_file = image.dtype.kind == "u" and "translate_bytes" in self.signatures
        ask = self._by_file if as_file else self._by_floats
        if tile_px and max(image.shape[:2]) > tile_px:
            result = translate_tiles(
                lambda tile: ask(tile[0], noise)[np.newaxis], image,
                fitting_tile(tile_px, *image.shape[:2]), overlap_px, blend=not data.target_classes,
                decode=self._rounded,
            )  # fmt: skip
        else:
            result = ask(image, noise)
        wanted = (*image.shape[:2], data.target_channels)
        if result.shape != wanted or result.dtype != self.card.target_dtype:
            raise no_answer(
                self.target,
                f"{result.dtype} of shape {result.shape} in place of {self.card.target_dtype} of shape {wanted}",
            )
        return result

    def _rounded(self, band: np.ndarray) -> np.ndarray:
        """Blended values as the targets' type; a mean of values lies between them, so none is out of range."""
        dtype = np.dtype(self.card.target_dtype)
        return (np.rint(band) if dtype.kind == "u" else band).astype(dtype)

    def _by_file(self, image: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        file, values = [encode(image, ".png")], self._values(image)
        content = self._with_noise("translate_bytes", "sample_bytes", "image_bytes", file, noise, values)
        try:
            return decode(content[0], most_px=image.shape[0] * image.shape[1])
        except Unreadable as error:
            raise no_answer(self.target, f"a file that {error}") from error

    def _by_floats(self, image: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        input_range, target_range = self.card.config.data.ranges
        signed = to_signed(image, input_range)[np.newaxis]
        translation = self._with_noise(self._translate_float, "sample", "image", signed, noise, self._values(image))
        return from_signed(translation[0], np.dtype(self.card.target_dtype), target_range)

    def _values(self, image: np.ndarray) -> int:
        """How many values the translation of an image has."""
        return image.shape[0] * image.shape[1] * self.card.config.data.target_channels

    def _with_noise(self, off: str, on: str, name: str, value: Any, noise: np.ndarray | None, most_values: int) -> Any:
        """Asks the signature `off`, or `on` where there is noise."""
        if noise is None:
            return self._predict(off, {name: value}, name, most_values)
        if on not in self.signatures:
            raise UserError(
                f"Noise must have a signature to go to. Received {self.target.model} at {self.target.server} without "
                f"{on}. Translate with noise off."
            )
        vector = np.asarray(noise, np.float32).reshape(1, -1)
        return self._predict(on, {name: value, "noise": vector}, name, most_values)

    def _predict(
        self, signature: str, inputs: Mapping[str, Any], output: str, most_values: int
    ) -> Sequence[bytes] | np.ndarray:
        answer = until_it_passes(lambda: self._transport.predict(signature, inputs, output, most_values), self.retries)
        if len(answer) != 1:
            raise no_answer(self.target, f"{len(answer)} answers to one request")
        return answer


class Done(NamedTuple):
    """An item with what became of it: `error` is None where it went well."""

    item: Any
    result: Any
    error: Exception | None


def in_flight(function: Callable[[Any], Any], items: Iterable, count: int) -> Iterator[Done]:
    """`function` of every item, `count` at a time in threads; in the order of the items.

    No more than `2 * count` items are taken ahead of what was handed out, so memory is bounded however many there are.
    """
    pool = ThreadPoolExecutor(count, thread_name_prefix="in-flight")
    under_way: deque[tuple[Any, Future]] = deque()
    try:
        for item in items:
            under_way.append((item, pool.submit(function, item)))
            if len(under_way) >= READ_AHEAD * count:
                yield _done(*under_way.popleft())
        while under_way:
            yield _done(*under_way.popleft())
    finally:  # also where whoever asked stops early, or the user does
        pool.shutdown(wait=False, cancel_futures=True)


def _done(item: Any, future: Future) -> Done:
    try:
        return Done(item, future.result(), None)
    except Exception as error:
        return Done(item, None, error)
