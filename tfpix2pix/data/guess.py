"""What a folder of data looks like, where no configuration says it."""

from __future__ import annotations

import os
from pathlib import Path

from tfpix2pix.data import SPLITS

FOLDER_NAMES = (("input", "target"), ("A", "B"), ("a", "b"), ("inputs", "targets"))
TABLES = (".csv", ".tsv")
SHARDS_MANIFEST = "shards.json"


def guess_source(path: Path) -> dict[str, str]:
    """The keys of `data` that say how pairs lie in `path`: a table, shards, two folders; none for combined images."""
    if path.suffix.lower() in TABLES:
        return {"source": "table"}
    if not os.access(path, os.R_OK | os.X_OK):
        return {}  # opening it says why
    if (path / SHARDS_MANIFEST).is_file():
        return {"source": "shards"}
    for names in FOLDER_NAMES:
        for layout in ("{name}", *(f"{split}/{{name}}" for split in SPLITS)):
            if all((path / layout.format(name=name)).is_dir() for name in names):
                return {"source": "folders", "input_folder": names[0], "target_folder": names[1]}
    return {}
