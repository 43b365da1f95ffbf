"""Early stopping."""

from types import SimpleNamespace

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.early_stopping import EarlyStopping, StopAtTarget


@pytest.mark.parametrize(
    ("metric", "value", "stops"),
    [("accuracy", 0.9, True), ("accuracy", 0.89, False), ("loss", 0.9, True), ("loss", 0.91, False)],
)
def test_a_target_stops_once_it_is_reached(metric: str, value: float, stops: bool) -> None:
    stopping = EarlyStopping(metric=metric, target=0.9)
    control = SimpleNamespace(should_training_stop=False)
    target = next(each for each in stopping.callbacks() if isinstance(each, StopAtTarget))
    target.on_evaluate(None, None, control, {f"eval_{metric}": value})
    assert control.should_training_stop is stops


@pytest.mark.parametrize(
    ("metric", "better"),
    [("loss", False), ("log_loss", False), ("rmse", False), ("mae", False), ("f1_macro", True), ("spearman", True)],
)
def test_less_is_better_for_losses_and_errors(metric: str, better: bool) -> None:
    assert EarlyStopping(metric=metric).training_arguments()["greater_is_better"] is better


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"threshold": -0.1}])
def test_values_out_of_range_are_told(wrong: dict) -> None:
    with pytest.raises(InputError, match="out of range"):
        EarlyStopping(**wrong)
