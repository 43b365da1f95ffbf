"""What `hf-tune check` says, and that it writes nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm

from hf_tune.commands.check import main


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    if "timed" not in request.node.name:  # three steps in every test would cost more than the rest
        monkeypatch.setattr("hf_tune.run_time.describe_time", lambda *parts: [])


def test_a_right_recipe_is_told_and_nothing_is_written(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    assert main([str(recipe)]) == 0
    told = capsys.readouterr().out
    model = timm.create_model("test_resnet", num_classes=3)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert "task image_classification, single label classification   method full" in told
    assert f"parameters {parameters:,} trained of {parameters:,} (100.00%)" in told
    assert "steps 3 an epoch on one process, 3 in all" in told
    assert "encoded: pixel_values (1, 3, 32, 32) float32" in told
    assert "width 24, height 20" in told and "label 0" in told
    assert not (tmp_path / "run").exists()


def test_three_steps_are_timed_unless_that_is_not_wanted(
    write_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = str(write_recipe(tiny_checkpoints["resnet"]))
    assert main([recipe]) == 0
    told = capsys.readouterr().out
    assert re.search(
        r"^time at most about \d+ s on this machine \(cpu\); 3 steps of 8 rows took \S+ s each", told, re.M
    )
    assert re.search(r"^time of peft=probe at most about \d+ s .* the frozen layers once at \S+ rows/s", told, re.M)
    assert main([recipe, "--no-timing"]) == 0
    assert " on this machine" not in capsys.readouterr().out and not (tmp_path / "run").exists()


def test_the_rows_of_every_class_are_counted(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe())]) == 0
    cells = [line.replace("│", " ").replace("┃", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["label", "train", "(24)", "validation", "(9)", "test", "(11)"] in cells
    assert ["red", "8", "3", "4"] in cells and ["blue", "8", "3", "3"] in cells


def test_the_positive_one_of_two_classes_is_marked(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    two = "data.load={path: 'tiny_pictures:load', classes: 2}"
    assert main([str(recipe), two]) == 0 and "green (positive)" in capsys.readouterr().out
    assert main([str(recipe), two, "data.positive=red"]) == 0 and "red (positive)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "steps"),
    [
        ("training.gradient_accumulation_steps=2", "steps 2 an epoch on one process, 2 in all"),
        ("training.per_device_train_batch_size=7", "steps 4 an epoch on one process, 4 in all"),
        ("training.max_steps=5", "steps 3 an epoch on one process, 5 in all"),
        ("training.num_train_epochs=2.5", "steps 3 an epoch on one process, 8 in all"),
    ],
)
def test_steps_are_those_of_the_trainer(
    override: str, steps: str, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe()), override]) == 0
    assert steps in capsys.readouterr().out


def test_pictures_far_below_the_checkpoints_size_are_warned_of(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe(tiny_checkpoints["timm"]))
    assert main([recipe]) == 0
    assert "warning the checkpoint knows pictures of 160 pixels and gets 32" in capsys.readouterr().out
    assert main([recipe, "preprocess.image_size=80"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_small_pictures_that_are_enlarged_are_told(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe()), "preprocess.image_size=64"]) == 0
    assert "pictures of 24 x 20 pixels are enlarged to 64" in capsys.readouterr().out


def test_a_method_that_trains_a_part_says_how_much(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe(tiny_checkpoints["resnet"])), "peft=probe"]) == 0
    told = capsys.readouterr().out
    assert "method probe" in told
    assert "parameters 51 trained of " in told  # a linear layer of 16 inputs and 3 outputs: 3 x 16 + 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.sede=1", "command line: training.sede=1: training.sede: unknown key of TrainingArguments"),
        ("data.load.rows=2", "data"),
        ("data.splits.test=holdout", "data.splits.test: no such split"),
        (
            "decision.threshold=youden",
            "decision.threshold: a threshold is for two classes, and the labels are red, gr",
        ),
        (
            "early_stopping.metric=auroc",
            "early_stopping.metric: the labels are of the kind single_label_classificatio",
        ),
    ],
)
def test_a_problem_goes_to_stderr_and_gives_2(
    override: str, words: str, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe()), override]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == ""


def test_several_devices_are_told_beside_todays_report(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe())
    assert main([recipe]) == 0
    plain = capsys.readouterr().out
    assert "every device" not in plain and "ddp" not in plain
    assert main([recipe, "--processes", "2", "--device-memory", "24GB", "training.num_train_epochs=3"]) == 0
    told = capsys.readouterr().out
    assert "steps 3 an epoch on one process, 9 in all" in told
    assert "on 2 processes 2 steps an epoch, 6 in all" in told  # 24 rows, 16 in a step
    assert "a step is 8 rows x 2 processes = 16 rows, on one process 8, which" in told
    assert "nothing was run on such devices" in told
    rows = {line.split("│")[1].strip(): line for line in told.splitlines() if "MiB │" in line}
    assert list(rows) == ["ddp", "fsdp2", "deepspeed_zero3"]
    assert all("fits, 22.3 GiB left" in row for row in rows.values())
    parameters = sum(each.numel() for each in timm.create_model("test_resnet", num_classes=3).parameters())
    ring = f"{4 * parameters / 2**20:,.1f} MiB"  # of two processes each sends half of the gradients twice
    assert rows["ddp"].split("│")[6].strip() == ring


def test_nothing_that_fits_gives_4_and_says_what_would(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe())
    assert main([recipe, "--processes", "2", "--device-memory", "1MiB"]) == 4
    told = capsys.readouterr().out
    assert told.count("does not fit, ") == 3
    assert "- ddp does not fit: its largest part is" in told
    assert "- no number of processes makes this batch fit 1.0 MiB" in told
    assert main([recipe, "--device-memory", "1MiB"]) == 4
    assert "one process does not fit" in capsys.readouterr().out


def test_a_smaller_batch_that_fits_is_told(
    write_text_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_text_recipe())
    assert main([recipe, "training.per_device_train_batch_size=64", "--device-memory", "2.6MiB"]) == 4
    told = capsys.readouterr().out
    assert "one process does not fit: its largest part is activations" in told
    assert "fits, with the same rows in a step; less of it: training.activation_checkpointing=true" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "0"], "--processes 0; write a whole number from 1 to 65536"),
        (["--processes", "two"], "--processes two; write a whole number"),
        (["--device-memory", "much"], "--device-memory: 'much' is no size of memory; write `80GiB`"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_gives_2(
    options: list[str], words: str, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe()), *options]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == ""


def test_activations_that_cannot_be_counted_are_told(
    write_text_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_text_recipe("t5")), "--processes", "2"]) == 0
    told = capsys.readouterr().out
    assert "for the model without its activations, beside the libraries" in told
    assert "- activations could not be counted and come on top" in told


def test_what_the_network_cannot_do_is_told(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write_recipe()), "training.activation_checkpointing=true"]) == 2
    assert "training.activation_checkpointing: BatchNorm's statistics would move twice" in capsys.readouterr().err


def test_a_stream_is_told_with_its_first_rows_and_its_steps(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(replace=(("path: tiny_pictures:load", "path: tiny_pictures:stream\n    streaming: true"),))
    loader = tmp_path / "tiny_pictures.py"
    streamed = "def stream():\n    return {name: rows.to_iterable_dataset() for name, rows in load().items()}\n"
    loader.write_text(f"{loader.read_text()}\n\n{streamed}")
    assert main([str(recipe), "training.max_steps=7"]) == 0
    told = capsys.readouterr().out
    assert "train, first rows (24)" in told and "validation (9)" in told
    assert "The train split is a stream" in told and "row 0 of train width 24" in told
    assert "steps 7 in all; how many rows the stream has is not known" in told and "eval_steps=1" in told


def test_a_sheet_is_the_one_thing_that_is_written(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    before = set(tmp_path.iterdir())
    file = tmp_path / "sheet.png"
    assert main([str(recipe), "preprocess.augment=[random_erasing]", "--show", "3", "--show-file", str(file)]) == 0
    assert f"shown 3 training rows as they are and in 2 epochs: {file}" in capsys.readouterr().out
    assert {path for path in set(tmp_path.iterdir()) - before if path.name != "__pycache__"} == {file}
    assert main([str(recipe), "--show", "99"]) == 2
    assert "--show 99; write a whole number of rows from 1 to 32" in capsys.readouterr().err


def test_where_a_run_would_be_pushed_is_asked_and_told(
    hub: Any, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe())
    assert main([recipe, "hub.repo_id=alice/a", "card.license=mit"]) == 0
    assert "hub alice/a, private, branch main, verified" in capsys.readouterr().out
    assert not hub.repos
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert main([recipe, "hub.repo_id=alice/a", "card.license=mit"]) == 2
    assert "the Hub does not accept the token" in capsys.readouterr().err


def test_what_is_odd_in_the_data_is_a_warning_with_its_rows(
    write_text_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"text {number // 2};{['Good', 'good', 'bad'][number % 3]};u{number % 5}" for number in range(30)]
    (tmp_path / "rows.csv").write_text("\n".join(["text;label;user", *lines]) + "\n")
    load = "data.load={path: csv, data_files: " + str(tmp_path / "rows.csv") + "}"
    assert main([str(write_text_recipe()), load]) == 0
    told = capsys.readouterr().out
    assert "warning Cells are separated by a semicolon" in told
    assert "warning Classes with nearly the same name: 'Good' (9 rows) and 'good' (9 rows)." in told
    assert "warning Values of column 'user', an identifier by its name, stand in two splits (3 in train and" in told
    assert "warning 15 inputs stand in the data with different labels (30 rows)" in told
    assert "\n    row 0 of split 'train' has 'Good'; row 1 of split 'train' has 'good': 'text 0'" in told


@pytest.mark.parametrize(
    ("text", "override", "words"),
    [
        ("text,label\na,x\nb,y\nc,x\n", "peft=full", ": data.rare: class 'y' (1 row): too few for 2 splits"),
        ("text,label\na,x\nb,y\n", "data.splits.by=user", ": data.splits.by: split 'train' has no column 'user'"),
        ("a,x\nb,y\nc,x\n", "peft=full", ": data.load.data_files: "),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_key(
    text: str,
    override: str,
    words: str,
    write_text_recipe: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "rows.csv").write_text(text)
    load = "data.load={path: csv, data_files: " + str(tmp_path / "rows.csv") + "}"
    assert main([str(write_text_recipe()), load, override]) == 2
    assert words in capsys.readouterr().err
