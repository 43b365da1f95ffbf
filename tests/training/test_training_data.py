"""What a run trains on, as one value."""

import dataclasses
from types import SimpleNamespace

import pytest

from hf_tune.data.draws import Draws
from hf_tune.task import SINGLE_LABEL
from hf_tune.training.objective import Objective
from hf_tune.training.training_data import TrainingData


PARTS = {
    "train": [1, 2],
    "validation": [3],
    "preprocess": SimpleNamespace(),
    "make_draws": Draws,
    "label_names": ("a", "b"),
}


def test_classes_without_a_test_split_or_an_objective_need_no_more() -> None:
    data = TrainingData(**PARTS)
    assert (data.test, data.problem_type, data.new_layers, data.notes) == (None, SINGLE_LABEL, frozenset(), ())
    assert data.objective == Objective()


@pytest.mark.parametrize("name", PARTS)
def test_each_part_without_a_default_has_to_be_given(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        TrainingData(**{key: value for key, value in PARTS.items() if key != name})


def test_a_note_is_added_in_a_copy_and_not_in_place() -> None:
    data = TrainingData(**PARTS, notes=("one",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.notes = ("two",)  # type: ignore[misc]
    assert dataclasses.replace(data, notes=(*data.notes, "two")).notes == ("one", "two") and data.notes == ("one",)
