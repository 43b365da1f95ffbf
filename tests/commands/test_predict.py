"""`hf-tune predict`: which files it takes, and that its numbers are those of the run."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest

from hf_tune import load_finetuned
from hf_tune.commands.predict import find_files, main, read_texts
from hf_tune.input_error import InputError


@pytest.fixture
def test_pictures(finished_run: Path, tmp_path: Path) -> Path:
    """Return a folder with the run's test pictures, losslessly."""
    import sys

    sys.path.insert(0, str(finished_run))
    try:
        from tiny_pictures import load  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(finished_run))
        sys.modules.pop("tiny_pictures", None)
    for row, example in enumerate(load()["test"]):
        example["image"].save(tmp_path / f"{row:02}.png")
    return tmp_path


def test_the_table_holds_the_scores_that_the_run_kept(finished_run: Path, test_pictures: Path, tmp_path: Path) -> None:
    assert main([str(finished_run), str(test_pictures), "--output", str(tmp_path / "a.csv"), "--batch-size", "4"]) == 0
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = pyarrow.parquet.read_table(finished_run / "predictions.parquet").to_pydict()
    assert [Path(row["input"]).name for row in rows] == [f"{row:02}.png" for row in range(11)]
    assert [row["label"] for row in rows] == kept["prediction"]
    scores = [[float(row[f"score of {name}"]) for name in ("red", "green", "blue")] for row in rows]
    assert np.allclose(scores, kept["probabilities"], atol=1e-5)
    assert [float(row["score"]) for row in rows] == [max(each) for each in scores]


def test_json_holds_the_same_as_the_terminal(
    finished_run: Path, test_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [str(test_pictures / "03.png"), str(test_pictures / "01.png")]
    assert main([str(finished_run), *inputs, "--output", str(tmp_path / "a.json")]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert capsys.readouterr().out == ""
    assert main([str(finished_run), *inputs]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row, line, name in zip(rows, lines, inputs, strict=True):
        others = sorted(
            (row[f"score of {label}"], label) for label in ("red", "green", "blue") if label != row["label"]
        )
        rest = ", ".join(f"{label} {score:.3f}" for score, label in reversed(others))
        assert line == f"{name}: {row['label']} {row['score']:.3f}   (then {rest})"


def test_of_many_classes_there_is_a_column_for_each_of_the_first_ranks(
    run_of_50_classes: Path, pictures: list[PIL.Image.Image], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows have other labels among their ten most probable: a column per label would fit no two of them."""
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    for name in ("a.csv", "a.json"):
        assert main([str(run_of_50_classes), str(tmp_path), "--output", str(tmp_path / name)]) == 0
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ranks = [f"{what} {rank}" for rank in range(2, 11) for what in ("label", "score")]
    assert list(rows[0]) == ["input", "label", "score", *ranks]
    written = json.loads((tmp_path / "a.json").read_text())
    assert [{name: str(value) for name, value in row.items()} for row in written] == rows
    for row, prediction in zip(written, load_finetuned(run_of_50_classes).predict(pictures), strict=True):
        scores = [row["score"], *(row[f"score {rank}"] for rank in range(2, 11))]
        labels = [row["label"], *(row[f"label {rank}"] for rank in range(2, 11))]
        assert scores == sorted(scores, reverse=True) and sum(scores) < 1
        assert dict(zip(labels, scores, strict=True)) == pytest.approx(prediction.scores, abs=1e-5)
    assert main([str(run_of_50_classes), str(tmp_path / "0.png")]) == 0
    assert f"0.png: {rows[0]['label']} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "a.txt"], "'a.txt' is neither .csv nor .json"),
        (["--batch-size", "0"], "--batch-size 0 is out of range"),
        (["no_such.png"], "'no_such.png' stands for no file"),
        (["broken.png"], "broken.png"),
    ],
)
def test_a_wrong_input_is_told_and_gives_2(
    arguments: list[str],
    words: str,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (20, 20)).save("a.png")
    Path("broken.png").write_bytes(b"no picture")
    assert main([str(finished_run), "a.png", *arguments]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == ""


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "a.png"]) == 2
    assert "is no run of hf_tune" in capsys.readouterr().err


def test_files_are_those_of_names_folders_and_globs_in_order(tmp_path: Path) -> None:
    names = ("b.png", "a.PNG", "sub/c.jpg", "notes.txt", "sub/d.gif")
    (tmp_path / "sub").mkdir()
    for name in names:
        (tmp_path / name).touch()

    def found(*inputs: str) -> list[str]:
        files = find_files([str(tmp_path / each) for each in inputs], ("*.png", "*.jpg"))
        return [str(Path(file).relative_to(tmp_path)) for file in files]

    assert found("") == ["a.PNG", "b.png", "sub/c.jpg"]
    assert found("sub/*", "b.png") == ["sub/c.jpg", "sub/d.gif", "b.png"]
    assert found("**/*.g*") == ["sub/d.gif"]
    assert found("notes.txt") == ["notes.txt"]


@pytest.mark.parametrize("name", ["", "*.png", "x.png"])
def test_an_input_that_stands_for_no_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"stands for no file; a folder's files must be \*\.png, \*\.jpg"):
        find_files([str(tmp_path / name)], ("*.png", "*.jpg"))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("\ufeffone\r\na\tb\r\n", ["one", ("a", "b")]),
        ("a\u2028b\x85c\fd\n", ["a\u2028b\x85c\fd"]),
    ],
)
def test_a_file_of_texts_and_standard_input_are_cut_at_line_ends_alone(
    content: str, lines: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert read_texts([str(tmp_path / "a.txt")]) == lines
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode()), encoding="utf-8"))
    assert read_texts(["-", "more"]) == [*lines, "more"]


def test_a_file_of_texts_is_read_in_its_own_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Der Film war schön und großartig\nDas Essen war übel und kühl\n"
    (tmp_path / "a.txt").write_bytes(text.encode("cp1252"))
    assert read_texts([str(tmp_path / "a.txt")]) == text.splitlines()
    (tmp_path / "b.txt").write_bytes("5€\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"b.txt: line 1, byte 1 \(0x80\) is not UTF-8.*; save it as UTF-8"):
        read_texts([str(tmp_path / "b.txt")])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("5€".encode("cp1252")), encoding="utf-8"))
    with pytest.raises(InputError, match="standard input is not UTF-8; give the file itself"):
        read_texts(["-"])


def test_several_labels_are_a_list_in_every_format(save_run: Callable[..., Path], tmp_path: Path) -> None:
    run = str(save_run("bert", "full", ("very red", "green", "blue"), "multi_label_classification"))
    texts = ["the rose", "sea"]
    expected = [list(each.labels) for each in load_finetuned(run).predict(texts)]
    for name in ("a.csv", "a.json", "a.parquet"):
        assert main([run, *texts, "--output", str(tmp_path / name)]) == 0
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        assert [json.loads(row["labels"]) for row in csv.DictReader(file)] == expected
    assert [row["labels"] for row in json.loads((tmp_path / "a.json").read_text())] == expected
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet")["labels"].to_pylist() == expected


def test_a_text_that_is_no_name_of_a_file_stands_for_itself() -> None:
    """220 Cyrillic letters are 440 bytes, more than a name can have."""
    texts = ["ы" * 220, "x" * 5000, "a\nb", "nothing\0"]
    assert read_texts(texts) == texts


def test_where_no_line_was_read_there_is_nothing_to_predict(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match="there is nothing to predict: no line was read; give texts, or a file"):
        read_texts([str(tmp_path / "a.txt")])
