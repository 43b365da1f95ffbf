"""Which encoding a file of text is in: found where that is sure, else told with what it would read like."""

import codecs
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
from charset_normalizer import from_bytes

from hf_tune.input_error import InputError


_BLOCK = 2**20
"""Bytes of whole lines that are decoded at once."""
_SAMPLE = 2**18
"""Bytes of lines beyond ASCII that an encoding is guessed from."""
_COMMON = (
    *("cp1252", "cp1250", "cp1251", "gb18030", "cp932", "big5", "cp949", "koi8_r", "euc_jp", "cp1253", "cp1254"),
    *("cp1255", "cp1256", "cp1257", "cp866", "iso8859_2", "iso8859_15", "cp850", "cp852", "mac_roman"),
)
"""Likely encodings; of those that read a file alike the first is taken."""
_SELDOM = ("mac_roman", "cp850", "cp852", "cp1257")
"""Encodings that a sample is seldom in; where it can be cp1252 too, they are not sure."""
_SCRIPTS = (("cp932", "ぁ", "ヿ", 0.3), ("euc_jp", "ぁ", "ヿ", 0.3), ("cp949", "가", "힣", 0.9))
"""Encoding, first and last letter of a script, and the least share of letters of a text that are of it.

Kana of cp932 would be Korean as cp949, and Korean never kana: the order tells.
"""
_LETTERS = 10
_SHOWN = 5
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_MOST_CHAOS = 0.1
_LEAST_COHERENCE = 0.1
_LEAD = 0.2
"""How much more coherent the guess must be than every other that reads the file otherwise."""
AT = ("load", "encoding")


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """The first place of a file that cannot be decoded."""

    line: int
    """From 1."""
    byte: int
    """From the start of the file, from 0."""
    value: int
    content: bytes
    """The line."""

    def build_error(self, file: str, problem: str, hint: str) -> InputError:
        """Return the error; `problem` goes on from the place."""
        place = f"{file}: line {self.line}, byte {self.byte} (0x{self.value:02x})"
        return InputError(f"{place} {problem}", hint, at=AT)


def open_bytes(file: str) -> Any:
    """Return a file opened to read bytes, unpacked where it is packed."""
    return fsspec.open(file, "rb", compression="infer")


def open_text(file: str, encoding: str, errors: str = "strict", newline: str | None = None) -> Any:
    """Return a file opened to read text, unpacked where it is packed, without a mark at the start of UTF-8."""
    name = "utf-8-sig" if codecs.lookup(encoding).name in ("ascii", "utf-8") else encoding
    return fsspec.open(file, "rt", compression="infer", encoding=name, errors=errors, newline=newline)


def find_encoding(file: str, cure: str = "") -> str:
    """Return `ascii`, `utf-8` or another encoding that a file is surely in.

    Raises `InputError` where it is not sure, with line, byte and how the line would read; and where one byte of a file
    that is UTF-8 elsewhere is broken. `cure` is the hint for a file that no recipe loads.
    """
    with open_bytes(file) as stream:
        head = stream.read(4)
    marked = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        cut = _find_failure(file, marked)
        if cut is not None:
            raise cut.build_error(file, f"is not {marked}, as which the file begins", cure or "save it as UTF-8")
        return marked
    failure = _find_failure(file, "utf-8")
    sample = _read_beyond_ascii(file)
    if failure is None:
        return "utf-8" if sample else "ascii"
    if _is_nearly_utf_8(sample):
        hint = "mend it, or write `encoding_errors: replace`"
        raise failure.build_error(file, "is not UTF-8, which the rest of the file is", cure or hint)
    guess = _guess(sample)
    if guess is not None and _find_failure(file, guess) is None:
        return guess
    readings = dict(itertools.islice(_read_otherwise(sample, failure), _SHOWN))
    told = ", ".join(f"{text!r} as {name}" for name, text in readings.items())
    hint = f"write which it is, such as `encoding: {next(iter(readings))}`" if readings else "save it as UTF-8"
    more = f": it reads {told}" if told else ""
    raise failure.build_error(file, f"is not UTF-8, and what else it is, is not sure{more}", cure or hint)


def check_encoding(file: str, encoding: str) -> None:
    """Raise `InputError` where a file is not in the encoding that the recipe gives."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        hint = "such as utf-8, cp1252 (Western), gb18030 (Chinese), cp932 (Japanese)"
        raise InputError(f"there is no encoding {encoding!r}", hint, at=AT) from None
    failure = _find_failure(file, encoding)
    if failure is not None:
        hint = "leave `encoding` out, and it is looked for"
        raise failure.build_error(file, f"is not {encoding}, as the recipe says", hint)


def _find_failure(file: str, encoding: str) -> _Failure | None:
    """Return the first place that cannot be decoded; None where all can. Of UTF-16 and UTF-32 the whole file."""
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    line, byte = 1, 0
    with open_bytes(file) as stream:
        while lines := [stream.read()] if wide else stream.readlines(_BLOCK):
            content = b"".join(lines)
            if not content:
                return None
            try:
                content.decode(encoding)
            except UnicodeDecodeError as error:
                before = content[: error.start]
                start, end = before.rfind(b"\n") + 1, content.find(b"\n", error.start)
                return _Failure(
                    line=line + before.count(b"\n"),
                    byte=byte + error.start,
                    value=content[error.start],
                    content=content[start : None if end < 0 else end],
                )
            line, byte = line + content.count(b"\n"), byte + len(content)
    return None


def _read_beyond_ascii(file: str) -> bytes:
    """Return the first lines that hold more than ASCII."""
    found: list[bytes] = []
    size = 0
    with open_bytes(file) as stream:
        for line in stream:
            if not line.isascii():
                found.append(line)
                size += len(line)
            if size > _SAMPLE:
                break
    return b"".join(found)


def _is_nearly_utf_8(sample: bytes) -> bool:
    """Return whether most of what is not ASCII is UTF-8: no other encoding gives such pairs of bytes so often."""
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(not sign.isascii() for sign in text) > 2 * broken


def _guess(sample: bytes) -> str | None:
    """Return the common encoding that a sample is surely in, None where another would read it as well.

    charset-normalizer (3.5) does not know Japanese and Korean from what only decodes so: there the script tells. It
    takes Finnish of cp1252 for Mac Roman, and some French for Baltic.
    """
    script = next((each[0] for each in _SCRIPTS if _is_script(sample, *each)), None)
    if script is not None:
        return script
    matches = [match for match in from_bytes(sample) if _find_common(match.could_be_from_charset)]
    if not matches or matches[0].chaos > _MOST_CHAOS or matches[0].coherence < _LEAST_COHERENCE:
        return None
    best = matches[0]
    for other in matches[1:]:
        is_close = other.chaos <= _MOST_CHAOS and other.coherence > best.coherence - _LEAD
        if is_close and str(other) != str(best):
            return None
    guess = _find_common(best.could_be_from_charset)
    return None if guess in _SELDOM and _can_be(sample, "cp1252") else guess


def _can_be(sample: bytes, name: str) -> bool:
    """Return whether every byte of a sample has a meaning in an encoding."""
    try:
        sample.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _is_script(sample: bytes, name: str, first: str, last: str, share: float) -> bool:
    """Return whether so many of the letters beyond ASCII that a sample has in an encoding are of one script.

    Of cp949 only pairs of bytes beyond ASCII count: an umlaut of a Mac and the next letter are a syllable too.
    """
    if not _can_be(sample, name):
        return False
    text = sample.decode("euc_kr" if name == "cp949" else name, "replace")
    letters = [sign for sign in text if sign.isalpha() and not sign.isascii()]
    return len(letters) >= _LETTERS and sum(first <= sign <= last for sign in letters) >= share * len(letters)


def _find_common(names: Sequence[str]) -> str | None:
    return next((name for name in _COMMON if name in names), None)


def _read_otherwise(sample: bytes, failure: _Failure) -> Iterator[tuple[str, str]]:
    """Yield common encodings that the sample can be in, with how the failing line reads around its first sign."""
    told: set[str] = set()
    for name in _COMMON:
        if not _can_be(sample, name):
            continue
        signs = failure.content.decode(name, "replace").strip()
        first = next((place for place, sign in enumerate(signs) if not sign.isascii()), 0)
        text = signs[max(0, first - 6) : first + 18]
        if text not in told:
            told.add(text)
            yield name, text
