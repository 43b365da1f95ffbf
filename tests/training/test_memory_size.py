"""Sizes of memory on the command line."""

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.memory_size import format_size, read_memory_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80GiB", 80 * 2**30),
        ("24GB", 24 * 10**9),
        ("16000MiB", 16000 * 2**20),
        ("500 mb", 500 * 10**6),
        ("1.5tib", 3 * 2**39),
        ("8", 8 * 2**30),
    ],
)
def test_sizes_are_read_with_their_unit(text: str, size: int) -> None:
    assert read_memory_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-3", "0", "0GiB", "12 parsecs", "GiB", "1e3", "1,5GiB", "9" * 400])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no size of memory; write `80GiB`, `24GB` or `16000MiB`"):
        read_memory_size(text)


def test_sizes_are_told_in_the_unit_that_reads_best() -> None:
    assert format_size(3 * 2**20) == "3.0 MiB"
    assert format_size(9.5 * 2**30) == "9,728.0 MiB"
    assert format_size(80 * 2**30) == "80.0 GiB"
