"""The limits that a card tells: each from a number of the results, and none without one."""

from typing import Any

from hf_tune.hub.card_limits import list_limits


def test_every_limit_has_its_numbers(results: dict[str, Any]) -> None:
    results["notes"] = ["A note.", "3 of 16 test rows exceed 9 tokens and were cut; the longest has 12."]
    assert list_limits(results) == [
        "The accuracy is known from 16 test rows: its 95 % interval, 0.5700 to 0.9300, is 0.3600 wide; a "
        "smaller difference between two models may be chance.",
        "Fewest test rows: 4 each of `blue`, `green`.",
        "Lowest recall: `blue` 0.500 (2 of 4), `green` 0.750 (3 of 4).",
        "Commonest confusion: `blue` taken for `red`, `blue` taken for `green`, `green` taken for `red`, 1 row each.",
        "Train and validation at the step that was saved (30): loss 0.1000 and 0.3000, accuracy 0.9900 and 0.8750; "
        "those of train are means over the batches of an epoch, as they were trained on.",
        "3 of 16 test rows exceed 9 tokens and were cut; the longest has 12.",
        "One run with one seed (3): how far the scores move with the seed was not measured.",
        "Rows outside these labels are still given one of them.",
    ]


def test_a_score_no_better_than_guessing_is_the_first_word(results: dict[str, Any]) -> None:
    results["splits"]["test"]["accuracy"] = {"value": 0.5, "low": None, "high": None}
    first, second, *_ = list_limits(results)
    assert first == (
        "**The accuracy of 0.5000 is no better than that of always answering the majority class (red), 0.5000.**"
    )
    assert second == "How sure the accuracy is, is not known: 16 test rows give no interval."


def test_of_an_error_more_is_worse(results: dict[str, Any]) -> None:
    results |= {"problem_type": "regression", "details": {"label_mean": 1.0, "label_std": 0.5}}
    results["baseline"] = {"name": "mean label (1.000)", "metric": "rmse", "value": 0.5}
    results["splits"] = {"test": {"rmse": {"value": 0.4, "low": 0.3, "high": 0.45}}}
    limits = list_limits(results)
    assert limits[0].startswith("The rmse is known from 16 test rows") and len(limits) == 3
    results["splits"]["test"]["rmse"]["value"] = 0.6
    assert list_limits(results)[0].startswith("**The rmse of 0.6000 is no better")


def test_a_label_without_a_row_is_told(results: dict[str, Any]) -> None:
    results["details"]["classes"][1] |= {"rows": 0, "recall": 0.0}
    limits = list_limits(results)
    assert "No test row is of `blue`: nothing was measured of it." in limits
    assert "Fewest test rows: 4 of `green`." in limits and "Lowest recall: `green` 0.750 (3 of 4)." in limits


def test_without_a_mistake_no_mistake_is_told(results: dict[str, Any]) -> None:
    results["details"]["confusion_matrix"] = [[8, 0, 0], [0, 4, 0], [0, 0, 4]]
    for row in results["details"]["classes"]:
        row["recall"] = 1.0
    text = "\n".join(list_limits(results))
    assert "confusion" not in text and "recall" not in text


def test_of_many_confusions_the_first_are_named(results: dict[str, Any]) -> None:
    results["details"]["confusion_matrix"] = [[2, 3, 3], [3, 1, 0], [1, 3, 0]]
    told = (
        "Commonest confusion: `red` taken for `blue`, `red` taken for `green`, `blue` taken for `red` and 1 other "
        "pair, 3 rows each."
    )
    assert told in list_limits(results)


def test_without_a_test_split_the_reader_is_warned(results: dict[str, Any]) -> None:
    del results["splits"]["test"]
    told = "There is no test split: the validation rows are what is reported"
    assert f"{told}, and they chose the checkpoint too." in list_limits(results)
    assert f"{told}." in list_limits(results | {"best_checkpoint": None})


def test_any_number_of_labels_may_be_none(results: dict[str, Any]) -> None:
    limits = list_limits(results | {"problem_type": "multi_label_classification"})
    assert limits[-1] == "A label is given where its probability is at least one half; a row may be given none."


def test_advice_is_told_and_what_many_rows_say_needs_no_warning(results: dict[str, Any]) -> None:
    results["data"]["rows"]["test"] = 300
    results["advice"] = ["It overfits: try `training.weight_decay`."]
    limits = list_limits(results)
    assert limits[0].endswith("is 0.3600 wide.") and "It overfits: try `training.weight_decay`." in limits
