"""How far norms of nearly constant maps, and exports of a run on drawings, are from float64.

    python benchmarks/flat_maps.py [--run RUN] [--side 256]

Maps of mean 1 are normalised with one sum over all pixels, with means over rows and then columns, and as
`models/norms.py` does it, by TensorFlow, by TFLite's XNNPACK and by onnxruntime. Of a run, each unquantised export is
compared with the generator in float64 on held-out inputs, on each drawing and on noise.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

CHANNELS, EPSILON = 8, 1e-5


def forms() -> dict[str, Callable]:
    """Names the norms to measure, each a function that normalises a map (1, S, S, C)."""
    import tensorflow as tf

    from tfpix2pix.models.norms import IMAGE_AXES, mean_of, normalize_per_image

    def two_pass(mean: Callable) -> Callable:
        def normalize(x: tf.Tensor) -> tf.Tensor:
            centred = x - mean(x)
            return centred * tf.math.rsqrt(mean(tf.square(centred)) + EPSILON)

        return normalize

    def fused(x: tf.Tensor) -> tf.Tensor:
        none, ones = tf.zeros((0,)), tf.ones(x.shape[-1])
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=ones, offset=0 * ones, mean=none, variance=none, epsilon=EPSILON, is_training=True
        ).y

    return {
        "one sum": two_pass(lambda x: tf.reduce_mean(x, IMAGE_AXES, keepdims=True)),
        "rows, then columns": two_pass(lambda x: mean_of(x, IMAGE_AXES)),
        "rows, then columns, centred twice": lambda x: normalize_per_image(x, tf.ones(x.shape[-1]), 0.0, EPSILON),
        "TensorFlow's fused operation": fused,
    }


def in_every_runtime(form: Callable, side: int) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """(name of the runtime, what runs `form` there)."""
    import onnxruntime
    import tensorflow as tf
    import tf2onnx
    from ai_edge_litert.interpreter import Interpreter

    signature = [tf.TensorSpec((1, side, side, CHANNELS), tf.float32, name="x")]
    function = tf.function(form, input_signature=signature, autograph=False)
    yield "TensorFlow", lambda x: function(tf.constant(x)).numpy()
    if form.__name__ == "fused":  # which has no counterpart in training
        return
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    given, gives = (each[0]["index"] for each in (interpreter.get_input_details(), interpreter.get_output_details()))

    def by_xnnpack(x: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given, x)
        interpreter.invoke()
        return interpreter.get_tensor(gives)

    yield "XNNPACK", by_xnnpack
    model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    yield "onnxruntime", lambda x: session.run(None, {"x": x})[0]


def maps(side: int) -> dict[str, np.ndarray]:
    """Nearly constant maps, by name."""
    rng, constant = np.random.default_rng(1), np.ones((1, side, side, CHANNELS)) * np.linspace(0.5, 1.5, CHANNELS)
    line = constant.copy()
    line[:, side // 3] += 1e-3
    drawn = {"constant": constant, "a line of 1e-3": line, "grain of 1e-3": constant + rng.normal(0, 1e-3, line.shape)}
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def exact(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    centred = x - x.mean((1, 2), keepdims=True)
    return centred / np.sqrt(np.square(centred).mean((1, 2), keepdims=True) + EPSILON)


def of_norms(side: int) -> None:
    """Prints a row a form, map and runtime."""
    print("| form | map | runtime | largest difference |\n|---|---|---|---|")
    for name, form in forms().items():
        for runtime, run in in_every_runtime(form, side):
            for kind, x in maps(side).items():
                print(f"| {name} | {kind} | {runtime} | {np.abs(run(x) - exact(x)).max():.1e} |")


def of_run(run: Path) -> None:
    """Prints a row a format: the largest difference by kind of image."""
    from tfpix2pix.export import EXPORTERS
    from tfpix2pix.inference.parity import DRAWINGS, distance, drawings, in_float64
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.export import PROBE_IMAGES, export_run, inputs_of
    from tfpix2pix.runs.load import load, run_engine

    directory = RunDirectory(run)
    config = directory.config()
    side, channels = config.data.image_size_px, config.data.input_channels
    kinds = {"held out": inputs_of(config, "val", side, PROBE_IMAGES)}
    kinds |= {name: [image] for name, image in zip(DRAWINGS, drawings(side, channels), strict=True)}
    kinds["noise"] = [np.random.default_rng(0).uniform(-1, 1, (1, side, side, channels)).astype(np.float32)]
    view = run_engine(directory, noise_input=False, size_px=side)
    float64, engines = in_float64(view), {"Keras": view}
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name, exporter in EXPORTERS.items() if not exporter.runtime):  # a page holds TFLite
            engines[name] = load(export_run(run, name, folder).path).engine
        print(f"| | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
        for name, engine in engines.items():
            off = [
                distance([engine(x, None) for x in images], [float64(x, None) for x in images]).max_abs_error
                for images in kinds.values()
            ]
            print(f"| {name} | {' | '.join(f'{each:.1e}' for each in off)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    from tfpix2pix.quiet import load_tensorflow

    load_tensorflow()
    of_run(given.run) if given.run else of_norms(given.side)


if __name__ == "__main__":
    main()
