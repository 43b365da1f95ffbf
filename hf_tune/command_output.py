"""What a command says: lines for people, or with `--log-format json` one JSON object a line for programs.

| `kind` | on | also holds |
|---|---|---|
| `result` | stdout | what the command found, such as the content of results.json |
| `output` | stdout | `text`: a line of what a person would have seen |
| `message` | stderr | `text`, and of what is logged its `level` |
| `error` | stderr | `problem`, `hint`, and of a recipe's mistake `file`, `line` and `key` |
"""

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO


FORMATS = ("text", "json")
_HELP = "\nevery command also takes:\n  --log-format json     say everything as JSON, one object a line, for programs"


def run_command(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call a command with its arguments in the format that they ask for, and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        name, arguments = take_format(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with speaking_json() if name == "json" else contextlib.nullcontext():
            return main(arguments)
    except SystemExit as end:
        if not end.code and {"-h", "--help"} & set(arguments):
            print(_HELP)
        raise
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def take_format(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return what `--log-format` asks for, and the other arguments; raises `ValueError` for another word."""
    rest, name = list(arguments), "text"
    for number, argument in enumerate(arguments):
        key, equals, value = argument.partition("=")
        if key == "--log-format":
            name = value if equals else "".join(arguments[number + 1 : number + 2])
            del rest[number : number + (1 if equals else 2)]
            break
    if name not in FORMATS:
        raise ValueError(f"--log-format {name}: known are {' and '.join(FORMATS)}")
    return name, rest


@contextlib.contextmanager
def speaking_json() -> Iterator[None]:
    """Say everything as JSON while the context lasts: what is printed, logged, told as an error or as a result."""
    output, errors = JsonLines(sys.stdout, "output"), JsonLines(sys.stderr, "message")
    handler = _JsonHandler(errors)
    handler.setLevel(logging.WARNING if os.environ.get("RANK", "0") == "0" else logging.ERROR)
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            yield
            output.close_line()
            errors.close_line()
    finally:
        root.handlers = before


def tell_error(error: Exception, who: str = "") -> None:
    """Say what is wrong, a line for each problem; `who` says it where there are several processes."""
    if isinstance(sys.stderr, JsonLines):
        for each in describe_error(error):
            sys.stderr.say("error", {**each, **({"process": who.strip(": ")} if who else {})})
    else:
        print(f"{who}{error}", file=sys.stderr, flush=True)


def say_result(result: Mapping[str, Any]) -> bool:
    """Say a result to a program; return whether one listens, so that it need not be written for people."""
    if not isinstance(sys.stdout, JsonLines):
        return False
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.say("result", result)
    return True


def describe_error(error: Exception) -> list[dict[str, Any]]:
    """Return the parts of each problem of an error."""
    found = []
    for each in getattr(error, "problems", ()) or (error,):
        parts: dict[str, Any] = {"problem": getattr(each, "problem", str(each)), "hint": getattr(each, "hint", "")}
        place = getattr(each, "place", None)
        if place is not None:
            file, _, line = place.rpartition(":")
            is_file = line.isdecimal()
            parts |= {"file": file if is_file else None, "line": int(line) if is_file else None}
            parts |= {"key": getattr(each, "key", ""), **({} if is_file else {"place": place})}
        found.append(parts)
    return found


class JsonLines(io.TextIOBase):
    """A stream that writes each line that it is given as a JSON object."""

    def __init__(self, stream: TextIO, kind: str) -> None:
        """Remember where the objects go, and what a line without more is."""
        self.stream, self.kind, self.rest = stream, kind, ""

    def write(self, text: str) -> int:
        """Write the lines that are whole."""
        *lines, self.rest = (self.rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                self.say(self.kind, {"text": line.rstrip()})
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self.stream.flush()

    def close_line(self) -> None:
        """Write what has no end of line yet."""
        self.write("\n")

    def say(self, kind: str, content: Mapping[str, Any]) -> None:
        """Write one object."""
        self.stream.write(json.dumps({"kind": kind, **content}, default=str, ensure_ascii=False) + "\n")
        self.stream.flush()


class _JsonHandler(logging.Handler):
    """Says what is logged."""

    def __init__(self, stream: JsonLines) -> None:
        super().__init__()
        self.output = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.output.say("message", {"level": record.levelname.lower(), "text": record.getMessage()})
