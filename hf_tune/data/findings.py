"""What is odd in the data and no mistake for sure: a sentence that may be published, and examples that may not."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from hf_tune.data.row_origin import RowOrigin


_ID_WORD = re.compile(
    "ids?|uid|uuid|guid|account|animal|author|camera|case|cent(er|re)|client|clinic|conversation|customer|device"
    "|document|donor|family|hospital|household|lesion|machine|participant|patient|person|recording|scanner|serial"
    "|session|site|slide|speaker|study|subject|thread|user|video"
)
"""Words in the name of a column that say what a row comes from."""
_LABEL_WORDS = frozenset(["category", "class", "intent", "label", "labels", "target"])
_SHOWN = 3
_MOST_LEVELS = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One oddity."""

    note: str
    """What, how often, and what to do; it goes into results.json and the card, so no cell of an input is in it."""
    examples: tuple[str, ...] = ()
    """Rows that show it, with their content: for whoever runs the recipe."""

    def __str__(self) -> str:
        """Return the sentence and its examples, one in each line."""
        return "\n    ".join((self.note, *self.examples))


def find_alike_names(label_names: Sequence[str], labels: np.ndarray | None) -> list[Finding]:
    """Return names of classes that differ in case, blanks, hyphens or the way a sign is coded, with their rows.

    `labels` are those of train: class numbers, shape (rows,), or 0 and 1, shape (rows, labels).
    """
    alike: dict[str, list[int]] = {}
    for number, name in enumerate(label_names):
        alike.setdefault(_simplify(name), []).append(number)
    told = [numbers for numbers in alike.values() if len(numbers) > 1]
    if not told or labels is None:
        return []
    counts = labels.sum(0).astype(int) if labels.ndim == 2 else np.bincount(labels, minlength=len(label_names))
    names = "; ".join(" and ".join(f"{label_names[each]!r} ({counts[each]} rows)" for each in one) for one in told)
    return [Finding(note=f"Classes with nearly the same name: {names}. Are they one? Then give them one name.")]


def find_whole_numbers(feature: Any, labels: np.ndarray | None, is_regression: bool) -> list[Finding]:
    """Return that labels are stored with a fraction and have none, such as 1.0; `labels` are those of train."""
    if labels is None or not str(getattr(feature, "dtype", "")).startswith("float"):
        return []
    if not is_regression:
        return [Finding(note="Labels are whole numbers stored as fractions, such as 1.0; each is the class 1.")]
    levels = np.unique(labels)
    if len(levels) > _MOST_LEVELS or (levels != np.round(levels)).any():
        return []
    shown = ", ".join(f"{level:.1f}" for level in levels[:_SHOWN])
    note = (
        f"Labels are {len(levels)} whole numbers stored as fractions ({shown}{', …' if len(levels) > _SHOWN else ''}) "
        "and taken as numbers, not classes; `model.problem_type: single_label_classification` makes them classes."
    )
    return [Finding(note=note)]


def find_shared_ids(
    raw: Mapping[str, datasets.Dataset], origins: Mapping[str, RowOrigin], used: Collection[str]
) -> list[Finding]:
    """Return columns that look like identifiers and have a value in two splits.

    A column is one by its name: a word of it is `id`, `patient`, `user`, `site` or the like, and none is `label` or
    the like. It holds words or whole numbers, and does not merely count the rows. Columns that are `used` are not.
    """
    findings = []
    sources = {str(each) for origin in origins.values() for each in np.unique(origin.sources)}
    for column in _list_id_columns([raw[source] for source in sorted(sources)], used):
        cells = {source: raw[source].with_format(None)[column][:] for source in sources}
        if all(_counts_rows(values) for values in cells.values()):
            continue
        places = {
            name: list(zip(each.sources.tolist(), each.numbers.tolist(), strict=True))
            for name, each in origins.items()
        }
        values = {name: [cells[source][number] for source, number in rows] for name, rows in places.items()}
        findings += _compare_ids(column, values)
    return findings


def _list_id_columns(tables: Sequence[datasets.Dataset], used: Collection[str]) -> list[str]:
    found = []
    for column, feature in tables[0].features.items():
        words = set(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " ").lower().split())
        words = {part for word in words for part in re.split(r"[^a-z]+", word)}
        is_id = any(map(_ID_WORD.fullmatch, words)) and not words & _LABEL_WORDS and column not in used
        dtype = feature.dtype if isinstance(feature, datasets.Value) else ""
        is_there = all(column in table.column_names for table in tables)
        if is_id and is_there and dtype.startswith(("string", "large_string", "int", "uint")):
            found.append(column)
    return found


def _counts_rows(values: Sequence[Any]) -> bool:
    """Return whether values are whole numbers that follow each other."""
    return isinstance(values[0], int) and list(values) == list(range(values[0], values[0] + len(values)))


def _compare_ids(column: str, values: Mapping[str, Sequence[Any]]) -> list[Finding]:
    """Return that values stand in two splits, where they do."""
    told, examples = [], []
    for place, name in enumerate(values):
        for other in list(values)[:place]:
            shared = sorted((set(values[name]) & set(values[other])) - {None, ""}, key=str)
            if shared:
                told.append(f"{len(shared)} in {other} and {name}")
                examples.append(f"in {other} and {name}: {', '.join(map(repr, shared[:_SHOWN]))}")
    if not told:
        return []
    note = (
        f"Values of column {column!r}, an identifier by its name, stand in two splits ({', '.join(told)}): a model "
        f"may know them again. `data.splits.by: {column}` cuts splits that share none."
    )
    return [Finding(note=note, examples=tuple(examples))]


def _simplify(name: str) -> str:
    """Return a name without what a typist may overlook: case, blanks, hyphens, signs without width, compositions."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return re.sub(r"[\s_-]+", " ", text).strip()
