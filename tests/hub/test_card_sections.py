"""What the parts of a card say, against results that were written by hand."""

import dataclasses
from typing import Any

import pytest

from hf_tune.hub import card_sections
from hf_tune.hub.card_facts import CardFacts


def test_the_opening_says_what_it_is_and_how_good(results: dict[str, Any]) -> None:
    assert card_sections.describe_model(results) == (
        "[`some/base`](https://huggingface.co/some/base) (revision `0123456789ab`), fine-tuned for image "
        "classification with hf_tune, method **full**. On 16 test rows its accuracy is 0.8125 (95 % interval 0.5700 "
        "to 0.9300); always answering the majority class (red) would score 0.5000."
    )


def test_an_architecture_without_weights_is_told_as_one(results: dict[str, Any]) -> None:
    results["base"] = {"id": "some/base", "revision": None, "pretrained": False}
    told = card_sections.describe_model(results)
    assert told.startswith("The architecture of `some/base`, trained from its own initialisation, for image")


@pytest.mark.parametrize(
    ("problem_type", "names", "expected"),
    [
        ("single_label_classification", ["a", "b c"], "**Labels** (2): `a`, `b c`"),
        ("multi_label_classification", ["a", "b"], "**Labels**, any number of them per row (2): `a`, `b`"),
        ("regression", ["rating"], "**Output**: a number, `rating`."),
    ],
)
def test_labels_are_told_by_their_kind(
    problem_type: str, names: list[str], expected: str, results: dict[str, Any]
) -> None:
    results |= {"problem_type": problem_type, "label_names": names}
    assert card_sections.describe_labels(results) == expected


def test_of_many_labels_the_first_are_named(results: dict[str, Any]) -> None:
    results["label_names"] = [f"class {number}" for number in range(31)]
    told = card_sections.describe_labels(results)
    assert told.count("`") == 60 and told.endswith("`class 29`, … (all 31 are in config.json)")


def test_scores_stand_in_a_table_with_their_intervals(results: dict[str, Any], facts: CardFacts) -> None:
    told = card_sections.describe_results(results, dataclasses.replace(facts, plots=("curves.png", "my plot.png")))
    assert told == (
        "Reported are the 16 rows of the test split; in brackets the 95 % interval. Less is better for log_loss.\n\n"
        "| metric | validation | test |\n|---|---|---|\n"
        "| accuracy | 0.8750 (0.7500 to 0.9375) | 0.8125 (0.5700 to 0.9300) |\n"
        "| log_loss | 0.3000 (0.2000 to 0.4000) | 0.5000 |\n\n"
        "| class | rows |\n\n![curves](plots/curves.png)\n\n![my plot](plots/my%20plot.png)"
    )


def test_a_long_table_of_the_task_is_folded(results: dict[str, Any], facts: CardFacts) -> None:
    section = "\n".join(["| class |", "|---|", *(f"| {number} |" for number in range(60))])
    told = card_sections.describe_results(results, dataclasses.replace(facts, section=section))
    assert f"<details><summary>Class by class</summary>\n\n{section}\n\n</details>" in told


def test_data_of_the_hub_are_named_by_commit(results: dict[str, Any]) -> None:
    assert card_sections.describe_data(results) == (
        f"[`some/data`](https://huggingface.co/datasets/some/data), configuration `default`, revision `{'f' * 40}`, "
        "fingerprint of the rows `f00d`.\n\nRows: 1,280 train, 8 validation, 16 test.\n\n- A note."
    )


def test_of_local_data_only_what_is_known_is_told(results: dict[str, Any]) -> None:
    results["data"] = {"name": "a.csv (csv)", "rows": {"train": None, "validation": 8}, "fingerprint": "f00d"}
    results.pop("notes")
    told = "`a.csv (csv)`, fingerprint of the rows `f00d`.\n\nRows: a stream of train, 8 validation."
    assert card_sections.describe_data(results) == told


def test_the_training_is_told_with_command_and_recipe(results: dict[str, Any], facts: CardFacts) -> None:
    told = card_sections.describe_training(results, facts)
    for line in (
        "| method | full: 1,234 of 56,789 parameters were trained |",
        "| steps | 40; what was saved is checkpoint-30, the best on validation by accuracy |",
        "| BatchNorm statistics | trained |",
        "| time | 12 s, 100 examples a second |",
        "| device | cpu, 2 threads, 1 process |",
        "| peak memory | 512 MiB |",
        "| seed | 3 |",
        "| versions | torch 9.9 |",
        "```sh\npython -m hf_tune.run a.yaml\n```",
        "```yaml\ntask: image_classification\n```",
    ):
        assert line in told, line
    assert "resumed" not in told and "quantised" not in told


def test_what_does_not_hold_of_a_run_has_no_line(results: dict[str, Any], facts: CardFacts) -> None:
    results |= {"batch_norm": "none", "best_checkpoint": None, "resumed_from": "checkpoint-12"}
    results["cost"]["train_seconds"] = None
    results["base"]["quantization"] = {"quant_method": "torchao"}
    told = card_sections.describe_training(results, facts)
    assert "BatchNorm" not in told and "| time |" not in told and "| steps | 40 |" in told
    assert "| resumed from | checkpoint-12 |" in told
    assert "| base | quantised by torchao; its weights are not in this folder |" in told


@pytest.mark.parametrize(("difference", "word"), [(0.0, "are equal to"), (2.5e-7, "differ by at most 2.5e-07 from")])
def test_the_proof_says_what_was_compared(
    difference: float, word: str, results: dict[str, Any], facts: CardFacts
) -> None:
    results["proof"]["max_abs_difference"] = difference
    told = card_sections.describe_proof(results, facts)
    assert f"on 16 rows the outputs {word} those of the trained model. The SHA-256" in told
    assert "Hub" not in told
    verified = {"commit": "c0ffee", "rows": 32, "max_abs_difference": difference, "date": "2026-11-25"}
    told = card_sections.describe_proof(results, dataclasses.replace(facts, verified=verified))
    assert told.endswith(
        "\n\nOn 2026-11-25 what stands here (commit `c0ffee`) was downloaded from the Hub to an empty cache and "
        f"loaded in a fresh process; on 32 held-out rows the outputs {word} those of the saved model."
    )


def test_a_failed_proof_warns_the_reader(results: dict[str, Any], facts: CardFacts) -> None:
    results["proof"] = {"passed": False, "rows": 16, "max_abs_difference": 0.5}
    told = card_sections.describe_proof(results, facts)
    assert told.startswith("**The proof failed**") and "differ by 0.5" in told and "Do not use this model" in told


def make_two_classes(results: dict[str, Any]) -> dict[str, Any]:
    score = {"value": 0.9, "low": 0.8, "high": 0.95}
    results["splits"]["test"] |= {"sensitivity": score, "auroc": score}
    return results | {"label_names": ["ants", "bees"], "positive": "bees"}


def test_the_positive_class_is_told_where_two_are_scored(results: dict[str, Any], facts: CardFacts) -> None:
    assert "positive" not in card_sections.describe_results(results, facts)
    told = card_sections.describe_results(make_two_classes(results), facts)
    assert "`bees` is the positive class: sensitivity is the share of its rows that are found, specificity" in told
    assert "| sensitivity |  | 0.9000 (0.8000 to 0.9500) |" in told  # of validation it is not known
    assert "Decision" not in told and "Logistic" not in told


def test_a_threshold_is_told_with_who_reads_it(results: dict[str, Any], facts: CardFacts) -> None:
    found = {"positive": "bees", "value": 0.21, "rule": "costs 1 : 5", "rows": 40, "sensitivity": 0.95}
    results = make_two_classes(results) | {"decision": {**found, "specificity": 0.5}}
    told = card_sections.describe_results(results, facts)
    assert (
        "**Decision**: `bees` is answered from a probability of 0.21 on, chosen by costs 1 : 5 on 40 validation rows "
        "(there: sensitivity 0.9500, specificity 0.5000). The scores above are of this decision. `load_finetuned`"
    ) in told
    assert "transformers, PEFT and timm do not, and answer the most probable class" in told
    results["splits"] = {"validation": results["splits"]["test"]}
    assert "on the very rows that chose it" in card_sections.describe_results(results, facts)
    results["decision"]["rule"] = "given"
    assert "rows that chose it" not in card_sections.describe_results(results, facts)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "this model is better"), (-0.2, -0.01, "this model is worse"), (-0.1, 0.1, "it may be chance")],
)
def test_the_regression_beside_is_told_with_its_difference(
    low: float, high: float, verdict: str, results: dict[str, Any], facts: CardFacts
) -> None:
    results["linear_baseline"] = {
        "rows": 204,
        "features": 1280,
        "strength": 0.01,
        "splits": {"test": {"accuracy": {"value": 0.95, "low": 0.9, "high": 0.98}}},
        "difference": {"value": (low + high) / 2, "low": low, "high": high, "p_value": 0.02},
    }
    told = card_sections.describe_results(results, facts)
    assert "(204 training rows, 1,280 features, C = 0.01 chosen on validation) has accuracy 0.9500 (0.9000 to" in told
    assert f"{low:+.4f} to {high:+.4f}, rows paired, p = 0.02): {verdict}." in told
