"""The `speed:` block."""

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.speed import Speed


def test_what_is_exact_is_on_and_the_rest_is_off() -> None:
    assert Speed() == Speed(decoded_cache=True, feature_cache="auto", channels_last=False)


@pytest.mark.parametrize(("word", "views"), [("auto", 0), ("off", 0), ("augmented(8)", 8)])
def test_views_are_those_that_were_asked_for(word: str, views: int) -> None:
    assert Speed(feature_cache=word).num_views == views


@pytest.mark.parametrize("word", ["on", "augmented", "augmented(0)", "augmented(-1)", "augmented(x)", ""])
def test_another_word_is_refused_with_the_ones_that_there_are(word: str) -> None:
    with pytest.raises(InputError, match="no way to keep features") as caught:
        Speed(feature_cache=word)
    assert caught.value.at == ("feature_cache",)
    assert "augmented(8)" in caught.value.hint
