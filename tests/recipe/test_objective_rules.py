"""What a recipe may not say of its objective."""

from types import SimpleNamespace
from typing import Any

import pytest

from hf_tune.recipe import rules
from hf_tune.recipe.objective_rules import OBJECTIVE_RULES


TASK: Any = SimpleNamespace(metric_names={}, columns={}, peft_task_type=None, encode_rows=None)


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"peft": "lora", "objective": {"layer_decay": 0.9}}, "objective.layer_decay", "only `peft: full`"),
        ({"peft": "full", "objective": {"loraplus_lr_ratio": 16}}, "objective.loraplus_lr_ratio", "only LoRA"),
        (
            {"peft": {"peft_type": "IA3"}, "objective": {"loraplus_lr_ratio": 16}},
            "objective.loraplus_lr_ratio",
            "only LoRA",
        ),
        (
            {"objective": {"loss": "mine:loss"}, "training": {"label_smoothing_factor": 0.1}},
            "training.label_smoothing_factor",
            "smooth them in your function",
        ),
    ],
)
def test_a_broken_rule_names_its_key_and_the_cure(values: dict[str, Any], key: str, words: str) -> None:
    found = [
        (".".join(map(str, path)), f"{problem}; {hint}")
        for path, problem, hint in rules.find_broken_rules(values, TASK)
    ]
    assert [name for name, _ in found] == [key] and words in found[0][1]


@pytest.mark.parametrize(
    "values",
    [
        {"peft": "full", "objective": {"layer_decay": 0.9, "loss": "mine:loss"}},
        {"peft": "lora", "objective": {"loraplus_lr_ratio": 16}},
        {"peft": {"peft_type": "LORA"}, "objective": {"loraplus_lr_ratio": 16}},
        {"objective": {"class_weights": "balanced"}, "training": {"label_smoothing_factor": 0.1}},
    ],
)
def test_what_breaks_no_rule_passes(values: dict[str, Any]) -> None:
    assert [each for rule in OBJECTIVE_RULES for each in rule(values, TASK)] == []
