"""Says how pairs are divided: how many pairs, and of which groups (`data.group`), are trained on and held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfpix2pix.data.groups import groups_of, names_shown
from tfpix2pix.errors import listed, plural

if TYPE_CHECKING:
    from tfpix2pix.data.pairs import Source
    from tfpix2pix.data.settings import DataConfig

WORDS = {"train": "training", "val": "held-out", "test": "test"}


@dataclass(frozen=True)
class Division:
    """Holds the number of pairs and the groups of each split.

    Attributes:
        pairs: split -> number of its pairs.
        groups: split -> names of its groups as people are shown them, sorted; None without `data.group`.
        folds: number of folds of a cross-validation; None: pairs are divided otherwise.
        divided: folders or a column of the table divide the pairs.
    """

    pairs: Mapping[str, int]
    groups: Mapping[str, tuple[str, ...]] | None = None
    folds: int | None = None
    divided: bool = False

    @classmethod
    def of(cls, sources: Mapping[str, Source], data: DataConfig) -> Division:
        """Returns the division of the pairs of `sources`, by split.

        Raises:
            UserError: the pattern `data.group` does not match the name of a pair.
        """
        pairs, divided = {split: len(source) for split, source in sources.items()}, False
        if data.group is None:
            return cls(pairs)
        members = {}
        for split, source in sources.items():
            members[split] = set(groups_of(source.names, source.groups, data))
            divided = divided or source.divided
        shown = names_shown(set().union(*members.values()))
        groups = {split: tuple(sorted(shown[group] for group in names)) for split, names in members.items()}
        return cls(pairs, groups, data.folds, divided)

    @property
    def group_counts(self) -> dict[str, int] | None:
        """Returns the number of groups by split; None without `data.group`."""
        return None if self.groups is None else {split: len(names) for split, names in self.groups.items()}

    @property
    def sentence(self) -> str:
        """Returns the counts without a full stop.

        They are `7 training and 2 held-out pairs`, or `7 training pairs of 3 groups, 2 held-out pairs of 1 group (b)`.
        """
        if self.groups is None:
            return f"{self.pairs['train']} training and {self.pairs['val']} held-out pairs"
        parts = []
        for split, word in WORDS.items():
            count, groups = self.pairs.get(split, 0), self.groups.get(split, ())
            if split == "test" and not count:
                continue
            of = f" of {plural(len(groups), 'group')}" if count else ""
            names = f" ({listed(sorted(groups))})" if count and split != "train" else ""
            parts.append(f"{plural(count, f'{word} pair')}{of}{names}")
        return ", ".join(parts)

    @property
    def warnings(self) -> list[str]:
        """Returns a sentence if the splits that are held out have a single group each, so no metric has an interval."""
        held_out = {split: names for split, names in (self.groups or {}).items() if split != "train" and names}
        if max(map(len, held_out.values()), default=0) != 1:
            return []
        if self.folds:
            advice = "Evaluate the translations of all folds together (docs/splits.md)"
        elif self.divided:
            advice = "Put pairs of more groups into val"
        else:
            advice = "Raise `data.held_out_fraction`, or set `data.folds`"
        (name,) = next(iter(held_out.values()))
        return [f"One held-out group ({name}) gives metrics no interval. {advice}."]
