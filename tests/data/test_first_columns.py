"""Which column gets which role."""

from collections.abc import Mapping
from typing import Any

import pytest

from hf_tune.data.first_columns import (
    choose_label,
    choose_metric,
    choose_picture,
    choose_texts,
    describe_label,
)
from hf_tune.data.survey import ColumnSurvey, Survey
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL


TWO = {"a": 30, "b": 10}


def build(**columns: str | tuple[str, Mapping[str, int]]) -> Survey:
    """Return a survey of columns, each given by its kinds and counts."""
    found = []
    for name, each in columns.items():
        kinds, counts = (each, {}) if isinstance(each, str) else each
        found.append(ColumnSurvey(name=name, kinds=frozenset(kinds.split("+")), counts=counts, characters=len(name)))
    return Survey(load={}, rows={"train": 40}, train="train", columns=found, picture_sides={})


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"mask": "picture", "image": "picture"}, "image"),
        ({"scan": "picture", "path": "file"}, "scan"),
        ({"a": "text", "where": "file"}, "where"),
    ],
)
def test_pictures_are_chosen_before_paths_and_by_name(columns: Any, name: str) -> None:
    found = choose_picture(build(**columns))
    assert found is not None and found[1].value == name


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        ({"id": "text", "sentence": "text"}, {"text": "sentence"}),
        ({"premise": "text", "hypothesis": "text", "genre": "text"}, {"text": "premise", "text_pair": "hypothesis"}),
        ({"a": "text", "complaint": "text"}, {"text": "complaint"}),
        ({"a": "picture"}, {}),
    ],
)
def test_texts_are_chosen_by_name_as_pairs_or_by_length(columns: Any, roles: dict[str, str]) -> None:
    assert {role: choice.value for role, (_, choice) in choose_texts(build(**columns)).items()} == roles


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"animal": ("classes", TWO), "label": ("classes", TWO)}, ("label", SINGLE_LABEL)),
        ({"age": ("classes+whole numbers", TWO), "animal": ("classes", TWO)}, ("animal", SINGLE_LABEL)),
        ({"age": ("classes+whole numbers", TWO)}, None),
        ({"label": ("classes+whole numbers", TWO)}, ("label", SINGLE_LABEL)),
        ({"constant": ("classes", {"a": 40})}, None),
        ({"tags": "label lists", "weight": "numbers"}, ("tags", MULTI_LABEL)),
        ({"weight": "numbers"}, ("weight", REGRESSION)),
        ({"weight": "numbers", "score": "numbers"}, ("score", REGRESSION)),
    ],
)
def test_a_label_is_chosen_by_name_and_else_where_it_can_only_be_one(columns: Any, expected: Any) -> None:
    found = choose_label(build(**columns), ("classes", "label lists", "numbers"))
    assert (found and (found[1].value, found[2])) == expected


def test_what_a_label_holds_is_said_with_its_rarest_class() -> None:
    label = build(label=("classes", TWO)).columns[0]
    assert describe_label(label, "classes") == "2 classes; the rarest in train is 'b', 10 rows"


@pytest.mark.parametrize(
    ("counts", "kind", "metric"),
    [
        ({"a": 30, "b": 10}, SINGLE_LABEL, "accuracy"),
        ({"a": 31, "b": 10}, SINGLE_LABEL, "f1_macro"),
        ({}, MULTI_LABEL, "f1_micro"),
        ({}, REGRESSION, "spearman"),
    ],
)
def test_the_metric_counts_rare_classes_like_common_ones(counts: dict[str, int], kind: Any, metric: str) -> None:
    assert choose_metric(build(label=("classes", counts)).columns[0], kind).value == metric
