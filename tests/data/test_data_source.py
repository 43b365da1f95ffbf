"""The `data:` block: what it refuses by itself."""

import pytest

from hf_tune.data.data_source import DataSource, SplitPlan
from hf_tune.input_error import InputError


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1])
def test_a_fraction_lies_between_nothing_and_all(fraction: float) -> None:
    with pytest.raises(InputError, match="is no fraction of train; give one between 0 and 1") as caught:
        SplitPlan(test=fraction)
    assert caught.value.at == ("test",)


def test_a_buffer_holds_a_row() -> None:
    with pytest.raises(InputError, match="0 is out of range; it must be at least 1"):
        DataSource(load={"path": "csv"}, shuffle_buffer=0)
