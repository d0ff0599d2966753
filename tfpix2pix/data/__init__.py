"""Reads pairs of images: their sources, the operators that make inputs, and the order in which steps see them.

A new source, operator or colour space is a row of a table here."""

from tfpix2pix.data.rows import Encoding, InputKind, OpenmojiSet, Operator, SourceRow
from tfpix2pix.tables import lazy

# A row may also be only a function: (DataConfig, split, seed) -> Source
SOURCES = {
    "combined": SourceRow(
        lazy("tfpix2pix.data.sources", "combined"),
        "combined images, the {0.input_side} half the input",
        of_folder=True,
        cut=True,
        sides="The {0.input_side} half (input) looks like a {first} and the {opposite} (target) like a {second}",
        other_way="`--set data.input_side={opposite}`",
    ),
    "folders": SourceRow(
        lazy("tfpix2pix.data.sources", "folders"),
        "folders, {inputs} the inputs and {targets} the targets",
        of_folder=True,
        several=True,
        of_volumes=True,
        sides="The inputs, in {inputs}, look like {first}s and the targets, in {targets}, like {second}s",
        other_way="`--set data.input_folder={0.target_folder} --set data.target_folder={0.input_folder}`",
    ),
    "table": SourceRow(
        lazy("tfpix2pix.data.sources", "table"),
        "a table of inputs and targets",
        several=True,
        of_volumes=True,
        other_way="exchange the words input and target in the first line of {0.dir}",
    ),
    "shards": SourceRow(
        lazy("tfpix2pix.data.shards", "shards"),
        "TFRecord shards",
        several=True,
        other_way="`--set data.input_side={opposite}` if they hold combined images, else exchange the sides before "
        "`tfpix2pix data shard`",
    ),
    "photographs": SourceRow(
        lazy("tfpix2pix.data.photographs", "photographs"),
        "photographs, their inputs made by the operator {0.operator}",
        of_folder=True,
        makes_inputs=True,
    ),
    "sample_photographs": SourceRow(
        lazy("tfpix2pix.data.photographs", "sample_photographs"),
        "scikit-image's photographs, their inputs made by the operator {0.operator}",
        makes_inputs=True,
        brings_data=True,
        attribution="Photographs that scikit-image ships, in the public domain or under CC0: "
        "https://scikit-image.org/docs/stable/api/skimage.data.html",
    ),
    "openmoji": SourceRow(
        lazy("tfpix2pix.data.openmoji", "openmoji"),
        "OpenMoji's line drawings and coloured drawings, the set {0.openmoji_set}",
        brings_data=True,
        drawn=True,
        line_fraction=2 / 72,
        attribution="OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0. https://openmoji.org",
    ),
    "colored_shapes": SourceRow(
        lazy("tfpix2pix.data.colored_shapes", "colored_shapes"),
        "outlines of shapes and the same outlines filled with one of {0.shape_colors} colours, drawn as they are read",
        brings_data=True,
        drawn=True,
        invented=True,
        line_fraction=1 / 32,
        truth=lazy("tfpix2pix.data.colored_shapes", "truth"),
    ),
}


def source_row(name: str) -> SourceRow:
    """Returns the row of a source. If `SOURCES` holds only a function, the row's other fields have their defaults."""
    row = SOURCES[name]
    return row if isinstance(row, SourceRow) else SourceRow(row, f"`data.source: {name}`")


FACES = (range(0x1F600, 0x1F650), range(0x1F910, 0x1F930), range(0x1F970, 0x1F97B), range(0x1FAE0, 0x1FAEA))
ANIMALS = (range(0x1F400, 0x1F440), range(0x1F980, 0x1F9AF), range(0x1FAB0, 0x1FABE), range(0x1FACE, 0x1FAD0))
PLANTS_AND_FOOD = (range(0x1F32D, 0x1F380), range(0x1F940, 0x1F970), range(0x1F9C0, 0x1F9CC), range(0x1FAD0, 0x1FADC))

# Flags are a set of their own. Their lines are an empty rectangle, from which colours cannot be learned.
OPENMOJI_SETS = {
    "drawings": OpenmojiSet(flags=False, grouped_by_lines=True),
    "faces_animals_food": OpenmojiSet(
        flags=False, grouped_by_lines=True, code_points=(*FACES, *ANIMALS, *PLANTS_AND_FOOD)
    ),
    "flags": OpenmojiSet(flags=True, grouped_by_lines=False),
}

# Probabilities of the colours of `colored_shapes`: (kind of shape, number of colours) -> (colours,)
SHAPE_PROBABILITIES = {name: lazy("tfpix2pix.data.colored_shapes", name) for name in ("even", "uneven", "by_shape")}

OPERATORS = {
    "edges": Operator(lazy("tfpix2pix.data.operators", "edges"), channels=1, leaves="lines"),
    "grayscale": Operator(lazy("tfpix2pix.data.operators", "grayscale"), channels=1),
    "mask": Operator(lazy("tfpix2pix.data.operators", "mask"), channels=4, random=True, leaves="holes"),
    "downsample": Operator(lazy("tfpix2pix.data.operators", "downsample"), channels=3, leaves="fewer"),
    "blur": Operator(lazy("tfpix2pix.data.operators", "blur"), channels=3),
    "posterize": Operator(lazy("tfpix2pix.data.operators", "posterize"), channels=3),
}

# Kinds of the parts of an input (`data.inputs`), some of them of a target too (`data.targets`)
INPUT_KINDS = {
    "image": InputKind(
        lazy("tfpix2pix.data.stacks", "read_picture"),
        lazy("tfpix2pix.data.encodings", "unchanged_part"),
        channels=3,
        settings=("channels", "range"),
        numbers=False,
        read_target=lazy("tfpix2pix.data.stacks", "with_channels_of_part"),
        clipped=True,
        margin_px=lambda part, data: 0,
        tensor="float32",
        palette=lambda part, data: "colors",
    ),
    "labels": InputKind(
        lazy("tfpix2pix.data.stacks", "read_label_map"),
        lazy("tfpix2pix.data.encodings", "classes_part"),
        lazy("tfpix2pix.data.encodings", "most_likely_class"),
        settings=("classes",),
        read_target=lazy("tfpix2pix.data.stacks", "read_label_map"),
        needs=("classes", "35"),
        # Whether gray stands for colours follows from all values of a file
        margin_px=lambda part, data: None if data.class_colors else 0,
        palette=lazy("tfpix2pix.data.stacks", "palette_of_label_map"),
    ),
    "instances": InputKind(
        lazy("tfpix2pix.data.stacks", "read_instances"),
        lazy("tfpix2pix.data.encodings", "boundaries_part"),
        palette=lambda part, data: "ids",
    ),
    "distance": InputKind(
        lazy("tfpix2pix.data.distances", "read_distance"),
        lazy("tfpix2pix.data.encodings", "unchanged_part"),
        read_target=lazy("tfpix2pix.data.distances", "distances_px"),
        settings=("range",),
        needs=("range", "[-20, 20]"),
        numbers=False,
        margin_px=lazy("tfpix2pix.data.distances", "margin_px"),
        tensor="float32",
    ),
    "scalar": InputKind(
        lazy("tfpix2pix.data.scalars", "read_scalar"),
        lazy("tfpix2pix.data.encodings", "unchanged_part"),
        settings=("range",),
        needs=("range", "[0, 25]"),
        in_files=False,
        clipped=True,
        tensor="float32",
    ),
}

COLOR_SPACES = {
    "rgb": Encoding(),
    "lab": Encoding(
        image_channels=(1, 3),
        network_channels=(1, 2),
        encode_input=lazy("tfpix2pix.data.encodings", "gray_to_lightness"),
        encode_target=lazy("tfpix2pix.data.encodings", "rgb_to_ab"),
        decode=lazy("tfpix2pix.data.encodings", "lab_to_rgb"),
    ),
}

SPLITS = ("train", "val", "test")
OUTPUT_FORMATS = {"png": ".png", "tiff": ".tif", "npy": ".npy"}  # that images are written in, and their endings
LARGEST_SIZE_PX = 8192  # side of an image that is trained on, exported for or resized to
