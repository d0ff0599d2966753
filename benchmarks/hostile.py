"""Damaged files, models and server answers by the thousand: is each one sentence, or a traceback, or does it never end?

    python benchmarks/hostile.py [--images 10000] [--models 1000] [--answers 300] [--kills 10] [--seed 0]
                                 [--out runs/hostile]

Every case is a whole file with some bytes changed, read as a user's command reads it, in a process that is killed after
20 s. A case is good if it is read all the same or is one sentence. Training processes are killed and resumed as
benchmarks/faults.py does it. The end is a table, the exit code 1 if anything went wrong, and
hostile.json with every message that was no sentence.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import multiprocessing
import random
import resource
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # the writers of foreign files are in tests/
LIMIT_S = 20.0
START_S = 120.0  # for a process that loads TensorFlow
SIDE_PX = 32
GOOD = ("read", "one sentence")
PEAK_MB = 1500


# Damages


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((4, 64, 1024)))
    data[start:end] = rng.randbytes(end - start)


def insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = rng.randbytes(rng.choice((1, 7, 500)))


def take_out(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 7, 500))]


def claim(data: bytearray, rng: random.Random) -> None:
    """Puts a number near the limits of its type somewhere in the header."""
    size = rng.choice((2, 4, 8))
    start = rng.randrange(max(1, min(len(data), 256)))
    largest = 2 ** (8 * size - rng.choice((0, 1))) - 1
    data[start : start + size] = largest.to_bytes(size, rng.choice(("little", "big")))


DAMAGES = (cut, flip, overwrite, insert, take_out, claim)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Returns the bytes with one to three damages."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if changed:
            rng.choice(DAMAGES)(changed, rng)
    return bytes(changed)


# Readers of a case


def read_picture(path: str) -> None:
    from tfpix2pix.data.images import read_image

    read_image(Path(path))


def read_model(path: str) -> None:
    import tfpix2pix as p2p

    p2p.load(path)(np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))


def read_run(path: str) -> None:
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.resuming import DataRecord, resumed_config
    from tfpix2pix.safe_files import read_json_lines

    directory = RunDirectory(path)
    resumed_config(None, directory)
    DataRecord.of(directory)
    read_json_lines(directory.metrics_file, "step")
    read_model(path)


def read_weights(path: str) -> None:
    from tfpix2pix.runs.import_weights import import_weights

    out = Path(path).with_name("imported")
    try:
        import_weights(Path(path), out=out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def ask_server(address: str) -> None:
    from tfpix2pix.inference.remote.client import RemoteModel

    with RemoteModel(address, "hostile", timeout_s=10.0, retries=0) as model:
        model.translate(np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))


READERS: dict[str, Callable[[str], None]] = {
    each.__name__: each for each in (read_picture, read_model, read_run, read_weights, ask_server)
}


class Kind(NamedTuple):
    """A kind of model: its share of the models that are damaged, and the name of its reader."""

    share: float
    reader: str


KINDS = {
    "run": Kind(0.35, "read_run"),
    "tflite": Kind(0.15, "read_model"),
    "saved_model": Kind(0.1, "read_model"),
    "keras": Kind(0.1, "read_model"),
    "onnx": Kind(0.1, "read_model"),
    "h5": Kind(0.08, "read_weights"),
    "tfjs": Kind(0.08, "read_weights"),
    "pth": Kind(0.04, "read_weights"),
}


def outcome(reader: str, argument: str) -> tuple[str, str]:
    """Reads a case; returns a word for the outcome, and the message."""
    from tfpix2pix.errors import RunError, UserError

    try:
        READERS[reader](argument)
    except (UserError, RunError) as error:
        return ("one sentence" if len(str(error).splitlines()) == 1 else "several lines"), str(error)
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    return "read", ""


def _serve_cases(pipe) -> None:
    import tfpix2pix as p2p

    _ = p2p.load  # TensorFlow, before the first case is timed
    pipe.send("ready")
    while True:
        reader, argument = pipe.recv()
        found = outcome(reader, argument)
        pipe.send((*found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3))


class Worker:
    """A process that reads cases one after the other, and is begun anew if one ends it or never ends."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve_cases, args=(other,), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(START_S):
            raise RuntimeError("a worker did not begin")
        self._pipe.recv()

    def case(self, reader: str, argument: str) -> tuple[str, str]:
        """Reads a case in the process; returns the message and, before it, a word of `GOOD`, or `traceback`,
        `several lines`, `hang` or `crash`."""
        try:
            self._pipe.send((reader, argument))
            if not self._pipe.poll(LIMIT_S):
                self._process.kill()
                self._begin()
                return "hang", f"no end within {LIMIT_S:g} s"
            word, message, peak_mb = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            self._begin()
            return "crash", f"the process ended with {code}"
        self.peak_mb = max(self.peak_mb, peak_mb)
        return word, message

    def close(self) -> None:
        self._process.kill()


# Originals to damage


def images() -> dict[str, bytes]:
    """Makes an undamaged file of every kind."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (24, 20, 3), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (24, 20), np.uint16))
    floats = Image.fromarray(rng.random((24, 20), np.float32))
    kinds = {
        "rgb.png": (rgb, {}), "deep.png": (deep, {}), "palette.png": (rgb.quantize(16), {}), "a.jpg": (rgb, {}),
        "a.webp": (rgb, {}), "a.bmp": (rgb, {}), "a.gif": (rgb.quantize(16), {}), "a.tif": (rgb, {}),
        "lzw.tif": (deep, {"compression": "tiff_lzw"}), "deflate.tif": (rgb, {"compression": "tiff_adobe_deflate"}),
        "floats.tif": (floats, {}),
    }  # fmt: skip
    found = {}
    for name, (image, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(name.split(".")[1], name.split(".")[1]), **options)
        found[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, rng.random((24, 20, 5), np.float32))
    return {**found, "a.npy": buffer.getvalue()}


def models(out: Path) -> dict[str, Path]:
    """Trains a small run and exports it; returns their paths by kind."""
    import tfpix2pix as p2p

    run = out / "run"
    if not (run / "model_card.json").exists():
        p2p.train("smoke", run_dir=run, overrides=("training.steps=4",))
    found = {"run": run}
    for kind in (name for name, each in KINDS.items() if each.reader == "read_model"):  # the exports
        try:
            found[kind] = Path(p2p.export_run(run, kind, out / "exports" / kind).path)
        except p2p.UserError as error:  # ONNX is an extra
            print(f"without {kind}: {error}")
    return {**found, **weights(out / "weights")}


def weights(out: Path) -> dict[str, Path]:
    """Writes small generators as Keras, TensorFlow.js and PyTorch do; returns their paths by kind."""
    import tensorflow as tf

    from tests.interop.keras_networks import plain_unet, randomize
    from tests.interop.tfjs_writer import write_layers_model

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    model = randomize(plain_unet(tf, tf.keras.layers.BatchNormalization))
    model.save(out / "mine.h5")
    arrays = {f"{layer.name}/{v.name}": np.asarray(v) for layer in model.layers for v in layer.weights}
    write_layers_model(out / "web", json.loads(model.to_json()), arrays)
    found = {"h5": out / "mine.h5", "tfjs": out / "web"}
    try:
        import torch
    except ImportError:  # an extra
        print("without pth: PyTorch is not installed")
        return found
    from tests.interop.torch_networks import unet

    torch.manual_seed(0)
    torch.save(unet(5, 4).state_dict(), out / "latest_net_G.pth")
    return {**found, "pth": out / "latest_net_G.pth"}


def damaged_copy(original: Path, to: Path, rng: random.Random) -> Path:
    """Copies a file or folder and damages one file of the copy."""
    copy = to / original.name
    if original.is_file():
        copy.write_bytes(damaged(original.read_bytes(), rng))
        return copy
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("tensorboard", "samples", "exports"))
    (copy / "notes.txt").write_text("a user's own")
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.suffix not in (".png", ".txt"))
    chosen = rng.choice(files)
    chosen.write_bytes(damaged(chosen.read_bytes(), rng))
    return copy


def fingerprint(path: Path) -> dict[str, str]:
    """Hashes every file under a path, to compare before and after reading."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


class Answers:
    """Holds the undamaged answers of TF Serving to the requests of `ask_server`."""

    def __init__(self, card: str) -> None:
        signatures = {key: {} for key in ("model_card", "translate_bytes", "translate_float", "sample")}
        buffer = io.BytesIO()
        Image.new("RGB", (SIDE_PX, SIDE_PX)).save(buffer, "png")
        self.metadata = json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()
        self.card, self.picture = (
            json.dumps({"predictions": [{"b64": base64.b64encode(each).decode()}]}).encode()
            for each in (card.encode(), buffer.getvalue())
        )

    def to(self, path: str, body: bytes) -> bytes:
        if path.endswith("/metadata"):
            return self.metadata
        return self.card if b'"model_card"' in body else self.picture


@contextmanager
def server(answers: Answers, damage: Callable[[bytes], bytes]) -> Iterator[str]:
    """Serves answers changed by `damage`; yields the HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = damage(answers.to(self.path, body))
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            self.wfile.write(head.encode() + content)
            self.close_connection = True

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


# Counting


class Tally:
    """Counts outcomes by kind, and keeps what was wrong."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.wrong: list[dict[str, str]] = []

    def add(self, kind: str, word: str, message: str, lost: bool = False) -> None:
        counts = self.counts.setdefault(kind, Counter())
        counts[word] += 1
        counts["files lost"] += lost
        if word not in GOOD or lost:
            self.wrong.append({"kind": kind, "outcome": word, "message": message})

    def text(self) -> str:
        words = ("read", "one sentence", "traceback", "several lines", "hang", "crash", "files lost")
        lines = [f"{'':12} {'inputs':>7} " + " ".join(f"{word:>13}" for word in words)]
        for kind, counts in self.counts.items():
            inputs = sum(count for word, count in counts.items() if word != "files lost")
            lines.append(f"{kind:12} {inputs:7} " + " ".join(f"{counts[word]:13}" for word in words))
        return "\n".join(lines)


def cases_of_images(count: int, rng: random.Random, folder: Path) -> Iterator[tuple[str, str, Path]]:
    whole = images()
    for number in range(count):
        name = rng.choice(list(whole))
        path = folder / f"{number}-{name}"
        path.write_bytes(damaged(whole[name], rng))
        yield f"*{path.suffix}", "read_picture", path


def cases_of_models(count: int, rng: random.Random, folder: Path, whole: dict[str, Path]) -> Iterator:
    kinds = list(whole)
    for number in range(count):
        kind = rng.choices(kinds, [KINDS[each].share for each in kinds])[0]
        place = folder / str(number)
        place.mkdir()
        yield kind, KINDS[kind].reader, damaged_copy(whole[kind], place, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, count in {"images": 10_000, "models": 1_000, "answers": 300, "kills": 10, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--out", type=Path, default=Path("runs/hostile"))
    options = parser.parse_args()
    shutil.rmtree(options.out / "cases", ignore_errors=True)
    folder = options.out / "cases"
    folder.mkdir(parents=True)
    rng, tally, workers = random.Random(options.seed), Tally(), [Worker(), Worker()]
    free = list(workers)

    def read(kind: str, reader: str, path: Path) -> None:
        before, worker = fingerprint(path), free.pop()
        found = worker.case(reader, str(path))
        free.append(worker)
        tally.add(kind, *found, lost=fingerprint(path) != before)
        shutil.rmtree(path.parent) if path.parent != folder else path.unlink()

    whole = models(options.out) if options.models or options.answers else {}
    with ThreadPoolExecutor(len(workers)) as pool:
        for cases in (
            cases_of_images(options.images, rng, folder),
            cases_of_models(options.models, rng, folder, whole) if options.models else (),
        ):
            waiting = []
            for case in cases:
                waiting.append(pool.submit(read, *case))
                while len(waiting) > 100:
                    waiting.pop(0).result()
            for each in waiting:
                each.result()
            print(tally.text(), flush=True)
    if options.answers:
        answers = Answers((whole["run"] / "model_card.json").read_text())
        for _ in range(options.answers):
            own = random.Random(rng.random())
            spared = own.randrange(3)  # answers that are whole: the damaged one is the first, second or third
            turn = iter(range(10))
            with server(answers, lambda data: damaged(data, own) if next(turn) == spared else data) as address:  # noqa: B023
                tally.add("answers", *workers[0].case("ask_server", address))
    for worker in workers:
        worker.close()
    killed = kills(options.kills, options.seed, options.out) if options.kills else {}
    peak_mb = max(worker.peak_mb for worker in workers)
    print(tally.text())
    print(f"peak memory of a process {peak_mb:.0f} MB" + (f"; kills {killed}" if killed else ""))
    result = {"counts": tally.counts, "wrong": tally.wrong, "peak_mb": peak_mb, "kills": killed, "seed": options.seed}
    (options.out / "hostile.json").write_text(json.dumps(result, indent=2))
    sys.exit(bool(tally.wrong or killed.get("differences") or peak_mb > PEAK_MB))


def kills(count: int, seed: int, out: Path) -> dict[str, object]:
    """Kills a training `count` times and resumes it; what differs from one that was never interrupted."""
    import faults

    folder, steps, rng = out / "kills", 40 * count, random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    faults.finish(folder / "whole", steps, faults.SETTINGS)
    moments = Counter(faults.kill_at_random(folder / "killed", steps, faults.SETTINGS, rng) for _ in range(count))
    faults.finish(folder / "killed", steps, faults.SETTINGS)
    return {**moments, "differences": faults.differences(folder / "whole", folder / "killed")}


if __name__ == "__main__":
    main()
