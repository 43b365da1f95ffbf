"""What `predict` returns and the table of predictions holds, for labels of each kind."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from sklearn import metrics

from hf_tune.results.classification_metrics import score_classes
from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.predictions import (
    LabelsPrediction,
    Prediction,
    ValuePrediction,
    decode_kept,
    read_predictions,
    tabulate_kept,
)
from hf_tune.results.record import save_table


NAMES = ("red", "green", "blue")
CLASSES = {  # red, green and blue have 1/4, 1/4 and 1/2, then 1/8, 3/4 and 1/8
    "labels": np.asarray([2, 0]),
    "top_labels": np.asarray([[2, 0, 1], [1, 0, 2]], np.int32),
    "top_log_probabilities": np.log(np.asarray([[0.5, 0.25, 0.25], [0.75, 0.125, 0.125]])).astype(np.float32),
    "label_log_probability": np.log(np.asarray([0.5, 0.125])).astype(np.float32),
}
TOP_TWO = {  # the same without the last
    **CLASSES,
    "top_labels": CLASSES["top_labels"][:, :2],
    "top_log_probabilities": CLASSES["top_log_probabilities"][:, :2],
}
SETS = {
    "labels": np.asarray([[1, 0, 1], [0, 0, 0]], np.float32),
    "log_odds": np.asarray([[math.log(3), 0.0, -math.log(3)], [-1e9, -2, -800.0]], np.float32),
}
NUMBERS = {"labels": np.asarray([1.5, -2.0], np.float32), "values": np.asarray([1.25, 0.5], np.float32)}


def test_a_class_comes_with_the_probability_of_every_label() -> None:
    first, second = decode_kept(CLASSES, NAMES)
    assert first == Prediction(
        label="blue",
        score=pytest.approx(0.5),  # type: ignore[arg-type]
        scores=pytest.approx({"red": 0.25, "green": 0.25, "blue": 0.5}),  # type: ignore[arg-type]
    )
    assert (second.label, second.score) == ("green", pytest.approx(0.75))
    assert list(first.scores) == list(second.scores) == list(NAMES)


def test_of_many_classes_it_comes_with_the_most_probable_ones() -> None:
    first, second = decode_kept(TOP_TWO, NAMES)
    assert (first.label, first.score) == ("blue", pytest.approx(0.5))
    assert first.scores == pytest.approx({"red": 0.25, "blue": 0.5}) and list(first.scores) == ["red", "blue"]
    assert second.scores == pytest.approx({"red": 0.125, "green": 0.75})


def test_a_label_is_chosen_where_its_probability_is_one_half_or_more() -> None:
    first, second = decode_kept(SETS, NAMES)
    assert isinstance(first, LabelsPrediction) and first.labels == ("red", "green")
    assert first.scores == pytest.approx({"red": 0.75, "green": 0.5, "blue": 0.25})
    assert second.labels == () and second.scores == pytest.approx({"red": 0, "green": 1 / (1 + math.e**2), "blue": 0})


def test_a_number_is_a_plain_one() -> None:
    assert decode_kept(NUMBERS, ("score",)) == [ValuePrediction(value=1.25), ValuePrediction(value=0.5)]
    assert type(decode_kept(NUMBERS, ("score",))[0].value) is float


def test_no_warning_is_given_for_odds_far_from_one_half() -> None:
    with np.errstate(all="raise"):
        scores = [each.scores["red"] for each in decode_kept({"log_odds": np.asarray([[60.0], [-60.0]])}, ("red",))]
    assert scores == pytest.approx([1.0, 0.0])


def test_the_table_of_classes_has_names_score_and_probabilities() -> None:
    table = tabulate_kept(CLASSES, NAMES)
    assert (table["label"], table["prediction"]) == (["blue", "red"], ["blue", "green"])
    assert table["score"] == pytest.approx([0.5, 0.75])
    assert table["probabilities"].tolist() == [pytest.approx([0.25, 0.25, 0.5]), pytest.approx([0.125, 0.75, 0.125])]
    assert "top_labels" not in table


def test_the_table_of_many_classes_has_the_most_probable_ones_and_the_probability_of_the_label() -> None:
    table = tabulate_kept(TOP_TWO, NAMES)
    assert (table["label"], table["prediction"]) == (["blue", "red"], ["blue", "green"])
    assert table["top_labels"] == [["blue", "red"], ["green", "red"]] and "probabilities" not in table
    assert table["top_probabilities"].tolist() == [pytest.approx([0.5, 0.25]), pytest.approx([0.75, 0.125])]
    assert table["label_probability"] == pytest.approx([0.5, 0.125]) and table["score"] == pytest.approx([0.5, 0.75])


def test_the_table_of_sets_has_lists_of_names() -> None:
    table = tabulate_kept(SETS, NAMES)
    assert (table["label"], table["prediction"]) == ([["red", "blue"], []], [["red", "green"], []])
    assert table["probabilities"][0] == pytest.approx([0.75, 0.5, 0.25])


@pytest.mark.parametrize("kept", [CLASSES, TOP_TWO, SETS, NUMBERS], ids=["classes", "many", "sets", "numbers"])
def test_every_table_comes_back_from_parquet(kept: dict, tmp_path: Path) -> None:
    names = ("score",) if "values" in kept else NAMES
    table = tabulate_kept(kept, names)
    save_table(table, tmp_path / "predictions.parquet")
    written = pyarrow.parquet.read_table(tmp_path / "predictions.parquet").to_pydict()
    assert set(written) == set(table)
    for name, values in table.items():
        assert written[name] == (values.tolist() if isinstance(values, np.ndarray) else values), name
    if "values" in kept:
        assert (written["label"], written["prediction"]) == ([1.5, -2.0], [1.25, 0.5])


@pytest.mark.parametrize("classes", [4, 10, 11, 50])
def test_scores_of_what_was_kept_and_of_its_table_are_those_of_all_probabilities(classes: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(0, classes, (300,), generator=generator)
    logits = torch.randn(300, classes, generator=generator) + 2 * torch.nn.functional.one_hot(labels, classes)
    every, names = logits.double().softmax(1).numpy(), [f"class {number}" for number in range(classes)]
    kept = {name: value.numpy() for name, value in {**keep_classes(logits, labels), "labels": labels}.items()}
    table = tabulate_kept(kept, names)
    save_table(table, tmp_path / "predictions.parquet")
    columns, read = read_predictions(tmp_path / "predictions.parquet", names)
    predicted = every.argmax(1)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro", zero_division=0),
        "log_loss": metrics.log_loss(labels, every, labels=range(classes)),
    }
    for rows in (kept, read):
        scores = score_classes(rows, names)
        assert {name: scores[name].value for name in expected} == pytest.approx(expected, rel=1e-6)
    assert columns["prediction"] == [names[number] for number in predicted]
    assert np.allclose(columns["score"], every.max(1), atol=1e-6)
    if classes <= 10:
        assert np.allclose(columns["probabilities"], every, atol=1e-6) and "top_labels" not in columns
    else:
        assert columns["top_labels"][7] == [names[number] for number in np.argsort(-every[7])[:10]]
        assert np.allclose(columns["top_probabilities"], -np.sort(-every, axis=1)[:, :10], atol=1e-6)
        assert np.allclose(columns["label_probability"], every[np.arange(300), labels], atol=1e-6)


def test_a_label_whose_probability_is_zero_reads_back_as_a_finite_surprise(tmp_path: Path) -> None:
    kept = {**TOP_TWO, "label_log_probability": np.asarray([-np.inf, -1.0])}
    save_table(tabulate_kept(kept, NAMES), tmp_path / "a.parquet")
    _, read = read_predictions(tmp_path / "a.parquet", NAMES)
    assert read["label_log_probability"].tolist() == [pytest.approx(math.log(np.finfo(np.float64).tiny)), -1.0]
