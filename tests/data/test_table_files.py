"""Files of rows as people have them, read through `load_splits`."""

import gzip
import json
from pathlib import Path

import datasets
import pytest

from hf_tune.data.splits import DataSource, Splits, load_splits
from hf_tune.data.table_files import settle_load
from hf_tune.input_error import InputError
from hf_tune.tasks.text_classification import TASK


ROWS = [
    ("Der Film war schön und großartig", "gut"),
    ("Das Essen war übel und kühl", "schlecht"),
    ("Ein kühles Bier, hell und süß", "gut"),
    ("Öde; sehr öde und überflüssig", "schlecht"),
]


def write(file: Path, separator: str = ",", encoding: str = "utf-8", times: int = 5) -> str:
    quoted = [[f'"{text} {number}"', label] for number in range(times) for text, label in ROWS]
    file.write_text("\n".join(separator.join(row) for row in [["text", "label"], *quoted]) + "\n", encoding=encoding)
    return str(file)


def load(files: object, path: str = "csv", **options: object) -> Splits:
    return load_splits(DataSource(load={"path": path, "data_files": files, **options}), TASK)  # type: ignore[dict-item]


def read(splits: Splits) -> set[tuple[str, str]]:
    parts = (splits.train, splits.validation)
    return {(each[row]["text"], splits.label_names[each[row]["label"]]) for each in parts for row in range(len(each))}  # type: ignore


EXPECTED = {(f"{text} {number}", label) for number in range(5) for text, label in ROWS}


@pytest.mark.parametrize(
    ("separator", "encoding", "notes"),
    [
        (",", "utf-8", []),
        (",", "utf-8-sig", []),
        (";", "utf-8", ["Cells are separated by a semicolon, not by a comma. `sep`"]),
        ("\t", "cp1252", ["The files are read as cp1252: they are not UTF-8. `encoding`", "separated by a tab"]),
        (";", "utf-16", ["The files are read as utf-16", "separated by a semicolon"]),
    ],
)
def test_csv_files_are_read_rightly_and_it_is_said_how(
    tmp_path: Path, separator: str, encoding: str, notes: list[str]
) -> None:
    """TRAPS S7: a `;` file became one column, another encoding a bare error."""
    splits = load(write(tmp_path / "rows.csv", separator, encoding))
    assert read(splits) == EXPECTED
    assert len(splits.findings) == len(notes)
    assert all(note in found.note for note, found in zip(notes, splits.findings, strict=True))


def test_a_chinese_file_is_read(tmp_path: Path) -> None:
    """TRAPS S7: a GBK file was a bare DatasetGenerationError."""
    rows = [(f"这个电影真的很好看我非常喜欢{number}", "好评") for number in range(10)]
    rows += [(f"服务太差了再也不会来了{number}", "差评") for number in range(10)]
    text = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    (tmp_path / "rows.csv").write_text(text, encoding="gbk")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode("gbk")))
    lines = "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="gbk")
    for name, path in (("rows.csv", "csv"), ("rows.csv.gz", "csv"), ("rows.jsonl", "json")):
        assert read(load(str(tmp_path / name), path)) == set(rows)


def test_what_the_recipe_says_is_taken(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", ";", "cp1252")
    splits = load(file, sep=";", encoding="cp1252")
    assert read(splits) == EXPECTED and splits.findings == ()
    with pytest.raises(InputError, match=r"rows.csv: line 2, byte 26 \(0xf6\) is not gbk|is not ascii, as the recipe"):
        load(file, encoding="ascii")
    with pytest.raises(InputError, match="has no column 'text'"):
        load(file, sep=",", encoding="cp1252")


def test_a_folder_of_tables_is_looked_at_too(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / f"{name}.csv", ";")
    splits = load_splits(DataSource(load={"path": str(tmp_path)}), TASK)
    assert read(splits) == EXPECTED and len(splits.test or []) == 20
    assert "semicolon" in splits.findings[0].note


def test_a_folder_of_tables_may_hold_other_files_and_packed_ones(tmp_path: Path) -> None:
    """`datasets` passes over notes; where they were more than the tables, the tables were not looked at."""
    for name in ("plain", "packed"):
        (tmp_path / name).mkdir()
        for note in ("README.md", "NOTES.md", "more.md"):
            (tmp_path / name / note).touch()
    content = Path(write(tmp_path / "plain" / "train.csv", ";")).read_bytes()
    (tmp_path / "packed" / "train.csv.gz").write_bytes(gzip.compress(content))
    for name in ("plain", "packed"):
        assert read(load_splits(DataSource(load={"path": str(tmp_path / name)}), TASK)) == EXPECTED


def test_files_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    german, marked = write(tmp_path / "a.csv", encoding="cp1252"), write(tmp_path / "b.csv", encoding="utf-16")
    with pytest.raises(
        InputError, match=r"several encodings: .*a.csv is cp1252, .*b.csv is utf-16; save all as UTF-8"
    ):
        load({"train": german, "test": marked})
    comma, semicolon = write(tmp_path / "c.csv"), write(tmp_path / "d.csv", ";")
    with pytest.raises(InputError, match=r"several separators: a comma in .*c.csv, a semicolon in .*d.csv"):
        load([comma, semicolon])


def test_words_such_as_none_stay_words_in_texts_and_labels(tmp_path: Path) -> None:
    """TRAPS S7: pandas made missing cells of them, and the run stopped at a text that was there."""
    rows = [("None", "NA"), ("null", "nan"), ("NA", "NA"), ("well", "nan")] * 5
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    splits = load(str(tmp_path / "rows.csv"))
    assert read(splits) == set(rows) and splits.label_names == ("NA", "nan")
    notes = [found.note for found in splits.findings]
    assert "column 'text' that read 'None' (5), 'null' (5), 'NA' (5) are taken as words; `na_values`" in notes[0]
    assert "column 'label' that read 'NA' (10), 'nan' (10) are taken as words" in notes[1]
    given = load(str(tmp_path / "rows.csv"), keep_default_na=False)
    assert read(given) == set(rows) and given.findings == ()


def test_such_words_are_missing_among_numbers_and_so_are_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label,age\na,1,5\nb,NA,\nc,0,7\n")
    with pytest.raises(InputError, match="row 1 of split 'train' has no label; fill it"):
        load(str(tmp_path / "rows.csv"))
    settled = settle_load({"path": "csv", "data_files": str(tmp_path / "rows.csv")})
    rows = datasets.load_dataset(**settled.load)["train"]
    assert rows["age"][:] == [5.0, None, 7.0] and settled.findings == ()
    (tmp_path / "empty.csv").write_text("text,label\na,x\n,y\n")
    rows = datasets.load_dataset(**settle_load({"path": "csv", "data_files": str(tmp_path / "empty.csv")}).load)
    assert rows["train"]["text"][:] == ["a", None]


def test_numbers_with_a_decimal_comma_stay_numbers_where_a_word_is_missing(tmp_path: Path) -> None:
    """They became words, all of the column, as none of them was a number."""
    (tmp_path / "rows.csv").write_text("text;score\na;1,5\nb;2.000,5\nc;NA\n")
    load = {"path": "csv", "data_files": str(tmp_path / "rows.csv"), "decimal": ",", "thousands": "."}
    settled = settle_load(load)
    assert datasets.load_dataset(**settled.load)["train"]["score"][:] == [1.5, 2000.5, None]


@pytest.mark.parametrize(("option", "value"), [("quotechar", ""), ("escapechar", "ab")])
def test_an_option_that_no_csv_has_is_told(tmp_path: Path, option: str, value: str) -> None:
    write(tmp_path / "rows.csv")
    with pytest.raises(InputError, match=option) as caught:
        settle_load({"path": "csv", "data_files": str(tmp_path / "rows.csv"), option: value})
    assert caught.value.at == ("load", option)


def test_a_file_without_a_header_is_read_once_its_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("".join(f'"{text} {number}";{label}\n' for number in range(5) for text, label in ROWS))
    with pytest.raises(
        InputError, match=r"looks like data: 'gut' stands in its column in line 3 too; where it has no"
    ):
        load(str(file))
    assert len(read(load(str(file), column_names=["text", "label"]))) == 20


def test_a_header_that_looks_like_data_is_one_where_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text;label;2020\n" + "".join(f"text {n};{'xy'[n % 2]};5\n" for n in range(20)))
    with pytest.raises(InputError, match=r"'2020' is a number; .*where this is it, `header: 0`"):
        load(str(tmp_path / "rows.csv"))
    assert len(read(load(str(tmp_path / "rows.csv"), header=0))) == 20


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rows.csv", "", "rows.csv is empty; give a file with rows"),
        ("rows.csv", "text,label\n", "rows.csv has 1 line and no row"),
        ("rows.csv", "text,label\na,x\nb, c,y\n", r"rows.csv: line 3 has 3 cells.*'y'.*`on_bad_lines: skip`"),
        ("rows.csv", "text,label\nb, c,y\nb, d,x\n", r"rows.csv: line 2 has 3 cells, and there are 2 columns"),
        ("rows.jsonl", "", "rows.jsonl is empty; give a file with rows"),
        ("rows.jsonl", '{"text": "a", "label": 1}\n{"text" "b"}\n', "rows.jsonl: line 2, sign 9: Expecting ':'"),
        (
            "rows.jsonl",
            '{"text": "a", "label": "x"}\n{"text": "b", "label": 2}\n{"text": "c", "label": "y"}\n',
            r"row 1 of split 'train' has a label of type int \(1 rows\), 2 others are str; make them all words",
        ),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        load(str(tmp_path / name), "json" if name.endswith("jsonl") else "csv")


def test_bad_lines_may_be_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv")
    with open(file, "a") as stream:
        stream.write("one, two,gut\n")
    assert read(load(file, on_bad_lines="skip")) == EXPECTED


@pytest.mark.parametrize(
    "load",
    [
        {"path": "own:load", "rows": 3},
        {"path": "parquet", "data_files": "rows.parquet"},
        {"path": "csv", "data_files": "nowhere.csv"},
        {"path": "csv", "data_files": "https://nowhere.example/rows.csv"},
        {"path": "owner/name"},
    ],
)
def test_what_is_no_table_of_this_disk_is_left_alone(load: dict) -> None:
    settled = settle_load(load)
    assert settled.load is load and settled.findings == ()


def test_unusual_options_are_left_to_pandas(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("# made by hand\n1;2\n")
    load = {"path": "csv", "data_files": str(tmp_path / "rows.csv"), "skiprows": 1}
    assert settle_load(load).load == load


def test_real_rows_survive_another_encoding_and_separator(shared: Path, tmp_path: Path) -> None:
    rows = datasets.load_dataset(str(shared / "data" / "banking77"))["test"]
    frame = rows.to_pandas()
    frame["label"] = [rows.features["label"].names[number] for number in frame["label"]]
    frame["text"] += " (£5, «ça va»)"
    frame.to_csv(tmp_path / "rows.csv", sep=";", encoding="cp1252", index=False)
    splits = load(str(tmp_path / "rows.csv"), encoding="cp1252")
    assert read(splits) == set(zip(frame["text"], frame["label"], strict=True)) and len(splits.label_names) == 77
