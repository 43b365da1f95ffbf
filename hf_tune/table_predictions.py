"""Predictions for the rows of a table, which keeps all its columns and their order and gets a few more."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow

from hf_tune.data.picture_paths import find_folder, list_folders
from hf_tune.data.table_rows import TableFile
from hf_tune.finetuned import Finetuned
from hf_tune.input_error import InputError
from hf_tune.recipe.source import read_yaml
from hf_tune.results.kept_classes import MAX_TOP
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Example


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is told of a prediction."""

    probabilities: bool = False
    """Also the probability of every label; of many labels those of the first ten."""
    abstain_below: float | None = None
    """Score below which no label is told."""
    prefix: str = ""
    """In front of the names of the new columns."""


def check_answer(finetuned: Finetuned, answer: Answer) -> None:
    """Raise where a model cannot abstain: only one of several classes has one score."""
    if answer.abstain_below is None:
        return
    if not 0 < answer.abstain_below <= 1:
        raise InputError(f"--abstain-below {answer.abstain_below} is out of range", "give a score above 0 and up to 1")
    if finetuned.problem_type != SINGLE_LABEL:
        kind = finetuned.problem_type.replace("_", " ")
        raise InputError(f"--abstain-below needs one score for each row, and this run is a {kind}", "leave it out")


def find_roles(finetuned: Finetuned, table: TableFile, given: Mapping[str, str]) -> dict[str, str]:
    """Return role → column: as given, as in the run's own data, or of the role's name.

    Raises `InputError` where the table lacks one.
    """
    task = finetuned.task
    unknown = next((role for role in given if role not in task.columns), None)
    if unknown is not None:
        raise InputError(f"the task has no role {unknown!r}", f"its roles are: {', '.join(task.columns)}")
    stored: Mapping[str, str] = _read_own_data(finetuned).get("columns") or {}
    roles = {role: given.get(role) or stored.get(role, role) for role in task.columns if role != task.label_role}
    found = {}
    for role, column in roles.items():
        if column in table.columns:
            found[role] = column
        elif role not in task.optional_columns or role in given or role in stored:
            known = ", ".join(table.columns)
            hint = f"its columns are: {known}; name one by --column {role}=NAME"
            raise InputError(f"{str(table.file)!r} has no column {column!r} for the role `{role}`", hint)
    return found


def name_new_columns(finetuned: Finetuned, table: TableFile, answer: Answer) -> list[str]:
    """Return the columns that the table gets; raises `InputError` for one that it has already."""
    names = ["prediction"] if finetuned.problem_type != SINGLE_LABEL else ["prediction", "score"]
    if answer.probabilities and finetuned.problem_type != REGRESSION:
        labels = finetuned.label_names
        kept = labels if finetuned.problem_type == MULTI_LABEL else labels[:MAX_TOP]
        names += list_scores(dict.fromkeys(kept, 0.0), labels)
    names = [answer.prefix + name for name in names]
    clash = next((name for name in names if name in table.columns), None)
    if clash is not None:
        hint = "rename it, or give the new ones another name: --prefix model_"
        raise InputError(f"{str(table.file)!r} has a column {clash!r} already", hint)
    return names


def predict_table(
    finetuned: Finetuned, table: TableFile, roles: Mapping[str, str], answer: Answer, batch_size: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the table with their new cells, in order, some batches at a time."""
    first, folder_of = 0, _find_folders(finetuned, table, roles)
    for rows in table.read_batches(8 * batch_size):
        examples = [_read_example(row, roles, folder_of) for row in rows]
        name_row = _name_from(table, first)
        predictions = finetuned.predict_examples(examples, batch_size, name_row)
        cells = [build_cells(each, finetuned.label_names, answer) for each in predictions]
        yield [{**row, **new} for row, new in zip(rows, cells, strict=True)]
        first += len(rows)


def build_cells(prediction: Any, label_names: Sequence[str], answer: Answer) -> dict[str, Any]:
    """Return the new cells of one row: `prediction`, `score`, and where asked for those of the other labels."""
    fields = dataclasses.asdict(prediction)
    if "value" in fields:
        return {f"{answer.prefix}prediction": fields["value"]}
    if "labels" in fields:
        cells: dict[str, Any] = {"prediction": list(fields["labels"])}
    else:
        unsure = answer.abstain_below is not None and fields["score"] < answer.abstain_below
        cells = {"prediction": None if unsure else fields["label"], "score": fields["score"]}
    if answer.probabilities:
        cells |= list_scores(fields["scores"], label_names)
    return {answer.prefix + name: value for name, value in cells.items()}


def list_scores(scores: Mapping[str, float], label_names: Sequence[str]) -> dict[str, Any]:
    """Return one cell per label; where not every label has a score, one per rank, so that rows have the same."""
    if len(scores) == len(label_names):
        return {f"score of {name}": value for name, value in scores.items()}
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    pairs = [(f"label {rank}", f"score {rank}") for rank in range(2, len(ranked) + 1)]
    return {
        key: each
        for names, values in zip(pairs, ranked[1:], strict=True)
        for key, each in zip(names, values, strict=True)
    }


def list_types(
    finetuned: Finetuned, table: TableFile, new: Sequence[str], answer: Answer
) -> tuple[dict[str, pyarrow.Field], dict[bytes, bytes] | None]:
    """Return the types of the columns of a parquet file, and the input's metadata with the new columns in it."""
    schema = table.read_schema()
    types = {name: schema.field(name) for name in table.columns}
    types |= {name: pyarrow.field(name, _find_type(finetuned, name.removeprefix(answer.prefix))) for name in new}
    metadata = dict(schema.metadata or {})
    if b"huggingface" in metadata:  # what `datasets` reads: a column that it does not name would not load
        stored = json.loads(metadata[b"huggingface"])
        features = (stored.get("info") or {}).get("features")
        if features is not None:
            features |= {name: _name_feature(types[name].type) for name in new}
        metadata[b"huggingface"] = json.dumps(stored).encode()
    return types, metadata or None


def _find_type(finetuned: Finetuned, name: str) -> pyarrow.DataType:
    if name == "prediction" and finetuned.problem_type == MULTI_LABEL:
        return pyarrow.list_(pyarrow.string())
    is_word = name.startswith("label ") or (name == "prediction" and finetuned.problem_type == SINGLE_LABEL)
    return pyarrow.string() if is_word else pyarrow.float64()


def _name_feature(kind: pyarrow.DataType) -> dict[str, Any]:
    if pyarrow.types.is_list(kind):
        return {"feature": _name_feature(kind.value_type), "_type": "List"}
    return {"dtype": "string" if pyarrow.types.is_string(kind) else "float64", "_type": "Value"}


def _name_from(table: TableFile, first: int) -> Callable[[int], str]:
    return lambda row: table.name_row(first + row)


def _find_folders(finetuned: Finetuned, table: TableFile, roles: Mapping[str, str]) -> Callable[[str, Any], Any]:
    """Return (role, cell) → the cell, with a path made one that can be opened from here.

    It starts where that of a table to train on may, or in the folder that the run's own data named.
    """
    file_roles = set(finetuned.task.file_columns) & roles.keys()
    folders = list_folders({"path": str(table.file)}, None)
    own = _read_own_data(finetuned).get("files_in")

    def resolve(role: str, cell: Any) -> Any:
        if role not in file_roles or not isinstance(cell, str) or os.path.isabs(cell):
            return cell
        folder = find_folder(cell, folders)
        if own is not None and find_folder(cell, [own]) is not None:
            if folder is not None and not os.path.samefile(os.path.join(folder, cell), os.path.join(own, cell)):
                problem = f"{cell!r} is a file in {folder!r}, and another in {own!r}, where the run's own data are"
                raise InputError(problem, "write whole paths")
            folder = own
        return cell if folder is None else os.path.join(folder, cell)

    return resolve


def _read_own_data(finetuned: Finetuned) -> Mapping[str, Any]:
    """Return the block `data:` of the run's recipe; nothing where the run has no folder."""
    if finetuned.folder is None:
        return {}
    values, _ = read_yaml(finetuned.folder / "recipe.yaml")
    return values.get("data") or {}


def _read_example(row: Mapping[str, Any], roles: Mapping[str, str], resolve: Callable[[str, Any], Any]) -> Example:
    return {role: resolve(role, row.get(column)) for role, column in roles.items()}
