"""What the libraries' calls accept, as far as the libraries themselves say it."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import peft
import pytest
from transformers import TrainingArguments

from hf_tune.recipe.build import Accepted, Report, check_block
from hf_tune.recipe.library_arguments import (
    accepted_by_card,
    accepted_by_load,
    accepted_by_peft,
    accepted_by_training,
    find_missing_trackers,
    peft_types,
)
from hf_tune.recipe.source import Source


def problems(accepted: Accepted, values: dict[str, Any]) -> list[str]:
    report = Report(Source("a.yaml", {}))
    check_block(accepted, values, (), report)
    return [f"{problem.key}: {problem.problem}; {problem.hint}" for problem in report.problems]


@pytest.mark.parametrize("kind", ["ranges", "refused", "choices"])
def test_limits_of_training_stand_on_keys_that_transformers_has_or_had(kind: str) -> None:
    known = {each.name for each in dataclasses.fields(TrainingArguments)}
    accepted = accepted_by_training()
    unknown = set(getattr(accepted, kind)) - known
    if kind != "refused":
        assert unknown == set()
    else:  # a refused key is an old name, or one of those that hf_tune decides
        assert not any(accepted.refused[name].startswith(("hf_tune", "the Trainer")) for name in unknown)


@pytest.mark.parametrize("name", ["fp16_full_eval", "bf16_full_eval"])
def test_an_evaluation_that_rounds_the_weights_off_is_refused(name: str) -> None:
    """Found: the model was cast for the last evaluation and saved so; of an adapter the proof failed."""
    assert "before they are saved" in accepted_by_training().refused[name]


def test_a_successor_named_in_a_hint_is_a_key_that_is_accepted() -> None:
    accepted = accepted_by_training()
    hints = [hint for hint in accepted.refused.values() if hint.startswith("it is called")]
    successors = [hint.split("`")[1] for hint in hints]
    assert len(successors) >= 5
    assert set(successors) - set(accepted.hints) == set()


def test_the_names_that_training_accepts_are_the_librarys() -> None:
    accepted = accepted_by_training()
    assert set(accepted.hints) == {each.name for each in dataclasses.fields(TrainingArguments) if each.init}
    assert accepted.required == {"output_dir"}


@pytest.mark.parametrize(
    "values",
    [
        {"optim": "adam"},
        {"optim": "sgd", "lr_scheduler_type": "cosine", "warmup_steps": 0.1},
        {"report_to": "none", "seed": 2**32 - 1, "max_steps": -1},
        {"eval_strategy": "steps", "eval_steps": 0.25, "bf16": True},
    ],
)
def test_sane_training_arguments_pass(values: dict[str, Any]) -> None:
    assert problems(accepted_by_training(), {"output_dir": "x", **values}) == []


def test_a_tracker_that_is_not_installed_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: `report_to: tensorboard` was "not one of its values; known: none"."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert problems(accepted_by_training(), {"output_dir": "x", "report_to": ["tensorboard", "wandb"]}) == []
    assert find_missing_trackers(["none", "tensorboard", "wandb", "trackio", "mlflow", "flyte", "nothing"]) == {
        "tensorboard": "pip install 'hf_tune[tensorboard]'",
        "wandb": "pip install 'hf_tune[wandb]'",
        "trackio": "pip install 'hf_tune[trackio]'",
        "mlflow": "pip install mlflow",
        "flyte": "pip install flytekit",
    }


@pytest.mark.parametrize(("tracker", "module"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_installed_is_not_missing(
    tracker: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "there" if name == module else None)
    assert find_missing_trackers([tracker]) == {}


def test_extras_that_a_hint_names_are_those_of_the_package() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for command in find_missing_trackers(["tensorboard", "wandb", "trackio"]).values():
        assert f"\n{command.partition('[')[2].partition(']')[0]} = [" in pyproject


def test_the_default_output_folder_is_not_taken() -> None:
    assert any("`output_dir` is missing" in each for each in problems(accepted_by_training(), {}))


def test_every_method_of_peft_can_be_checked() -> None:
    assert {"LORA", "IA3", "PREFIX_TUNING"} <= set(peft_types())
    for name in peft_types():
        accepted = accepted_by_peft(name)
        assert problems(accepted, {"peft_type": name}) == []


def test_lora_takes_the_fields_of_its_config_but_not_what_the_recipe_says_elsewhere() -> None:
    accepted = accepted_by_peft("LORA")
    assert set(accepted.hints) >= {each.name for each in dataclasses.fields(peft.LoraConfig) if each.init} - {
        "task_type"
    }
    right = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["q", "v"]}
    assert (
        problems(accepted, {**right, "target_modules": "all-linear", "bias": "none"})
        == problems(accepted, right)
        == []
    )
    assert len(problems(accepted, {**right, "inference_mode": True, "revision": "x"})) == 2


def test_a_file_format_brings_its_own_options_and_no_others() -> None:
    assert problems(accepted_by_load("csv"), {"path": "csv", "sep": ";", "data_files": {"train": ["a.csv"]}}) == []
    assert problems(accepted_by_load("imagefolder"), {"path": "imagefolder", "drop_labels": False}) == []
    wrong = problems(accepted_by_load("csv"), {"path": "csv", "drop_labels": False})
    assert len(wrong) == 1 and wrong[0].startswith("drop_labels: unknown key of load_dataset()")


@pytest.mark.parametrize("name", ["split", "token", "features"])
def test_an_argument_of_load_dataset_that_the_recipe_says_elsewhere_is_refused(name: str) -> None:
    told = problems(accepted_by_load("some/data"), {"path": "some/data", name: "x"})
    assert len(told) == 1 and told[0].startswith(f"{name}: not accepted by load_dataset()")


def test_a_card_takes_the_arguments_of_model_card_data() -> None:
    assert problems(accepted_by_card(), {"license": "mit", "language": "en", "tags": ["digits"]}) == []


def test_a_card_refuses_what_the_results_fill_in() -> None:
    told = problems(accepted_by_card(), {"model_name": "x"})
    assert any(each.startswith("model_name: ") and "filled from the run's results" in each for each in told)
