"""Classes with fewer rows than there are splits to share them out to: told, kept in train, dropped, or joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from hf_tune.input_error import InputError


Rare: TypeAlias = Literal["keep_in_train", "drop", "other"]
AT = ("rare",)
OTHER = "other"
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class SettledClasses:
    """The classes of a run after the rare ones were seen to."""

    label_names: tuple[str, ...]
    numbers: np.ndarray
    """Class number of the data → of the run, int64, shape (classes of the data,); -1: its rows are left out."""
    kept: np.ndarray
    """Class number of the run → whether all its rows stay in train, bool, shape (classes of the run,)."""
    notes: tuple[str, ...] = ()


def settle_classes(
    label_names: Sequence[str], counts: np.ndarray, splits: Sequence[str], rare: Rare | None, unit: str = "row"
) -> SettledClasses:
    """Return the classes of a run whose train split is to be cut into `splits`, train included.

    `counts` are the rows of each class in train, or the groups that its rows are in, as `unit` says. Raises
    `InputError` where a class has fewer than there are splits and `rare` does not say what to do.
    """
    few = np.flatnonzero(counts < len(splits))
    numbers = np.arange(len(label_names))
    kept = np.zeros(len(label_names), dtype=bool)
    if not len(few):
        notes = (f"`rare: {rare}` changed nothing: no class has fewer than {counts.min()} {unit}s.",) if rare else ()
        return SettledClasses(label_names=tuple(label_names), numbers=numbers, kept=kept, notes=notes)
    told = _name_classes(label_names, counts, few, unit)
    if rare is None:
        problem = f"{told}: too few for {len(splits)} splits ({', '.join(splits)})"
        hint = "write `rare: keep_in_train`, `drop` or `other` under `data:`, give the splits yourself, or take more"
        raise InputError(problem, f"{hint} {unit}s", at=AT)
    if rare == "keep_in_train":
        kept[few] = True
        note = f"{told}: all rows stayed in train, so that no other split judges them."
        return SettledClasses(label_names=tuple(label_names), numbers=numbers, kept=kept, notes=(note,))
    names = [name for name, count in zip(label_names, counts, strict=True) if count >= len(splits)]
    note = f"{told}: their rows were left out, and the model does not know them."
    if rare == "other":
        is_there, joined = OTHER in names, counts[few].sum()
        if joined < len(splits) and not is_there:
            problem = f"{told}: joined still too few for {len(splits)} splits ({', '.join(splits)})"
            raise InputError(problem, "write `rare: keep_in_train` or `drop`", at=AT)
        names += [] if is_there else [OTHER]
        note = f"{told}: joined in the class {OTHER!r}{', which was there before' if is_there else ''}."
    if len(names) < 2:
        raise InputError(f"{told}: without them fewer than two classes are left", "take more rows", at=AT)
    into = names.index(OTHER) if rare == "other" else -1
    places = {name: number for number, name in enumerate(names)}
    rare_numbers = set(few.tolist())
    numbers = np.asarray([into if number in rare_numbers else places[name] for number, name in enumerate(label_names)])
    kept = np.zeros(len(names), dtype=bool)
    return SettledClasses(label_names=tuple(names), numbers=numbers, kept=kept, notes=(note,))


def _name_classes(label_names: Sequence[str], counts: np.ndarray, few: np.ndarray, unit: str) -> str:
    shown = [
        f"{label_names[each]!r} ({counts[each]} {unit}{'s' if counts[each] != 1 else ''})" for each in few[:_SHOWN]
    ]
    more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
    return f"{'class' if len(few) == 1 else 'classes'} {', '.join(shown)}{more}"
