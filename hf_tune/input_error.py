"""What may stop a run and is no fault of the code: a mistake in its input, or the world around it, in a sentence."""

import itertools
import re
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in the user's input: what is wrong, what to do, and which argument of the step it is in."""

    def __init__(self, problem: str, hint: str = "", at: tuple[str | int, ...] = ()) -> None:
        """Keep the parts; `at` is the path of keys inside the step's block, or starts with a parameter named so."""
        super().__init__(f"{problem}; {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint
        self.at = at


class RunStopped(Exception):
    """A run that ended in the middle, for a reason outside the code: what happened, what is kept, how to go on."""

    def __init__(self, problem: str, hint: str = "") -> None:
        """Join the sentences."""
        super().__init__(f"{problem}; {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint


class PushFailed(RunStopped):
    """A run that is trained and saved, and did not come to the Hub: what happened, and the command that pushes it."""


def find_key(text: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the first of these keys that a library's message names as a whole word, as `at` of an `InputError`."""
    named = (key for key in keys if re.search(rf"\b{re.escape(key)}\b", text))
    return tuple(itertools.islice(named, 1))
