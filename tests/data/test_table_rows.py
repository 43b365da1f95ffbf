"""Tables as files: every cell stays as it was, and what cannot be read is told with file and line."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from hf_tune.data.table_rows import TableWriter, is_table, open_table
from hf_tune.input_error import InputError


def read(file: Path, size: int = 2) -> list[dict]:
    return [row for batch in open_table(str(file)).read_batches(size) for row in batch]


def test_cells_of_a_csv_stay_words_whatever_they_look_like(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id;text;n\n007;"a ; b\nc";None\n1e3;;NA\n\n', encoding="utf-8-sig")
    table = open_table(str(file))
    assert table.columns == ("id", "text", "n") and table.separator == ";"
    rows = [{"id": "007", "text": "a ; b\nc", "n": "None"}, {"id": "1e3", "text": "", "n": "NA"}]
    assert read(file) == rows
    with TableWriter(tmp_path / "b.csv", table.columns, separator=";") as writer:
        writer.write(rows)
    assert read(tmp_path / "b.csv") == rows


def test_a_csv_in_another_encoding_is_read_as_training_reads_it(tmp_path: Path) -> None:
    rows = [{"text": f"这家银行的客户服务怎么样请问怎么联系 {row}", "label": "问题"} for row in range(30)]
    text = "text;label\n" + "".join(f"{row['text']};{row['label']}\n" for row in rows)
    (tmp_path / "a.csv").write_bytes(text.encode("gbk"))
    assert read(tmp_path / "a.csv", size=100) == rows and open_table(str(tmp_path / "a.csv")).separator == ";"


def test_an_ending_may_be_in_capitals_and_a_row_shorter_than_the_header(tmp_path: Path) -> None:
    (tmp_path / "A.CSV").write_text("a,b\n1\n1,2\n")
    assert read(tmp_path / "A.CSV") == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]
    for name in ("a.NDJSON", "a.JSON"):
        (tmp_path / name).write_text('{"a": "schön"}\n', encoding="utf-16")
        assert is_table(str(tmp_path / name)) and read(tmp_path / name) == [{"a": "schön"}]
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "A.PARQUET")
    assert read(tmp_path / "A.PARQUET") == [{"a": 1}]


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_json_keeps_types_and_nesting(ending: str, tmp_path: Path) -> None:
    rows = [{"a": 1, "b": [1, {"c": None}]}, {"b": "ß", "d": 0.5}, {"a": 2**60}]
    for number in range(3):
        with TableWriter(tmp_path / f"x{ending}", ["a", "b", "d"]) as writer:
            writer.write(rows[:number])
            writer.write(rows[number:])
        text = (tmp_path / f"x{ending}").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()] if ending == ".jsonl" else json.loads(text)
        assert lines == rows
    assert open_table(str(tmp_path / f"x{ending}")).columns == ("a", "b", "d")
    assert read(tmp_path / f"x{ending}") == rows


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pyarrow.table({"a": pyarrow.array([1, None, 3], pyarrow.int8()), "b": [b"x", b"", None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = open_table(str(tmp_path / "a.parquet"))
    types = {name: found.read_schema().field(name) for name in found.columns}
    with TableWriter(tmp_path / "b.parquet", found.columns, types=types) as writer:
        for batch in found.read_batches(2):
            writer.write(batch)
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").equals(table)


def test_a_table_of_no_row_is_written_with_its_columns(tmp_path: Path) -> None:
    types = {"a": pyarrow.field("a", pyarrow.int64())}
    for name in ("a.csv", "a.parquet", "a.json"):
        with TableWriter(tmp_path / name, ["a"], types=types):
            pass
    assert open_table(str(tmp_path / "a.csv")).columns == ("a",)
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").column_names == ["a"]
    assert json.loads((tmp_path / "a.json").read_text()) == []


def test_of_rows_of_json_the_types_are_what_all_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": null}, {"a": 1}, {"a": 0.5, "b": "x"}]')
    schema = open_table(str(tmp_path / "a.json")).read_schema()
    assert schema.field("a").type == pyarrow.float64() and schema.field("b").type == pyarrow.string()
    (tmp_path / "b.json").write_text('[{"a": "x"}, {"a": 1}]')
    with pytest.raises(InputError, match="several types"):
        open_table(str(tmp_path / "b.json")).read_schema()


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "a.csv", ["a"]) as writer:
        writer.write([{"a": 1}])
        raise RuntimeError
    assert (tmp_path / "a.csv").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl"])
def test_bytes_go_into_parquet_alone(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"column 'image' holds bytes, such as pictures; write \.parquet"),
        TableWriter(tmp_path / name, ["image"]) as writer,
    ):
        writer.write([{"image": {"bytes": b"x", "path": None}}])


@pytest.mark.parametrize(
    ("name", "cell", "words"),
    [
        ("a.csv", "\ud83d", r"a cell holds '\\ud83d', for which utf-8 has no bytes; mend it, or write \.json"),
        ("a.parquet", "\ud83d", r"a cell holds '\\ud83d'"),
        ("a.parquet", 2**70, "write .json or .csv"),
    ],
)
def test_a_cell_that_a_format_cannot_hold_is_told(name: str, cell: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words), TableWriter(tmp_path / name, ["a"]) as writer:
        writer.write([{"a": cell}])
    with TableWriter(tmp_path / "a.jsonl", ["a"]) as writer:
        writer.write([{"a": cell}])
    assert read(tmp_path / "a.jsonl") == [{"a": cell}]
    if isinstance(cell, int):
        with pytest.raises(InputError, match=r"too large: .*; parquet wants one type"):
            open_table(str(tmp_path / "a.jsonl")).read_schema()


def test_lists_and_pairs_are_json_in_a_csv(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "a.csv", ["a"]) as writer:
        writer.write([{"a": ["very good", "schön"]}, {"a": ("x", "y")}, {"a": []}])
    assert [json.loads(row["a"]) for row in read(tmp_path / "a.csv")] == [["very good", "schön"], ["x", "y"], []]
    assert "schön" in (tmp_path / "a.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.csv",
            b"a,b\n1,2\n1,2,3\n",
            r"a\.csv:3: 3 cells, and the first line names 2 columns; cells are parted by ','",
        ),
        ("a.csv", b'id,a\n1,"he said\n2,b\n', r"a\.csv: line 2 opens quotes that nothing closes"),
        ("a.csv", b"a,a\n1,2\n", "two columns called 'a'"),
        ("a.csv", b"", "is empty; its first line names the columns"),
        ("a.csv", b"a,\xff\n", r"line 1, byte 2 \(0xff\) is not UTF-8, and what else it is, is not sure.*; save it"),
        ("a.csv", b"a,b\n1,\xe4\n", r"line 2, byte 6 \(0xe4\) is not UTF-8.*; save it as UTF-8, with commas"),
        ("a.json", b'[{"a": 1},\n{"a" 2}]', r"a\.json:2: not valid JSON: Expecting ':' delimiter"),
        ("a.jsonl", b'{"a": 1}\n\n{"a"', r"a\.jsonl:3: not valid JSON"),
        ("a.json", b"[1]", r"row 0 of .*a\.json is no object but 1; give a list of objects"),
        ("a.json", b"[]", "has no row"),
        ("a.parquet", b"PAR", "is no parquet file"),
    ],
)
def test_what_is_no_table_is_told_with_its_place(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(tmp_path / name)


def test_a_table_is_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").touch()
    assert is_table(str(tmp_path / "a.CSV")) and not is_table(str(tmp_path / "b.csv")) and not is_table("a, b and c")
