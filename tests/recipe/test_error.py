"""How one mistake and several are told."""

from hf_tune.input_error import InputError
from hf_tune.recipe.error import Problem, RecipeError


def test_a_problem_is_told_as_place_key_problem_and_hint() -> None:
    problem = Problem(place="a.yaml:3", key="training.seed", problem="expected a number", hint="write 3")
    assert str(problem) == "a.yaml:3: training.seed: expected a number; write 3"


def test_what_is_not_known_leaves_no_empty_part() -> None:
    assert str(Problem(place="a.yaml:1", key="", problem="no such file")) == "a.yaml:1: no such file"


def test_a_recipe_error_tells_one_line_per_problem_and_keeps_them() -> None:
    problems = [Problem(place=f"a.yaml:{line}", key="x", problem="wrong") for line in (2, 5)]
    error = RecipeError(problems)
    assert str(error) == "a.yaml:2: x: wrong\na.yaml:5: x: wrong"
    assert error.problems == tuple(problems)


def test_a_recipe_error_is_caught_as_an_input_error() -> None:
    assert issubclass(RecipeError, InputError)
