"""What the recipe leaves open about files of rows (csv, tsv, json lines), found before `datasets` reads them."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets.packaged_modules.csv.csv import CsvConfig
from datasets.packaged_modules.json.json import JsonConfig

from hf_tune.data.csv_layout import (
    MISSING,
    Cells,
    CsvFile,
    check_header,
    check_widths,
    find_separator,
    name_separator,
    read_cells,
)
from hf_tune.data.findings import Finding
from hf_tune.data.json_lines import check_lines
from hf_tune.data.source_files import FORMATS
from hf_tune.data.text_encoding import check_encoding, find_encoding
from hf_tune.input_error import InputError


_SUFFIXES = frozenset(ending for ending, kind in FORMATS.items() if kind in ("csv", "json"))
_OTHER_ROWS = ("comment", "engine", "lineterminator", "skiprows", "skip_blank_lines", "skipfooter")
_OTHER_COLUMNS = ("dialect", "index_col", "names", "prefix", "usecols")
"""Options of csv files after which rows are no more what stands in the file."""
_MISSING_OPTIONS = ("keep_default_na", "na_filter", "na_values")


@dataclass(frozen=True, kw_only=True)
class SettledLoad:
    """The `load:` block with what was found, and what of it is worth a word."""

    load: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()


def settle_load(load: Mapping[str, Any]) -> SettledLoad:
    """Return the `load:` block with encoding, separator and missing cells of local csv and json files.

    An option that the recipe gives is taken as it is. Raises `InputError` for a file whose encoding or separator is
    not sure, whose first row is data, or which has a row with too many cells; it names file, line and option.
    """
    config = _find_config(load)
    files = [] if config is None else _list_files(config)
    if not files:
        return SettledLoad(load=load)
    found, findings = _settle_encoding(files, load)
    encoding = str(load.get("encoding") or found.get("encoding") or "utf-8")
    is_plain = not load.keys() & {*_OTHER_ROWS, *_OTHER_COLUMNS} and load.get("header", 0) == 0
    if isinstance(config, CsvConfig) and is_plain:
        numbers = {"decimal": config.decimal, "thousands": config.thousands}
        tables = [CsvFile(file=file, encoding=encoding, dialect=_find_dialect(config), **numbers) for file in files]
        options, more = _settle_layout(tables, config, load)
        found, findings = {**found, **options}, [*findings, *more]
    elif isinstance(config, JsonConfig):
        for file in files:
            check_lines(file, encoding)
    return SettledLoad(load={**load, **found}, findings=tuple(findings))


def _find_config(load: Mapping[str, Any]) -> Any:
    """Return how `datasets` would read local csv or json files; None where the block names something else."""
    path = str(load["path"])
    if path not in ("csv", "json") and not (os.path.isdir(path) and _holds_rows(path)):
        return None
    known = inspect.signature(datasets.load_dataset_builder).parameters
    only_there = inspect.signature(datasets.load_dataset).parameters.keys() - known.keys()
    try:
        builder = datasets.load_dataset_builder(**{key: load[key] for key in load if key not in only_there})
    except (OSError, ValueError, TypeError):  # which `load_dataset` will say
        return None
    return builder.config if isinstance(builder.config, (CsvConfig, JsonConfig)) else None


def _holds_rows(folder: str) -> bool:
    """Return whether a file of a folder holds rows, packed or not; which of its files count, `datasets` says."""
    suffixes = (Path(name.lower()).suffixes for _, _, files in os.walk(folder) for name in files)
    return any(not _SUFFIXES.isdisjoint(each) for each in suffixes)


def _list_files(config: Any) -> list[str]:
    """Return the files of this disk that a builder would read."""
    named = [str(file) for files in (config.data_files or {}).values() for file in files]
    for file in named:
        if os.path.isfile(file) and not os.path.getsize(file):
            raise InputError(f"{file} is empty", "give a file with rows", at=("load", "data_files"))
    return [file for file in named if os.path.isfile(file) and not file.endswith(".zip")]


def _settle_encoding(files: Sequence[str], load: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the encoding that all files are in, where it is none of UTF-8."""
    given = load.get("encoding")
    if given is not None:
        for file in files if load.get("encoding_errors", "strict") == "strict" else ():
            check_encoding(file, str(given))
        return {}, []
    if load.get("encoding_errors") is not None:
        return {}, []
    found = {file: find_encoding(file) for file in files}
    encodings = sorted(set(found.values()) - {"ascii"})
    if len(encodings) > 1:
        told = ", ".join(f"{next(file for file in files if found[file] == each)} is {each}" for each in encodings)
        raise InputError(f"files have several encodings: {told}", "save all as UTF-8", at=("load", "data_files"))
    if encodings in ([], ["utf-8"]):
        return {}, []
    note = f"The files are read as {encodings[0]}: they are not UTF-8. `encoding` under `load:` says otherwise."
    return {"encoding": encodings[0]}, [Finding(note=note)]


def _find_dialect(config: CsvConfig) -> dict[str, Any]:
    names = ("doublequote", "escapechar", "skipinitialspace", "quoting")
    return {"quotechar": config.quotechar or None, **{name: getattr(config, name) for name in names}}


def _settle_layout(
    tables: Sequence[CsvFile], config: CsvConfig, load: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Finding]]:
    """Return the separator, where it is no comma, and the words that stand for a missing cell in each column."""
    options: dict[str, Any] = {}
    findings: list[Finding] = []
    separator = config.sep
    if separator == "," and not {"sep", "delimiter"} & load.keys():
        found = {find_separator(table): table.file for table in tables}
        if len(found) > 1:
            told = ", ".join(f"a {name_separator(sign)} in {file}" for sign, file in found.items())
            hint = "give all files the same"
            raise InputError(f"files have several separators: {told}", hint, at=("load", "data_files"))
        separator = next(iter(found))
    if separator != config.sep:
        options["sep"] = separator
        word = name_separator(separator)
        note = f"Cells are separated by a {word}, not by a comma. `sep` under `load:` says otherwise."
        findings.append(Finding(note=note))
    if len(separator) != 1:
        return options, findings
    names = load.get("column_names")
    named = [list(names or _read_header(table, separator, load)) for table in tables]
    cells = Cells()
    for table, columns in zip(tables, named, strict=True):
        if load.get("on_bad_lines", "error") == "error":
            check_widths(table, separator, len(columns))
        cells.add(read_cells(table, separator, columns, 1 if names is None else 0))
    if not any(name in load for name in _MISSING_OPTIONS):
        missing, more = _settle_missing(dict.fromkeys(name for each in named for name in each), cells)
        options, findings = {**options, **missing}, [*findings, *more]
    return options, findings


def _read_header(table: CsvFile, separator: str, load: Mapping[str, Any]) -> list[str]:
    """Return the names in the first row; with `header: 0` it is one, whatever it looks like."""
    return next(table.read_rows(separator))[1] if "header" in load else check_header(table, separator)


def _settle_missing(names: Mapping[str, Any], cells: Cells) -> tuple[dict[str, Any], list[Finding]]:
    """Return options by which a word such as `NA` is a missing cell in columns of numbers and a word elsewhere."""
    numeric = cells.numbers - cells.words
    values = {name: sorted(MISSING | {""}) if name in numeric else [""] for name in names}
    options = {"keep_default_na": False, "na_values": values}
    kept: dict[str, list[str]] = {}
    for (name, word), count in cells.missing.items():
        if name not in numeric:
            kept.setdefault(name, []).append(f"{word!r} ({count})")
    notes = [
        f"Cells of column {name!r} that read {', '.join(words)} are taken as words; `na_values` under `load:` makes "
        "them missing."
        for name, words in kept.items()
    ]
    return options, [Finding(note=note) for note in notes]
