"""RecipeError: every mistake of one recipe, each with file, line, key, problem and cure."""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_tune.input_error import InputError


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake and where it stands."""

    place: str
    """`file:line`, or `command line` for an override."""
    key: str
    """Dotted key, such as `training.learning_rate`; empty where the file itself is at fault."""
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        """Return `place: key: problem; hint`."""
        where = f"{self.place}: {self.key}" if self.key else self.place
        return f"{where}: {self.problem}" + (f"; {self.hint}" if self.hint else "")


class RecipeError(InputError):
    """One or more mistakes in a recipe; its text is one line per mistake."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems in the order in which they stand in the recipe."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
