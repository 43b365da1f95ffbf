"""Text of anybody's as Markdown that shows it as it is: no table is torn, no HTML and no formatting comes in."""

import re


def escape(text: object) -> str:
    """Return a text for a sentence or a cell of a table, in one line."""
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line)
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)  # inside a word it means nothing
    line = re.sub(r"^(#|[-+](?= |$))", r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quote(text: object) -> str:
    """Return a text in one line as code, between more backticks than it holds."""
    line = " ".join(str(text).split())
    marks = "`" * (_longest_run("`", line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{marks}{space}{line}{space}{marks}"


def fence(text: str, language: str = "") -> str:
    """Return a text as a block of code, verbatim, between more backticks than stand together in it."""
    marks = "`" * max(3, _longest_run("`", text) + 1)
    return f"{marks}{language}\n{text.rstrip()}\n{marks}"


def _longest_run(mark: str, text: str) -> int:
    return max((len(found) for found in re.findall(f"{mark}+", text)), default=0)
