"""How a csv file is laid out: its separator, its header, and columns whose cells only look as if they were missing."""

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hf_tune.data.text_encoding import open_text
from hf_tune.input_error import InputError


AT = ("load", "data_files")
SEPARATORS = (",", ";", "\t", "|")
_MISSING = "#N/A #N/A_N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN None n/a nan null"
MISSING = frozenset(word.replace("_", " ") for word in _MISSING.split())
"""Words that pandas (3.1) takes for a missing cell."""
_NAMES = MappingProxyType({",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"})
_HEAD_ROWS = 1_000
_LONGEST_CELL = 2**27
_SCANNED_ROWS = 1_000_000
"""Rows that are looked through for words and their number of cells."""


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A csv file and what is known of it."""

    file: str
    encoding: str
    dialect: Mapping[str, Any]
    """Arguments of `csv.reader` but the separator."""
    decimal: str = "."
    """What parts the whole of a number from its fraction."""
    thousands: str | None = None
    """What stands between groups of three digits."""

    def read_rows(self, separator: str, *, closed: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each row, with the line that it ends in, from 1; blank lines are left out.

        With `closed`, raises `InputError` where the file ends within quotes, as pandas does.
        """
        ended: list[bool] = []
        first = 1
        with open_text(self.file, self.encoding, errors="replace", newline="") as text:
            reader = self._build_reader(_note_end(text, ended), separator)
            try:
                for row in reader:
                    if closed and ended:
                        problem = f"{self.file}: line {first} opens quotes that nothing closes"
                        raise InputError(problem, "close them, or write each quote that is meant twice", at=AT)
                    if row:
                        yield reader.line_num, row
                    first = reader.line_num + 1
            except csv.Error as error:
                hint = "mend the file, or write `quoting: 3` where its quotes mean nothing"
                problem = f"{self.file}: line {reader.line_num}: {error}"
                raise InputError(problem, hint, at=AT) from None

    def is_number(self, cell: str) -> bool:
        """Return whether a cell is a number as this file writes them."""
        plain = cell.replace(self.thousands, "") if self.thousands else cell
        if self.decimal != ".":
            plain = plain.replace(".", "?").replace(self.decimal, ".")
        try:
            float(plain)
        except ValueError:
            return False
        return True

    def _build_reader(self, lines: Iterator[str], separator: str) -> Any:
        csv.field_size_limit(_LONGEST_CELL)  # Python's own is 131,072 letters, fewer than a long text has
        try:
            return csv.reader(lines, delimiter=separator, **self.dialect)
        except TypeError as error:
            option = next((name for name in self.dialect if name in str(error)), None)
            at = ("load",) if option is None else ("load", option)
            raise InputError(f"a csv file cannot be read so: {error}", "leave the option out", at=at) from None


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What the cells of a file's columns are, by the columns' names."""

    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(column, word) → how often a word stands there that pandas would take for a missing cell."""
    words: set[str] = field(default_factory=set)
    """Columns with a cell that is neither such a word nor a number."""
    numbers: set[str] = field(default_factory=set)
    """Columns with a cell that is a number."""

    def add(self, other: "Cells") -> None:
        """Take in the cells of another file."""
        self.missing.update(other.missing)
        self.words.update(other.words)
        self.numbers.update(other.numbers)


def _note_end(lines: Iterable[str], ended: list[bool]) -> Iterator[str]:
    """Yield the lines; behind the last, which a row of csv asks for only where its quotes are open, note the end."""
    yield from lines
    ended.append(True)


def find_separator(table: CsvFile) -> str:
    """Return the sign that cuts the first rows into as many cells as the header, and more than one.

    A file of one column has none, and gets the comma; one called .tsv the tab, where it cuts the header. Raises
    `InputError` where several signs cut the header and the rows do not tell which is meant.
    """
    rows = {sign: [cells for _, cells in itertools.islice(table.read_rows(sign), _HEAD_ROWS)] for sign in SEPARATORS}
    cutting = [sign for sign in SEPARATORS if rows[sign] and len(rows[sign][0]) > 1]
    if "\t" in cutting and ".tsv" in Path(table.file.lower()).suffixes:
        return "\t"
    even = [sign for sign in cutting if len({len(cells) for cells in rows[sign]}) == 1]
    found = even or cutting
    if len(found) > 1:
        told = "; ".join(f"by {name_separator(sign)} its first row is {rows[sign][0][:3]}" for sign in found)
        hint = 'write which it is, such as `sep: ";"`'
        raise InputError(f"{table.file}: its separator is not sure: {told}", hint, at=("load", "sep"))
    return found[0] if found else ","


def name_separator(sign: str) -> str:
    """Return the word for a separator."""
    return _NAMES.get(sign) or repr(sign)


def check_header(table: CsvFile, separator: str) -> list[str]:
    """Return the names in the first row.

    Raises `InputError` where it is no header: one of its cells is a number, or a cell of its own column too; and where
    it has a name twice, as pandas would call the second `name.1`.
    """
    rows = list(itertools.islice(table.read_rows(separator), _HEAD_ROWS))
    if len(rows) < 2:
        raise InputError(f"{table.file} has {len(rows) or 'no'} line and no row", "give a file with rows", at=AT)
    header = rows[0][1]
    for line, cells in rows[1:]:
        if cells == header:
            hint = "take that line out; were files joined with their headers?"
            raise InputError(f"{table.file}: line {line} is the header again", hint, at=AT)
        again = next((name for name, cell in zip(header, cells, strict=False) if name and name == cell), None)
        if again is not None:
            raise _build_header_error(table, f"{again!r} stands in its column in line {line} too", header)
    numbers = [name for name in header if table.is_number(name)]
    counted = [str(number) for number in range(len(numbers))], [str(number + 1) for number in range(len(numbers))]
    if numbers and (len(numbers) == 1 or numbers not in counted):  # else pandas has numbered the columns
        raise _build_header_error(table, f"{numbers[0]!r} is a number", header)
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{table.file} has two columns called {twice!r}", "give every column its own name", at=AT)
    return header


def check_widths(table: CsvFile, separator: str, num_columns: int) -> None:
    """Raise `InputError` for a row with more cells than there are columns.

    pandas (3.1) fails there, or, where it is the first row, silently takes the first cell of every row for its name.
    """
    for line, row in itertools.islice(table.read_rows(separator), _SCANNED_ROWS):
        if len(row) > num_columns:
            problem = f"{table.file}: line {line} has {len(row)} cells, and there are {num_columns} columns"
            hint = f"put a cell that holds a {name_separator(separator)} between quotes, or write `on_bad_lines: skip`"
            raise InputError(f"{problem}: {[cell[:20] for cell in row]}", hint, at=AT)


def read_cells(table: CsvFile, separator: str, names: Sequence[str], first: int) -> Cells:
    """Return what the cells are, from the row `first` on, which is 1 behind a header."""
    found = Cells()
    for _, row in itertools.islice(table.read_rows(separator), first, _SCANNED_ROWS):
        for name, cell in zip(names, row, strict=False):
            if cell in MISSING:
                found.missing[name, cell] += 1
            elif name not in found.words and cell:
                (found.numbers if table.is_number(cell) else found.words).add(name)
    return found


def _build_header_error(table: CsvFile, why: str, header: Sequence[str]) -> InputError:
    shown = ", ".join(repr(name[:30]) for name in header[:4])
    columns = ", ".join(f"column{number}" for number in range(1, len(header) + 1))
    columns = {2: "text, label"}.get(len(header), columns)
    hint = f"where it has no header, write `column_names: [{columns}]` under `load:`; where this is it, `header: 0`"
    return InputError(f"{table.file}: its first row ({shown}) looks like data: {why}", hint, at=AT)
