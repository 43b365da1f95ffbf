"""Separators, headers and words for missing cells of csv files."""

import dataclasses
from pathlib import Path

import pytest

from hf_tune.data.csv_layout import CsvFile, check_header, check_widths, find_separator, name_separator, read_cells
from hf_tune.input_error import InputError


def table(folder: Path, text: str, **dialect: object) -> CsvFile:
    file = folder / "rows.csv"
    file.write_bytes(text.encode())
    return CsvFile(file=str(file), encoding="utf-8", dialect=dialect)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("text,label\na,x\n", ","),
        ("text;label\na;x\n", ";"),
        ("text;label\n1,5 and 2,5, or so;x\nno;y\n", ";"),
        ("text\tlabel\na;b\tx\n", "\t"),
        ("text|label\na, b|x\n", "|"),
        ('text,label\n"a;b, c",x\n', ","),
        ("text\na\nb; c\n", ","),
        ("name;first,label\na,x\n", ","),
        ("\ufefftext;label\r\na;x\r\n", ";"),
    ],
)
def test_a_separator_cuts_every_row_into_as_many_cells(tmp_path: Path, text: str, sign: str) -> None:
    assert find_separator(table(tmp_path, text)) == sign


def test_a_file_called_tsv_is_cut_by_its_tabs(tmp_path: Path) -> None:
    file = table(tmp_path, "text, a\tlabel\nfoo, bar\tx\n")
    with pytest.raises(InputError, match="not sure: by comma"):
        find_separator(file)
    renamed = Path(file.file).rename(tmp_path / "rows.TSV")
    assert find_separator(dataclasses.replace(file, file=str(renamed))) == "\t"


def test_two_separators_that_fit_are_told_with_what_they_give(tmp_path: Path) -> None:
    words = r"not sure: by comma its first row is \['a;b', 'c;d'\]; by semicolon its first row is \['a', 'b,c', 'd'\]"
    with pytest.raises(InputError, match=words) as caught:
        find_separator(table(tmp_path, "a;b,c;d\n1;2,3;4\n"))
    assert caught.value.at == ("load", "sep") and name_separator("\t") == "tab"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "nice film,good\nbad film,bad\nwell,good\n",
            "'good' stands in its column in line 3 too.*column_names: .text",
        ),
        ("nice film,1\nbad film,0\n", r"\('nice film', '1'\) looks like data: '1' is a number; .*`header: 0`"),
        ("a,b,0.5\nc,d,1.5\n", "'0.5' is a number; .*column_names: .column1, column2, column3"),
        ("text,label\na,x\ntext,label\nb,y\n", "line 3 is the header again; take that line out"),
        ("text,label\n", "has 1 line and no row"),
        ("a,b,a\n1,2,3\n", "rows.csv has two columns called 'a'; give every column its own name"),
        ("\n", "has no line and no row"),
    ],
)
def test_a_first_row_that_is_no_header_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_header(table(tmp_path, text), ",")


@pytest.mark.parametrize(
    "text", ["text,label\na,x\n", ",text\n0,a\n", ",text,\n0,a,1\n", "label,0,1,2\n1,5,5,5\n", "1,2\n5,5\n"]
)
def test_names_and_numbered_columns_are_a_header(tmp_path: Path, text: str) -> None:
    assert check_header(table(tmp_path, text), ",") == text.partition("\n")[0].split(",")


def test_a_row_with_too_many_cells_names_its_line(tmp_path: Path) -> None:
    """Of a first row pandas (3.1) silently makes the name of the row, and shifts the columns."""
    broken = table(tmp_path, 'text,label\n"two\nlines",x\none, two,y\n')
    with pytest.raises(InputError, match=r"line 4 has 3 cells, and there are 2 columns: \['one', ' two', 'y'\]; put"):
        check_widths(broken, ",", 2)
    check_widths(broken, ",", 3)


def test_cells_tell_words_numbers_and_what_looks_missing(tmp_path: Path) -> None:
    text = "text,label,score\nNA,None,1\nwell,null,NA\n,NA,2.5\n"
    cells = read_cells(table(tmp_path, text), ",", ["text", "label", "score"], 1)
    assert cells.words == {"text"} and cells.numbers == {"score"}
    assert dict(cells.missing) == {
        ("text", "NA"): 1,
        ("label", "None"): 1,
        ("label", "null"): 1,
        ("label", "NA"): 1,
        ("score", "NA"): 1,
    }


def test_a_file_that_cannot_be_cut_names_its_line(tmp_path: Path) -> None:
    long = table(tmp_path, "text\n" + "x" * 200_000 + "\n")
    assert [len(row[0]) for _, row in long.read_rows(",")] == [4, 200_000]
    strict = dataclasses.replace(table(tmp_path, 'text\n"a"b\n'), dialect={"strict": True})
    with pytest.raises(InputError, match=r"line 2: ',' expected after '\"'; .*`quoting: 3`"):
        list(strict.read_rows(","))


def test_quotes_that_nothing_closes_are_told_with_the_line_that_opens_them(tmp_path: Path) -> None:
    """Read on, they swallow all rows to the end of the file."""
    broken = table(tmp_path, 'id,text\n0,"two\nlines"\n\n1,"he said\n2,foo\n3,bar\n')
    with pytest.raises(InputError, match=r"line 5 opens quotes that nothing closes; close them"):
        list(broken.read_rows(",", closed=True))
    whole = table(tmp_path, 'id;text\n"1, a";"he said ""so"""\n2;a "b" c\n3;"x"y')
    rows = [["id", "text"], ["1, a", 'he said "so"'], ["2", 'a "b" c'], ["3", "xy"]]
    assert [row for _, row in whole.read_rows(";", closed=True)] == rows and find_separator(whole) == ";"


@pytest.mark.parametrize(("option", "value"), [("quotechar", ""), ("escapechar", "ab"), ("quoting", 7)])
def test_an_option_that_no_csv_has_is_told(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(InputError, match=option) as caught:
        list(table(tmp_path, "text\na\n", **{option: value}).read_rows(","))
    assert caught.value.at == ("load", option)


@pytest.mark.parametrize(
    ("cell", "decimal", "thousands", "expected"),
    [
        ("1.5", ".", None, True),
        ("1,5", ".", None, False),
        ("1,5", ",", None, True),
        ("1.5", ",", None, False),
        ("1.234,5", ",", ".", True),
        ("1,234.5", ".", ",", True),
        ("one", ",", ".", False),
    ],
)
def test_a_number_is_what_the_file_writes_as_one(
    tmp_path: Path, cell: str, decimal: str, thousands: str | None, expected: bool
) -> None:
    file = dataclasses.replace(table(tmp_path, "x\n"), decimal=decimal, thousands=thousands)
    assert file.is_number(cell) == expected
