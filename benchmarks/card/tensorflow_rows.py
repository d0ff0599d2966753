"""The rows of TensorFlow: this package's step, bare and in its loop, and the tutorial's recipe."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from card.plan import FILTERS, ROW_S, SMALL_FILTERS, SMALL_NETWORKS, SMALL_ROW_S, Row
from card.timing import timed
from tfpix2pix.quiet import load_tensorflow

MATRIX, MATRIX_CPU = 8192, 256  # side of the products that give the card's rate
STEPS_A_CALL = 5  # of the loop
STEPS_TRACED = 3
PAIRS = 16  # JPEG files that are read again in every epoch
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


def measurer(*, gpus: int = 1) -> Callable[[Row | None], dict[str, Any]]:
    """Returns a function from a row to its figures, and from None to what the card is."""
    load_tensorflow()
    import keras
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    filters, seconds = (FILTERS, ROW_S) if on_gpu else (SMALL_FILTERS, SMALL_ROW_S)
    if gpus > 1 and not on_gpu:  # the same code on parts of a CPU
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * gpus)
    folder = tempfile.TemporaryDirectory()  # of the pairs, as long as this process

    def measure(row: Row | None) -> dict[str, Any]:
        if row is None:
            return card(on_gpu)
        tf.config.experimental.enable_tensor_float_32_execution(row.precision == "tf32")
        if on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        try:
            if row.engine == "tutorial":
                figures = tutorial(row, filters, seconds)
            elif row.pipeline:
                figures = in_loop(row, filters, seconds, pairs(Path(folder.name)))
            else:
                figures = bare(row, filters, seconds, on_gpu)
            if on_gpu:
                figures["peak_mb"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
            return figures
        finally:
            keras.utils.clear_session()
            gc.collect()

    return measure


def card(on_gpu: bool) -> dict[str, Any]:
    """The name of the card, its compute capability, and its rate of matrix products, GFLOP/s."""
    import tensorflow as tf

    from tfpix2pix.training.hardware import choice_for, explain, this_hardware

    hardware = this_hardware()
    return {
        "name": hardware.name, "capability": hardware.capability, "gpus": len(hardware.gpus),
        "tensorflow": tf.__version__, "auto": choice_for(hardware).precision, "auto_xla": choice_for(hardware).xla,
        "explained": explain("auto", "auto", hardware), "matrix_gflops": rates(MATRIX if on_gpu else MATRIX_CPU),
    }  # fmt: skip


def rates(side: int) -> dict[str, float]:
    import tensorflow as tf

    found = {}
    for precision in PRECISIONS:
        tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
        a = tf.cast(tf.random.normal((side, side)), "float32" if precision == "tf32" else precision)
        product = tf.function(lambda a: tf.reduce_sum(tf.cast(tf.matmul(a, a)[0], tf.float32)))
        call = lambda product=product, a=a: product(a).numpy()  # noqa: E731
        found[precision] = round(2 * side**3 / timed(call, 0.3)["step_s"] / 1e9, 1)
    return found


def overrides(row: Row, filters: int) -> list[str]:
    small = SMALL_NETWORKS if filters == SMALL_FILTERS else ()
    precision = "float32" if row.precision == "tf32" else row.precision
    return [
        f"data.image_size_px={row.size_px}", f"training.precision={precision}", f"training.xla={row.xla}".lower(),
        f"training.batch_size={row.batch * row.gpus}", f"generator.base_filters={filters}",
        f"discriminator.base_filters={filters}", "training.steps=1000000", *small,
    ]  # fmt: skip


def images(row: Row) -> list:
    import tensorflow as tf

    shape = (row.batch, row.size_px, row.size_px, 3)
    return [tf.random.uniform(shape, -1, 1) for _ in range(2)]


def bare(row: Row, filters: int, seconds: float, on_gpu: bool) -> dict[str, Any]:
    """The step on tensors at hand, and the device's own time of it where the profiler gives it."""
    import tensorflow as tf
    from performance.step import step_gflop

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.runs.networks import build_model

    model = build_model(resolve_config("facades", overrides(row, filters)))
    step, pair = tf.function(model.train_step, autograph=False, jit_compile=row.xla), images(row)
    call = lambda: float(step(pair)["g/total"])  # noqa: E731
    figures = {**timed(call, seconds), "gflop": step_gflop(model.generator, model.discriminator, row.batch)}
    if on_gpu and row.batch == 1:
        try:
            figures["device_s"] = device_s(call)
        except Exception as error:  # CUPTI is not everywhere
            figures["device_reason"] = f"{type(error).__name__}: {error}"[:200]
    return figures


def device_s(call: Callable[[], object]) -> float:
    """Seconds a step of all kernels on the first GPU: the lines of its streams in the profiler's trace."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(STEPS_TRACED):
            call()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU:0")]
    streams = [line for plane in planes for line in plane.lines if line.name.startswith("Stream")]
    return sum(event.duration_ps for line in streams for event in line.events) / 1e12 / STEPS_TRACED


def pairs(folder: Path) -> Path:
    """A folder of JPEG pairs of 256 px, made once."""
    from pipeline import made_pairs

    return folder / "pairs" if (folder / "pairs").is_dir() else made_pairs(folder / "pairs", PAIRS)


def in_loop(row: Row, filters: int, seconds: float, data: Path) -> dict[str, Any]:
    """A step of the command's loop, which reads and jitters pairs; on one GPU beside the bare step of that model."""
    import tensorflow as tf

    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.data.opening import open_sources
    from tfpix2pix.runs.steps import build_on, execution
    from tfpix2pix.training.devices import Devices

    config = resolve_config("facades", overrides(row, filters), data_dir=str(data))
    strategy = tf.distribute.get_strategy()
    if row.gpus > 1:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices[: row.gpus]])
    devices = Devices(strategy)
    model = build_on(devices, config)
    advance = execution(config, open_sources(config.data, config.seed)["train"], model, devices, first_step=0)
    loop = timed(lambda: advance(STEPS_A_CALL), seconds)
    figures = {name: value / (1 if name == "steps" else STEPS_A_CALL) for name, value in loop.items()}
    if row.gpus == 1:
        step, pair = tf.function(model.train_step, autograph=False), images(row)
        figures["bare_s"] = timed(lambda: float(step(pair)["g/total"]), seconds)["step_s"]
        figures["pipeline_share"] = 1 - figures["bare_s"] / figures["step_s"]
    return figures


def tutorial(row: Row, filters: int, seconds: float) -> dict[str, Any]:
    from card.tutorial import make_step

    step, pair = make_step(row.size_px, filters / FILTERS), images(row)
    return timed(lambda: float(step(*pair)), seconds)
