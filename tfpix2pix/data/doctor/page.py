"""Writes an examination as one HTML page: pairs with findings, a dozen pairs of all, notes and the kinds of files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfpix2pix import pages
from tfpix2pix.data.doctor.examination import open_all
from tfpix2pix.data.doctor.findings import Examination, Finding
from tfpix2pix.data.doctor.report import by_kind, where
from tfpix2pix.data.doctor.survey import viewer
from tfpix2pix.data.images import resized
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.weights import dimmed
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file, write_text
from tfpix2pix.parallel import evenly_spread

KIND = "data check"
TEMPLATE = "data/doctor/check.html"
THUMBNAIL_PX = 160  # of either side of a pair
MOST_SHOWN = 24  # findings of a kind with pictures; the others are listed by name below them
MOST_PAIRS = 4  # pictures of a finding: copies of one pair may be many
PAIRS_SHOWN = 12  # pictures of pairs, even if nothing is found
BARS_SHOWN = 12
MOST_SHIFTS = 24


def write_html(examination: Examination, data: DataConfig, seed: int, path: Path) -> None:
    """Writes the page to `path`, whole or not at all: pictures of the pairs in findings, and of a dozen others.

    Raises:
        UserError: something else lies at `path`.
        RunError: the page cannot be written.
    """
    check_page_place(path)
    painter = Painter(data, seed)
    name = data.dir or data.source
    page = pages.render_page(
        TEMPLATE,
        KIND,
        f"Data check: {name}",
        name=name,
        read_as=examination.read_as,
        pairs=examination.pairs,
        groups=examination.groups and examination.division.sentence,
        verdict=examination.verdict,
        kinds=sorted(
            (_kind(findings, painter.of) for findings in by_kind(examination)),
            key=lambda kind: not any(card["pictures"] for card in kind["cards"]),  # kinds with pictures come first
        ),
        some=painter.some(),
        shifts=examination.shifts,
        shifts_shown=MOST_SHIFTS,
        notes=examination.notes,
        sizes=_charts(examination.sizes),
        channels=_charts(examination.channels),
        attribution=data.terms,
    )
    with whole_file(path) as temporary:
        write_text(temporary, page)


def check_page_place(path: Path) -> None:
    """Raises UserError if a page would replace anything but an earlier page of its kind."""
    pages.check_page_place(path, KIND)


class Painter:
    """Paints pairs as data URIs: input left, target right. Reads them again, as a run reads them."""

    def __init__(self, data: DataConfig, seed: int) -> None:
        self.sources: Mapping[str, Source] = open_all(data, seed)
        self.views = viewer(data, THUMBNAIL_PX)

    def picture(self, split: str, index: int) -> str | None:
        """Returns the picture of a pair, or None if it cannot be read."""
        try:
            *pair, weight = (*self.sources[split].sample(index), None)[:3]
        except UserError:
            return None
        image, target = self.views(pair)
        if weight is not None:
            height, width = target.shape[:2]
            target = dimmed(target, resized(weight, (width, height), Image.Resampling.BOX))
        gap = np.full((image.shape[0], 4, 3), 128, np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate([image, gap, target], axis=1)).save(buffer, "JPEG", quality=85)
        return pages.data_uri(buffer.getvalue(), "image/jpeg")

    def of(self, finding: Finding) -> list[str]:
        """Returns the pictures of the pairs of a finding. Pairs that cannot be read are left out."""
        return [picture for pair in finding.pairs[:MOST_PAIRS] if (picture := self.picture(*pair))]

    def some(self, count: int = PAIRS_SHOWN) -> list[dict[str, str]]:
        """Returns cards of readable pairs, evenly spread over all splits."""
        pairs = [(split, index) for split, source in self.sources.items() for index in range(len(source))]
        chosen = [pairs[position] for position in evenly_spread(len(pairs), count)]
        return [
            {"where": f"{split}/{self.sources[split].names[index]}", "picture": picture}
            for split, index in chosen
            if (picture := self.picture(split, index))
        ]


def _kind(findings: list[Finding], pictures: Callable[[Finding], list[str]]) -> dict[str, Any]:
    """Returns the findings of one kind: advice, cards of the first ones, and the names of the others."""
    return {
        "name": findings[0].kind,
        "count": len(findings),
        "advice": findings[0].advice,
        "cards": [
            {"where": where(finding), "message": finding.message, "pictures": pictures(finding)}
            for finding in findings[:MOST_SHOWN]
        ],
        "others": [where(finding) for finding in findings[MOST_SHOWN:]],
    }


def _charts(roles: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Returns the number of files by role and value, as bars with percentages of the longest."""
    return [
        {
            "role": role,
            "total": sum(counts.values()),
            "bars": [
                {"value": value, "count": count, "percent": f"{100 * count / max(counts.values()):.1f}"}
                for value, count in list(counts.items())[:BARS_SHOWN]
            ],
            "others": max(0, len(counts) - BARS_SHOWN),
        }
        for role, counts in roles.items()
    ]
