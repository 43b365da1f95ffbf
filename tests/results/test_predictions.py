"""What `predict` returns and the table of predictions holds, for labels of each kind."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from hf_tune.results.predictions import (
    LabelsPrediction,
    Prediction,
    ValuePrediction,
    decode_kept,
    tabulate_kept,
)
from hf_tune.results.record import save_table


NAMES = ("red", "green", "blue")
CLASSES = {
    "labels": np.asarray([2, 0]),
    "log_probabilities": np.log(np.asarray([[0.25, 0.25, 0.5], [0.125, 0.75, 0.125]])).astype(np.float32),
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
    assert table["probabilities"].shape == (2, 3) and table["probabilities"].sum(1) == pytest.approx([1, 1])


def test_the_table_of_sets_has_lists_of_names() -> None:
    table = tabulate_kept(SETS, NAMES)
    assert (table["label"], table["prediction"]) == ([["red", "blue"], []], [["red", "green"], []])
    assert table["probabilities"][0] == pytest.approx([0.75, 0.5, 0.25])


@pytest.mark.parametrize("kept", [CLASSES, SETS, NUMBERS], ids=["classes", "sets", "numbers"])
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
