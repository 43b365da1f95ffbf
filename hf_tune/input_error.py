"""The error that a step raises when its input is wrong, before anyone knows which recipe it came from."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A mistake in the user's input: what is wrong, what to do, and which argument of the step it is in."""

    def __init__(self, problem: str, hint: str = "", at: tuple[str | int, ...] = ()) -> None:
        """Keep the parts; `at` is the path of keys inside the step's block, or starts with a parameter named so."""
        super().__init__(f"{problem}; {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint
        self.at = at


@contextmanager
def name_row(row: int, split: str) -> Iterator[None]:
    """Add row and split to an `InputError` about one example."""
    try:
        yield
    except InputError as error:
        problem = f"row {row} of split {split!r}: {error.problem}"
        raise InputError(problem, error.hint, at=error.at or ("load",)) from None
