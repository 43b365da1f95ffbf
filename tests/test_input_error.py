"""The parts of an InputError."""

from hf_tune.input_error import InputError, find_key


def test_the_text_is_problem_and_hint() -> None:
    assert str(InputError("3 is too small", "give 4")) == "3 is too small; give 4"
    assert str(InputError("3 is too small")) == "3 is too small"


def test_the_parts_are_kept_for_whoever_knows_the_recipe() -> None:
    error = InputError("wrong", "mend it", at=("augment", 0, "degrees"))
    assert (error.problem, error.hint, error.at) == ("wrong", "mend it", ("augment", 0, "degrees"))


def test_it_is_caught_as_a_value_error_and_by_default_blames_the_whole_block() -> None:
    error = InputError("wrong")
    assert isinstance(error, ValueError) and error.at == ()


def test_a_key_is_found_only_as_a_whole_word() -> None:
    """The letter `r` was blamed for every message that has one."""
    assert find_key("No modules were targeted by 'layers_to_transform': [7]", ("r", "layers_to_transform")) == (
        "layers_to_transform",
    )
    assert find_key("`r` should be positive", ("alpha", "r")) == ("r",)
    assert find_key("something else", ("r",)) == ()
