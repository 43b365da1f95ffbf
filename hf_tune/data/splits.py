"""Load a data set and cut it into train, validation and test, each a table of roles and labels."""

import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from hf_tune.data.label_kinds import find_problem_type, read_label_column
from hf_tune.data.labels import cut_stratified
from hf_tune.input_error import InputError
from hf_tune.task import SINGLE_LABEL, Example, Kept, ProblemType, Task


_VALIDATION_NAMES = ("validation", "valid", "val", "dev")
_MADE_VALIDATION = 0.1


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


@dataclass(frozen=True, kw_only=True)
class Split:
    """The raw examples of one split."""

    name: str
    rows: datasets.Dataset
    """One column per role but the label; pictures are left encoded."""
    label_role: str | None = None
    labels: np.ndarray | None = None
    """Class numbers, int64, shape (rows,); numbers, float32; or 0 and 1, float32, shape (rows, labels); or None."""

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
        labels = None if self.labels is None else self.labels[np.asarray(indices, dtype=np.int64)]
        return Split(name=self.name, rows=self.rows.select(indices), label_role=self.label_role, labels=labels)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """All examples of a run."""

    train: Split
    validation: Split
    test: Split | None
    label_names: tuple[str, ...]
    problem_type: ProblemType = SINGLE_LABEL
    """What a label is, in transformers' words: `single_label_classification`, `multi_label_classification` …"""
    fingerprint: str
    """Changes whenever the content of the loaded data changes."""
    notes: tuple[str, ...] = ()
    """What a reader of the results has to know about how the splits came about."""


def load_splits(source: DataSource, task: Task, problem_type: ProblemType | None = None) -> Splits:
    """Return the splits of a data set, with the task's roles for columns and numbers for labels.

    `problem_type` None: what the label column looks like. Raises `InputError` for data that cannot be loaded, a split
    or column that is not there, splits that overlap or are empty, and labels that do not fit; it names row and split.
    """
    raw = _load(source.load)
    plan = _plan(source.splits, raw)
    parts = {name: _rows(raw, expression, name) for name, expression in plan.items() if isinstance(expression, str)}
    _check_disjoint(raw, {name: plan[name] for name in parts})
    roles = [role for role in task.columns if role in source.columns or role not in task.optional_columns]
    columns = {role: source.columns.get(role, role) for role in roles}
    for name, rows in parts.items():
        if len(rows) == 0:
            raise InputError(f"split {name!r} ({plan[name]}) has no row", at=("splits", name))
        _check_columns(rows, columns, name)
    label_role = task.label_role
    label_names, labels, kind = _read_labels(parts, columns, task, problem_type)
    splits = {
        name: Split(
            name=name, rows=_role_rows(rows, columns, label_role), label_role=label_role, labels=labels.get(name)
        )
        for name, rows in parts.items()
    }
    notes = []
    for name in ("test", "validation"):
        if name in plan and name not in splits:
            fraction = float(plan[name])
            strata = label_names if kind == SINGLE_LABEL else ()
            splits["train"], splits[name] = _cut(splits["train"], fraction, source.splits.seed, strata, name)
            how = "stratified by label" if strata else "at random"
            notes.append(
                f"The {name} split was cut from train: {fraction:.0%} of its rows, {how}, seed {source.splits.seed}."
            )
    if "test" not in splits:
        notes.append("There is no test split: one split both chose the checkpoint and is reported.")
    return Splits(
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        label_names=tuple(label_names),
        problem_type=kind,
        fingerprint=_fingerprint(raw),
        notes=tuple(notes),
    )


def _read_labels(
    parts: Mapping[str, datasets.Dataset], columns: Mapping[str, str], task: Task, problem_type: ProblemType | None
) -> tuple[tuple[str, ...], dict[str, np.ndarray], ProblemType]:
    """Return label names, the labels of each split, and their kind."""
    if task.label_role is None:
        return (), {}, SINGLE_LABEL
    column = columns[task.label_role]
    kind = find_problem_type(parts["train"].features[column], problem_type, task.problem_types)
    return *read_label_column(parts, column, kind), kind


def _load(load: Mapping[str, Any]) -> datasets.DatasetDict:
    path = str(load["path"])
    if ":" in path and not path.startswith(("hf://", "http://", "https://", "s3://")):
        raw = _call_loader(path, {name: value for name, value in load.items() if name != "path"})
    else:
        raw = _load_dataset(load)
    if not isinstance(raw, datasets.DatasetDict):
        raise InputError(f"expected a DatasetDict, got {type(raw).__name__}", "return one split per key", at=("load",))
    return raw


def _load_dataset(load: Mapping[str, Any]) -> Any:
    from huggingface_hub import errors

    offline = "check the network, or give a local folder"
    try:
        return datasets.load_dataset(**load)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(f"no such data set: {error}", "check the name and your access", at=("load", "path")) from None
    except ConnectionError as error:
        raise InputError(f"{load['path']!r} cannot be reached: {error}", offline, at=("load", "path")) from None
    except errors.HfHubHTTPError as error:
        message = str(error).partition("\n")[0]
        hint = "check `revision`, the name and your access"
        raise InputError(f"{load['path']!r} cannot be fetched: {message}", hint, at=("load", "path")) from None
    except FileNotFoundError as error:
        place = ("load", "data_files" if "data_files" in load else "path")
        raise InputError(f"not found: {error}", "paths are relative to the folder you start in", at=place) from None
    except (
        datasets.exceptions.DatasetGenerationError,
        datasets.exceptions.DataFilesNotFoundError,
        ValueError,
    ) as error:
        cause = error.__cause__ or error
        hint = "is it in this format, UTF-8, and with this separator?"
        raise InputError(f"{load['path']!r} cannot be loaded: {cause}", hint, at=("load",)) from None


def _call_loader(path: str, arguments: Mapping[str, Any]) -> Any:
    """Call the user's own loader, `package.module:function`."""
    module_name, _, function_name = path.partition(":")
    try:
        found = importlib.util.find_spec(module_name)
    except (ModuleNotFoundError, ValueError):
        found = None
    at = ("load", "path")
    if found is None:
        hint = "it is looked for beside the recipe and among the installed packages"
        raise InputError(f"no module {module_name!r}", hint, at=at)
    module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        names = ", ".join(sorted(name for name, value in vars(module).items() if inspect.isfunction(value)))
        raise InputError(f"module {module_name!r} has no function {function_name!r}", f"known: {names}", at=at)
    parameters = inspect.signature(function).parameters
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        unknown = [name for name in arguments if name not in parameters]
        raise InputError(f"{path}: {error}", f"it takes: {', '.join(parameters)}", at=("load", *unknown[:1])) from None
    return function(**arguments)


def _plan(plan: SplitPlan, raw: datasets.DatasetDict) -> dict[str, str | float]:
    """Return for each split its expression, or the fraction of train to cut."""
    validation = plan.validation
    if validation is None:
        validation = next((name for name in _VALIDATION_NAMES if name in raw), _MADE_VALIDATION)
    planned: dict[str, str | float | None] = {"train": plan.train, "validation": validation}
    planned["test"] = plan.test if plan.test is not None else ("test" if "test" in raw else None)
    return {name: value for name, value in planned.items() if value is not None}


def _pieces(raw: datasets.DatasetDict, expression: str, name: str) -> list[tuple[str, int, int]]:
    """Return the (split, first, last + 1) that an expression such as `train[:80%]+extra` stands for."""
    lengths = {each: len(rows) for each, rows in raw.items()}
    try:
        instructions = datasets.ReadInstruction.from_spec(expression).to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        known = ", ".join(f"{each} ({length} rows)" for each, length in lengths.items())
        raise InputError(f"no such split: {error}", f"the data has: {known}", at=("splits", name)) from None
    return [
        (each.splitname, each.from_ or 0, lengths[each.splitname] if each.to is None else each.to)
        for each in instructions
    ]


def _rows(raw: datasets.DatasetDict, expression: str, name: str) -> datasets.Dataset:
    pieces = [raw[split].select(range(first, end)) for split, first, end in _pieces(raw, expression, name)]
    return pieces[0] if len(pieces) == 1 else datasets.concatenate_datasets(pieces)


def _check_disjoint(raw: datasets.DatasetDict, plan: Mapping[str, Any]) -> None:
    """Raise where one row would be in two splits."""
    names = list(plan)
    for position, name in enumerate(names):
        for other in names[:position]:
            for split, first, end in _pieces(raw, plan[name], name):
                for other_split, other_first, other_end in _pieces(raw, plan[other], other):
                    if split == other_split and max(first, other_first) < min(end, other_end):
                        shared = min(end, other_end) - max(first, other_first)
                        problem = f"{name} ({plan[name]}) and {other} ({plan[other]}) share {shared} rows"
                        raise InputError(problem, "a score on rows that trained is no score", at=("splits", name))


def _check_columns(rows: datasets.Dataset, columns: Mapping[str, str], split: str) -> None:
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
    return split.select(kept), Split(name=name, rows=part.rows, label_role=part.label_role, labels=part.labels)


def _fingerprint(raw: datasets.DatasetDict) -> str:
    text = ",".join(f"{name}={rows._fingerprint}:{len(rows)}" for name, rows in sorted(raw.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
