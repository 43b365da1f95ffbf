"""Share the rows of a data set out to train, validation and test: by class, and without tearing groups apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hf_tune.data.data_source import DataSource
from hf_tune.data.groups import Groups, count_groups, cut_groups
from hf_tune.data.labels import cut_stratified
from hf_tune.data.rare_classes import SettledClasses, settle_classes
from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.data.splits import Split


@dataclass(frozen=True, kw_only=True)
class SharedOut:
    """The splits after the cuts."""

    splits: dict[str, "Split"]
    label_names: tuple[str, ...]
    notes: tuple[str, ...]


def share_out(
    given: Mapping[str, "Split"],
    plan: Mapping[str, str | float],
    source: DataSource,
    label_names: Sequence[str],
    groups: Groups | None,
) -> SharedOut:
    """Return the given splits and those that are cut from train, with what `source` says of rare classes.

    `plan` is the expression of each given split, and the fraction of train that another is. `label_names` are those of
    classes, one of which each row has; none for other labels. Raises `InputError` where a split cannot be cut, or a
    class has too few rows for it.
    """
    fractions = {name: float(plan[name]) for name in ("test", "validation") if name in plan and name not in given}
    splits, numbers = dict(given), {} if groups is None else dict(groups.numbers)
    settled, labels = None, given["train"].labels
    if label_names and labels is not None and (fractions or source.rare):  # of a stream there are the first rows only
        settled = _settle(label_names, labels, ["train", *fractions], source, numbers.get("train"))
        for name, split in given.items():
            assert split.labels is not None
            renumbered = replace(split, labels=settled.numbers[split.labels])
            stays = np.flatnonzero(settled.numbers[split.labels] >= 0)
            splits[name] = renumbered if len(stays) == len(split) else renumbered.select(stays)
            if name in numbers:
                numbers[name] = numbers[name][stays]
    train = splits["train"]
    rows = TrainRows(
        count=len(train),
        labels=None if settled is None else train.labels,
        label_names=() if settled is None else settled.label_names,
        kept=None if settled is None else settled.kept[train.labels],
        groups=numbers.get("train"),
        group_column="" if groups is None else groups.column,
    )
    parts, notes = cut_train(rows, fractions, source.splits.seed)
    for name, chosen in parts.items():
        part = train.select(chosen)
        splits[name] = replace(part, name=name, origin=replace(part.get_origin(), split=name))
    if "test" not in splits:
        notes.append("There is no test split: one split both chose the checkpoint and is reported.")
    _check_there(splits)
    known = (*(() if settled is None else settled.notes), *(() if groups is None else groups.notes))
    return SharedOut(splits=splits, label_names=() if settled is None else settled.label_names, notes=(*notes, *known))


def _settle(
    label_names: Sequence[str],
    labels: np.ndarray,
    splits: Sequence[str],
    source: DataSource,
    groups: np.ndarray | None,
) -> SettledClasses:
    if groups is None:
        counts, unit = np.bincount(labels, minlength=len(label_names)), "row"
    else:
        counts, unit = count_groups(groups, labels, len(label_names)), f"{source.splits.by} value"
    return settle_classes(label_names, counts, splits, source.rare, unit)


def _check_there(splits: Mapping[str, "Split"]) -> None:
    for name, split in splits.items():
        if not len(split):
            raise InputError(f"no row of split {name!r} is left without the rare classes", at=("rare",))


@dataclass(frozen=True, kw_only=True)
class TrainRows:
    """What a cut has to know of each row of train."""

    count: int
    labels: np.ndarray | None = None
    """Class numbers, int64, shape (rows,); None where labels are no classes."""
    label_names: Sequence[str] = ()
    kept: np.ndarray | None = None
    """Whether a row has to stay in train, bool, shape (rows,); None: none has to."""
    groups: np.ndarray | None = None
    """The number of the group of each row, int64, shape (rows,)."""
    group_column: str = ""

    def select(self, rows: np.ndarray) -> "TrainRows":
        """Return these rows, in this order."""
        labels, kept, groups = (None if each is None else each[rows] for each in (self.labels, self.kept, self.groups))
        return replace(self, count=len(rows), labels=labels, kept=kept, groups=groups)


def cut_train(train: TrainRows, fractions: Mapping[str, float], seed: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the rows of train and of every split that is cut from it, and what to know of the cuts.

    `fractions` are of what the splits before left. Raises `InputError` where a split cannot be cut.
    """
    left = np.arange(train.count)
    parts, notes = {}, []
    for name, fraction in fractions.items():
        kept, cut = _cut(train.select(left), fraction, seed, name)
        parts[name] = left[cut]
        left = left[kept]
        notes.append(_describe(train, parts[name], seed, name))
    return {**parts, "train": left}, notes


def _cut(train: TrainRows, fraction: float, seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers that stay and those that are cut off, each ascending."""
    stays = np.zeros(train.count, dtype=bool) if train.kept is None else train.kept
    if train.groups is not None:
        stays = np.isin(train.groups, train.groups[stays])
    free = train.select(np.flatnonzero(~stays))
    if free.count == 0:
        raise InputError(f"no row is left to cut a {name} split from", f"give a {name} split", at=("splits", name))
    labels, names = free.labels, list(free.label_names)
    if labels is not None:
        present, labels = np.unique(labels, return_inverse=True)
        names = [names[number] for number in present]
    if free.groups is None:
        kept, cut = cut_stratified(free.count, labels, fraction, seed, names, name)
    else:
        kept, cut = cut_groups(free.groups, labels, fraction, seed, name)
    rows = np.flatnonzero(~stays)
    return np.sort(np.concatenate([np.flatnonzero(stays), rows[kept]])), rows[cut]


def _describe(train: TrainRows, cut: np.ndarray, seed: int, name: str) -> str:
    rows = f"{len(cut):,} of {train.count:,} rows"
    if train.groups is None:
        how = "at random" if train.labels is None else "stratified by label"
        return f"The {name} split was cut from train: {rows}, {how}, seed {seed}."
    num_groups = len(np.unique(train.groups[cut]))
    return (
        f"The {name} split was cut from train by {train.group_column!r}: {num_groups} of its "
        f"{len(np.unique(train.groups)):,} values, each whole, {rows}, seed {seed}."
    )
