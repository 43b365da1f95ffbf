"""Read a text: a string, or the turns of a dialogue as a list of strings or of messages."""

from typing import Any

from hf_tune.input_error import InputError


TURN_END = "\n"


def read_text(value: Any, role: str) -> str:
    """Return the text of one cell, the turns of a dialogue joined by line ends.

    A message `{role: user, content: Hello}` is the turn `user: Hello`. Raises `InputError` where it is no text, or
    nothing but blanks, or holds half of a pair of surrogates, as cut JSON does.
    """
    if isinstance(value, list):
        value = [_read_message(turn) for turn in value]
    if isinstance(value, list) and all(isinstance(turn, str) for turn in value):
        value = TURN_END.join(value)
    if not isinstance(value, str):
        raise InputError(
            f"`{role}` holds {_say(value)}, not a text", "fill it, take the row out, or name another column"
        )
    if not any(sign.isprintable() and not sign.isspace() for sign in value):  # a zero-width blank is no text either
        raise InputError(f"`{role}` is empty", "fill it or take the row out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"`{role}` holds {value[error.start]!r}, half of a sign"
        raise InputError(problem, "mend it or take the row out") from None
    return value


def _read_message(turn: Any) -> Any:
    """Return a message of a chat as a turn, and anything else as it is."""
    if isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str):
        return f"{turn['role']}: {turn['content']}"
    return turn


def _say(value: Any) -> str:
    """Return what a value is: a number itself, of anything else the type."""
    if value is None or isinstance(value, (int, float)):
        return "nothing" if value is None else f"{value!r} ({type(value).__name__})"
    if isinstance(value, list):
        turn = next(turn for turn, each in enumerate(value) if not isinstance(each, str))
        return f"a list whose turn {turn} is {_say(value[turn])}"
    return f"a value of type {type(value).__name__}"
