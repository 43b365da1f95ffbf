"""What a run's own numbers advise: sentences at its end and in its card; none where nothing stands out."""

from collections.abc import Mapping
from typing import Any

from hf_tune.task import is_higher_better


FEW_ROWS = 300
"""Fewer scored rows than this leave intervals that a reader has to be told of."""
RISE, LEAST_RISE = 1.1, 0.01
"""Validation loss at the saved step over its lowest, and less it, above which the rise is told."""


def list_advice(results: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each thing that the scores and the curves show; keys stand between backticks.

    `results` is what results.json holds, as far as it is known.
    """
    found = [_tell_linear(results), _tell_parting(results), _tell_rise(results)]
    return [sentence for sentence in found if sentence]


def describe_width(results: Mapping[str, Any], split: str) -> str:
    """Return how wide the interval of the headline score is, where few rows were scored; else nothing."""
    rows, metric = results["data"]["rows"][split], results["baseline"]["metric"]
    score = results["splits"][split].get(metric)
    if rows is None or rows >= FEW_ROWS or score is None or score["low"] is None:
        return ""
    width = score["high"] - score["low"]
    return (
        f"Only {rows:,} {split} rows were scored: the {metric} of {score['value']:.3f} may truly be anything from "
        f"{score['low']:.3f} to {score['high']:.3f}, {width:.3f} apart; a difference between runs that is smaller "
        "than that may be chance."
    )


def _tell_linear(results: Mapping[str, Any]) -> str:
    """Tell that logistic regression on frozen features does better, where that is no chance."""
    linear = results.get("linear_baseline")
    if not linear or linear["difference"]["high"] >= 0:
        return ""
    difference = linear["difference"]
    told = (
        f"Logistic regression on the same checkpoint's frozen features does better, by {-difference['value']:.3f} "
        f"accuracy (95 % interval {-difference['high']:.3f} to {-difference['low']:.3f}, rows paired)"
    )
    if results["method"] == "probe":
        return f"{told}: try a higher `training.learning_rate` or more `training.num_train_epochs`."
    return f"{told}: try `peft=probe`, which trains the head alone, or a lower `training.learning_rate`."


def _tell_parting(results: Mapping[str, Any]) -> str:
    """Tell that train is better than the interval of validation allows: the rows were learnt by heart."""
    fit = results.get("fit")
    scores = results["splits"].get("validation", {})
    for name, train in (fit or {}).get("train", {}).items():
        score = scores.get(name)
        if name == "loss" or score is None or score["low"] is None:
            continue
        validation = fit["validation"][name] if fit else 0.0
        apart = train > score["high"] and train > validation if is_higher_better(name) else train < score["low"]
        if apart:
            told = f"Train and validation part ({name} {train:.3f} and {validation:.3f}"
            interval = f"whose 95 % interval is {score['low']:.3f} to {score['high']:.3f}"
            return f"{told}, {interval}): it overfits. Try {_list_keys(results)}."
    return ""


def _tell_rise(results: Mapping[str, Any]) -> str:
    """Tell that validation loss was lower before, at a step that was not saved."""
    fit = results.get("fit")
    lowest = (fit or {}).get("lowest")
    if not fit or not lowest:
        return ""
    if fit["validation"]["loss"] <= max(RISE * lowest["loss"], lowest["loss"] + LEAST_RISE):
        return ""
    told = f"Validation loss was lowest at step {lowest['step']:,} ({lowest['loss']:.3f})"
    return (
        f"{told} and is {fit['validation']['loss']:.3f} at the step that was saved ({fit['step']:,}): "
        "try `early_stopping:`, or fewer `training.num_train_epochs`."
    )


def _list_keys(results: Mapping[str, Any]) -> str:
    keys = ["fewer `training.num_train_epochs` or `early_stopping:`", "`training.weight_decay`"]
    keys += ["`preprocess.augment`"] if results["pipeline_tag"] == "image-classification" else []
    keys += ["`training.label_smoothing_factor`"] if "log_loss" in results["splits"]["validation"] else []
    keys += ["`peft=lora`, which trains fewer weights"] if results["method"] == "full" else []
    return ", ".join([*keys, "or more rows"])
