"""Groups pairs that must stay together, and chooses the groups that are held out: a share of them, or a fold."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfpix2pix.data import source_row
from tfpix2pix.errors import UserError

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig

FREE = "*"  # in a pattern: what differs between groups
MANY = 200  # groups, of more than which the rule `shrinking` holds out a smaller fraction


def check_division(data: DataConfig) -> None:
    """Raises ValueError if `group`, `folds` and `fold` of a `DataConfig` do not go together or with its source."""
    group, folds, fold = data.group, data.folds, data.fold
    for key, value in (("group", group), ("folds", folds)):
        if value is not None and source_row(data.source).brings_data:
            raise ValueError(
                f"`data.{key}` must go with pairs of your own. Received {value} with `data.source: {data.source}`, "
                f"which divides its pairs itself. Leave it out"
            )
    if group is not None and FREE not in group and (data.source != "table" or not group.strip()):
        column = " or the name of a column" if data.source == "table" else ""
        raise ValueError(
            f"`data.group` must be a pattern over the names of pairs with `*` for what differs{column}, or null. "
            f"Received {group!r} with `data.source: {data.source}`. Write it as in 'patient-*_'"
        )
    if group is not None and group.endswith(FREE):
        raise ValueError(
            f"`data.group` must end with the text that ends the name of a group. Received {group!r}, in which `*` is "
            f"the end. Add what comes after it, as in 'patient-*_'"
        )
    if (folds is None) != (fold is None):
        given, missing = (f"`data.folds: {folds}`", "fold") if fold is None else (f"`data.fold: {fold}`", "folds")
        raise ValueError(
            f"`data.folds` and `data.fold` must be given together. Received {given} alone. Add `data.{missing}`, or "
            f"leave both out"
        )
    if folds is not None and fold > folds:
        raise ValueError(
            f"`data.fold` must be a number from 1 to `data.folds`, {folds} here. Received {fold}. Choose one of these"
        )


def column_of(data: DataConfig) -> str:
    """Returns the column of a table that holds the groups, in small letters; "" if `group` is null or a pattern."""
    return "" if data.group is None or FREE in data.group else data.group.strip().lower()


def beginning(name: str, pattern: str) -> str | None:
    """Returns the beginning of `name` that `pattern` matches, or None: `patient-017_` of `patient-017_slice-3`.

    Each `*` stands for one character or more, as few as possible.
    """
    name, (first, *others) = unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", pattern).split(FREE)
    if not name.startswith(first):
        return None
    end = len(first)
    for text in others:
        start = name.find(text, end + 1)
        if start < 0:
            return None
        end = start + len(text)
    return name[:end]


def groups_by_name(names: Iterable[str], pattern: str) -> list[str]:
    """Returns the group of each pair, by its name. Raises UserError, which names the first that has none."""
    names = list(names)
    groups = [beginning(name, pattern) for name in names]
    without = [name for name, group in zip(names, groups, strict=True) if group is None]
    if without:
        more = f" and {len(without) - 1} other{'s' if without[2:] else ''}" if without[1:] else ""
        raise UserError(
            f"`data.group` must match the beginning of every pair's name. Received {pattern!r}, which does not match "
            f"{without[0]!r}{more}. Change the pattern, rename the pair, or set `data.group: null`."
        )
    return groups


def groups_of(names: Sequence[str], groups: Sequence[str], data: DataConfig) -> list[str]:
    """Returns the group of each of these pairs, "" for all if `data.group` is null.

    `groups` are those of a source whose table has them.
    """
    if data.group is None:
        return [""] * len(names)
    return list(groups) if column_of(data) else groups_by_name(names, data.group)


def names_shown(groups: Iterable[str]) -> dict[str, str]:
    """Maps groups to the names that people are shown: without the `_` or `-` at the end, which belongs to the pattern.

    If two groups would have one name, or one would have no name, all are shown as they are.
    """
    groups = list(dict.fromkeys(groups))
    shown = [group.rstrip("_-") for group in groups]
    return dict(zip(groups, shown if all(shown) and len(set(shown)) == len(shown) else groups, strict=True))


def grouped(inputs: Mapping[str, str], data: DataConfig, values: Sequence[str] = ()) -> dict[str, str]:
    """Maps the names of pairs to their groups, by the pattern or column `data.group`.

    Args:
        inputs: name of each pair -> name of the first pair with the same input, whose group it shares.
        data: the section `data`.
        values: the group of each pair by the column of a table; none for a pattern.

    Raises:
        UserError: the pattern does not match a name, or pairs of one input have different groups in the table.
    """
    if not column_of(data):
        return dict(zip(inputs, groups_by_name(inputs.values(), data.group), strict=True))
    groups = dict(zip(inputs, values, strict=True))
    for name, first in inputs.items():
        if groups[name] != groups[first]:
            raise UserError(
                f"Pairs of one input must be of one group, because they stay together. Received {first!r} in "
                f"{groups[first]!r} and in {groups[name]!r} by `data.group: {data.group}`. Correct the table."
            )
    return groups


def held_out_groups(positions: Mapping[str, float], data: DataConfig) -> set[str]:
    """Returns the groups that are held out as `val`.

    With `data.folds` these are the fold `data.fold` of all groups in the order of their positions, cut into parts that
    differ by one group at most. Otherwise, it is `data.held_out_fraction` of them by `data.split_rule`.

    Args:
        positions: position of each group in [0, 1), from the seed of the split. Without `data.group`, pairs of one
            input are a group.
        data: the section `data`.

    Raises:
        UserError: there are fewer groups than folds, or `data.group` makes one group of all pairs.
    """
    in_order, count = sorted(positions, key=positions.get), len(positions)
    if data.folds and 0 < count < data.folds:
        what = "inputs" if data.group is None else "groups"
        raise UserError(
            f"`data.folds` must be at most the number of {what}, {count} here. Received {data.folds}. Set fewer folds."
        )
    if data.folds:
        return set(in_order[count * (data.fold - 1) // data.folds : count * data.fold // data.folds])
    fraction = fraction_of(count, data)
    if data.group is not None and fraction and count == 1:
        raise UserError(
            f"The pairs must be of two groups or more, so that one can be held out. Received one alone, "
            f"{in_order[0]!r}, by `data.group: {data.group}`. Change it, or set `data.held_out_fraction: 0` to train "
            f"on all pairs."
        )
    if data.split_rule == "rank":
        return set(in_order[: min(max(round(count * fraction), 1 if fraction else 0), count - 1)])
    held_out = {key for key in in_order if positions[key] < fraction}
    if fraction and not held_out:
        held_out = set(in_order[:1])
    if len(held_out) == count:
        held_out -= set(in_order[-1:])
    return held_out


def fraction_of(count: int, data: DataConfig) -> float:
    """Returns the fraction of `count` groups that `data.split_rule` holds out, on average or exactly.

    By the rule `shrinking`, the number of those held out grows with the square root of `count` above `MANY`.
    """
    shrinks = data.split_rule == "shrinking" and count > MANY
    return data.held_out_fraction * (math.sqrt(MANY / count) if shrinks else 1.0)


def check_folds(data: DataConfig, *, divided: bool) -> None:
    """Raises UserError if `data.folds` is set for pairs that folders or a column of a table divide."""
    if data.folds and divided:
        how = "its column split divides" if data.source == "table" else "is divided into train, val or test"
        raise UserError(
            f"`data.folds` must go with pairs that nothing else divides. Received {data.folds} for {data.dir}, which "
            f"{how}. Leave `data.folds` and `data.fold` out, or give the pairs undivided."
        )


def division_of(data: DataConfig, seed: int) -> dict[str, Any]:
    """Returns what decides the split of pairs that nothing else divides, for the record of a run.

    `seed` is the run's.
    """
    rule = {"rule": "folds" if data.folds else data.split_rule, "seed": data.seed_of_split(seed), "group": data.group}
    if data.folds:
        return {**rule, "folds": data.folds, "fold": data.fold}
    return {**rule, "held_out_fraction": data.held_out_fraction}
