"""Classes with too few rows: told, kept in train, dropped, joined."""

import numpy as np
import pytest

from hf_tune.data.rare_classes import Rare, settle_classes
from hf_tune.input_error import InputError


NAMES = ("ant", "bee", "fly", "gnat", "wasp")
COUNTS = np.asarray([40, 2, 30, 1, 20])
SPLITS = ("train", "test", "validation")


def test_every_rare_class_is_named_with_the_ways_out() -> None:
    words = (
        r"classes 'bee' \(2 rows\), 'gnat' \(1 row\): too few for 3 splits .*`rare: keep_in_train`, `drop` or `other`"
    )
    with pytest.raises(InputError, match=words) as caught:
        settle_classes(NAMES, COUNTS, SPLITS, None)
    assert caught.value.at == ("rare",)
    with pytest.raises(InputError, match=r"class 'gnat' \(1 patient value\): too few for 2 splits"):
        settle_classes(NAMES, COUNTS, SPLITS[:2], None, "patient value")


@pytest.mark.parametrize(
    ("rare", "names", "numbers", "kept", "words"),
    [
        ("keep_in_train", NAMES, [0, 1, 2, 3, 4], [False, True, False, True, False], "all rows stayed in train"),
        ("drop", ("ant", "fly", "wasp"), [0, -1, 1, -1, 2], [False] * 3, "rows were left out"),
        ("other", ("ant", "fly", "wasp", "other"), [0, 3, 1, 3, 2], [False] * 4, "joined in the class 'other'."),
    ],
)
def test_each_way_says_what_became_of_which_class(
    rare: Rare, names: tuple[str, ...], numbers: list[int], kept: list[bool], words: str
) -> None:
    settled = settle_classes(NAMES, COUNTS, SPLITS, rare)
    assert settled.label_names == names and settled.numbers.tolist() == numbers and settled.kept.tolist() == kept
    assert len(settled.notes) == 1 and settled.notes[0].startswith("classes 'bee' (2 rows), 'gnat' (1 row): ")
    assert words in settled.notes[0]


def test_a_class_that_is_called_other_takes_them_in() -> None:
    settled = settle_classes(("ant", "other", "bee"), np.asarray([9, 5, 1]), SPLITS, "other")
    assert settled.label_names == ("ant", "other") and settled.numbers.tolist() == [0, 1, 1]
    assert "which was there before" in settled.notes[0]
    rare = settle_classes(("ant", "other", "bee", "fly"), np.asarray([9, 1, 2, 9]), SPLITS, "other")
    assert rare.label_names == ("ant", "fly", "other") and rare.numbers.tolist() == [0, 2, 2, 1]


@pytest.mark.parametrize(
    ("counts", "rare", "words"),
    [
        (
            [9, 8, 1],
            "other",
            r"'c' \(1 row\): joined still too few for 3 splits .*; write `rare: keep_in_train` or `dr",
        ),
        ([9, 1, 1], "drop", "without them fewer than two classes are left; take more rows"),
    ],
)
def test_a_way_that_leads_nowhere_is_told(counts: list[int], rare: Rare, words: str) -> None:
    with pytest.raises(InputError, match=words):
        settle_classes(("a", "b", "c"), np.asarray(counts), SPLITS, rare)


def test_without_a_rare_class_nothing_changes() -> None:
    assert settle_classes(NAMES, COUNTS, ("train",), None).notes == ()
    settled = settle_classes(NAMES, COUNTS, ("train",), "drop")
    assert settled.label_names == NAMES and settled.notes == (
        "`rare: drop` changed nothing: no class has fewer than 1 rows.",
    )
