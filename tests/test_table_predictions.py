"""Predictions for the rows of a table: all columns stay, in their order, and the new ones are those of `predict`."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from hf_tune import load_finetuned
from hf_tune.commands.predict import main


TEXTS = ("the rose", "a leaf is old", "sea", "the old brick by the sea", "moss moss moss")


@pytest.fixture(scope="module")
def text_run(save_run: Callable[..., Path]) -> Path:
    return save_run("bert", "full")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a csv of five texts with columns around them."""
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["id", "text", "label", "note; or not"])
        writer.writerows([f"00{number}", text, "NA", ""] for number, text in enumerate(TEXTS))
    return tmp_path / "in.csv"


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


def test_a_csv_keeps_its_columns_and_gets_prediction_and_score(text_run: Path, table: Path, tmp_path: Path) -> None:
    assert main([str(text_run), str(table), "--output", str(tmp_path / "out.csv"), "--batch-size", "2"]) == 0
    before, after = read_csv(table), read_csv(tmp_path / "out.csv")
    assert list(after[0]) == ["id", "text", "label", "note; or not", "prediction", "score"]
    assert [{name: row[name] for name in before[0]} for row in after] == before
    predictions = load_finetuned(text_run).predict(list(TEXTS))
    assert [row["prediction"] for row in after] == [each.label for each in predictions]
    assert [float(row["score"]) for row in after] == pytest.approx([each.score for each in predictions], abs=1e-6)


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_every_format_holds_the_same(ending: str, text_run: Path, table: Path, tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"{name}.{ending}") for name in ("first", "second")}
    assert main([str(text_run), str(table), "--output", names["first"], "--probabilities"]) == 0
    assert main([str(text_run), names["first"], "--output", names["second"], "--prefix", "again "]) == 0
    if ending == "parquet":
        rows = pyarrow.parquet.read_table(names["second"]).to_pylist()
    else:
        text = Path(names["second"]).read_text()
        rows = json.loads(text) if ending == "json" else [json.loads(line) for line in text.splitlines()]
    new = ["prediction", "score", "score of red", "score of green", "score of blue"]
    assert list(rows[0]) == ["id", "text", "label", "note; or not", *new, "again prediction", "again score"]
    assert [row["text"] for row in rows] == list(TEXTS) and rows[2]["id"] == "002"
    for row in rows:
        assert row["again prediction"] == row["prediction"]
        assert row["again score"] == pytest.approx(row["score"], abs=1e-6)
        assert row["score"] == max(row[f"score of {name}"] for name in ("red", "green", "blue"))


def test_unsure_rows_get_no_label_and_are_counted(
    text_run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = sorted(each.score for each in load_finetuned(text_run).predict(list(TEXTS)))
    below = (scores[2] + scores[3]) / 2
    for name in ("out.csv", "out.json", "out.parquet"):
        assert main([str(text_run), str(table), "--output", str(tmp_path / name), "--abstain-below", f"{below}"]) == 0
        assert f"no label told for 3 of 5: their scores are below {below:g}" in capsys.readouterr().err
    rows = json.loads((tmp_path / "out.json").read_text())
    assert sorted(row["score"] for row in rows if row["prediction"] is None) == pytest.approx(scores[:3], abs=1e-6)
    told = [row["prediction"] for row in rows]
    assert [row["prediction"] or None for row in read_csv(tmp_path / "out.csv")] == told
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["prediction"].to_pylist() == told


def test_rows_that_all_get_no_label_still_have_a_column_of_words(text_run: Path, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    assert main([str(text_run), str(table), "--output", str(output), "--abstain-below", "1"]) == 0
    written = pyarrow.parquet.read_table(output)
    assert written["prediction"].null_count == 5 and str(written.schema.field("prediction").type) == "string"


@pytest.mark.parametrize(
    ("kind", "columns", "cell"),
    [("regression", ["prediction"], float), ("multi_label_classification", ["prediction"], list)],
)
def test_other_kinds_of_labels_have_one_column(
    kind: str, columns: list[str], cell: type, save_run: Callable[..., Path], table: Path, tmp_path: Path
) -> None:
    run = save_run("bert", "full", ("red",) if kind == "regression" else ("red", "green", "blue"), kind)
    assert main([str(run), str(table), "--output", str(tmp_path / "out.parquet")]) == 0
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert list(rows[0])[4:] == columns and all(isinstance(row["prediction"], cell) for row in rows)
    assert main([str(run), str(table), "--abstain-below", "0.5"]) == 2


def test_pictures_that_a_table_names_lie_beside_it(
    finished_run: Path, pictures: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set" / "pictures").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "set" / "pictures" / f"{number}.png")
    lines = ["name,image", *(f"{number},pictures/{number}.png" for number in range(4))]
    (tmp_path / "set" / "in.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert main([str(finished_run), "set/in.csv", "--output", "out.json"]) == 0
    expected = [each.label for each in load_finetuned(finished_run).predict(pictures)]
    assert [row["prediction"] for row in json.loads(Path("out.json").read_text())] == expected


def test_pictures_of_a_table_may_lie_where_those_of_the_run_did(
    finished_run: Path, pictures: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text()
    assert "\ndata:\n" in recipe
    (run / "recipe.yaml").write_text(recipe.replace("\ndata:\n", f"\ndata:\n  files_in: {tmp_path / 'own'}\n"))
    for folder in ("own", "set"):
        (tmp_path / folder).mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "own" / f"{number}.png")
    (tmp_path / "set" / "in.csv").write_text("image\n" + "".join(f"{number}.png\n" for number in range(4)))
    arguments = [str(run), str(tmp_path / "set" / "in.csv"), "--output", str(tmp_path / "out.json")]
    assert main(arguments) == 0
    expected = [each.label for each in load_finetuned(finished_run).predict(pictures)]
    assert [row["prediction"] for row in json.loads((tmp_path / "out.json").read_text())] == expected
    pictures[0].save(tmp_path / "set" / "2.png")
    assert main(arguments) == 2
    assert "'2.png' is a file in " in (told := capsys.readouterr().err) and "where the run's own data are" in told


def test_pictures_inside_parquet_stay_and_datasets_still_reads_them(
    finished_run: Path, pictures: list, tmp_path: Path
) -> None:
    features = datasets.Features({"image": datasets.Image(), "n": datasets.Value("int8")})
    datasets.Dataset.from_dict({"image": pictures, "n": [3, 1, 2, 0]}, features=features).to_parquet(
        tmp_path / "in.parquet"
    )
    assert main([str(finished_run), str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out.parquet")]) == 0
    rows = datasets.Dataset.from_parquet(str(tmp_path / "out.parquet"), cache_dir=str(tmp_path / "cache"))
    assert [picture.size for picture in rows["image"]] == [picture.size for picture in pictures]
    assert rows["n"][:] == [3, 1, 2, 0]
    assert rows["prediction"][:] == [each.label for each in load_finetuned(finished_run).predict(pictures)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--column", "text=words"], "has no column 'words' for the role `text`; its columns are: id, text, label"),
        (["--column", "picture=id"], "the task has no role 'picture'"),
        (["--column", "text"], "--column text; write it as ROLE=NAME"),
        (["--abstain-below", "1.5"], "--abstain-below 1.5 is out of range"),
        (["more"], "is a table, and 2 inputs were given; give it alone"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_written(
    arguments: list[str], words: str, text_run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(text_run), str(table), *arguments, "--output", str(tmp_path / "out.csv")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


def test_a_column_that_is_there_already_is_told(
    text_run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text().replace("note; or not", "score").replace('"score"', "score"))
    assert main([str(text_run), str(table), "--output", str(tmp_path / "out.csv")]) == 2
    assert "has a column 'score' already; rename it, or give the new ones another name: --prefix" in (
        capsys.readouterr().err
    )
    assert main([str(text_run), str(table), "--output", str(table)]) == 2
    assert "is the input too" in capsys.readouterr().err


def test_a_row_that_cannot_be_read_is_named(
    text_run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text().replace("moss moss moss", ""))
    output = str(tmp_path / "out.csv")
    assert main([str(text_run), str(table), "--output", output, "--batch-size", "1"]) == 2
    assert "row 4 of " in (told := capsys.readouterr().err) and "`text` is empty" in told
    assert not (tmp_path / "out.csv").exists()


def test_without_an_output_the_table_goes_to_the_terminal_as_csv(
    text_run: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(text_run), str(table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'id;text;label;"note; or not";prediction;score' and len(lines) == 6
