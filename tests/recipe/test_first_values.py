"""A first recipe as text: its values by hand, its comments, and that reading it gives them back."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hf_tune.data.survey import ColumnSurvey, Survey
from hf_tune.recipe.first_values import (
    Machine,
    build_values,
    choose_batch,
    choose_epochs,
    choose_splits,
    fill_values,
    name_output,
    write_text,
)
from hf_tune.task import Choice, Suggestion


SUGGESTION = Suggestion(
    columns={"image": Choice(value="scan", why="holds pictures"), "label": Choice(value="label", why="2 classes")},
    checkpoint=Choice(value="timm/x", why="small"),
    preprocess={"augment": Choice(value=["random_crop"], why="a little")},
    method=Choice(value="full", why="enough rows"),
    metric=Choice(value="accuracy", why="of one size"),
    most_rows=64,
)
CPU = Machine(has_gpu=False, memory=2**33, name="a CPU")


def build(rows: dict[str, int], counts: dict[str, int] | None = None, train: str = "train") -> Survey:
    label = ColumnSurvey(name="label", kinds=frozenset({"classes"}), counts=counts or {})
    return Survey(load={"path": "x"}, rows=rows, train=train, columns=[label], picture_sides={})


def test_the_text_reads_back_to_its_values_and_says_why() -> None:
    blocks = build_values("image_classification", build({"train": 700}, {"a": 350, "b": 350}), SUGGESTION, CPU, "out")
    text = write_text(blocks, ["first line", "", "third"])
    assert text.startswith("# first line\n#\n# third\ntask: image_classification\n\nmodel:\n")
    values = YAML(typ="safe").load(text)
    assert values == fill_values(blocks)
    assert values["data"] == {
        "load": {"path": "x"},
        "splits": {"validation": 0.15, "test": 0.15},
        "columns": {"image": "scan"},
    }
    assert values["peft"] == "full" and values["early_stopping"] == {"metric": "accuracy", "patience": 3}
    assert "    image: scan # holds pictures\n" in text and "  augment: [random_crop] # a little\n" in text


def test_words_that_yaml_would_take_for_something_else_are_quoted() -> None:
    values = {"data": {"load": {"path": "no: #1", "name": "1e3", "sep": "\t"}, "columns": {"label": "null"}}}
    assert YAML(typ="safe").load(write_text(values, ["x"])) == values


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb: c", "\n", "# a\n- b"])
def test_a_line_end_in_a_name_does_not_end_a_comment(name: str) -> None:
    blocks = {"data": {"columns": {"label": Choice(value=name, why=f"one class is {name}")}}}
    text = write_text(blocks, [f"Roles: column {name}", "    a command"])
    assert YAML(typ="safe").load(text) == fill_values(blocks) and "#     a command\n" in text


@pytest.mark.parametrize(
    ("rows", "counts", "expected"),
    [
        ({"train": 100}, {"a": 50, "b": 50}, {"validation": 0.15, "test": 0.15}),
        ({"train": 100, "val": 9, "test": 9}, {"a": 50, "b": 50}, {}),
        ({"train": 100, "dev": 9}, {"a": 50, "b": 50}, {"test": 0.15}),
        ({"train": 100, "test": 9}, {"a": 50, "b": 50}, {"validation": 0.15}),
        ({"train": 100}, {"a": 97, "b": 3}, {"validation": 0.15}),  # after two cuts nothing of b may be left
        ({"train": 100}, {"a": 99, "b": 1}, {}),
        ({"train": 100}, {str(name): 5 for name in range(20)}, {"validation": 0.2, "test": 0.2}),
        ({"train": 100}, {str(name): 2 for name in range(50)}, {}),
        ({"train": 100}, {}, {"validation": 0.15, "test": 0.15}),
        ({"all": 100}, {"a": 50, "b": 50}, {"train": "all", "validation": 0.15, "test": 0.15}),
    ],
)
def test_what_is_lacking_is_cut_from_train_where_its_classes_allow(
    rows: dict[str, int], counts: dict[str, int], expected: dict[str, Any]
) -> None:
    survey = build(rows, counts, train=next(iter(rows)))
    assert fill_values(choose_splits(survey, SUGGESTION.columns["label"])) == expected


@pytest.mark.parametrize(("rows", "size"), [(10_000, 64), (640, 64), (639, 32), (100, 8), (3, 8)])
def test_an_epoch_has_ten_steps_where_the_rows_are_enough(rows: int, size: int) -> None:
    assert choose_batch(rows, 64).value == size


@pytest.mark.parametrize(("rows", "epochs"), [(1000, 19), (4800, 4), (100, 20), (10**6, 3)])
def test_few_rows_are_seen_more_often(rows: int, epochs: int) -> None:
    choice = choose_epochs(rows, 64, is_probe=False)
    assert choice.value == epochs and f"{epochs * -(-rows // 64):,} steps" in choice.why
    assert choose_epochs(rows, 64, is_probe=True).value == 50


def test_a_gpu_with_bf16_uses_it_unless_a_head_alone_trains() -> None:
    gpu = Machine(has_gpu=True, memory=2**34, name="a GPU", has_bf16=True)
    assert build_values("x", build({"train": 700}), SUGGESTION, gpu, "out")["training"]["bf16"].value is True
    probe = dataclasses.replace(SUGGESTION, method=Choice(value="probe", why="few"))
    assert "bf16" not in build_values("x", build({"train": 700}), probe, gpu, "out")["training"]


@pytest.mark.parametrize(
    ("rows", "validated"), [({"train": 660}, 99), ({"train": 900, "val": 40}, 40), ({"train": 700, "dev": 100}, 0)]
)
def test_an_epoch_is_chosen_by_no_score_of_few_rows(rows: dict[str, int], validated: int) -> None:
    blocks = build_values("x", build(rows), SUGGESTION, CPU, "out")
    assert ("early_stopping" in blocks) == (not validated)
    epochs = blocks["training"]["num_train_epochs"]
    assert (f"{validated} validation rows are too few" in epochs.why) == bool(validated)


def test_the_run_is_named_after_the_recipe() -> None:
    assert name_output(Path("a/b/my_x.yaml")) == "outputs/my_x"
