"""Translates images by a model that TF Serving serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.formats import Unreadable, decode, encode
from tfpix2pix.data.images import match_channels
from tfpix2pix.data.ranges import from_signed, in_range, to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.inference.batching import ImageTranslator, drawn_noise, names_of, vectors_of
from tfpix2pix.inference.remote import TRANSPORTS
from tfpix2pix.inference.remote.faults import no_answer, until_it_passes
from tfpix2pix.inference.remote.model import ModelName, Server, Target
from tfpix2pix.inference.tiling import Readable, fitting_tile, joined, tile_bands
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.tables import row

CARD = "model_card"
OF_FLOATS = ("translate_float", "serving_default")  # an export may give `serving_default` another type

MOST_CARD_BYTES = 1 << 20


class RemoteModel(ImageTranslator):
    """Translates images by a model that `tfpix2pix export` wrote and TF Serving serves, from any number of threads.

    Args:
        server: HOST:PORT, http://… or https://…
        model: NAME for the newest version, NAME:VERSION or NAME@LABEL.
        transport: a row of `TRANSPORTS`.
        timeout_s: time limit of one request and its answer.
        retries: number of times that a request is repeated after a temporary failure: no connection, no room.

    Raises:
        UserError: the server is not a TF Serving or lacks the model, or `tfpix2pix export` did not write the model.
        RunError: the server does not answer.
    """

    def __init__(
        self, server: str, model: str, transport: str = "rest", timeout_s: float = 60.0, retries: int = 3
    ) -> None:
        self.target, self.retries = Target(Server.parse(server), ModelName.parse(model), timeout_s), retries
        try:
            connect = row(TRANSPORTS, "The transport", transport)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._transport = connect(self.target)
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
            load_tensorflow()  # decodes 16 bits a colour; loaded before threads begin

    def __repr__(self) -> str:
        return f"RemoteModel({str(self.target.server)!r}, {str(self.target.model)!r}, step {self.card.step})"

    def __enter__(self) -> RemoteModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def noise(self, count: int, seed: int) -> np.ndarray:
        """Returns the noise vectors of `Translator.noise`: float32 (count, noise_size) in [0, 1)."""
        return drawn_noise(self.card, count, seed)

    def translate_many(
        self,
        images: Sequence[np.ndarray],
        noise: np.ndarray | None = None,
        where: Sequence[object] = (),
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> list[np.ndarray]:
        """Translates images (H, W, C) of any sizes as local translation does, with a request for each.

        Integers are sent as PNG, which the server reads as it reads files. Other images are sent as float32.

        The arguments are those of `ImageTranslator.translate_many`.

        Raises:
            UserError: an image or the noise does not fit the model, or the server refuses it.
            RunError: the server does not answer, or not with a translation.
        """
        vectors = vectors_of(noise, len(images), self.card.noise_size)
        sizes = {"tile_px": tile_px, "overlap_px": overlap_px}
        return [
            joined(self.translate_bands(image, None if vectors is None else vectors[index], name, **sizes), len(image))
            for index, (image, name) in enumerate(zip(images, names_of(where, len(images)), strict=True))
        ]

    def translate_bands(
        self,
        image: Readable,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Translates one image (H, W, C) as `translate` does, with a request for each tile, and yields its rows from
        the top as they are finished. The arguments are those of `ImageTranslator`.

        Raises:
            UserError: as `translate_many`.
            RunError: as `translate_many`.
        """
        data, vector = self.card.config.data, vectors_of(noise, 1, self.card.noise_size)
        # A server reads gray by `input_class_values`, while here are class indices.
        is_same = not data.input_classes or data.input_class_values in (None, "indices", "palette_indices")
        as_file = is_same and image.dtype.kind == "u" and "translate_bytes" in self.signatures
        as_file &= self.card.target_dtype != "float32"  # a server answers a file with a file of 8 or 16 bits
        request = self._by_file if as_file else self._by_floats

        def translated(part: np.ndarray) -> np.ndarray:
            if not data.input_classes:
                part = in_range(part, data.ranges[0], "data.input_range", where, clip=data.clips[0])
            result = request(match_channels(part, data.input_channels, where), vector)
            expected = (*part.shape[:2], data.target_channels)
            if result.shape != expected or result.dtype != self.card.target_dtype:
                raise no_answer(
                    self.target,
                    f"{result.dtype} of shape {result.shape} in place of {self.card.target_dtype} of shape {expected}",
                )
            return result

        if tile_px and max(image.shape[:2]) > tile_px:
            size = fitting_tile(tile_px, *image.shape[:2])
            yield from tile_bands(
                lambda tile: translated(tile[0])[np.newaxis], image, size, overlap_px,
                blend=[not is_number for is_number in data.numbers[1]], decode=self._rounded,
            )  # fmt: skip
        else:
            yield translated(image[:, :])

    def _rounded(self, band: np.ndarray) -> np.ndarray:
        """Converts blended values to the targets' type. A mean lies between its values, so it is in their range."""
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
        """Returns the number of values that the translation of an image has."""
        return image.shape[0] * image.shape[1] * self.card.config.data.target_channels

    def _with_noise(self, off: str, on: str, name: str, value: Any, noise: np.ndarray | None, most_values: int) -> Any:
        """Calls the signature `off`, or `on` if there is noise."""
        if noise is None:
            return self._predict(off, {name: value}, name, most_values)
        if on not in self.signatures:
            raise UserError(
                f"A model must have a signature that takes noise. Received {self.target.model} at {self.target.server} "
                f"without {on}. Translate with noise off."
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
