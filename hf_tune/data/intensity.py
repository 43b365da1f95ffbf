"""Pixels of more than 8 bits as 256 grey levels, by a range that a recipe or the file names and nobody guesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from hf_tune.input_error import InputError


Intensity: TypeAlias = Literal["file", "dtype"] | Sequence[float] | None
"""`preprocess.intensity`: the two values that become black and white, or where they are taken from."""
AT = ("preprocess", "intensity")


@dataclass(frozen=True, kw_only=True)
class Wide:
    """The grey values of a picture with more than 8 bits a pixel."""

    values: np.ndarray
    """Numbers of any type, shape (height, width)."""
    kind: str
    """What a person calls their type: `16 bits a pixel`."""
    type_range: tuple[float, float] | None
    """Smallest and largest value of the type; None where it has none: numbers with a fraction."""
    padding: float | None = None
    """A value that stands for no measurement, and does not count for `file`."""


def scale(wide: Wide, intensity: Intensity) -> np.ndarray:
    """Return grey levels from 0 to 255, uint8: what lies beyond the range is clipped to it.

    Without `intensity` it raises `InputError`: taken as 16 bits the 12 bits of most x-rays are nearly black, and
    stretched file by file pictures lose how bright they are beside each other; neither shows in a score.
    """
    if wide.values.dtype.kind == "f" and not np.isfinite(wide.values).all():
        raise InputError("it holds pixels that are no finite numbers (NaN)", "give them a value, or take it out")
    if intensity is None:
        raise InputError(f"{_describe(wide)}, and nothing says which are black and white", _advise(wide), at=AT)
    low, high = _find_range(wide, intensity)
    if high <= low:
        return np.zeros(wide.values.shape, np.uint8)
    levels = (wide.values.astype(np.float64) - low) * 255 / (high - low)
    return np.clip(levels.round(), 0, 255).astype(np.uint8)


def _find_range(wide: Wide, intensity: Literal["file", "dtype"] | Sequence[float]) -> tuple[float, float]:
    if intensity == "dtype":
        if wide.type_range is None:
            hint = "write `[0, 1]`, or the two values that are black and white"
            raise InputError(f"{_describe(wide)}, whose type has no range", hint, at=AT)
        return wide.type_range
    if intensity == "file":
        return _measure(wide)
    return float(intensity[0]), float(intensity[1])


def _measure(wide: Wide) -> tuple[float, float]:
    """Return the smallest and the largest value that is a measurement."""
    values = wide.values if wide.padding is None else wide.values[wide.values != wide.padding]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _describe(wide: Wide) -> str:
    low, high = _measure(wide)
    return f"it has {wide.kind}, with values from {low:g} to {high:g}"


def _advise(wide: Wide) -> str:
    """Return the choices; the range that is proposed is that of the fewest bits which hold the values."""
    low, high = _measure(wide)
    if wide.type_range is None or low < 0:
        proposed, dtype = f"[{low:g}, {high:g}]", ""
    else:
        proposed = f"[0, {max(2 ** int(high).bit_length() - 1, 255)}]"
        dtype = f", `dtype` (0 to {wide.type_range[1]:g})"
    choices = f"`{proposed}`{dtype} or `file` (each picture's own smallest and largest value)"
    return f"train with `preprocess.intensity`: {choices}"
