"""What a recipe of a stream may not say."""

from types import SimpleNamespace
from typing import Any

import pytest

from hf_tune.recipe import rules, stream_rules
from hf_tune.recipe.stream_rules import get_defaults


TASK: Any = SimpleNamespace(
    metric_names={"single_label_classification": ("accuracy",)},
    columns={"text": "a text", "label": "its class"},
    peft_task_type="SEQ_CLS",
    encode_rows=len,
)


def recipe(training: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    load = {"path": "csv", "streaming": True, **data.pop("load", {})}
    return {"data": {"load": load, **data}, "training": {"max_steps": 40, **(training or {})}}


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        (recipe({"max_steps": None}), "training.max_steps", "write `max_steps`"),
        (recipe({"max_steps": -1}), "training.max_steps", "how long an epoch of a stream is"),
        (recipe({"eval_strategy": "epoch"}), "training.eval_strategy", "how many as `eval_steps`"),
        (recipe({"save_strategy": "epoch"}), "training.save_strategy", "no end of an epoch"),
        (recipe({"logging_strategy": "epoch"}), "training.logging_strategy", "how many as `logging_steps`"),
        (recipe({"train_sampling_strategy": "group_by_length"}), "training.train_sampling_strategy", "leave it out"),
        (recipe({"auto_find_batch_size": True}), "training.auto_find_batch_size", "longest row"),
        (recipe(load={"num_proc": 2}), "data.load.num_proc", "dataloader_num_workers"),
        (recipe(splits={"by": "user"}), "data.splits.by", "nobody knows which values stand in train"),
        (recipe(rare="drop"), "data.rare", "nobody has counted the rows of a class"),
        (recipe(load={"streaming": False}, shuffle_buffer=5), "data.shuffle_buffer", "only a stream"),
        (
            {**recipe({"save_steps": 5}), "early_stopping": {}},
            "training.save_steps",
            "saving (5) and evaluation (4) at the same steps",
        ),
    ],
)
def test_what_a_stream_cannot_do_is_refused(values: dict[str, Any], key: str, words: str) -> None:
    found = {".".join(path): f"{problem}; {hint}" for path, problem, hint in rules.find_broken_rules(values, TASK)}
    assert words in found.pop(key) and not found


@pytest.mark.parametrize(
    "values",
    [
        recipe(),
        recipe({"eval_strategy": "steps", "eval_steps": 3}, shuffle_buffer=5),
        {**recipe({"save_steps": 4}), "early_stopping": {}},
        {**recipe({"eval_steps": 6, "save_steps": 6}), "early_stopping": {}},
        recipe({"max_steps": -1, "eval_strategy": "epoch"}, load={"streaming": False}),
    ],
)
def test_what_it_can_is_not(values: dict[str, Any]) -> None:
    assert not list(rules.find_broken_rules(values, TASK))


def test_a_table_has_no_defaults_of_a_stream() -> None:
    assert get_defaults(recipe())["eval_steps"] == 4 and get_defaults(recipe(load={"streaming": False})) == {}


def test_every_rule_of_the_file_is_asked() -> None:
    named = {name for name, value in vars(stream_rules).items() if name.startswith("a_stream") and callable(value)}
    assert named == {rule.__name__ for rule in stream_rules.STREAM_RULES}
