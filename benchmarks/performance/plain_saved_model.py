"""A run's generator as a SavedModel of Keras's own convolutions and a fixed size, for other runtimes to read.

python benchmarks/performance/plain_saved_model.py RUN OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tfpix2pix.quiet import load_tensorflow


def main() -> None:
    run, out = map(Path, sys.argv[1:])
    load_tensorflow()
    import tensorflow as tf

    from tfpix2pix.export.plain import with_plain_convolutions
    from tfpix2pix.export.weights import Stored
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.load import run_engine

    directory = RunDirectory(run)
    generator = run_engine(directory, noise_input=False, size_px=directory.config().data.image_size_px).generator
    clone = with_plain_convolutions(generator)
    clone.set_weights(generator.get_weights())
    module = Stored(clone)
    spec = tf.TensorSpec((1, *clone.inputs[0].shape[1:]), tf.float32, name="image")
    module.run = tf.function(lambda image: {"image": module(image)}, autograph=False)
    tf.saved_model.save(module, str(out), signatures={"serving_default": module.run.get_concrete_function(spec)})
    print(json.dumps({"path": str(out)}))


if __name__ == "__main__":
    main()
