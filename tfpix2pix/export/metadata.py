"""Adds TFLite's metadata to a file, which Android's MetadataExtractor, ML Kit and Netron read.

The metadata are a FlatBuffer of TFLite's metadata schema (version 1) among the model's buffers: names, descriptions and
value ranges of the tensors, and `model_card.json` as a file packed with the model.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from tfpix2pix.config.card import FILE_NAME, ModelCard

NAME, IDENTIFIER, MODEL_IDENTIFIER = "TFLITE_METADATA", b"M001", b"TFL3"
PARSER_VERSION = "1.0.0"  # of the schema: the first has all fields used here
NORMALIZATION, IMAGE = 1, 2  # members of the unions ProcessUnitOptions and ContentProperties
RGB, GRAYSCALE = 1, 2
COLOR_SPACES = {1: GRAYSCALE, 3: RGB}


def with_metadata(model: bytes, card: ModelCard) -> bytes:
    """Returns the model with its metadata."""
    content = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    graph, signature = content.subgraphs[0], content.signatureDefs[0]
    names = {tensor.tensorIndex: tensor.name.decode() for tensor in [*signature.inputs, *signature.outputs]}
    buffer = schema.BufferT()
    buffer.data = list(_model_metadata(card, [names[i] for i in graph.inputs], [names[i] for i in graph.outputs]))
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(content.buffers)
    content.buffers.append(buffer)
    content.metadata = [*(content.metadata or []), entry]
    builder = flatbuffers.Builder(len(model) + 2**20)
    builder.Finish(content.Pack(builder), MODEL_IDENTIFIER)
    return bytes(builder.Output())


def _model_metadata(card: ModelCard, inputs: list[str], outputs: list[str]) -> bytes:
    builder = flatbuffers.Builder(4096)
    image = "pixels from 0 to 255" if card.image_dtype == "uint8" else "from -1 to 1: pixel / 127.5 - 1"
    describe = {
        ("image", True): f"The image, {image}.",
        ("noise", True): "Uniform in [0, 1); 1 everywhere for no noise.",
        ("image", False): f"Its translation, {image}.",
    }

    def tensors(names: list[str], is_input: bool) -> int:
        descriptions = [describe[name, is_input] for name in names]
        return _vector(
            builder,
            [_tensor(builder, card, *pair, is_input) for pair in zip(names, descriptions, strict=True)],
        )

    subgraph = _table(builder, 9, {2: tensors(inputs, True), 3: tensors(outputs, False)})
    card_file = _table(
        builder, 5, {0: builder.CreateString(FILE_NAME), 1: builder.CreateString("The model card of tfpix2pix, JSON.")}
    )
    description = f"pix2pix generator, {card.objective}, step {card.step}. Weights: {card.quantization}."
    texts = {0: card.name, 1: description, 2: card.package_version, 7: PARSER_VERSION}
    slots = {slot: builder.CreateString(text) for slot, text in texts.items()}
    slots |= {3: _vector(builder, [subgraph]), 6: _vector(builder, [card_file])}
    builder.Finish(_table(builder, 8, slots), IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: Any, card: ModelCard, name: str, description: str, is_input: bool) -> int:
    """Writes TensorMetadata: the colours of an image and, for an input, (pixel - mean) / std that gives its values."""
    slots = {0: builder.CreateString(name), 1: builder.CreateString(description)}
    data = card.config.data
    if name == "image" and is_input:
        mean, std = (0.0, 1.0) if card.image_dtype == "uint8" else (127.5, 127.5)
        options = _table(builder, 2, {0: _floats(builder, [mean]), 1: _floats(builder, [std])})
        slots[4] = _vector(builder, [_union(builder, NORMALIZATION, options, slots=2)])
    if name == "image":
        shown = _image(builder, COLOR_SPACES.get(data.input_channels if is_input else data.target_channels, 0))
        slots[3] = _union(builder, IMAGE, shown, slots=3)
    return _table(builder, 7, slots)


def _image(builder: Any, color_space: int) -> int:
    builder.StartObject(2)
    builder.PrependInt8Slot(0, color_space, 0)
    return builder.EndObject()


def _union(builder: Any, kind: int, member: int, slots: int) -> int:
    """Writes a table that begins with the two fields of a union: the kind of its member, and the member."""
    builder.StartObject(slots)
    builder.PrependUint8Slot(0, kind, 0)
    builder.PrependUOffsetTRelativeSlot(1, member, 0)
    return builder.EndObject()


def _table(builder: Any, slots: int, offsets: dict[int, int]) -> int:
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return builder.EndObject()


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: Any, values: list[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
