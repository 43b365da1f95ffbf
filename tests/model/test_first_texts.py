"""What a first recipe for texts starts from."""

import pytest

from hf_tune.model.first_texts import choose_max_length, choose_text_checkpoint, choose_text_method


@pytest.mark.parametrize(
    ("latin", "has_gpu", "name"), [(1, False, "all-MiniLM"), (1, True, "roberta"), (0.5, True, "multilingual")]
)
def test_the_checkpoint_knows_the_language_and_fits_the_device(latin: float, has_gpu: bool, name: str) -> None:
    assert name in choose_text_checkpoint(latin, has_gpu).value


@pytest.mark.parametrize(("characters", "length"), [(20, 32), (96, 32), (97, 64), (700, 256), (768, 256), (769, None)])
def test_the_length_is_a_power_of_two_that_three_characters_a_token_fit_into(
    characters: int, length: int | None
) -> None:
    found = choose_max_length(characters)
    assert (found["max_length"].value if found else None) == length


@pytest.mark.parametrize(
    ("rows", "has_gpu", "method"), [(999, True, "lora"), (1000, True, "full"), (9000, False, "lora")]
)
def test_few_rows_or_a_slow_machine_train_an_adapter(rows: int, has_gpu: bool, method: str) -> None:
    assert choose_text_method(rows, has_gpu).value == method
