"""Scaling of more than 8 bits: numbers by hand."""

from typing import Any

import numpy as np
import pytest

from hf_tune.data.intensity import Wide, scale
from hf_tune.input_error import InputError


def wide(values: list[Any], dtype: str = "uint16", **options: Any) -> Wide:
    chosen: dict[str, Any] = {"kind": "16 bits a pixel", "type_range": (0.0, 65535.0), **options}
    return Wide(values=np.array([values], dtype), **chosen)


@pytest.mark.parametrize(
    ("intensity", "levels"),
    [
        ("dtype", [0, 4, 16, 255]),  # 1000 / 257 = 3.9, 4095 / 257 = 15.9
        ([0, 4095], [0, 62, 255, 255]),  # 1000 * 255 / 4095 = 62.3; above it is clipped
        ([1000, 65535], [0, 0, 12, 255]),  # 3095 * 255 / 64535 = 12.2; below it is clipped
        ("file", [0, 4, 16, 255]),
    ],
)
def test_levels_by_hand(intensity: Any, levels: list[int]) -> None:
    scaled = scale(wide([0, 1000, 4095, 65535]), intensity)
    assert scaled.dtype == np.uint8 and scaled.tolist() == [levels]


def test_the_range_of_a_file_is_from_its_smallest_to_its_largest_value() -> None:
    assert scale(wide([300, 400, 500]), "file").tolist() == [[0, 128, 255]]  # 127.5 to even
    assert scale(wide([-2000, 300, 400, 500], "int16", padding=-2000.0), "file").tolist() == [[0, 0, 128, 255]]
    assert scale(wide([7, 7]), "file").tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("values", "proposed"),
    [
        (wide([12, 3000]), "`[0, 4095]`, `dtype` (0 to 65535) or `file` ("),
        (wide([0, 70]), "`[0, 255]`, `dtype`"),
        (wide([0, 4096]), "`[0, 8191]`, `dtype`"),
        (wide([-1024, 3071], "int16", type_range=(-32768.0, 32767.0)), "`[-1024, 3071]` or `file`"),
        (wide([0.5, 2.5], "float32", type_range=None), "`[0.5, 2.5]` or `file`"),
    ],
)
def test_without_a_range_it_names_the_key_and_what_the_picture_holds(values: Wide, proposed: str) -> None:
    with pytest.raises(InputError, match=r"it has 16 bits a pixel, with values from .* and nothing says") as caught:
        scale(values, None)
    assert f"train with `preprocess.intensity`: {proposed}" in str(caught.value)
    assert caught.value.at == ("preprocess", "intensity")


def test_numbers_with_a_fraction_have_no_range_of_their_type() -> None:
    values = wide([0.0, 0.25, 1.0], "float32", type_range=None)
    assert scale(values, [0, 1]).tolist() == [[0, 64, 255]]
    with pytest.raises(InputError, match=r"whose type has no range; write `\[0, 1\]`"):
        scale(values, "dtype")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_told(bad: float) -> None:
    with pytest.raises(InputError, match="no finite numbers"):
        scale(wide([0.0, bad], "float32", type_range=None), [0, 1])
