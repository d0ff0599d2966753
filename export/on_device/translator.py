"""A .tflite file of `tfpix2pix export` as a function of images, and a camera's stream as images. See README.md."""

import io
import json
import re
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from noise import noise_of


class Translator:
    """`translator(image)`: uint8 (H, W, C) of any size -> uint8 (H, W, C'); ValueError for what is no such image."""

    def __init__(self, path, threads=4):
        try:
            with zipfile.ZipFile(path) as archive:
                card = json.loads(archive.read("model_card.json"))
            self.card, self.data, self.noise_size = card, card["config"]["data"], card["noise_size"]
            self.size = tuple(np.broadcast_to(card["fixed_size_px"], 2).tolist())  # height and width
            self._run = Interpreter(str(path), num_threads=threads).get_signature_runner()
        except Exception as error:  # a file can be wrong in many ways
            why = "no such file" if isinstance(error, FileNotFoundError) else f"it is damaged or another file ({error})"
            raise ValueError(f"A model must be a .tflite file of tfpix2pix export. Received {path}: {why}.") from error
        self._scale, self._shift = (1, 0) if card.get("image_dtype") == "uint8" else (127.5, 1)  # pixels, or [-1, 1]
        self._usual_seed = 0 if self.noise_size and card["noise"] == "on" else -1

    def __call__(self, image, noise_seed=None):
        """`noise_seed` below 0: no noise; None: as the card says. What is larger than the model goes over tiles."""
        (tall, wide), channels, labels = self.size, self.data["input_channels"], self.data["target_classes"]
        if getattr(image, "dtype", None) != np.uint8 or image.shape[2:] != (channels,) or not image.size:
            got = f"{getattr(image, 'dtype', type(image))} {getattr(image, 'shape', '')}"
            raise ValueError(f"An image must be uint8 (height, width, {channels}). Received {got}. Convert it.")
        noise = self.noise(noise_seed)
        pads = [(max(n, 0) // 2, (max(n, 0) + 1) // 2) for n in (tall - image.shape[0], wide - image.shape[1])]
        padded = np.pad(image, [*pads, (0, 0)], "reflect")
        rims = [np.minimum(np.arange(n) + 1, n - np.arange(n)).clip(max=n // 8 + 1) / (n // 8 + 1) for n in self.size]
        weight = np.outer(*(np.sin(np.pi / 2 * rim) ** 2 for rim in rims))  # raised cosines: a tile's rim sees least
        weight = weight[..., np.newaxis].astype(np.float32)
        mean = np.zeros((*padded.shape[:2], self.data["target_channels"]), np.float32)
        weights = np.zeros_like(mean[..., :1])
        for top in starts(padded.shape[0], tall):
            for left in starts(padded.shape[1], wide):
                place = np.s_[top : top + tall, left : left + wide]
                before, after = weights[place], weights[place] + weight
                if labels:  # classes have no mean: the tile in which a pixel lies deepest
                    after = np.maximum(before, weight)
                share = weight > before if labels else weight / after
                mean[place] += (self._tile(padded[place], noise) - mean[place]) * share
                weights[place] = after
        mean = mean[pads[0][0] :, pads[1][0] :][: image.shape[0], : image.shape[1]]
        return np.rint(mean).clip(0, 255).astype(np.uint8)

    def noise(self, seed):
        """The noise input of a seed, where the model has one: that of `tfpix2pix translate --noise on --seed`."""
        seed = self._usual_seed if seed is None else seed
        if seed >= 0 and not self.noise_size:
            raise ValueError(
                "A model must have a noise input if a seed is given. Received one without it. Export with --noise on."
            )
        off = np.ones((1, self.noise_size), np.float32)  # nothing is dropped
        return {"noise": noise_of(seed, self.noise_size) if seed >= 0 else off} if self.noise_size else {}

    def _tile(self, image, noise):
        """One run: uint8 of the model's size -> float32 from 0 to 255."""
        given = image if self._scale == 1 else image * np.float32(1 / self._scale) - np.float32(1)
        return (self._run(image=given[np.newaxis], **noise)["image"][0].astype(np.float32) + self._shift) * self._scale


def starts(side, size):
    """Returns where tiles start, so that they cover a side evenly and overlap by an eighth."""
    count = -(-(side - size // 8) // (size - size // 8))
    return [round(index * (side - size) / max(count - 1, 1)) for index in range(count)]


def label_map(image, format, data):
    """The class indices of a label map: a Pillow image of gray or of a palette, read as the model's card says."""
    values, mode = data.get("input_class_values", "palette_indices"), image.mode
    drawn = data.get("class_colors") and (values == "colors" or (mode in "1P" and values != "palette_indices"))
    if drawn or mode not in ("1", "L", "P") or (mode == "P" and format == "GIF" and isinstance(values, list)):
        raise ValueError(f"its pixels are of the kind {mode} and must become class indices first")
    if mode == "1":
        return image.convert("L").point([0] * 128 + [1] * 128)
    levels = values if isinstance(values, list) else []
    return image.point([levels.index(level) if level in levels else level for level in range(256)])


def frames(stream):
    """The JPEG files of a stream. One is whole at its last end marker: a thumbnail in its header has one too."""
    data = b""
    while chunk := stream.read1(1 << 16):
        *whole, data = re.split(rb"(?<=\xff\xd9)\0*(?=\xff\xd8)", data + chunk)
        ended = data.endswith(b"\xff\xd9") and data.count(b"\xff\xd8") <= data.count(b"\xff\xd9")
        if ended or len(data) > 1 << 26:
            whole, data = [*whole, data], b""
        yield from map(io.BytesIO, whole)
    if data:
        yield io.BytesIO(data)
