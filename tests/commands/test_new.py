"""`hf-tune new`: it writes one recipe and a schema, never over a file, and says what it found."""

from pathlib import Path

import datasets
import pytest

from hf_tune.commands.check import main as check
from hf_tune.commands.new import main


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = {"text": [f"a text that is longer than a class, number {row}" for row in range(40)], "label": [0, 1] * 20}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "all.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hf_tune.recipe.json_schema.build_schema", dict)  # making the real one takes seconds
    return tmp_path / "all.csv"


def test_what_is_written_passes_the_check(
    table: Path, tiny_text_checkpoints: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["text_classification", "first.yaml", "--data", "all.csv", "--model", tiny_text_checkpoints["bert"]]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "Rows: train 40." in told and "2 classes; the rarest in train is '0', 20 rows" in told
    assert "hf-tune check first.yaml" in told and "accelerate launch -m hf_tune.run first.yaml" in told
    assert sorted(path.name for path in table.parent.iterdir()) == ["all.csv", "first.yaml", "recipe.schema.json"]
    text = Path("first.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    assert check(["first.yaml", "--no-timing"]) == 0
    assert main(arguments) == 2
    assert "'first.yaml' is there already" in capsys.readouterr().err and Path("first.yaml").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["first.txt", "--data", "all.csv"], "'first.txt' is no name of a recipe; let it end in .yaml"),
        (["no/first.yaml", "--data", "all.csv"], "there is no folder 'no'; make it first"),
        (["first.yaml", "--data", "nothing"], "there is no file or folder 'nothing'"),
        (["sums", "first.yaml", "--data", "all.csv"], "no task 'sums'; known: image_classification"),
        (["first.yaml", "--data", "all.csv", "--column", "label"], "--column label; write it as ROLE=NAME"),
        (["first.yaml", "--data", "all.csv", "--device-memory", "much"], "'much' is no size of memory"),
        (["image_classification", "first.yaml", "--data", "all.csv"], "fit no task: text (text), label (classes"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_nothing_is_written(
    arguments: list[str], words: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == "" and [path.name for path in table.parent.iterdir()] == ["all.csv"]
