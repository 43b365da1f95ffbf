"""Ranges of the options of augmentations: what is out of range is a sentence that names the option."""

from collections.abc import Sequence

from hf_tune.input_error import InputError


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` for a number below `low` or above `high`."""
    if not low <= value <= high:
        raise InputError(f"{value!r} is out of range", f"it must be at least {low} and at most {high}", at=(name,))


def check_least(name: str, value: float, least: float) -> None:
    """Raise `InputError` for a number below `least`."""
    if value < least:
        raise InputError(f"{value!r} is out of range", f"it must be at least {least}", at=(name,))


def check_above(name: str, value: float, limit: float) -> None:
    """Raise `InputError` for a number that is not above `limit`."""
    if not value > limit:
        raise InputError(f"{value!r} is out of range", f"it must be above {limit}", at=(name,))


def check_interval(name: str, values: Sequence[float], low: float, high: float = float("inf")) -> None:
    """Raise `InputError` for what is not two numbers, the smaller first, within `low` and `high`."""
    if len(values) != 2 or not low <= values[0] <= values[1] <= high:
        limit = f"at least {low}" + ("" if high == float("inf") else f" and at most {high}")
        problem = f"{list(values)!r} is no range"
        raise InputError(problem, f"write [smallest, largest], both {limit}", at=(name,))


def read_span(
    name: str, value: float | Sequence[float], centre: float, low: float, high: float = float("inf")
) -> tuple[float, float]:
    """Return the range of a number around `centre`, cut at `low`; or a pair as it stands, as torchvision reads them.

    Raises `InputError` for a negative number and for what is beyond `low` and `high`.
    """
    if isinstance(value, (int, float)):
        check_range(name, value, 0, high - centre) if high < float("inf") else check_least(name, value, 0)
        return max(centre - value, low), centre + value
    check_interval(name, value, low, high)
    return value[0], value[1]
