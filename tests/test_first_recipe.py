"""A first recipe for data of any kind: which task, which roles, and that what is written loads, fits and trains."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
from ruamel.yaml import YAML

import hf_tune.proof
from hf_tune.first_recipe import draft_recipe, find_machine
from hf_tune.input_error import InputError
from hf_tune.recipe.first_values import Machine
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune


CPU = Machine(has_gpu=False, memory=2**34, name="a CPU")


@pytest.fixture
def draft(tmp_path: Path, tiny_checkpoints: dict[str, str], tiny_text_checkpoints: dict[str, str]) -> Callable:
    """Return a function that drafts a recipe with a tiny checkpoint and returns its file and its values."""
    folders = {**tiny_checkpoints, **tiny_text_checkpoints}

    def write(path: Path, model: str, machine: Machine = CPU, **columns: str) -> tuple[Path, dict[str, Any]]:
        file = tmp_path / "first.yaml"
        given = {"model": folders.get(model, model), **{f"columns.{role}": name for role, name in columns.items()}}
        text, _ = draft_recipe(file, str(path), None, machine, given)
        file.write_text(text)
        load_recipe(file)
        return file, YAML(typ="safe").load(text)

    return write


def paint(file: Path, side: int = 40, shade: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((side, side + 10, 3), shade, np.uint8)).save(file)


def train_two_steps(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)  # a fresh process costs 8 s
    overrides = ["training.max_steps=2", f"training.output_dir={folder}", "training.use_cpu=true"]
    finetune(load_recipe(file, overrides))
    return json.loads((folder / "results.json").read_text())


def test_class_folders_become_a_recipe_that_trains(
    draft: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        paint(tmp_path / "set" / ("cat", "dog")[number % 2] / f"{number}.png", shade=number % 2 * 200)
    file, values = draft(tmp_path / "set", "timm")
    assert values["task"] == "image_classification" and values["peft"] == "lora"
    assert values["data"] == {
        "load": {"path": "imagefolder", "data_dir": str(tmp_path / "set")},
        "splits": {"validation": 0.15, "test": 0.15},
    }
    results = train_two_steps(file, tmp_path / "run", monkeypatch)
    assert results["proof"]["passed"] and results["data"]["rows"] == {"train": 28, "validation": 6, "test": 6}


def test_a_csv_of_paths_becomes_a_recipe_that_trains(
    draft: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for number in range(30):
        paint(tmp_path / "set" / "pictures" / f"{number}.png", shade=number % 3 * 100)
        rows.append({"where": f"pictures/{number}.png", "diagnosis": "abc"[number % 3], "age": number % 5})
    with (tmp_path / "set" / "all.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    file, values = draft(tmp_path / "set" / "all.csv", "timm")
    assert values["data"]["columns"] == {"image": "where", "label": "diagnosis"}
    assert draft(tmp_path / "set", "timm")[1]["data"]["load"]["path"] == "csv"
    assert train_two_steps(file, tmp_path / "run", monkeypatch)["proof"]["passed"]


TEXT = "a text that is a good deal longer than a name of a class, number"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"review": "text", "stars": "number"}, {"text": "review", "label": "stars"}),
        (
            {"sentence1": "text", "sentence2": "text", "label": "class"},
            {"text": "sentence1", "text_pair": "sentence2"},
        ),
        ({"body": "text", "topics": "list"}, {"text": "body", "label": "topics"}),
    ],
)
def test_texts_with_labels_of_every_kind(
    columns: dict[str, str], expected: dict[str, str], draft: Callable, tmp_path: Path
) -> None:
    kinds: dict[str, Callable[[int], Any]] = {
        "text": lambda row: f"{TEXT} {row}",
        "number": lambda row: row / 2 + 0.25,
        "class": lambda row: "yes" if row % 2 else "no",
        "list": lambda row: ["x", "y"][: row % 3],
    }
    rows = [{name: kinds[kind](row) for name, kind in columns.items()} for row in range(40)]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    _, values = draft(tmp_path / "train.jsonl", "bert")
    assert values["task"] == "text_classification" and values["peft"] == "lora"
    assert values["data"]["columns"] == expected
    # 66 characters: at 3 a token 32 are enough, and of a pair 64; the checkpoint takes 64
    assert values["preprocess"] == {"max_length": 64 if "sentence1" in columns else 32}


def test_a_size_that_the_checkpoint_does_not_take_is_left_out(draft: Callable, tmp_path: Path) -> None:
    rows = {"text": [f"{TEXT} {'word ' * 40} {row}" for row in range(40)], "label": ["yes", "no"] * 20}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "a.csv")
    _, values = draft(tmp_path / "a.csv", "bert")  # 300 characters ask for 128 tokens, and it takes 64
    assert "preprocess" not in values


def test_a_small_memory_makes_the_batch_smaller_and_keeps_the_rows_of_a_step(draft: Callable, tmp_path: Path) -> None:
    rows = {"text": [f"{TEXT} {row}" for row in range(400)], "label": ["yes", "no"] * 200}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "a.csv")
    small = Machine(has_gpu=True, memory=2 * 2**20, name="a small device")
    training = draft(tmp_path / "a.csv", "bert", small)[1]["training"]
    size, parts = training["per_device_train_batch_size"], training["gradient_accumulation_steps"]
    assert parts > 1 and size * parts == 32  # of 400 rows: an epoch has more than ten steps
    with pytest.raises(InputError, match="does not fit a tiny device, not even with one row"):
        draft(tmp_path / "a.csv", "bert", Machine(has_gpu=True, memory=1000, name="a tiny device"))


def test_a_column_may_be_named(draft: Callable, tmp_path: Path) -> None:
    rows = {"text": [f"{TEXT} {row}" for row in range(40)], "label": ["yes", "no"] * 20, "grade": [1, 2, 3, 4] * 10}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "a.csv")
    assert draft(tmp_path / "a.csv", "bert", label="grade")[1]["data"]["columns"] == {"label": "grade"}
    with pytest.raises(InputError, match="the data has no column 'marks'; its columns are: text, label, grade"):
        draft(tmp_path / "a.csv", "bert", label="marks")
    with pytest.raises(InputError, match="column 'text' holds text, no labels"):
        draft(tmp_path / "a.csv", "bert", label="text")


def test_data_that_fits_no_task_is_told_with_what_was_seen(draft: Callable, tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": [f"{TEXT} {row}" for row in range(40)]}).to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"fit no task: text \(text\); image_classification needs image"):
        draft(tmp_path / "a.csv", "bert")


def test_a_checkpoint_that_is_not_at_hand_asks_for_another(tmp_path: Path) -> None:
    rows = {"text": [f"{TEXT} {row}" for row in range(40)], "label": ["yes", "no"] * 20}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match="name another checkpoint, such as a folder, by --model"):
        draft_recipe(tmp_path / "x.yaml", str(tmp_path / "a.csv"), None, CPU, {"model": "nobody/nothing"})


def test_the_machine_is_this_one_or_the_one_that_was_asked_for() -> None:
    asked = find_machine(24 * 2**30)
    assert asked.has_gpu and asked.memory == 24 * 2**30 and "24.0 GiB" in asked.name
    assert find_machine(None).memory > 2**20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ants_bees", "cifar10", "mnist", "magnetic_tile"])
def test_every_real_set_of_pictures_with_classes_gets_a_recipe_that_trains(
    name: str, shared: Path, draft: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, values = draft(shared / "data" / name, "timm")
    expected = "probe" if name in ("cifar10", "mnist") else "lora"
    assert values["task"] == "image_classification" and values["peft"] == expected
    small = ["data.splits.train=train[:300]", "data.splits.validation=validation[:40]", "data.splits.test=test[:40]"]
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    overrides = ["training.max_steps=2", f"training.output_dir={tmp_path / 'run'}", "training.use_cpu=true"]
    overrides += small if name in ("cifar10", "mnist") else []
    finetune(load_recipe(file, [*overrides, "preprocess.image_size=32"]))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["proof"]["passed"] and results["steps"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bccd", "camvid"])
def test_real_sets_without_classes_are_told(name: str, shared: Path, draft: Callable) -> None:
    with pytest.raises(InputError, match=r"fit no task: .*image"):
        draft(shared / "data" / name, "timm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("banking77", {}),
        ("trec6", {}),
        ("sst2", {"text": "sentence"}),
        ("stsb", {"text": "sentence1", "text_pair": "sentence2", "label": "score"}),
        ("clinc150", {"label": "intent"}),
        ("ag_news", {}),
    ],
)
def test_every_real_set_of_texts_with_labels_gets_its_roles(
    name: str, columns: dict[str, str], shared: Path, draft: Callable
) -> None:
    _, values = draft(shared / "data" / name, "bert")
    assert values["task"] == "text_classification" and values["data"].get("columns", {}) == columns
