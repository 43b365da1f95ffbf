"""Ranges of options: each mistake names its option and says what is allowed."""

import pytest

from hf_tune.data.option_ranges import check_above, check_interval, check_least, check_range, read_span
from hf_tune.input_error import InputError


@pytest.mark.parametrize(
    ("check", "hint"),
    [
        (lambda: check_range("p", 1.5, 0, 1), "at least 0 and at most 1"),
        (lambda: check_least("p", 0, 1), "at least 1"),
        (lambda: check_above("p", 0, 0), "above 0"),
        (lambda: check_interval("p", [0.5, 0.2], 0, 1), r"\[smallest, largest\], both at least 0 and at most 1"),
        (lambda: check_interval("p", [0.5], 0), r"\[smallest, largest\], both at least 0"),
        (lambda: check_interval("p", [0.5, 2], 0, 1), "at most 1"),
        (lambda: read_span("p", -0.1, 1, 0), "at least 0"),
        (lambda: read_span("p", 0.6, 0, -0.5, 0.5), "at most 0.5"),
        (lambda: read_span("p", [-0.6, 0], 0, -0.5, 0.5), "at least -0.5"),
    ],
)
def test_what_is_out_of_range_is_told_with_its_name(check: object, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        check()  # type: ignore[operator]
    assert caught.value.at == ("p",)


def test_the_ends_are_allowed() -> None:
    check_range("p", 1, 0, 1)
    check_least("p", 1, 1)
    check_interval("p", [0, 0], 0, 1)


def test_a_number_is_a_span_around_the_centre_and_a_pair_is_itself() -> None:
    assert read_span("p", 0.25, 1, 0) == (0.75, 1.25)
    assert read_span("p", 3, 1, 0) == (0, 4)  # cut at 0
    assert read_span("p", [0.5, 0.75], 1, 0) == (0.5, 0.75)
    assert read_span("p", 0.5, 0, -0.5, 0.5) == (-0.5, 0.5)
