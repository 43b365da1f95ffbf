"""Advice is given where a number stands out, and not where none does."""

from typing import Any

import pytest

from hf_tune.results.advice import describe_width, list_advice


def make(**changes: Any) -> dict[str, Any]:
    """Return results of a run in which nothing stands out."""
    score = {"value": 0.9, "low": 0.85, "high": 0.93}
    return {
        "method": "full",
        "pipeline_tag": "image-classification",
        "data": {"rows": {"train": 100, "validation": 250, "test": 299}},
        "baseline": {"metric": "accuracy"},
        "splits": {name: {"accuracy": score, "log_loss": score} for name in ("validation", "test")},
        "fit": {
            "step": 30,
            "lowest": {"step": 30, "loss": 0.3},
            "train": {"loss": 0.25, "accuracy": 0.93},
            "validation": {"loss": 0.3, "accuracy": 0.9},
        },
        "linear_baseline": {"difference": {"value": -0.02, "low": -0.05, "high": 0.01}},
        **changes,
    }


def test_a_run_in_which_nothing_stands_out_gets_no_advice() -> None:
    assert list_advice(make()) == [] and list_advice(make(fit=None, linear_baseline=None)) == []


def test_train_above_the_interval_of_validation_is_overfitting_with_keys_to_try() -> None:
    results = make()
    results["fit"]["train"]["accuracy"] = 0.999
    (said,) = list_advice(results)
    assert said.startswith(
        "Train and validation part (accuracy 0.999 and 0.900, whose 95 % interval is 0.850 to 0.930)"
    )
    assert "it overfits" in said and "`preprocess.augment`" in said and "`peft=lora`" in said
    (said,) = list_advice(results | {"method": "lora", "pipeline_tag": "text-classification"})
    assert "augment" not in said and "peft" not in said and "`training.weight_decay`" in said


def test_of_an_error_less_is_better() -> None:
    results = make(fit={"step": 1, "train": {"loss": 1.0, "mae": 0.1}, "validation": {"loss": 1.0, "mae": 0.5}})
    results["splits"]["validation"] = {"mae": {"value": 0.5, "low": 0.4, "high": 0.6}}
    assert "it overfits" in list_advice(results)[0]
    results["fit"]["train"]["mae"] = 0.7
    assert list_advice(results) == []


def test_a_validation_loss_that_has_risen_since_is_told_with_its_steps() -> None:
    results = make()
    results["fit"]["lowest"] = {"step": 10, "loss": 0.2}
    (said,) = list_advice(results)
    assert said.startswith(
        "Validation loss was lowest at step 10 (0.200) and is 0.300 at the step that was saved (30)"
    )
    results["fit"]["lowest"]["loss"] = 0.28  # 7 % below
    assert list_advice(results) == []
    results["fit"] |= {"lowest": {"step": 10, "loss": 0.001}, "validation": {"loss": 0.01, "accuracy": 0.9}}
    assert list_advice(results) == []  # ten times nothing


@pytest.mark.parametrize(("method", "key"), [("full", "`peft=probe`"), ("probe", "`training.num_train_epochs`")])
def test_a_regression_that_is_better_beyond_chance_is_told(method: str, key: str) -> None:
    difference = {"value": -0.1, "low": -0.15, "high": -0.05}
    (said,) = list_advice(make(method=method, linear_baseline={"difference": difference}))
    assert "by 0.100 accuracy (95 % interval 0.050 to 0.150, rows paired)" in said and key in said


def test_the_width_is_told_under_300_rows() -> None:
    results = make()
    assert describe_width(results, "test").startswith(
        "Only 299 test rows were scored: the accuracy of 0.900 may truly be anything from 0.850 to 0.930, 0.080 apart"
    )
    results["data"]["rows"]["test"] = 300
    assert describe_width(results, "test") == ""
    results["splits"]["validation"]["accuracy"] = {"value": 0.9, "low": None, "high": None}
    assert describe_width(results, "validation") == ""
