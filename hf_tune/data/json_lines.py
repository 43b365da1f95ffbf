"""The line of a file of json lines that cannot be read: `datasets` names a row, and neither file nor cure."""

import json

from hf_tune.data.text_encoding import open_text
from hf_tune.input_error import InputError


def check_lines(file: str, encoding: str) -> None:
    """Raise `InputError` for a line that is no json; a file that is one list or one object is not looked at."""
    with open_text(file, encoding, errors="replace") as text:
        for number, line in enumerate(text, 1):
            if number == 1 and not _is_object(line):
                return
            try:
                json.loads(line or "null")
            except json.JSONDecodeError as error:
                if not line.strip():
                    continue
                problem = f"{file}: line {number}, sign {error.colno}: {error.msg}"
                hint = "each line must be one object; mend it or take it out"
                raise InputError(problem, hint, at=("load", "data_files")) from None


def _is_object(line: str) -> bool:
    """Return whether a first line is an object of its own, and not the start of one that covers the file."""
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False
