"""Reading of one text."""

from typing import Any

import pytest

from hf_tune.data.texts import read_text
from hf_tune.input_error import InputError


def test_a_text_stays_as_it_is() -> None:
    assert read_text("  two  words \n", "text") == "  two  words \n"


def test_the_turns_of_a_dialogue_are_joined_by_line_ends() -> None:
    assert read_text(["Hello!", "Hi.", "Bye."], "text") == "Hello!\nHi.\nBye."


def test_the_messages_of_a_chat_are_turns_with_their_role() -> None:
    chat = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}]
    assert read_text(chat, "text") == "user: Hello!\nassistant: Hi."


@pytest.mark.parametrize("value", ["", "  \t\n", "\u200b \ufeff", [], ["", " "]])
def test_a_text_of_nothing_but_blanks_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="`text_pair` is empty; fill it or take the row out"):
        read_text(value, "text_pair")


def test_half_of_a_pair_of_surrogates_is_refused() -> None:
    with pytest.raises(InputError, match=r"`text` holds '\\ud83d', half of a sign; mend it or take the row out"):
        read_text("well \ud83d", "text")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "`text` holds nothing, not a text"),
        (3, r"`text` holds 3 \(int\), not a text"),
        (float("nan"), r"`text` holds nan \(float\), not a text"),
        (["a", None], "`text` holds a list whose turn 1 is nothing, not a text"),
        ([object()], "`text` holds a list whose turn 0 is a value of type object, not a text"),
        ({"a": "b"}, "a value of type dict, not a text"),
        (b"bytes", "a value of type bytes, not a text"),
    ],
)
def test_what_is_no_text_is_shown(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_text(value, "text")
