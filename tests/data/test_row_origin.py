"""Names of rows, whatever was cut or left out before."""

from dataclasses import replace

import numpy as np

from hf_tune.data.row_origin import build_origin


def test_rows_of_several_pieces_keep_their_split_and_number() -> None:
    origin = build_origin("train", [("train", 10, 12), ("extra_rows", 0, 2)])
    assert [origin.name_row(row) for row in range(4)] == [
        "row 10 of split 'train'",
        "row 11 of split 'train'",
        "row 0 of split 'extra_rows' (now in train)",
        "row 1 of split 'extra_rows' (now in train)",
    ]


def test_a_selection_of_a_selection_is_named_as_the_data_has_it() -> None:
    origin = build_origin("train", [("train", 10, 20)]).select(np.asarray([7, 3, 5])).select(np.asarray([0, 2]))
    assert [origin.name_row(row) for row in range(2)] == ["row 17 of split 'train'", "row 15 of split 'train'"]
    assert replace(origin, split="test").name_row(0) == "row 17 of split 'train' (now in test)"


def test_a_piece_without_rows_has_no_names() -> None:
    assert build_origin("train", [("train", 5, 2), ("extra", 1, 2)]).numbers.tolist() == [1]
