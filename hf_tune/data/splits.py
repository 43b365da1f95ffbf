"""Cut a loaded data set into train, validation and test, each a table of roles and labels."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np

from hf_tune.data.class_folders import describe_folders
from hf_tune.data.cuts import share_out
from hf_tune.data.data_source import DataSource, SplitPlan
from hf_tune.data.findings import Finding, find_alike_names, find_shared_ids, find_whole_numbers
from hf_tune.data.groups import read_groups
from hf_tune.data.hub_data import HubData, find_hub_data
from hf_tune.data.label_column import LabelColumn
from hf_tune.data.label_kinds import find_problem_type, read_labels_as
from hf_tune.data.loading import load_raw
from hf_tune.data.picture_paths import resolve_splits
from hf_tune.data.positive_label import put_positive_last
from hf_tune.data.row_origin import RowOrigin, build_origin
from hf_tune.data.source_files import VALIDATION_NAMES
from hf_tune.data.split_expressions import check_disjoint, find_pieces, join_pieces
from hf_tune.data.stream_heads import leave_encoded, read_tables
from hf_tune.data.stream_labels import LabelReader
from hf_tune.data.streamed import StreamedSplit
from hf_tune.data.table_files import settle_load
from hf_tune.input_error import InputError
from hf_tune.task import REGRESSION, SINGLE_LABEL, Example, Kept, ProblemType, Task


_MADE_VALIDATION = 0.1
SHUFFLE_BUFFER = 1_000


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
    findings: tuple[Finding, ...] = ()
    """What is odd in the data and no mistake for sure."""
    notes: tuple[str, ...] = ()
    """What a reader of the results has to know about how the splits came about."""
    hub: HubData | None = None
    """The data set on the Hub; None for local files and loaders of the user's own."""


def load_splits(source: DataSource, task: Task, problem_type: ProblemType | None = None) -> Splits:
    """Return the splits of a data set, with the task's roles for columns and numbers for labels.

    `problem_type` None: what the label column looks like. Raises `InputError` for data that cannot be loaded, a split
    or column that is not there, splits that overlap or are empty, and labels that do not fit; it names row and split.
    """
    settled = settle_load(source.load)
    loaded = load_raw(settled.load)
    plan = _plan(source.splits, loaded)
    raw = read_tables(loaded, plan)
    pieces = {name: find_pieces(raw, each, name) for name, each in plan.items() if isinstance(each, str)}
    parts = {name: join_pieces(raw, each, name) for name, each in pieces.items()}
    check_disjoint(plan, pieces)
    columns = _find_columns(source, task, parts)
    for name, rows in parts.items():
        _check_rows(rows, columns, name, plan[name], source.load)
    parts = resolve_splits(parts, columns, task.file_columns, source.load, source.files_in)
    origins = {name: build_origin(name, each) for name, each in pieces.items()}
    label_columns = {
        name: LabelColumn(rows=rows, name=columns[task.label_role], origin=origins[name])
        for name, rows in parts.items()
        if task.label_role is not None
    }
    stream = _find_stream(loaded, source.splits.train)
    label_names, labels, kind = _read_labels(label_columns, task, problem_type, "validation" if stream else "train")
    label_names, labels = put_positive_last(label_names, labels, source.positive)
    whole = {
        name: Split(
            name=name,
            rows=_role_rows(rows, columns, task.label_role),
            label_role=task.label_role,
            labels=labels.get(name),
            origin=origins[name],
        )
        for name, rows in parts.items()
    }
    groups = None if source.splits.by is None else read_groups(parts, source.splits.by, origins)
    shared = share_out(whole, plan, source, label_names if kind == SINGLE_LABEL else (), groups)
    splits, label_names = shared.splits, shared.label_names or label_names
    train: Split | StreamedSplit = splits["train"]
    feature = label_columns["train"].feature if label_columns else None
    findings, notes = list(settled.findings), shared.notes
    if stream is None:
        findings += _find_odd_labels(splits["train"].labels, feature, label_names, kind)
        findings += _find_odd_columns(raw, splits, {*columns.values(), source.splits.by or ""})
    else:
        reader = LabelReader(problem_type=kind, feature=feature, label_names=label_names, known_from="validation")
        train = _open_train(splits, stream, columns, reader, source.shuffle_buffer)
        notes = (*notes, train.describe())
    return Splits(
        train=train,
        validation=splits["validation"],
        test=splits.get("test"),
        label_names=tuple(label_names),
        problem_type=kind,
        fingerprint=_fingerprint(raw),
        findings=tuple(findings),
        notes=notes,
        hub=find_hub_data(source.load, loaded),
    )


def _find_stream(loaded: Mapping[str, Any], name: str) -> datasets.IterableDataset | None:
    rows = loaded.get(name)
    return rows if isinstance(rows, datasets.IterableDataset) else None


def _find_odd_labels(
    labels: np.ndarray | None, feature: Any, label_names: Sequence[str], problem_type: ProblemType
) -> list[Finding]:
    if labels is None or problem_type == REGRESSION:
        return find_whole_numbers(feature, labels, problem_type == REGRESSION)
    return [*find_whole_numbers(feature, labels, is_regression=False), *find_alike_names(label_names, labels)]


def _find_odd_columns(raw: datasets.DatasetDict, splits: Mapping[str, Split], used: Collection[str]) -> list[Finding]:
    return find_shared_ids(raw, {name: split.get_origin() for name, split in splits.items()}, used)


def _open_train(
    splits: Mapping[str, Split],
    stream: datasets.IterableDataset,
    columns: Mapping[str, str],
    labels: LabelReader,
    shuffle_buffer: int | None,
) -> StreamedSplit:
    """Return train as a stream; its first rows are the train split of `splits`."""
    return StreamedSplit(
        head=splits["train"],
        stream=leave_encoded(stream),
        columns=columns,
        labels=labels,
        known_labels=splits["validation"].get_labels(),
        shuffle_buffer=shuffle_buffer or SHUFFLE_BUFFER,
    )


def _find_columns(source: DataSource, task: Task, parts: Mapping[str, datasets.Dataset]) -> dict[str, str]:
    """Return role → column of the roles that the data or the recipe names, and of those that no data set may lack."""
    there = {name for rows in parts.values() for name in rows.column_names} | set(source.columns)
    roles = [role for role in task.columns if role in there or role not in task.optional_columns]
    return {role: source.columns.get(role, role) for role in roles}


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
        validation = next((name for name in VALIDATION_NAMES if name in raw), _MADE_VALIDATION)
    planned: dict[str, str | float | None] = {"train": plan.train, "validation": validation}
    planned["test"] = plan.test if plan.test is not None else ("test" if "test" in raw else None)
    return {name: value for name, value in planned.items() if value is not None}


def _check_rows(
    rows: datasets.Dataset,
    columns: Mapping[str, str],
    split: str,
    expression: str | float,
    load: Mapping[str, Any],
) -> None:
    """Raise where a split is empty or lacks the column of a role."""
    if len(rows) == 0:
        raise InputError(f"split {split!r} ({expression}) has no row", at=("splits", split))
    for role, column in columns.items():
        if column not in rows.column_names:
            known = ", ".join(rows.column_names)
            raise InputError(
                f"split {split!r} has no column {column!r} for the role `{role}`",
                describe_folders(load, rows.column_names) or f"its columns are: {known}",
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


def _fingerprint(raw: datasets.DatasetDict) -> str:
    text = ",".join(f"{name}={rows._fingerprint}:{len(rows)}" for name, rows in sorted(raw.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
