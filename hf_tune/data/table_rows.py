"""Tables as files, row by row: csv, json, json lines and parquet, read and written with every cell as it was."""

import csv
import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow
import pyarrow.parquet

from hf_tune.command_output import say_result
from hf_tune.data.csv_layout import CsvFile, find_separator
from hf_tune.data.source_files import FORMATS
from hf_tune.data.text_encoding import find_encoding, open_text
from hf_tune.input_error import InputError


WRITTEN_ENDINGS = (".csv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """A table that is read from its first row to its last, as often as one likes."""

    file: Path
    columns: tuple[str, ...]
    separator: str = ","
    """Of csv."""
    layout: CsvFile | None = None
    """Of csv: how its rows are read."""
    schema: pyarrow.Schema | None = None
    """Of parquet: the types of the columns."""

    def name_row(self, row: int) -> str:
        """Return what a person finds a row under."""
        return f"row {row} of {self.file}"

    def read_schema(self) -> pyarrow.Schema:
        """Return the types of the columns: words, of a csv; of json what all rows can be."""
        if self.schema is not None:
            return self.schema
        if self.layout is not None:
            return pyarrow.schema([(name, pyarrow.string()) for name in self.columns])
        try:
            batches = (
                [{name: row.get(name) for name in self.columns} for row in rows] for rows in self.read_batches(1000)
            )
            schemas = [pyarrow.Table.from_pylist(rows).schema for rows in batches]
            return pyarrow.unify_schemas(schemas, promote_options="permissive")
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError) as error:
            hint = "parquet wants one type a column; write .json or .csv"
            problem = f"a column of {self.file} holds values of several types, or one that is too large: {error}"
            raise InputError(problem, hint) from None

    def read_batches(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in their order, so many at a time; raises `InputError` for one that cannot be read."""
        if self.schema is not None:
            for batch in pyarrow.parquet.ParquetFile(self.file).iter_batches(batch_size=size):
                yield batch.to_pylist()
            return
        rows = _read_json(self.file) if self.layout is None else self._read_csv(self.layout)
        while batch := list(itertools.islice(rows, size)):
            yield batch

    def _read_csv(self, layout: CsvFile) -> Iterator[dict[str, Any]]:
        rows = layout.read_rows(self.separator, closed=True)
        next(rows)
        for line, row in rows:
            if len(row) > len(self.columns):
                problem = f"{self.file}:{line}: {len(row)} cells, and the first line names {len(self.columns)} columns"
                raise InputError(problem, f"cells are parted by {self.separator!r}; quote those that contain it")
            yield dict(itertools.zip_longest(self.columns, row, fillvalue=""))


def is_table(name: str) -> bool:
    """Return whether a name is that of a file which holds a table."""
    return name.lower().endswith(tuple(FORMATS)) and os.path.isfile(name)


def open_table(name: str) -> TableFile:
    """Return a table whose columns are known; raises `InputError` where it is none, or has no row."""
    file = Path(name)
    kind = FORMATS.get(file.suffix.lower())
    if kind == "parquet":
        try:
            schema = pyarrow.parquet.read_schema(file)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InputError(f"{name!r} is no parquet file: {error}", "write it again") from None
        return TableFile(file=file, columns=tuple(schema.names), schema=schema)
    if kind == "csv":
        return _open_csv(file)
    columns = dict.fromkeys(key for row in _read_json(file) for key in row)
    if not columns:
        raise InputError(f"{name!r} has no row", "give a table with rows")
    return TableFile(file=file, columns=tuple(columns))


def _open_csv(file: Path) -> TableFile:
    """Return a csv file with its encoding and separator, found as those of training data are."""
    if not file.stat().st_size:
        raise InputError(f"{str(file)!r} is empty", "its first line names the columns")
    try:
        encoding = find_encoding(str(file))
        known = CsvFile(file=str(file), encoding=encoding, dialect={})
        separator = find_separator(known)
    except InputError as error:
        hint = "save it as UTF-8, with commas; spreadsheets call that `CSV UTF-8`"
        raise InputError(error.problem, hint) from None
    _, header = next(known.read_rows(separator), (1, []))
    if not header:
        raise InputError(f"{str(file)!r} is empty", "its first line names the columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{str(file)!r} has two columns called {twice[0]!r}", "give every column its own name")
    return TableFile(file=file, columns=tuple(header), separator=separator, layout=known)


def _read_json(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list, or of a file with one in each line."""
    with open_text(str(file), find_encoding(str(file), cure="save it as UTF-8")) as stream:
        first = next((sign for line in stream if (sign := line.strip()[:1])), "")
        stream.seek(0)
        rows = _load(file, stream.read(), 1) if first == "[" else _read_lines(file, stream)
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                hint = "give a list of objects, or a file with one object in each line"
                raise InputError(f"row {number} of {file} is no object but {row!r:.40}", hint)
            yield row


def _read_lines(file: Path, stream: Any) -> Iterator[Any]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield _load(file, line, number)


def _load(file: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}:{line + error.lineno - 1}: not valid JSON: {error.msg}", "mend the line") from None


class TableWriter:
    """Writes rows to a file that appears when all are written: csv, json, json lines or parquet, by its ending.

    Without a file it writes csv to standard output.
    """

    def __init__(
        self, file: Path | None, columns: Sequence[str], separator: str = ",", types: Any = None, metadata: Any = None
    ) -> None:
        """Note what will be written; `types` are the fields of parquet columns that are known."""
        self.ending = ".csv" if file is None else file.suffix
        self.file, self.part = file, None if file is None else file.with_name(f".{file.name}.part")
        self.columns = list(columns)
        self.separator = separator
        self.types: Mapping[str, pyarrow.Field] = types or {}
        self.metadata = metadata
        self.num_rows = self.num_objects = 0

    def __enter__(self) -> "TableWriter":
        """Begin the file."""
        self.parquet: Any = None
        self.stream: Any = None
        if self.part is None:
            self.stream = sys.stdout
        elif self.ending != ".parquet":
            self.stream = self.part.open("w", encoding="utf-8", newline="" if self.ending == ".csv" else None)
        if self.ending == ".csv":
            self.csv = csv.DictWriter(self.stream, self.columns, delimiter=self.separator)
        if self.ending == ".csv" and self.file is not None:
            self.csv.writeheader()
        return self

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows; raises `InputError` for a cell that the format cannot hold."""
        if self.file is None and all(say_result(row) for row in rows):
            return
        if self.file is None and not self.num_rows:
            self.csv.writeheader()
        self.num_rows += len(rows)
        try:
            self._write_rows(rows)
        except UnicodeEncodeError as error:
            problem = f"a cell holds {error.object[error.start]!r}, for which {error.encoding} has no bytes"
            raise InputError(problem, "mend it, or write .json, which can hold it") from None

    def _write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.ending == ".parquet":
            self._write_parquet(rows)
        elif self.ending == ".csv":
            self.csv.writerows({name: self._flatten(name, value) for name, value in row.items()} for row in rows)
        else:
            for row in rows:
                self._write_json(row)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Put the file in its place; take it away where something failed."""
        if self.file is None or self.part is None:
            return
        if self.stream is not None:
            if self.ending == ".json":
                self.stream.write("\n]\n" if self.num_rows else "[]\n")
            self.stream.close()
        elif self.parquet is None and error is None:  # no row came
            self._write_parquet([])
        if self.parquet is not None:
            self.parquet.close()
        if error is None:
            self.part.replace(self.file)
        else:
            self.part.unlink(missing_ok=True)

    def _write_json(self, row: Mapping[str, Any]) -> None:
        text = json.dumps({name: _refuse_bytes(name, value) for name, value in row.items()}, default=str)
        if self.ending == ".json":
            text = ("[\n" if not self.num_objects else ",\n") + text
        else:
            text += "\n"
        self.stream.write(text)
        self.num_objects += 1

    def _write_parquet(self, rows: Sequence[Mapping[str, Any]]) -> None:
        found = [{name: row.get(name) for name in self.columns} for row in rows]
        try:
            if self.parquet is None:
                inferred = None if self.types else pyarrow.Table.from_pylist(found).schema
                fields = [self.types[name] if inferred is None else inferred.field(name) for name in self.columns]
                self.schema = pyarrow.schema(fields, metadata=self.metadata)
                self.parquet = pyarrow.parquet.ParquetWriter(self.part, self.schema)
            self.parquet.write_table(pyarrow.Table.from_pylist(found, schema=self.schema))
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError) as error:
            hint = "parquet wants one type a column; write .json or .csv"
            raise InputError(
                f"a column holds values of several types, or one that is too large: {error}", hint
            ) from None

    def _flatten(self, name: str, value: Any) -> Any:
        value = _refuse_bytes(name, value)
        return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (list, tuple, dict)) else value


def _refuse_bytes(name: str, value: Any) -> Any:
    """Return the value; raises where it is a picture's own bytes, which text cannot hold."""
    inner = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(inner, bytes):
        raise InputError(f"column {name!r} holds bytes, such as pictures", "write .parquet, which can hold them")
    return value
