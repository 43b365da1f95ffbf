"""Cut a loaded data set into train, validation and test, each a table of roles and labels."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import datasets
import numpy as np

from hf_tune.data.hub_data import HubData, find_hub_data
from hf_tune.data.label_column import LabelColumn
from hf_tune.data.label_kinds import find_problem_type, read_labels_as
from hf_tune.data.labels import cut_stratified
from hf_tune.data.loading import load_raw
from hf_tune.data.picture_paths import resolve_splits
from hf_tune.data.row_origin import RowOrigin, build_origin
from hf_tune.data.split_expressions import check_disjoint, find_pieces, join_pieces
from hf_tune.data.stream_heads import leave_encoded, read_tables
from hf_tune.data.stream_labels import LabelReader
from hf_tune.data.streamed import StreamedSplit
from hf_tune.input_error import InputError
from hf_tune.task import SINGLE_LABEL, Example, Kept, ProblemType, Task


_VALIDATION_NAMES = ("validation", "valid", "val", "dev")
_MADE_VALIDATION = 0.1
SHUFFLE_BUFFER = 1_000


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """The `data.splits:` block: an expression such as `train[:80%]`, or a fraction to cut from train."""

    train: str = "train"
    validation: str | float | None = None
    """None: the data set's own validation split; where it has none, a tenth of train."""
    test: str | float | None = None
    """None: the data set's own test split, if it has one."""
    seed: int = 0
    """Seed of the cuts; `training.seed` does not move them, so that runs with other seeds stay comparable."""

    def __post_init__(self) -> None:
        """Check the fractions."""
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not 0 < value < 1:
                raise InputError(f"{value!r} is no fraction of train", "give one between 0 and 1", at=(name,))


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The `data:` block."""

    load: Mapping[str, Any]
    """Arguments of `datasets.load_dataset`; or `path: package.module:function`, the rest being its arguments."""
    splits: SplitPlan = field(default_factory=SplitPlan)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role → column; a role that is left out is the column of its own name."""
    files_in: str | None = None
    """Folder that paths in a column start from; None: that of the table, else the one you start in."""
    shuffle_buffer: int | None = None
    """Of a stream: `buffer_size` of `IterableDataset.shuffle`, rows in memory that are mixed; None: 1,000."""

    def __post_init__(self) -> None:
        """Check the buffer."""
        if self.shuffle_buffer is not None and self.shuffle_buffer < 1:
            raise InputError(
                f"{self.shuffle_buffer!r} is out of range", "it must be at least 1", at=("shuffle_buffer",)
            )


@dataclass(frozen=True, kw_only=True)
class Split:
    """The raw examples of one split."""

    name: str
    rows: datasets.Dataset
    """One column per role but the label; pictures are left encoded."""
    label_role: str | None = None
    labels: np.ndarray | None = None
    """Class numbers, int64, shape (rows,); numbers, float32; or 0 and 1, float32, shape (rows, labels); or None."""
    origin: RowOrigin | None = None
    """Where the rows stand in the data set, for errors; None: they are the data set's split of this name."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, row: int) -> Example:
        """Return one raw example: role → value."""
        example = dict(self.rows[row])
        if self.label_role is not None and self.labels is not None:
            example[self.label_role] = self.labels[row].tolist()
        return example

    def get_labels(self) -> Kept:
        """Return the labels under the name `labels`; nothing where the task has none."""
        return {} if self.labels is None else {"labels": self.labels}

    def select(self, indices: Any) -> "Split":
        """Return the split of these rows, in this order."""
        numbers = np.asarray(indices, dtype=np.int64)
        labels = None if self.labels is None else self.labels[numbers]
        origin = self.get_origin().select(numbers)
        return replace(self, rows=self.rows.select(indices), labels=labels, origin=origin)

    def get_origin(self) -> RowOrigin:
        """Return where the rows stand in the data set."""
        return self.origin or build_origin(self.name, [(self.name, 0, len(self))])

    def name_row(self, row: int) -> str:
        """Return what a person finds a row under in the data: `row 17 of split 'train' (now in validation)`."""
        return self.get_origin().name_row(row)

    @contextmanager
    def naming_row(self, row: int) -> Iterator[None]:
        """Add what a person finds the row under to an `InputError` about it."""
        try:
            yield
        except InputError as error:
            problem = f"{self.name_row(row)}: {error.problem}"
            raise InputError(problem, error.hint, at=error.at or ("load",)) from None


@dataclass(frozen=True, kw_only=True)
class Splits:
    """All examples of a run."""

    train: Split | StreamedSplit
    validation: Split
    test: Split | None
    label_names: tuple[str, ...]
    problem_type: ProblemType = SINGLE_LABEL
    """What a label is, in transformers' words: `single_label_classification`, `multi_label_classification` …"""
    fingerprint: str
    """Changes whenever the content of the loaded data changes."""
    notes: tuple[str, ...] = ()
    """What a reader of the results has to know about how the splits came about."""
    hub: HubData | None = None
    """The data set on the Hub; None for local files and loaders of the user's own."""


def load_splits(source: DataSource, task: Task, problem_type: ProblemType | None = None) -> Splits:
    """Return the splits of a data set, with the task's roles for columns and numbers for labels.

    `problem_type` None: what the label column looks like. Raises `InputError` for data that cannot be loaded, a split
    or column that is not there, splits that overlap or are empty, and labels that do not fit; it names row and split.
    """
    loaded = load_raw(source.load)
    plan = _plan(source.splits, loaded)
    raw = read_tables(loaded, plan)
    pieces = {name: find_pieces(raw, each, name) for name, each in plan.items() if isinstance(each, str)}
    parts = {name: join_pieces(raw, each, name) for name, each in pieces.items()}
    check_disjoint(plan, pieces)
    columns = _find_columns(source, task, parts)
    for name, rows in parts.items():
        _check_rows(rows, columns, name, plan[name])
    parts = resolve_splits(parts, columns, task.file_columns, source.load, source.files_in)
    label_role = task.label_role
    origins = {name: build_origin(name, each) for name, each in pieces.items()}
    label_columns = {
        name: LabelColumn(rows=rows, name=columns[label_role], origin=origins[name])
        for name, rows in parts.items()
        if label_role is not None
    }
    stream = loaded.get(source.splits.train)
    stream = stream if isinstance(stream, datasets.IterableDataset) else None
    label_names, labels, kind = _read_labels(label_columns, task, problem_type, "validation" if stream else "train")
    splits = {
        name: Split(
            name=name,
            rows=_role_rows(rows, columns, label_role),
            label_role=label_role,
            labels=labels.get(name),
            origin=origins[name],
        )
        for name, rows in parts.items()
    }
    notes = _cut_missing(splits, plan, source.splits.seed, label_names if kind == SINGLE_LABEL else ())
    train: Split | StreamedSplit = splits["train"]
    if stream is not None:
        feature = label_columns["train"].feature if label_columns else None
        reader = LabelReader(problem_type=kind, feature=feature, label_names=label_names, known_from="validation")
        train = StreamedSplit(
            head=splits["train"],
            stream=leave_encoded(stream),
            columns=columns,
            labels=reader,
            known_labels=splits["validation"].get_labels(),
            shuffle_buffer=source.shuffle_buffer or SHUFFLE_BUFFER,
        )
        notes.append(train.describe())
    return Splits(
        train=train,
        validation=splits["validation"],
        test=splits.get("test"),
        label_names=tuple(label_names),
        problem_type=kind,
        fingerprint=_fingerprint(raw),
        notes=tuple(notes),
        hub=find_hub_data(source.load, loaded),
    )


def _find_columns(source: DataSource, task: Task, parts: Mapping[str, datasets.Dataset]) -> dict[str, str]:
    """Return role → column of the roles that the data or the recipe names, and of those that no data set may lack."""
    there = {name for rows in parts.values() for name in rows.column_names} | set(source.columns)
    roles = [role for role in task.columns if role in there or role not in task.optional_columns]
    return {role: source.columns.get(role, role) for role in roles}


def _cut_missing(
    splits: dict[str, Split], plan: Mapping[str, str | float], seed: int, strata: Sequence[str]
) -> list[str]:
    """Cut from train what the plan gives as a fraction, put it beside the others, and return what to know of it."""
    notes = []
    for name in ("test", "validation"):
        if name in plan and name not in splits:
            fraction = float(plan[name])
            splits["train"], splits[name] = _cut(splits["train"], fraction, seed, strata, name)
            how = "stratified by label" if strata else "at random"
            notes.append(f"The {name} split was cut from train: {fraction:.0%} of its rows, {how}, seed {seed}.")
    if "test" not in splits:
        notes.append("There is no test split: one split both chose the checkpoint and is reported.")
    return notes


def _read_labels(
    columns: Mapping[str, LabelColumn], task: Task, problem_type: ProblemType | None, known_from: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray], ProblemType]:
    """Return label names, the labels of each split, and their kind."""
    if not columns:
        return (), {}, SINGLE_LABEL
    kind = find_problem_type(columns["train"].feature, problem_type, task.problem_types)
    return *read_labels_as(kind, columns, known_from), kind


def _plan(plan: SplitPlan, raw: Mapping[str, Any]) -> dict[str, str | float]:
    """Return for each split its expression, or the fraction of train to cut."""
    validation = plan.validation
    if validation is None:
        validation = next((name for name in _VALIDATION_NAMES if name in raw), _MADE_VALIDATION)
    planned: dict[str, str | float | None] = {"train": plan.train, "validation": validation}
    planned["test"] = plan.test if plan.test is not None else ("test" if "test" in raw else None)
    return {name: value for name, value in planned.items() if value is not None}


def _check_rows(rows: datasets.Dataset, columns: Mapping[str, str], split: str, expression: str | float) -> None:
    """Raise where a split is empty or lacks the column of a role."""
    if len(rows) == 0:
        raise InputError(f"split {split!r} ({expression}) has no row", at=("splits", split))
    for role, column in columns.items():
        if column not in rows.column_names:
            known = ", ".join(rows.column_names)
            raise InputError(
                f"split {split!r} has no column {column!r} for the role `{role}`",
                f"its columns are: {known}",
                at=("columns", role),
            )


def _role_rows(rows: datasets.Dataset, columns: Mapping[str, str], label_role: str | None) -> datasets.Dataset:
    """Return only the columns that have a role, under its name, with pictures left encoded."""
    kept = {role: column for role, column in columns.items() if role != label_role}
    rows = rows.select_columns(list(dict.fromkeys(kept.values())))
    for role, column in kept.items():
        if role != column:
            rows = rows.rename_column(column, role)
        if isinstance(rows.features[role], datasets.Image):
            rows = rows.cast_column(role, datasets.Image(decode=False))
    return rows


def _cut(split: Split, fraction: float, seed: int, label_names: Any, name: str) -> tuple[Split, Split]:
    labels = split.labels if label_names else None
    kept, cut = cut_stratified(len(split), labels, fraction, seed, label_names, name)
    part = split.select(cut)
    return split.select(kept), replace(part, name=name, origin=replace(part.get_origin(), split=name))


def _fingerprint(raw: datasets.DatasetDict) -> str:
    text = ",".join(f"{name}={rows._fingerprint}:{len(rows)}" for name, rows in sorted(raw.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
