"""Thresholds chosen on eight rows, worked out by hand; kept, loaded and applied."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

from hf_tune.input_error import InputError
from hf_tune.results.classification_metrics import score_classes
from hf_tune.results.decision import (
    Costs,
    Decision,
    Threshold,
    check_decision,
    choose_threshold,
    decide,
    describe_threshold,
    load_threshold,
    save_threshold,
)
from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.predictions import decode_kept
from hf_tune.task import Kept


NAMES = ("ants", "bees")
LOG_ODDS = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
LABELS = [0, 0, 1, 0, 0, 1, 1, 1]


def keep(log_odds: list[float] = LOG_ODDS, labels: list[int] = LABELS) -> Kept:
    logits = torch.tensor([[0.0, each] for each in log_odds])
    kept = keep_classes(logits, torch.tensor(labels))
    return {**{name: value.numpy() for name, value in kept.items()}, "labels": np.asarray(labels)}


@pytest.mark.parametrize(
    ("threshold", "cut", "sensitivity", "specificity"),
    [
        ("youden", 1.5, 3 / 4, 1.0),  # 1.75; at -1.5 it is 1 + 2/4
        ("f1", 1.5, 3 / 4, 1.0),  # 6/7 = 0.857; at -1.5 8/10
        ({"sensitivity": 0.95}, -1.5, 1.0, 1 / 2),  # the highest cut that finds all four
        ({"sensitivity": 0.5}, 1.5, 3 / 4, 1.0),  # of the cuts with specificity 1 the nearest to 0.5
        ({"specificity": 0.7}, 1.5, 3 / 4, 1.0),  # at 0.5 sensitivity is the same and specificity only 3/4
        ({"specificity": 0.5}, -1.5, 1.0, 1 / 2),
        (0.5, 0.0, 3 / 4, 1 / 2),
        (0.9, 2.197225, 1 / 2, 1.0),  # ln 9
    ],
)
def test_a_rule_chooses_the_threshold_that_was_worked_out(
    threshold: Any, cut: float, sensitivity: float, specificity: float
) -> None:
    found = choose_threshold(Decision(threshold=threshold), keep(), NAMES)
    assert found is not None and found.positive == "bees" and found.rows == 8
    assert found.value == pytest.approx(float(expit(cut)), abs=1e-6)
    assert (found.sensitivity, found.specificity) == (pytest.approx(sensitivity), pytest.approx(specificity))


@pytest.mark.parametrize(
    ("false_positive", "false_negative", "cut"),
    # At 1.5 one is missed, at -1.5 two are alarms: 1 and 2 are spent, 5 and 2, 1 and 10.
    [(1, 1, 1.5), (1, 5, -1.5), (5, 1, 1.5)],
)
def test_costs_choose_what_costs_least(false_positive: float, false_negative: float, cut: float) -> None:
    costs = Costs(false_positive=false_positive, false_negative=false_negative)
    found = choose_threshold(Decision(threshold="costs", costs=costs), keep(), NAMES)
    assert found is not None and found.value == pytest.approx(float(expit(cut)), abs=1e-6)
    assert found.rule == f"costs {false_positive} : {false_negative}"


def test_rows_that_cannot_be_told_apart_are_all_answered_alike() -> None:
    found = choose_threshold(Decision(threshold={"sensitivity": 1}), keep([0.3, 0.3, 0.3], [1, 0, 1]), NAMES)
    assert found is not None and (found.sensitivity, found.specificity) == (1.0, 0.0)


def test_the_answered_class_stands_first_for_every_reader() -> None:
    kept = keep()
    threshold = choose_threshold(Decision(threshold={"sensitivity": 0.95}), kept, NAMES)
    decided = decide(kept, threshold)
    assert decided["top_labels"][:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    scores = score_classes(decided, NAMES)
    assert (scores["sensitivity"].value, scores["specificity"].value) == (1.0, 0.5)
    assert scores["accuracy"].value == 6 / 8 and scores["auroc"] == score_classes(kept, NAMES)["auroc"]
    third = decode_kept(decided, NAMES)[2]
    assert third.label == "bees" and third.score == pytest.approx(float(expit(-1.0)))
    assert third.scores == pytest.approx({"ants": float(expit(1.0)), "bees": float(expit(-1.0))})
    assert kept["top_labels"][2, 0] == 0 and decide(kept, None) is kept and decide({}, threshold) == {}


def test_a_very_sure_network_keeps_the_threshold_that_was_chosen(tmp_path: Path) -> None:
    """Above log-odds of 37 a probability is 1 in every float, and nothing would be positive."""
    kept = keep([each + 45 for each in LOG_ODDS])
    threshold = choose_threshold(Decision(threshold="youden"), kept, NAMES)
    assert threshold is not None and threshold.value == 1.0 and threshold.cut == 46.5
    save_threshold(threshold, tmp_path)
    scores = score_classes(decide(kept, load_threshold(tmp_path)), NAMES)
    assert (scores["sensitivity"].value, scores["specificity"].value) == (threshold.sensitivity, threshold.specificity)
    assert scores["sensitivity"].value == 3 / 4
    old = {name: value for name, value in dataclasses.asdict(threshold).items() if name != "log_odds"}
    assert Threshold(**{**old, "value": 0.9}).cut == pytest.approx(2.197225)  # a file of before


def test_a_threshold_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    threshold = choose_threshold(Decision(threshold="youden"), keep(), NAMES)
    assert load_threshold(tmp_path) is None
    save_threshold(None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    save_threshold(threshold, tmp_path)
    assert load_threshold(tmp_path) == threshold and json.loads((tmp_path / "decision.json").read_text())["rows"] == 8
    (tmp_path / "decision.json").write_text('{"value": 0.5}')
    with pytest.raises(InputError, match=r"decision\.json is damaged"):
        load_threshold(tmp_path)


def test_a_threshold_is_told_with_what_chose_it() -> None:
    facts = {"positive": "bees", "value": 0.25, "rows": 40, "sensitivity": 0.95, "specificity": 0.5}
    said = describe_threshold(Threshold(rule="youden", **facts))  # type: ignore[arg-type]
    assert said.startswith(
        "'bees' is answered where its probability is at least 0.25: chosen on 40 validation rows by"
    )
    assert describe_threshold({"rule": "given", **facts}).endswith("0.25, as the recipe says.")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"threshold": "yuden"}, "'yuden' is no threshold"),
        ({"threshold": 1.5}, "1.5 is no share"),
        ({"threshold": {"recall": 0.9}}, "is no threshold"),
        ({"threshold": {"sensitivity": 95}}, "95 is no share"),
        ({"threshold": "costs"}, "needs to know what mistakes cost"),
        ({"costs": Costs()}, "nothing reads these costs"),
    ],
)
def test_a_block_that_means_nothing_is_refused(block: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Decision(**block)
    with pytest.raises(InputError, match="above 0"):
        Costs(false_negative=0)


def test_a_threshold_needs_two_classes_and_validation_rows_of_both() -> None:
    two = {"labels": np.asarray([0, 1])}
    check_decision(Decision(), NAMES, two)
    check_decision(None, ("a", "b", "c"), {})
    for names, labels in ((("a", "b", "c"), two), (("number",), {"labels": np.asarray([0.5])}), ((), {})):
        with pytest.raises(InputError, match="for two classes"):
            check_decision(Decision(), names, labels)
    with pytest.raises(InputError, match="no row of 'ants'"):
        check_decision(Decision(), NAMES, {"labels": np.asarray([1, 1])})
