"""Two detectors on real pairs: `data match` by likeness, and photographs that are read as pairs.

    python benchmarks/recognition.py data/facades data/edges2shoes openmoji [--pairs 100] [--missing 0.1] [--seed 0]

DATA is a folder or a table of pairs, in whatever layout `data check` recognises, or a source that brings its data. Of
each, `--pairs` are taken, evenly spread over all splits.

The first table: inputs and targets in two folders, under random names, matched with `by` likeness. Then again without
a tenth of the targets (`--missing`), and without as many inputs of other pairs too, so that files on either side have
lost their partners: all of these should be left over.

The second: the same pairs as combined images; of the pairs with a photograph on one side, these photographs alone;
squares of scikit-image's photographs; and photographs beside the inputs that two operators make of them. An image says
something if the columns beside its middle do, and continues if the step between its halves is small there
(`step_across` of data/doctor/measure.py).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from tfpix2pix.data import OPERATORS, SOURCES, source_row
from tfpix2pix.data.doctor.content import MOST_STEP_ACROSS, photographs
from tfpix2pix.data.doctor.direction import photograph_side
from tfpix2pix.data.doctor.examination import open_all
from tfpix2pix.data.doctor.survey import Survey, looker
from tfpix2pix.data.guess import guess_source
from tfpix2pix.data.images import as_picture, read_image
from tfpix2pix.data.match import match
from tfpix2pix.data.photographs import SAMPLE_PHOTOGRAPHS
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.parallel import evenly_spread, in_order

Pair = tuple[np.ndarray, np.ndarray]  # input and target, uint8 (H, W, 3) each

SQUARE_PX = 192  # of scikit-image's photographs
QUALITIES = (75, 30)  # of JPEG files
OPERATED = ("grayscale", "blur")  # the operators whose inputs look most like the photograph


def pairs_of(data: str, count: int) -> list[Pair]:
    """Reads `count` pairs, evenly spread over all splits, or all if there are fewer."""
    brought = data in SOURCES and source_row(data).brings_data
    config = DataConfig(source=data) if brought else DataConfig(dir=data, **guess_source(Path(data)))
    places = [(source, index) for source in open_all(config, seed=0).values() for index in range(len(source))]
    chosen = [places[position] for position in evenly_spread(len(places), count)]
    return [tuple(as_picture(side) for side in source.read(index)) for source, index in chosen]


def match_row(pairs: Sequence[Pair], lost_inputs: int, lost_targets: int, seed: int) -> str:
    """Matches the pairs without one side of some of them, and returns the row of the first table."""
    rng = np.random.default_rng(seed)
    names = [f"{number:08x}" for number in rng.choice(2**32, 2 * len(pairs), replace=False)]
    partner = dict(zip(names[::2], names[1::2], strict=True))
    only_inputs = set(list(partner)[:lost_targets])
    only_targets = set(list(partner)[lost_targets : lost_targets + lost_inputs])
    with tempfile.TemporaryDirectory() as folder:
        inputs, targets = Path(folder, "inputs"), Path(folder, "targets")
        inputs.mkdir()
        targets.mkdir()
        for name, index in zip(partner, rng.permutation(len(pairs)), strict=True):
            image, target = pairs[index]
            if name not in only_targets:
                Image.fromarray(image).save(inputs / f"{name}.png")
            if name not in only_inputs:
                Image.fromarray(target).save(targets / f"{partner[name]}.png")
        matches = match(inputs, targets, "likeness")
    right = sum(partner[pair.input.stem] == pair.target.stem for pair in matches.pairs)
    return (
        f"{len(pairs) - lost_inputs} | {len(pairs) - lost_targets} | {len(pairs) - lost_inputs - lost_targets} | "
        f"{len(matches.pairs)} | {right} | {len(matches.pairs) - right} | {len(matches.inputs)} | "
        f"{len(matches.targets)}"
    )


def survey_of(images: Sequence[np.ndarray], quality: int | None) -> Survey:
    """Writes images as PNG, or as JPEG of a quality, and measures them as the doctor does with combined images."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train").mkdir()
        for number, image in enumerate(images):
            path = Path(folder, "train", f"{number}.{'jpg' if quality else 'png'}")
            Image.fromarray(image).save(path, **({"quality": quality} if quality else {}))
        data = DataConfig(dir=folder)
        survey = Survey(data, open_all(data, seed=0))
        positions = [("train", index) for index in range(len(survey.sources["train"]))]
        survey.looks = [look for look, _ in in_order(looker(survey), positions)]
    return survey


def photographs_row(survey: Survey) -> str:
    """Returns the row of the second table."""
    steps = [look.traits.step for look in survey.readable if look.traits.step is not None]
    continuing = sum(step <= MOST_STEP_ACROSS for step in steps)
    share = f"{continuing} ({continuing / len(steps):.0%})" if steps else "0"
    return f"{len(survey.readable)} | {len(steps)} | {share} | {'yes' if photographs(survey) else 'no'}"


def squares() -> Iterator[np.ndarray]:
    """Yields the whole squares of scikit-image's photographs."""
    for file in SAMPLE_PHOTOGRAPHS:
        whole = as_picture(read_image(Path(skimage.data.__file__).parent / file))
        for top in range(0, len(whole) - SQUARE_PX + 1, SQUARE_PX):
            for left in range(0, whole.shape[1] - SQUARE_PX + 1, SQUARE_PX):
                yield whole[top : top + SQUARE_PX, left : left + SQUARE_PX]


def beside_input(photograph: np.ndarray, operator: str) -> np.ndarray:
    """Returns the combined image of a photograph and the input that an operator makes of it."""
    made = as_picture(OPERATORS[operator].make(photograph, DataConfig(), np.random.default_rng(0)))
    return np.concatenate([made, photograph], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--missing", type=float, default=0.1, help="fraction of a side, at most 0.5")
    parser.add_argument("--seed", type=int, default=0, help="of the names and of the files that are missing")
    given = parser.parse_args()
    sets = {data if data in SOURCES else Path(data).name: pairs_of(data, given.pairs) for data in given.data}
    print("| data | inputs | targets | pairs among them | found | right | wrong | inputs left | targets left |")
    print(f"|---|{'---|' * 8}")
    for name, pairs in sets.items():
        lost = round(given.missing * len(pairs))
        for lost_inputs, lost_targets in ((0, 0), (0, lost), (lost, lost)):
            print(f"| {name} | {match_row(pairs, lost_inputs, lost_targets, given.seed)} |", flush=True)
    print("\n| images | number | say something | continue | found to be photographs |\n|---|---|---|---|---|")
    taken = {"scikit-image": list(squares())}
    for name, pairs in sets.items():
        survey = survey_of([np.concatenate(pair, axis=1) for pair in pairs], quality=None)
        print(f"| pairs of {name} | {photographs_row(survey)} |", flush=True)
        if side := photograph_side(survey):
            taken[name] = [pair[0 if side > 0 else 1] for pair in pairs]
    for name, images in taken.items():
        for quality in QUALITIES:
            for operator in OPERATED:
                both = [beside_input(image, operator) for image in images]
                row = photographs_row(survey_of(both, quality))
                print(f"| photographs of {name} beside `{operator}`, JPEG {quality} | {row} |", flush=True)
            print(
                f"| photographs of {name}, JPEG {quality} | {photographs_row(survey_of(images, quality))} |", flush=True
            )


if __name__ == "__main__":
    main()
