"""TensorFlow.js layers models, written by the description of their format."""

import json

import numpy as np

SHARD_BYTES = 100_000  # small, so that tensors lie across shards


def quantized(array, dtype):
    """(integers, the manifest's words) of an affine quantisation."""
    levels = np.iinfo(dtype).max
    low, high = float(array.min()), float(array.max())
    scale = (high - low) / levels or 1.0
    return np.round((array - low) / scale).astype(dtype), {"dtype": np.dtype(dtype).name, "scale": scale, "min": low}


def write_layers_model(folder, topology, arrays, dtype=None):
    """model.json and shards; `dtype` uint8 or uint16 to quantise, float16 to halve."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, data = [], b""
    for name, array in arrays.items():
        entry = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if dtype == "float16":
            array, entry["quantization"] = array.astype(np.float16), {"dtype": "float16", "original_dtype": "float32"}
        elif dtype:
            array, words = quantized(array, dtype)
            entry["quantization"] = {**words, "original_dtype": "float32"}
        data += np.ascontiguousarray(array).tobytes()
        entries.append(entry)
    shards = [data[start : start + SHARD_BYTES] for start in range(0, len(data), SHARD_BYTES)]
    paths = [f"group1-shard{number}of{len(shards)}.bin" for number in range(1, len(shards) + 1)]
    for path, shard in zip(paths, shards, strict=True):
        (folder / path).write_bytes(shard)
    described = {
        "format": "layers-model", "generatedBy": "keras v2.2.4", "convertedBy": "TensorFlow.js Converter v1.7.4",
        "modelTopology": {"keras_version": "2.2.4-tf", "backend": "tensorflow", "model_config": topology},
        "weightsManifest": [{"paths": paths, "weights": entries}],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(described))
    return folder / "model.json"
