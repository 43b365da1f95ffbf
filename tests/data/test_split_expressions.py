"""What an expression takes of a data set; the rest is tested where splits are loaded."""

import datasets
import pytest

from hf_tune.data.split_expressions import check_disjoint, find_pieces, join_pieces
from hf_tune.input_error import InputError


RAW = datasets.DatasetDict(
    {name: datasets.Dataset.from_dict({"number": range(start, start + 10)}) for name, start in (("a", 0), ("b", 100))}
)


def test_an_expression_is_pieces_that_are_joined() -> None:
    pieces = find_pieces(RAW, "a[80%:]+b[:2]", "train")
    assert pieces == [("a", 8, 10), ("b", 0, 2)]
    assert join_pieces(RAW, pieces, "train")["number"][:] == [8, 9, 100, 101]


def test_two_splits_may_not_take_the_same_rows() -> None:
    plan = {"train": "a[:6]", "test": "a[5:]"}
    with pytest.raises(InputError, match="share 1 rows"):
        check_disjoint(plan, {name: find_pieces(RAW, each, name) for name, each in plan.items()})
