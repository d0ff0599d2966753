"""Translates image files and camera frames by a .tflite file of `tfpix2pix export`. See README.md."""

import argparse
import errno
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scale import note_of, size_of
from translator import Translator, frames, label_map

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def read(source, data, channels, labels):
    """An upright Pillow image of 8 bits in so many channels; of a label map the indices."""
    with Image.open(source) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode == "F" or (image.mode == "I" and image.getextrema()[0] < 0) or data.get("inputs"):
        raise ValueError("its pixels are floats or below 0, or the inputs are of several files: use translator.py")
    if image.mode.startswith("I") and not labels:  # 16 bits, which Pillow would clip
        image = Image.fromarray(np.rint(np.asarray(image) / 257).clip(0, 255).astype(np.uint8))
    return label_map(image, file.format, data) if labels else image.convert(("L", "LA", "RGB", "RGBA")[channels - 1])


def listed(inputs, out, overwrite):
    """(file or stream to read, file to write) of every image."""
    if not overwrite and any(out.glob("[!.]*")):
        raise ValueError(f"--out must be empty. Received {out}, which holds files. Change it, or add --overwrite.")
    if inputs == ["-"]:
        return ((frame, out / f"frame-{number:06}.png") for number, frame in enumerate(frames(sys.stdin.buffer), 1))
    files = []
    for path in map(Path, inputs):
        files += sorted(f for f in path.glob("[!.]*") if f.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    pairs = [(file, out / f"{file.stem}.png") for file in files]
    if len({str(path.resolve()).casefold() for pair in pairs for path in pair}) < 2 * len(pairs):
        raise ValueError("Each file must have its own name. Received two of one, or inputs in --out. Change --out.")
    return pairs


def main():
    """The command. Its exit code: 1 where an image could not be translated, 2 where none could."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help=".tflite file")
    parser.add_argument("inputs", nargs="+", help="image files, folders, or - for JPEG frames on standard input")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PNG files")
    parser.add_argument("--noise", type=int, metavar="SEED", help="noise of a seed, -1: none (as the model card says)")
    parser.add_argument("--threads", type=int, default=4, help="threads of the CPU (4)")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds files")
    parser.add_argument("--size", choices=("own", "training"), help="scale (training, if images are of another)")
    given = parser.parse_args()
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    times, done, code, tiled, scaled, began = [], 0, 0, 0, 0, time.perf_counter()
    try:
        translator = Translator(given.model, given.threads)
        translator.noise(given.noise)
        channels, *labels = (translator.data[key] for key in ("input_channels", "input_classes", "target_classes"))
        how = [Image.Resampling.NEAREST if classes else Image.Resampling.BICUBIC for classes in labels]
        given.out.mkdir(parents=True, exist_ok=True)
        for source, target in listed(given.inputs, given.out, given.overwrite):
            partial = target.with_name(f".{target.name}.tfpix2pix-tmp")
            try:
                image = read(source, translator.data, channels, labels[0])
                tiled += image.size == (size := size_of(image.size, translator, given.size)) != translator.size[::-1]
                scaled += image.size != size
                start = time.perf_counter()
                result = translator(np.atleast_3d(image.resize(size, how[0])), given.noise)
                times = [*times[-999:], time.perf_counter() - start]
                picture = Image.fromarray(result[..., 0] if result.shape[2] == 1 else result)
                picture.resize(image.size, how[1]).save(partial, "PNG", compress_level=1)
                partial.replace(target)
                done += 1
            except Exception as error:  # broken files raise nearly anything
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise
                code, name = 1, source if isinstance(source, Path) else target.stem
                why = " ".join(str(getattr(error, "strerror", None) or error).split())
                print(f"An image must be whole and fit the model. Received {name}: {why}. Mend it.", file=sys.stderr)
            finally:
                partial.unlink(missing_ok=True)
        if not done + code:
            raise ValueError("An image must be given. Received none. Name files, a folder, or -.")
    except OSError as error:
        parser.exit(2, f"--out must be a folder that can be written. Received: {error}. Choose another.\n")
    except (ValueError, RuntimeError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:  # how a camera's stream is ended
        code = 130
    if rate := done / (time.perf_counter() - began):
        pace, note = 1000 * np.median(times), note_of(tiled, scaled, translator.size)
        print(f"Images: {done}, {pace:.1f} ms each (median), {rate:.1f} images/s with files.{note}")
    return code if done or code != 1 else 2


if __name__ == "__main__":
    sys.exit(main())
